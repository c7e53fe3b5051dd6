# Copyright (c) mmdefusion authors. All rights reserved.
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from mmdefusion.datasets.converters import DETECTION_LAYOUTS, convert_splits

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mmdet'
SIZE = (40, 30)  # width, height


VALUES = dict(visible=60, infrared=180)


def write_image(path, size=SIZE, value=99):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), value, np.uint8))


def voc(*objects, size=SIZE):
    boxes = ''.join(
        f'<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>'
        '</bndbox></object>'
        for name, x1, y1, x2, y2 in objects
    )
    width, height = size
    return f'<annotation><size><width>{width}</width><height>{height}</height></size>{boxes}</annotation>'


def write_pair(root, split, name, label, size=SIZE):
    """One pair in the published layout; ``label`` is the text of its label file, or a mask."""
    for side, value in VALUES.items():
        write_image(split.path(root, side, name), size, value)
    path = split.path(root, 'labels', name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(label, str):
        path.write_text(label)
    else:
        cv2.imwrite(str(path), label)


def convert(root, dataset, split, **kwargs):
    layout = DETECTION_LAYOUTS[dataset]
    splits = {split: layout.splits[split]}
    return convert_splits(root, splits, layout.categories, root / 'annotations', **kwargs)[split]


def load(root, name):
    return json.loads((root / 'annotations' / name).read_text())


@pytest.fixture
def llvip(tmp_path):
    """Three pairs of train, one of them without persons, and one of test."""
    splits = DETECTION_LAYOUTS['llvip'].splits
    write_pair(tmp_path, splits['train'], '010001', voc(('person', 2, 3, 12, 23), ('person', 20, 5, 45, 35)))
    write_pair(tmp_path, splits['train'], '010002', voc())
    write_pair(tmp_path, splits['train'], '010003', voc(('person', 1, 1, 5, 9), size=(0, 0)))
    write_pair(tmp_path, splits['test'], '190001', voc(('person', 1, 2, 3, 4)))
    return tmp_path


def test_llvip(llvip):
    counts = convert(llvip, 'llvip', 'train')
    assert counts == {
        'pairs': 3,
        'pairs without boxes': 1,
        'boxes': 3,
        'person': 3,
        'boxes left out': 0,
        'boxes clipped': 1,
    }
    visible, infrared = load(llvip, 'visible_train.json'), load(llvip, 'infrared_train.json')
    assert visible['categories'] == [dict(id=1, name='person')]
    assert visible['images'][0] == dict(id=1, file_name='visible/train/010001.jpg', width=40, height=30)
    assert infrared['images'][2]['file_name'] == 'infrared/train/010003.jpg'
    assert visible['annotations'] == infrared['annotations']
    first, second, third = visible['annotations']
    assert first == dict(id=1, image_id=1, category_id=1, bbox=[2.0, 3.0, 10.0, 20.0], area=200.0, iscrowd=0)
    assert second['bbox'] == [20.0, 5.0, 20.0, 25.0]  # clipped
    assert third['image_id'] == 3
    assert convert(llvip, 'llvip', 'test')['pairs'] == 1


def test_annotations_load_as_a_coco_dataset(llvip):
    pytest.importorskip('mmdet.datasets')
    from mmdet.datasets import CocoDataset

    convert(llvip, 'llvip', 'train')
    dataset = CocoDataset(
        ann_file='annotations/infrared_train.json',
        data_root=str(llvip),
        data_prefix=dict(img=''),
        metainfo=dict(classes=('person',)),
    )
    assert len(dataset) == 3
    info = dataset.get_data_info(0)
    assert info['img_path'] == str(llvip / 'infrared/train/010001.jpg')
    assert [instance['bbox'] for instance in info['instances']] == [[2.0, 3.0, 12.0, 23.0], [20.0, 5.0, 40.0, 30.0]]


@pytest.mark.parametrize('dataset', DETECTION_LAYOUTS)
def test_shipped_configs_read_what_is_converted(dataset, tmp_path):
    pytest.importorskip('mmdet.datasets')
    layout = DETECTION_LAYOUTS[dataset]
    # Smaller images are left out of training by the stock config.
    size = width, height = 64, 48
    mask = np.zeros((height, width), np.uint8)
    mask[4:36, 8:40] = 2
    labels = dict(
        voc=voc((layout.categories[0], 8, 4, 40, 36), size=size), yolo='0 0.375 0.416667 0.5 0.666667', mask=mask
    )
    # The first of five names is M3FD's validation split.
    names = {split: f'0000{index}' for index, split in enumerate(reversed(layout.splits))}
    for split, name in names.items():
        write_pair(tmp_path, layout.splits[split], name, labels[layout.splits[split].label_format], size)
        if dataset == 'flir-aligned':
            (tmp_path / layout.splits[split].names).write_text(f'{name}\n')
    for split in layout.splits:
        assert convert(tmp_path, dataset, split)['boxes'] == 1
    for variant, sides in (('', tuple(VALUES)), ('-visible', ('visible',)), ('-infrared', ('infrared',))):
        cfg = Config.fromfile(CONFIGS / f'faster-rcnn_defusion-tiny_1x_{dataset}{variant}.py')
        init_default_scope(cfg.default_scope)
        for phase, split in zip(('train', 'val'), ('train', list(layout.splits)[1]), strict=True):
            dataset_cfg = cfg[f'{phase}_dataloader'].dataset
            dataset_cfg.data_root = f'{tmp_path}/'
            built = DATASETS.build(dataset_cfg)
            assert len(built) == 1
            sample = built[0]
            paths = [str(layout.splits[split].path(tmp_path, side, names[split])) for side in sides]
            assert sample['data_samples'].img_path == paths[0]
            loaded = built.get_data_info(0)
            for step in built.pipeline.transforms[: len(sides)]:
                loaded = step(loaded)
            assert loaded.get('partner_path') == (paths[1] if len(sides) == 2 else None)
            assert sample['inputs'].shape[0] == 3 * len(sides)
            values = [VALUES[side] for side in sides]
            if phase == 'train':
                # Colours of the first source are changed at random, those of the second one are not.
                assert (sample['inputs'][3:] == values[-1]).all()
            else:
                assert (sample['inputs'] == torch.tensor(values).repeat_interleave(3)[:, None, None]).all()
                box = sample['data_samples'].gt_instances.bboxes.tensor
                torch.testing.assert_close(box, torch.tensor([[8.0, 4.0, 40.0, 36.0]]), atol=1e-2, rtol=0)
            assert sample['data_samples'].gt_instances.labels.tolist() == [0]


def test_m3fd_gets_a_split(tmp_path):
    split = DETECTION_LAYOUTS['m3fd'].splits['val']
    for index in range(12):
        write_pair(tmp_path, split, f'{index:05}', voc(('Car', 1, 2, 11, 12), ('People', 5, 5, 8, 9)))
    assert convert(tmp_path, 'm3fd', 'train')['pairs'] == 9
    counts = convert(tmp_path, 'm3fd', 'val')
    assert (counts['pairs'], counts['Car'], counts['People'], counts['Lamp']) == (3, 3, 3, 0)
    names = [image['file_name'] for image in load(tmp_path, 'visible_val.json')['images']]
    assert names == ['Vis/00000.png', 'Vis/00005.png', 'Vis/00010.png']
    assert [box['category_id'] for box in load(tmp_path, 'infrared_val.json')['annotations'][:2]] == [2, 1]
    # Somebody else's list of names is taken whole.
    (tmp_path / 'meta.txt').write_text('00000\n00001.png\n00005\n')
    assert replace(split, names='meta.txt').list_names(tmp_path) == (['00000', '00001', '00005'], 0)


def test_flir_aligned(tmp_path):
    split = DETECTION_LAYOUTS['flir-aligned'].splits['train']
    write_pair(tmp_path, split, 'FLIR_00001', voc(('person', 1, 1, 9, 9), ('dog', 1, 1, 5, 5)))
    write_pair(tmp_path, split, 'FLIR_00002', voc(('car', 1, 1, 9, 9)))
    write_pair(tmp_path, split, 'FLIR_00003', voc(('car', 1, 1, 9, 9)))
    (tmp_path / 'align_train.txt').write_text('FLIR_00001_PreviewData\nFLIR_00003_PreviewData\n')
    (tmp_path / 'align_validation.txt').write_text('FLIR_00002_RGB.jpg\n\n')
    counts = convert(tmp_path, 'flir-aligned', 'train')
    assert (counts['pairs'], counts['person'], counts['car'], counts['boxes left out']) == (2, 1, 1, 1)
    assert convert(tmp_path, 'flir-aligned', 'val')['pairs'] == 1
    assert load(tmp_path, 'visible_val.json')['images'][0]['file_name'] == 'JPEGImages/FLIR_00002_RGB.jpg'
    assert load(tmp_path, 'infrared_val.json')['images'][0]['file_name'] == 'JPEGImages/FLIR_00002_PreviewData.jpeg'


def test_msrs_masks_and_yolo_boxes(tmp_path):
    splits = DETECTION_LAYOUTS['msrs'].splits
    mask = np.zeros((30, 40), np.uint8)
    mask[2:22, 3:23] = 1  # a car of 400 pixels
    mask[0:25, 30:38] = 2  # a person of 200
    mask[26:29, 0:30] = 2  # of 90: too small
    mask[5, 25] = 5  # another class
    write_pair(tmp_path, splits['train'], '00001D', mask)
    write_pair(tmp_path, splits['test'], '131', '2 0.5 0.5 0.5 0.2\n\n0 0.1 0.5 0.2 1.0\n')
    write_pair(tmp_path, splits['test'], '132', '')
    # An image of test without a label file is not labelled, which is not the same as empty.
    for side in ('visible', 'infrared'):
        write_image(splits['test'].path(tmp_path, side, '133'))
    # The boxes that are published are of train images as well: these are not trained on.
    write_pair(tmp_path, splits['train'], '00132N', mask)
    counts = convert(tmp_path, 'msrs', 'train')
    assert (counts['pairs'], counts['pairs held out']) == (1, 1)
    assert load(tmp_path, 'visible_train.json')['images'][0]['file_name'] == 'train/vi/00001D.png'
    assert (counts['person'], counts['car'], counts['boxes left out']) == (1, 1, 0)
    boxes = {box['category_id']: box['bbox'] for box in load(tmp_path, 'visible_train.json')['annotations']}
    assert boxes == {2: [3, 2, 20, 20], 1: [30, 0, 8, 25]}
    counts = convert(tmp_path, 'msrs', 'test')
    assert (counts['pairs'], counts['pairs without boxes']) == (2, 1)
    boxes = {box['category_id']: box['bbox'] for box in load(tmp_path, 'visible_test.json')['annotations']}
    assert boxes[2] == pytest.approx([10, 12, 20, 6]) and boxes[1] == pytest.approx([0, 0, 8, 30])


def test_fused_images_get_the_same_boxes(llvip):
    for name in ('010001', '010002', '010003'):
        write_image(llvip / 'fused/train' / f'{name}.png')
    convert(llvip, 'llvip', 'train', fused=llvip / 'fused/train')
    fused = load(llvip, 'fused_train.json')
    assert fused['images'][1]['file_name'] == 'fused/train/010002.png'
    assert fused['annotations'] == load(llvip, 'visible_train.json')['annotations']
    (llvip / 'fused/train/010002.png').unlink()
    with pytest.raises(ValueError, match='fused/train/010002.png: no such image'):
        convert(llvip, 'llvip', 'train', fused=llvip / 'fused/train')


def test_everything_that_is_broken_is_told_at_once(llvip):
    (llvip / 'infrared/train/010001.jpg').unlink()
    write_image(llvip / 'infrared/train/010002.jpg', (20, 30))
    (llvip / 'Annotations/010003.xml').write_text('')
    write_image(llvip / 'infrared/train/010004.jpg')
    with pytest.raises(ValueError) as error:
        convert(llvip, 'llvip', 'train')
    message = str(error.value)
    assert message.startswith('train: 4 pairs cannot be used:')
    assert 'infrared/train/010001.jpg: no such image; expected the partner of the same name' in message
    assert '010002.jpg: 20 x 30 pixels' in message and '40 x 30' in message
    assert 'Annotations/010003.xml: not a Pascal VOC annotation (no element found' in message
    assert 'visible/train/010004.jpg: no such image' in message
    assert not (llvip / 'annotations').exists()


def test_a_broken_split_leaves_the_others_unwritten(llvip):
    layout = DETECTION_LAYOUTS['llvip']
    (llvip / 'infrared/test/190001.jpg').unlink()
    (llvip / 'infrared/train/010001.jpg').unlink()
    with pytest.raises(ValueError) as error:
        convert_splits(llvip, layout.splits, layout.categories, llvip / 'annotations')
    assert 'train: 1 pairs cannot be used' in str(error.value) and 'test: 1 pairs cannot be used' in str(error.value)
    assert not (llvip / 'annotations').exists()


@pytest.mark.parametrize('side', VALUES)
@pytest.mark.parametrize('dataset', DETECTION_LAYOUTS)
def test_missing_partners(dataset, side, tmp_path):
    layout, labels = DETECTION_LAYOUTS[dataset], dict(voc=voc(), yolo='', mask=np.zeros(SIZE[::-1], np.uint8))
    for split, files in layout.splits.items():
        root = tmp_path / split
        for name in ('00000', '00001'):
            write_pair(root, files, name, labels[files.label_format])
        if dataset == 'flir-aligned':
            (root / files.names).write_text('00000\n00001\n')
        if files.held_out is not None:
            files.path(root, 'held_out', '7').parent.mkdir(parents=True)
        # The first of five names is M3FD's validation split.
        missing = files.path(root, side, '00000' if split == 'val' else '00001')
        missing.unlink()
        with pytest.raises(ValueError, match=f'{split}: 1 pairs cannot be used:\n  {missing}: no such image; expected'):
            convert(root, dataset, split)
        assert not (root / 'annotations').exists()


@pytest.mark.parametrize(('part', 'message'), [(0.0, 'the file is empty'), (0.7, 'broken or truncated image')])
def test_broken_images(llvip, part, message):
    path = llvip / 'infrared/train/010002.jpg'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    # Its header is whole.
    assert not part or Image.open(path).size == SIZE
    with pytest.raises(ValueError, match=f'train: 1 pairs cannot be used:\n  {path}: {message}'):
        convert(llvip, 'llvip', 'train')
    assert not (llvip / 'annotations').exists()


@pytest.mark.parametrize(
    ('label', 'message'),
    [
        (None, 'no such label file'),
        (voc(('person', 5, 5, 5, 9)), 'has no area'),
        (voc(('bear', 1, 1, 5, 9)), "unknown class 'bear'; expected one of .*person"),
        (voc(('person', 1, 1, 5, 9), size=(640, 480)), 'made for 640 x 480 pixels'),
        ('<annotation><object><name>person</name></object></annotation>', 'expected xml with object/bndbox'),
    ],
)
def test_broken_voc_labels(llvip, label, message):
    path = llvip / 'Annotations/010001.xml'
    path.write_text(label) if label is not None else path.unlink()
    with pytest.raises(ValueError, match=f'010001.xml: .*{message}'):
        convert(llvip, 'llvip', 'train')


def test_nothing_there(tmp_path, llvip):
    with pytest.raises(ValueError, match='Vis: not a folder; expected the visible files of the dataset'):
        convert(tmp_path, 'm3fd', 'train')
    with pytest.raises(ValueError, match='align_train.txt: no such file; expected the list of names'):
        convert(tmp_path, 'flir-aligned', 'train')
    with pytest.raises(ValueError, match='detection/labels: not a folder; expected the held-out files of the dataset'):
        write_pair(tmp_path, DETECTION_LAYOUTS['msrs'].splits['train'], '00001D', np.zeros((30, 40), np.uint8))
        convert(tmp_path, 'msrs', 'train')
    for name in ('010001', '010003'):
        (llvip / f'Annotations/{name}.xml').write_text(voc())
    with pytest.raises(ValueError, match='train: 3 pairs in .*, but not one box'):
        convert(llvip, 'llvip', 'train')
    empty = replace(DETECTION_LAYOUTS['llvip'].splits['train'], visible='a/{name}.jpg', infrared='a/{name}.jpg')
    (tmp_path / 'a').mkdir()
    with pytest.raises(ValueError, match='no name found; expected files'):
        empty.list_names(tmp_path)
