# Copyright (c) mmdefusion authors. All rights reserved.
from types import SimpleNamespace

import pytest
from torch import nn

from mmdefusion.engine import FusionWeightsHook
from mmdefusion.models import FusionHead

START = dict(infrared_visible=dict(structure=100.0, steps=0.0, edge=7.0), multi_focus=dict(truth=5.0))


def make_runner(weights=START):
    model = nn.Module()
    model.fusion_head = FusionHead(weights)
    model.restored = dict(infrared_visible=0.5)
    return SimpleNamespace(model=model, iter=0, train_dataloader=range(10))


def make_hook(weights, begin, end):
    return FusionWeightsHook([dict(begin=begin, end=end, weights=weights)])


def weights_at(hook, runner, iteration):
    runner.iter = iteration
    hook.before_train_iter(runner, batch_idx=iteration % 10)
    return runner.model.fusion_head.weights


def test_weights_change_along_a_line_between_two_epochs():
    runner = make_runner()
    hook = make_hook(dict(infrared_visible=dict(structure=60.0, steps=200.0)), 1, 3)
    hook.before_train(runner)
    line = ((0, 100, 0), (10, 100, 0), (15, 90, 50), (20, 80, 100), (30, 60, 200), (99, 60, 200))
    for iteration, structure, steps in line:
        weights = weights_at(hook, runner, iteration)
        assert weights['infrared_visible'] == pytest.approx(dict(structure=structure, steps=steps, edge=7))
        assert weights['multi_focus'] == dict(truth=5)


def test_a_resumed_training_has_the_weights_of_an_undisturbed_one():
    target = dict(infrared_visible=dict(steps=200.0))
    undisturbed, resumed = (make_hook(target, 0, 2) for _ in range(2))
    runners = make_runner(), make_runner()
    undisturbed.before_train(runners[0])
    for iteration in range(13):
        expected = weights_at(undisturbed, runners[0], iteration)
    resumed.before_train(runners[1])
    assert weights_at(resumed, runners[1], 12) == expected
    assert expected['infrared_visible']['steps'] == pytest.approx(120)


def test_the_head_of_a_wrapped_model_is_found(wrap):
    runner = make_runner()
    head = runner.model.fusion_head
    runner.model = wrap(runner.model)
    hook = make_hook(dict(multi_focus=dict(truth=1.0)), 0, 1)
    hook.before_train(runner)
    runner.iter = 10
    hook.before_train_iter(runner, batch_idx=0)
    assert head.weights['multi_focus'] == dict(truth=1)


def test_the_config_is_not_changed():
    weights = dict(multi_focus=dict(truth=5.0))
    runner = make_runner(weights)
    hook = make_hook(dict(multi_focus=dict(truth=1.0)), 0, 1)
    hook.before_train(runner)
    weights_at(hook, runner, 10)
    assert weights == dict(multi_focus=dict(truth=5.0))


def test_a_later_stage_goes_on_from_the_one_before():
    runner = make_runner()
    first = dict(begin=1, end=2, weights=dict(infrared_visible=dict(structure=60.0, steps=200.0)))
    second = dict(begin=2, end=4, weights=dict(infrared_visible=dict(structure=80.0, edge=9.0)))
    hook = FusionWeightsHook([first, second])
    hook.before_train(runner)
    line = ((5, 100, 0, 7), (15, 80, 100, 7), (20, 60, 200, 7), (30, 70, 200, 8), (50, 80, 200, 9))
    for iteration, structure, steps, edge in line:
        weights = weights_at(hook, runner, iteration)['infrared_visible']
        assert weights == pytest.approx(dict(structure=structure, steps=steps, edge=edge))


def test_shares_of_restored_batches_change_with_the_weights():
    runner = make_runner()
    hook = FusionWeightsHook(
        [
            dict(begin=0, end=1, weights=dict(infrared_visible=dict(edge=9.0))),
            dict(begin=2, end=4, weights={}, restored=dict(infrared_visible=0.9)),
        ]
    )
    hook.before_train(runner)
    for iteration, share in ((0, 0.5), (20, 0.5), (30, 0.7), (40, 0.9), (99, 0.9)):
        assert weights_at(hook, runner, iteration)['infrared_visible']['steps'] == 0
        assert runner.model.restored == pytest.approx(dict(infrared_visible=share)), iteration


def test_shares_that_are_none():
    with pytest.raises(ValueError, match=r"restored: found {'infrared_visible': -0.1}; expected shares from 0 to 1"):
        FusionWeightsHook([dict(begin=0, end=1, weights={}, restored=dict(infrared_visible=-0.1))])


def test_a_share_without_a_start():
    hook = FusionWeightsHook([dict(begin=0, end=1, weights={}, restored=dict(multi_focus=0.5))])
    with pytest.raises(ValueError, match=r"restored: found \['multi_focus'\], for which the model has no share"):
        hook.before_train(make_runner())


@pytest.mark.parametrize('epochs', [[(2, 2)], [(3, 1)], [(-1, 1)], [(0, 3), (2, 4)], [(0, 1), (1, 1)]])
def test_epochs_that_do_not_follow_each_other(epochs):
    stages = [dict(begin=begin, end=end, weights={}) for begin, end in epochs]
    found = ', '.join(f'{begin} to {end}' for begin, end in epochs)
    with pytest.raises(ValueError, match=f'found epochs {found}; expected each to end after it begins'):
        FusionWeightsHook(stages)


def test_terms_and_kinds_without_a_start():
    for weights in (dict(infrared_visible=dict(contrast=1.0)), dict(medical=dict(contrast=1.0))):
        hook = make_hook(weights, 0, 1)
        with pytest.raises(ValueError, match=r"found \['contrast'\], for which the head has no weight to start from"):
            hook.before_train(make_runner())


def test_a_model_without_fusion_head():
    with pytest.raises(ValueError, match='found no fusion_head in Linear'):
        make_hook({}, 0, 1).before_train(SimpleNamespace(model=nn.Linear(1, 1)))
