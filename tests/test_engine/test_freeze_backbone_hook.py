# Copyright (c) mmdefusion authors. All rights reserved.
from types import SimpleNamespace

import pytest
from mmengine.logging import MMLogger
from torch import nn

from mmdefusion.engine import FreezeBackboneHook
from mmdefusion.models import DeFusionViT
from mmdefusion.testing import TINY_ARCH

EVERYTHING = TINY_ARCH['depth'] + 2


def make_runner(frozen_stages=-1, backbone=None):
    model = nn.Module()
    model.backbone = backbone or DeFusionViT(TINY_ARCH, drop_path_rate=0.5, frozen_stages=frozen_stages)
    return SimpleNamespace(model=model, epoch=0, iter=0, logger=MMLogger.get_current_instance())


def trained(backbone):
    return {name for name, weight in backbone.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize('frozen_stages', [-1, 1])
def test_frozen_until_the_epoch_and_then_as_the_config_says(frozen_stages):
    runner, hook = make_runner(frozen_stages), FreezeBackboneHook(end=2)
    backbone = runner.model.backbone
    expected = trained(backbone)
    hook.before_train(runner)
    for epoch in range(4):
        runner.epoch = epoch
        hook.before_train_epoch(runner)
        runner.model.train()  # as the loop does
        hook.before_train_iter(runner, batch_idx=0)
        assert trained(backbone) == (set() if epoch < 2 else expected)
        assert backbone.fusion.training == (epoch >= 2)
    assert backbone.frozen_stages == frozen_stages and backbone.blocks[-1].training
    assert backbone.patch_embed.training == (frozen_stages < 0)


def test_iterations():
    runner, hook = make_runner(), FreezeBackboneHook(end=3, by_epoch=False)
    hook.before_train(runner)
    runner.model.train()
    frozen = []
    for runner.iter in range(5):
        hook.before_train_epoch(runner)
        hook.before_train_iter(runner, batch_idx=runner.iter)
        frozen.append(runner.model.backbone.frozen_stages)
        # Stochastic depth and the like are off, and on again.
        assert runner.model.backbone.blocks[0].training == (runner.iter >= 3)
    assert frozen == [EVERYTHING] * 3 + [-1] * 2


def test_resumed_after_the_end():
    runner, hook = make_runner(), FreezeBackboneHook(end=2)
    hook.before_train(runner)
    runner.epoch = 2
    hook.before_train_epoch(runner)
    assert runner.model.backbone.frozen_stages == -1


def test_errors(wrap):
    with pytest.raises(ValueError, match='end: found 0; expected at least 1'):
        FreezeBackboneHook(end=0)
    hook = FreezeBackboneHook(end=1)
    with pytest.raises(ValueError, match='backbone of Module: found Linear; expected a DeFusionViT'):
        hook.before_train(make_runner(backbone=nn.Linear(1, 1)))
    runner = make_runner()
    backbone = runner.model.backbone
    runner.model = wrap(runner.model, find_unused_parameters=False)
    with pytest.raises(ValueError, match='find_unused_parameters: found False; expected True'):
        hook.before_train(runner)
    runner.model = wrap(runner.model.module, find_unused_parameters=True)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    assert backbone.frozen_stages == EVERYTHING
