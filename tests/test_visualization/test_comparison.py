# Copyright (c) mmdefusion authors. All rights reserved.
import cv2
import numpy as np
import pytest

from mmdefusion.evaluation.ranking import MethodScores, rank_methods
from mmdefusion.visualization.contact_sheet import choose_crops, draw_contact_sheet
from mmdefusion.visualization.score_chart import write_score_chart


def test_crops_lie_where_details_differ():
    rng = np.random.default_rng(0)
    first = np.full((100, 200), 90, np.uint8)
    second = first + 60  # brighter everywhere, which is no difference of details
    for top, left in ((10, 20), (60, 150)):
        second[top : top + 20, left : left + 40] = rng.integers(0, 256, (20, 40))
    second[60:80, 150:190] = 150 + (second[60:80, 150:190] // 8)  # the weaker of the two
    crops = choose_crops([first, second])
    assert [(crop.height, crop.width) for crop in crops] == [(22, 44)] * 2
    for crop, (top, left) in zip(crops, ((10, 20), (60, 150)), strict=True):
        assert abs(crop.top - top) <= 4 and abs(crop.left - left) <= 6


def test_sheet_shows_all_images_and_their_crops():
    shades = dict(a=20, b=60, one=100, two=180)
    rows = []
    for shape in ((60, 80), (90, 60, 3)):
        row = {title: np.full(shape, shade, np.uint8) for title, shade in shades.items()}
        row['two'][:20, :20] = 255
        rows.append(row)
    sheet = draw_contact_sheet(rows)
    # Titles; then for each row: image scaled to 240 pixels, gap, crops, gaps.
    heights = [180 + 4 + round(118 * 13 / 18) + 8, 360 + 4 + round(118 * 20 / 13) + 8]
    assert sheet.shape == (22 + sum(heights), 4 + 4 * 244, 3)
    for index, shade in enumerate(shades.values()):
        left = 4 + index * 244
        assert (sheet[22 + 120 : 22 + 170, left + 150 : left + 230] == shade).all()
    assert (sheet[:22] < 128).any()  # the titles
    red, green = (60, 60, 230), (70, 180, 60)
    for color in (red, green):
        # A frame in each image and one around each crop, in both rows.
        assert (sheet == color).all(axis=2).sum() > 2 * 4 * 2 * 200


def test_sheet_needs_rows_alike():
    image = np.zeros((20, 20), np.uint8)
    with pytest.raises(ValueError, match='two sources and one fused image'):
        draw_contact_sheet([dict(a=image, b=image)])
    with pytest.raises(ValueError, match='expected rows'):
        draw_contact_sheet([dict(a=image, b=image, x=image), dict(a=image, b=image, y=image)])
    with pytest.raises(ValueError, match='one size'):
        draw_contact_sheet([dict(a=image, b=image, x=image[:10])])


def test_chart_draws_longer_bars_for_larger_values(tmp_path):
    images = {str(index): dict(MI=float(index)) for index in range(6)}
    methods = dict(large=MethodScores(dict(MI=2.5), images), small=MethodScores(dict(MI=0.5)))
    ranks = rank_methods(methods, ['MI'])
    write_score_chart(tmp_path / 'chart.png', methods, ranks, ['MI'], classical=['small'])
    chart = cv2.imread(str(tmp_path / 'chart.png'))
    blue = (chart == (0x9F, 0x6F, 0x2F)).all(axis=2)
    gray = (chart == 0xB0).all(axis=2)
    right = slice(chart.shape[1] // 2 + 40, None)
    width = [mask[:, right].sum(axis=1).max() for mask in (blue, gray)]
    assert width[0] == pytest.approx(5 * width[1], rel=0.06)
    first = (tmp_path / 'chart.png').read_bytes()
    write_score_chart(tmp_path / 'chart.png', methods, ranks, ['MI'], classical=['small'])
    assert (tmp_path / 'chart.png').read_bytes() == first
