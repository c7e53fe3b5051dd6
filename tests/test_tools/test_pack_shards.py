# Copyright (c) mmdefusion authors. All rights reserved.
import json
from pathlib import Path

import pytest

pytest.importorskip('webdataset')

ROOT = Path(__file__).resolve().parents[2]
PACK, TRAIN = ROOT / 'tools/dataset_converters/pack_shards.py', ROOT / 'tools/train.py'
BENCHMARK = ROOT / 'tools/analysis_tools/benchmark_dataloader.py'


def test_pack_and_train(tiny_config, run_tool, tmp_path):
    packed = run_tool('python', PACK, tmp_path / 'photos', tmp_path / 'shards', '--samples-per-shard', '5')
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout.strip().endswith(f'12 samples in 3 shards in {tmp_path}/shards')
    assert json.loads((tmp_path / 'shards/index.json').read_text())['samples'] == 12
    again = run_tool('python', PACK, tmp_path / 'photos', tmp_path / 'shards')
    assert again.returncode == 1 and 'Traceback' not in again.stderr
    assert again.stderr.strip().splitlines()[-1].startswith(f'Error: {tmp_path}/shards: exists already')

    config = tmp_path / 'sharded.py'
    config.write_text(f"""
_base_ = '{tiny_config}'
dataset = dict(_delete_=True, type='ShardDataset', data_root='{tmp_path}/shards')
train_dataloader = dict(
    num_workers=2, drop_last=False, dataset=dict(dataset, pipeline={{{{_base_.train_pipeline}}}}),
    batch_sampler=dict(type='ShardBatchSampler', num_streams=2))
val_dataloader = dict(dataset=dict(dataset, pipeline={{{{_base_.val_pipeline}}}}, test_mode=True))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
default_hooks = dict(visualization=dict(num_samples=0, pair_dataset=None))
""")
    trained = run_tool('python', TRAIN, config, '--work-dir', tmp_path / 'work')
    assert trained.returncode == 0, trained.stderr
    (path,) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry['iter'] for entry in entries if 'loss' in entry] == [1, 2, 3]
    assert [entry['step'] for entry in entries if 'psnr_fused' in entry] == [1]


def test_loaders_are_measured_against_training(tiny_config, run_tool, tmp_path):
    pytest.importorskip('lmdb')
    result = run_tool(
        *('python', BENCHMARK, tiny_config, tmp_path / 'photos', '--workers', '0', '--batches', '2', '--steps', '1'),
        *('--rounds', '1', '--samples-per-shard', '5', '--cold', '--out', tmp_path / 'report.json'),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['photos'] == 12 and report['batch_size'] == 4 and report['cold']
    assert [(row['store'], row['workers']) for row in report['loaders']] == [('folder', 0), ('shards', 0), ('lmdb', 0)]
    for row in report['loaders']:
        assert row['loading_rate']['median'] > 0 and 0 < row['waiting']['median'] < 1
        assert row['training_rate']['median'] > 0
    assert 'samples/s, batches of 4' in result.stdout and '| lmdb | 0 |' in result.stdout
