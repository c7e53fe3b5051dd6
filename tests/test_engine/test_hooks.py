# Copyright (c) mmdefusion authors. All rights reserved.
from types import SimpleNamespace

import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.visualization import Visualizer

from mmdefusion.datasets import ImageFolderDataset
from mmdefusion.engine import FusionVisualizationHook, ReproducibleRunHook
from mmdefusion.engine.hooks.reproducible_run_hook import seeded_datasets
from mmdefusion.structures import FusionDataSample


def test_a_steps_numbers_depend_on_its_place_only():
    hook = ReproducibleRunHook()
    draws = {}
    for seed, iteration in ((0, 5), (0, 6), (0, 5), (1, 5)):
        hook.before_train_iter(SimpleNamespace(seed=seed, iter=iteration), batch_idx=0)
        draws.setdefault((seed, iteration), []).append(torch.rand(1).item())
    assert draws[0, 5][0] == draws[0, 5][1]
    assert len({values[0] for values in draws.values()}) == 3


def test_the_epoch_reaches_datasets_inside_wrappers(tmp_path):
    parts = [ImageFolderDataset(data_root=str(tmp_path), lazy_init=True) for _ in range(2)]
    dataset = ConcatDataset(parts, lazy_init=True)
    assert seeded_datasets(dataset) == parts
    assert seeded_datasets(RepeatDataset(parts[0], times=2, lazy_init=True)) == parts[:1]
    runner = SimpleNamespace(seed=3, epoch=8, train_dataloader=SimpleNamespace(dataset=dataset))
    ReproducibleRunHook().before_train_epoch(runner)
    assert [part._stream.tolist() for part in parts] == [[3, 8], [3, 8]]


def test_panels_of_samples_and_pairs(monkeypatch):
    drawn = []

    def record(name, image, data_sample, step):
        drawn.append((name, tuple(image.shape), step))

    monkeypatch.setattr(Visualizer, 'get_current_instance', lambda: SimpleNamespace(add_datasample=record))
    pair = torch.zeros(6, 8, 8, dtype=torch.uint8)
    hook = FusionVisualizationHook(num_samples=3, interval=2)
    hook.pairs = [dict(inputs=pair, data_samples=FusionDataSample())]
    model = SimpleNamespace(val_step=lambda data: data['data_samples'])
    runner = SimpleNamespace(iter=70, model=model, val_loop=SimpleNamespace(fp16=False))
    photos = dict(inputs=torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    for _ in range(3):
        hook.before_val_epoch(runner)
        for batch in range(2):
            hook.after_val_iter(runner, batch, photos, [FusionDataSample(), FusionDataSample()])
        hook.after_val_epoch(runner)
    names = ['val_sample_0', 'val_sample_1', 'val_sample_2', 'val_pair_0']
    assert [entry[0] for entry in drawn] == names * 2  # the second of three validations is left out
    assert drawn[3][1:] == ((6, 8, 8), 70)
