# Copyright (c) mmdefusion authors. All rights reserved.
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mmseg'
TOOL = Path(__file__).resolve().parents[2] / 'tools/dataset_converters/segmentation_pairs.py'
FOLDERS = dict(
    msrs=('vi', 'ir', 'Segmentation_labels'),
    fmb=('Visible', 'Infrared', 'Label'),
    pst900=('rgb', 'thermal', 'labels'),
)


@pytest.fixture(scope='module')
def converter():
    namespace = {'__name__': 'segmentation_pairs', '__file__': str(TOOL)}
    exec(compile(TOOL.read_text(), TOOL, 'exec'), namespace)
    return namespace


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def made_up(index):
    rng = np.random.default_rng(index)
    labels = np.zeros((6, 8), np.uint8)
    labels[:3, :4] = index + 1
    return (rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((6, 8, 3), (6, 8))), labels


def publish(dataset, root, counts):
    """A small copy of the published layout."""
    for split, count in counts.items():
        for index in range(count):
            (visible, infrared), labels = made_up(index)
            name = f'{split}{index}'
            if dataset == 'mfnet':
                save(root / 'images' / f'{name}.png', np.dstack([visible, infrared]))
                save(root / 'labels' / f'{name}.png', labels)
            else:
                for folder, image in zip(FOLDERS[dataset], (visible, infrared, labels), strict=True):
                    save(root / split / folder / f'{name}.png', image)
        if dataset == 'mfnet':
            names = [f'{split}{index}{end}\n' for index in range(count) for end in ('', '_flip')]
            (root / f'{split}.txt').write_text(''.join(names))
    return root


@pytest.mark.parametrize('dataset', ['msrs', 'mfnet', 'fmb', 'pst900'])
def test_published_layout(converter, tmp_path, dataset):
    counts = dict(train=3, val=1, test=2) if dataset == 'mfnet' else dict(train=3, test=2)
    table = converter['convert'](dataset, publish(dataset, tmp_path / 'published', counts), tmp_path / 'out')
    # A quarter of each picture is labelled: 1, 2 and 3 in the three pictures of train, a twelfth of all pixels each.
    assert f'| train | 3 | {converter["DATASETS"][dataset].splits["train"]} | 0 | 75.00 8.33 8.33 8.33' in table
    assert table.splitlines()[-1].startswith('| test | 2 |')
    for split, count in counts.items():
        for index in range(count):
            (visible, infrared), labels = made_up(index)
            for side, expected in (('vi', visible), ('ir', infrared), ('labels', labels)):
                found = cv2.imread(str(tmp_path / 'out' / split / side / f'{split}{index}.png'), cv2.IMREAD_UNCHANGED)
                np.testing.assert_array_equal(found, expected)
        assert {len(list(folder.iterdir())) for folder in (tmp_path / 'out' / split).iterdir()} == {count}


