# Copyright (c) mmdefusion authors. All rights reserved.
"""What the documents show of configs is what the files say."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

import mmdefusion  # noqa: F401 -- registers the package with MMEngine

ROOT = Path(__file__).resolve().parents[1]


def squeeze(code):
    """Code without comments, spaces and the commas that only the formatting of lines asks for."""
    code = re.sub(r'\s', '', re.sub('#.*', '', code))
    return re.sub(r',([)\]])', r'\1', code)


def shown_configs(document):
    """Path, whether only a part is shown, and the lines of every config in the document's diffs, removed ones left out.

    A line with the path stands above the lines of each file.
    """
    for block in re.findall(r'```diff\n(.*?)```', (ROOT / document).read_text(), re.DOTALL):
        lines = [line[1:] for line in block.splitlines() if not line.startswith('-')]
        sections = re.split(r'^# (part of )?(configs/\S+\.py)$', '\n'.join(lines), flags=re.MULTILINE)
        assert sections[0] == '' and len(sections) > 1, block
        for part, path, code in zip(sections[1::3], sections[2::3], sections[3::3], strict=True):
            yield path, part is not None, code.strip('\n')


@pytest.mark.parametrize(
    ('document', 'whole', 'parts'),
    [
        ('README.md', 2, 3),
        ('docs/en/user_guides/detection.md', 1, 3),
        ('docs/en/user_guides/segmentation.md', 1, 3),
    ],
)
def test_shown_configs_are_the_shipped_ones(document, whole, parts):
    shown = list(shown_configs(document))
    assert [part for _, part, _ in shown] == [False] * whole + [True] * parts
    for path, part, code in shown:
        shipped = squeeze((ROOT / path).read_text())
        if part:
            assert all(squeeze(line) in shipped for line in code.splitlines()), path
        else:
            assert squeeze(code) == shipped, path


def test_the_config_for_pairs_of_ones_own_works(tmp_path):
    document = (ROOT / 'docs/en/user_guides/adapt.md').read_text()
    (code,) = (block for block in re.findall(r'```python\n(.*?)```', document, re.DOTALL) if '_base_ = ' in block)
    (tmp_path / 'my_fusion.py').write_text(code)
    cfg = Config.fromfile(tmp_path / 'my_fusion.py')
    kinds = cfg.train_dataloader.dataset.datasets
    assert [dataset.kind for dataset in kinds] == ['photo', 'infrared_visible', 'multi_focus', 'multi_exposure']
    assert kinds[1].data_root == 'data/mine/' and 'ann_file' not in kinds[1]
    shipped = Config.fromfile(
        ROOT / 'configs/defusion/defusion-pp_nano_fusion_1xb16-35e_photos-roadscene-msrs-160px.py'
    )
    assert plain(kinds[1].pipeline) == plain(shipped.pair_pipeline)
    assert [plain(cfg[key]) for key in ('model', 'custom_hooks')] == [
        plain(shipped[key]) for key in ('model', 'custom_hooks')
    ]


def plain(value):
    """A config without the scopes that inheritance from a package writes into it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key != '_scope_'}
    return [plain(item) for item in value] if isinstance(value, list) else value
