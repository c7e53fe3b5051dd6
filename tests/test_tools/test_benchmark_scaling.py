# Copyright (c) mmdefusion authors. All rights reserved.
import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from mmdefusion.engine.strategies.fully_shard_strategy import UNITS

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = '{root}/configs/_base_/models/defusion-pp_nano.py'
arch = dict(_delete_=True, embed_dims=16, depth=2, num_heads=2, patch_size=4, window_size=4, cross_heads=2)
model = dict(backbone=dict(arch=arch), neck=dict(arch=arch))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'toy.py'
    path.write_text(CONFIG.format(root=ROOT))
    return path


def measure(run_tool, tmp_path, config, *options):
    done = run_tool(
        *('python', ROOT / 'tools' / 'analysis_tools' / 'benchmark_scaling.py', config, '--out', 'report.json'),
        *('--batch-size', '2', '--crop-size', '32', '--steps', '2', '--warmup', '1', *options),
    )
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / 'report.json').read_text())['results'], done.stdout


def trained_weights(config):
    with MODELS.switch_scope_and_registry('mmdefusion') as registry:
        model = registry.build(Config.fromfile(config).model)
    names = {name for name, module in model.named_modules() if type(module).__name__ in UNITS}
    sizes = {name: value.numel() for name, value in model.named_parameters() if value.requires_grad}
    units = {name: sum(size for key, size in sizes.items() if key.startswith(f'{name}.')) for name in names}
    return sum(sizes.values()), units


def test_gradients_go_around_twice(run_tool, tmp_path, config):
    (one, two), output = measure(run_tool, tmp_path, config, '--processes', '1', '2')
    assert (one['processes'], two['processes']) == (1, 2)
    # Half of all float32 gradients, once to sum them and once to hand the sums out.
    assert one['bytes_sent'] == 0 and two['bytes_sent'] == 2 * 0.5 * 4 * trained_weights(config)[0]
    for found in (one, two):
        assert len(found['seconds']) == 2
        assert found['photos_per_second'] == pytest.approx(found['processes'] * 2 / found['median_seconds'])
    assert one['efficiency'] == 1
    assert two['efficiency'] == pytest.approx(two['photos_per_second'] / one['photos_per_second'] / 2)
    assert '2 processes: ' in output


def test_shards_are_gathered_and_summed(run_tool, tmp_path, config):
    (two,), _ = measure(run_tool, tmp_path, config, '--processes', '2', '--strategy', 'fsdp')
    total, units = trained_weights(config)
    # Every weight is gathered and its gradient summed, those of the units are gathered once more for the backward
    # pass; cross-attention of the fusion works for all tokens and for the visible ones, in two passes each.
    fusion = sum(size for name, size in units.items() if name.startswith('backbone.fusion.'))
    expected = 0.5 * 4 * (2 * total + sum(units.values()) + 2 * fusion)
    assert two['bytes_sent'] == pytest.approx(expected, rel=0.02)