@pytest.mark.parametrize('dataset', ['msrs', 'mfnet', 'fmb', 'pst900'])
def test_shipped_configs_read_what_is_converted(converter, tmp_path, dataset):
    pytest.importorskip('mmseg.datasets')
    counts = dict(train=3, val=1, test=2) if dataset == 'mfnet' else dict(train=3, test=2)
    converter['convert'](dataset, publish(dataset, tmp_path / 'published', counts), tmp_path / 'out')
    (path,) = CONFIGS.glob(f'defusion-tiny_upernet_4xb4-40k_{dataset}-???x640.py')
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    for phase, split in dict(train='train', val='val' if dataset == 'mfnet' else 'test', test='test').items():
        dataset_cfg = cfg[f'{phase}_dataloader'].dataset
        dataset_cfg.data_root = str(tmp_path / 'out')
        built = DATASETS.build(dataset_cfg)
        assert len(built) == counts[split]
        (visible, infrared), labels = made_up(0)
        loaded = built.get_data_info(0)
        for step in built.pipeline.transforms[:2]:
            loaded = step(loaded)
        assert loaded['img_path'] == str(tmp_path / f'out/{split}/vi/{split}0.png')
        assert loaded['partner_path'] == str(tmp_path / f'out/{split}/ir/{split}0.png')
        sample = built[0]
        if phase == 'train':
            # Scaled, cropped and flipped at random; colours of the first source change, the second one stays gray.
            assert sample['inputs'].shape == (6, *sample['data_samples'].gt_sem_seg.shape)
            assert torch.equal(sample['inputs'][3], sample['inputs'][5])
            continue
        pair = np.concatenate([visible, np.repeat(infrared[..., None], 3, axis=2)], axis=2)
        np.testing.assert_array_equal(sample['inputs'].permute(1, 2, 0), pair)
        # FMB's 0 is nothing: it becomes 255, and the classes move down by one.
        expected = np.where(labels == 0, 255, labels - 1) if dataset == 'fmb' else labels
        np.testing.assert_array_equal(sample['data_samples'].gt_sem_seg.data[0], expected)


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda root: (root / 'train/ir/train1.png').unlink(), r'1 of 3 pairs.*train/ir/train1.png: no such file'),
        (lambda root: (root / 'test/vi/test0.png').unlink(), r'1 of 2 pairs.*test/vi/test0.png: no such file'),
        (
            lambda root: save(root / 'train/ir/train0.png', np.zeros((6, 9), np.uint8)),
            r'train/ir/train0.png: 9 x 6 pixels.*expected the size of .*vi/train0.png, 8 x 6',
        ),
        (
            lambda root: (root / 'train/Segmentation_labels/train2.png').write_bytes(b''),
            r'Segmentation_labels/train2.png: 0 bytes that are no image',
        ),
        (
            lambda root: save(root / 'train/Segmentation_labels/train2.png', np.full((6, 8), 9, np.uint8)),
            r'train2.png: labels \[9\]; expected 0 to 8, or 255',
        ),
        (
            lambda root: save(root / 'train/Segmentation_labels/train2.png', np.zeros((6, 8, 3), np.uint8)),
            r'uint8 array of shape \(6, 8, 3\); expected one channel',
        ),
        (
            lambda root: save(root / 'train/vi/train2.png', np.zeros((6, 8), np.uint8)),
            r'vi/train2.png: array of shape \(6, 8\); expected 3 channels',
        ),
        (lambda root: (root / 'test/ir').rename(root / 'test/thermal'), r'test/ir: no such folder; expected test/\{vi'),
    ],
)
def test_broken_copies_write_nothing(converter, tmp_path, spoil, message):
    root = publish('msrs', tmp_path / 'published', dict(train=3, test=2))
    spoil(root)
    with pytest.raises(ValueError, match=f'(?s){message}'):
        converter['convert']('msrs', root, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_labels_without_objects_are_counted(converter, tmp_path):
    root = publish('fmb', tmp_path / 'published', dict(train=2, test=1))
    save(root / 'train/Label/train1.png', np.zeros((6, 8), np.uint8))
    assert '| train | 2 | 1220 | 1 |' in converter['convert']('fmb', root, tmp_path / 'out')


def test_mfnet_needs_four_channels_and_lists(converter, tmp_path):
    root = publish('mfnet', tmp_path / 'published', dict(train=1, val=1, test=1))
    save(root / 'images/val0.png', np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r'images/val0.png: array of shape \(6, 8, 3\); expected 4 channels'):
        converter['convert']('mfnet', root, tmp_path / 'out')
    (root / 'val.txt').unlink()
    with pytest.raises(ValueError, match=r'val.txt: no such file; expected the names of the split'):
        converter['convert']('mfnet', root, tmp_path / 'out')


def test_command(run_tool, tmp_path):
    root = publish('pst900', tmp_path / 'published', dict(train=1, test=1))
    result = run_tool('python', TOOL, 'pst900', root, '-o', tmp_path / 'out')
    assert result.returncode == 0 and '| train | 1 | 597 | 0 |' in result.stdout, result.stderr
    result = run_tool('python', TOOL, 'pst900', tmp_path / 'nowhere', '-o', tmp_path / 'out')
    assert result.returncode == 1 and 'nowhere: no such folder' in result.stderr.splitlines()[-1]
