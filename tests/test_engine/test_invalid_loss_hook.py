# Copyright (c) mmdefusion authors. All rights reserved.
from types import SimpleNamespace

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmdefusion.engine import StopOnInvalidLossHook
from mmdefusion.engine.hooks.invalid_loss_hook import files_of
from mmdefusion.structures import FusionDataSample


class Samples(Dataset):
    """Twelve samples; sample 5 is not finite."""

    def __init__(self, bad=float('nan')):
        self.bad = bad

    def __len__(self):
        return 12

    def __getitem__(self, index):
        value = self.bad if index == 5 else 1.0
        sample = FusionDataSample(metainfo=dict(img_path=f'photos/{index}.jpg', partner_path=f'ir/{index}.png'))
        return dict(inputs=torch.full((4,), value), data_samples=sample)


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, inputs, data_samples, mode):
        output = self.layer(torch.stack(inputs))
        return dict(
            loss_a=output.square().mean(), loss_b=output.detach().new_ones(()), metric=output.detach().mean() / 0
        )


def check(outputs, data_batch=None):
    runner = SimpleNamespace(iter=41, epoch=2)
    outputs = {name: torch.tensor(value) for name, value in outputs.items()}
    StopOnInvalidLossHook().after_train_iter(runner, 0, data_batch, outputs)


def test_losses_are_named_with_the_files_of_the_batch():
    batch = pseudo_collate([Samples()[index] for index in (3, 5)])
    check(dict(loss=1.5, loss_a=2.5e38, grad_norm=float('nan'), acc=float('inf')), batch)
    with pytest.raises(FloatingPointError) as caught:
        check(dict(loss=float('nan'), loss_a=float('inf'), loss_b=0.5), batch)
    lines = str(caught.value).splitlines()
    assert lines[0] == 'training stopped at iteration 42 (epoch 3): expected finite losses, found'
    assert lines[1] == 'in process 0: loss = nan, loss_a = inf; batch:'
    assert lines[2:4] == ['  photos/3.jpg and ir/3.png', '  photos/5.jpg and ir/5.png']


def test_batches_of_other_forms():
    assert files_of(None) == files_of([1, 2]) == files_of(dict(inputs=3)) == []
    samples = [FusionDataSample(), FusionDataSample(metainfo=dict(img_path='a.png'))]
    assert files_of(dict(data_samples=samples)) == ['sample 0, which has no path', 'a.png']
    StopOnInvalidLossHook().after_train_iter(SimpleNamespace(), 0, None, None)
    with pytest.raises(FloatingPointError, match='its samples have no paths'):
        check(dict(loss=float('-inf')))


@pytest.mark.parametrize(('library', 'name'), [('mmdet', 'DetDataSample'), ('mmseg', 'SegDataSample')])
def test_batches_of_the_hosts_have_their_files_named(library, name):
    sample_type = getattr(pytest.importorskip(f'{library}.structures'), name)
    samples = [
        dict(inputs=torch.zeros(6, 2, 2), data_samples=sample_type(metainfo=dict(img_path=f'vi/{index}.png')))
        for index in range(2)
    ]
    with pytest.raises(FloatingPointError, match=r'loss_cls = nan; batch:\n  vi/0.png\n  vi/1.png\n'):
        check(dict(loss_cls=float('nan'), acc=50.0), pseudo_collate(samples))


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize(
    'optim', [dict(type='OptimWrapper', accumulative_counts=3), dict(type='AutocastOptimWrapper', dtype='bfloat16')]
)
def test_a_run_stops_before_bad_weights_are_saved(tmp_path, optim, bad):
    class Averages(Hook):
        """Stands for averaged weights."""

        seen = 0

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.seen += 1

    averages = Averages()
    runner = Runner(
        model=Toy(),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            batch_size=2, num_workers=0, dataset=Samples(bad), sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), **optim),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1),
            invalid_loss=dict(type='StopOnInvalidLossHook'),
        ),
        custom_hooks=[averages],
        default_scope='mmdefusion',
        experiment_name=f'{tmp_path.name}',
    )
    with pytest.raises(
        FloatingPointError, match=r'iteration 3 \(epoch 1\).*\n.*loss_a.*\n  photos/4.*\n  photos/5.jpg'
    ):
        runner.train()
    assert averages.seen == 2
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_1.pth', 'iter_2.pth']
    state = torch.load(tmp_path / 'iter_2.pth', weights_only=True)['state_dict']
    assert all(value.isfinite().all() for value in state.values())


def stop_rank(rank, world, folder):
    torch.distributed.init_process_group('gloo', f'file://{folder}/rendezvous', rank=rank, world_size=world)
    hook, passed = StopOnInvalidLossHook(), []
    with pytest.raises(FloatingPointError) as caught:
        for step in range(3):
            batch = dict(data_samples=[FusionDataSample(metainfo=dict(img_path=f'rank{rank}/{step}.jpg'))])
            loss = torch.tensor(float('nan') if (rank, step) == (1, 1) else 1.0)
            hook.after_train_iter(SimpleNamespace(iter=step, epoch=0), step, batch, dict(loss=loss))
            passed.append(step)
    torch.save((passed, str(caught.value)), f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


def test_all_processes_stop_together(tmp_path):
    mp.start_processes(stop_rank, args=(2, str(tmp_path)), nprocs=2, start_method='fork')
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    # Only process 1 has a bad loss, and both stop there and say so.
    assert first == second
    passed, message = first
    assert passed == [0]
    assert message.splitlines()[:3] == [
        'training stopped at iteration 2 (epoch 1): expected finite losses, found',
        'in process 1: loss = nan; batch:',
        '  rank1/1.jpg',
    ]
