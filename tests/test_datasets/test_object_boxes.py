# Copyright (c) mmdefusion authors. All rights reserved.
import cv2
import numpy as np
import pytest

from mmdefusion.datasets.converters import ObjectBox, boxes_of_mask, read_boxes

SIZE = (40, 30)  # width, height


def test_boxes_of_mask():
    mask = np.zeros((6, 8), np.uint8)
    mask[0, 0] = mask[1, 1] = 7  # touch at a corner
    mask[4:6, 2:7] = 7
    mask[0:2, 6:8] = 3
    assert boxes_of_mask(mask) == [
        ObjectBox('3', 6, 0, 8, 2),
        ObjectBox('7', 0, 0, 2, 2),
        ObjectBox('7', 2, 4, 7, 6),
    ]
    assert boxes_of_mask(mask, min_area=3) == [ObjectBox('3', 6, 0, 8, 2), ObjectBox('7', 2, 4, 7, 6)]


def test_gaps_of_a_mask():
    mask = np.zeros((12, 9), np.uint8)
    mask[0:2, 1:3] = mask[5:8, 2:4] = 7  # three rows between them, one column in common
    mask[0, 5] = mask[10, 5] = 7  # nine rows
    mask[11, 8] = mask[0, 8] = 3
    apart = [ObjectBox('3', 8, 0, 9, 1), ObjectBox('3', 8, 11, 9, 12)]
    pieces = [ObjectBox('7', 1, 0, 3, 2), ObjectBox('7', 5, 0, 6, 1), ObjectBox('7', 2, 5, 4, 8)]
    last = ObjectBox('7', 5, 10, 6, 11)
    assert boxes_of_mask(mask, max_gap=2) == [*apart, *pieces, last]
    one = ObjectBox('7', 1, 0, 4, 8)
    assert boxes_of_mask(mask, max_gap=3) == [*apart, one, pieces[1], last]
    assert boxes_of_mask(mask, max_gap=9) == [*apart, one, ObjectBox('7', 5, 0, 6, 11)]
    assert boxes_of_mask(mask, max_gap=10)[0] == ObjectBox('3', 8, 0, 9, 12)
    # The rows between are not pixels of the object.
    assert boxes_of_mask(mask, min_area=10, max_gap=3) == [one]
    assert boxes_of_mask(mask, min_area=11, max_gap=3) == []


def test_gaps_end_at_the_border():
    mask = np.zeros((6, 4), np.uint8)
    mask[0:2, 0:2] = mask[4, 2:4] = 1
    assert boxes_of_mask(mask, max_gap=5) == [ObjectBox('1', 0, 0, 2, 2), ObjectBox('1', 2, 4, 4, 5)]
    assert boxes_of_mask(mask[::-1].copy(), max_gap=5) == [ObjectBox('1', 2, 1, 4, 2), ObjectBox('1', 0, 4, 2, 6)]


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('0 0.5 0.5 0.2', 'expected "class cx cy width height"'),
        ('0 120 80 20 20', 'outside of the image'),
        ('person 0.5 0.5 0.2 0.2', 'expected "class cx cy'),
    ],
)
def test_broken_yolo_labels(tmp_path, line, message):
    path = tmp_path / 'a.txt'
    path.write_text(f'0 0.5 0.5 0.2 0.2\n{line}\n')
    with pytest.raises(ValueError, match=f'a.txt, line 2: .*{message}'):
        read_boxes(path, 'yolo', SIZE)


def test_broken_masks(tmp_path):
    for mask, message in (
        (np.zeros((30, 40, 3), np.uint8), 'array of shape .*; expected an 8-bit image of class numbers'),
        (np.zeros((30, 20), np.uint8), '20 x 30 pixels .*expected the size of the image, 40 x 30'),
    ):
        cv2.imwrite(str(tmp_path / 'a.png'), mask)
        with pytest.raises(ValueError, match=message):
            read_boxes(tmp_path / 'a.png', 'mask', SIZE)
    (tmp_path / 'a.png').write_bytes(b'')
    with pytest.raises(ValueError, match='a.png: no image'):
        read_boxes(tmp_path / 'a.png', 'mask', SIZE)
