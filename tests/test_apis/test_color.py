# Copyright (c) mmdefusion authors. All rights reserved.
import cv2
import numpy as np
import pytest

from mmdefusion.apis.color import bgr_to_chroma, bgr_to_luma, chroma_at_luma, compose_bgr, is_gray, mix_chroma
from mmdefusion.datasets.transforms import RandomMultiExposurePair


@pytest.fixture
def bgr():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_primaries_by_hand():
    blue_green_red = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    np.testing.assert_allclose(bgr_to_luma(blue_green_red)[0], [29.07, 149.685, 76.245], rtol=1e-6)
    # BT.601, full range: pure blue has Cb = 255.5, pure red Cr = 255.5.
    np.testing.assert_allclose(bgr_to_chroma(blue_green_red)[0, :, 0], [127.5, -84.47206, -43.02794], rtol=1e-5)
    np.testing.assert_allclose(bgr_to_chroma(blue_green_red)[0, :, 1], [-20.73466, -106.76534, 127.5], rtol=1e-5)


def test_agrees_with_opencv(bgr):
    reference = cv2.cvtColor(bgr.astype(np.float32) / 255, cv2.COLOR_BGR2YCrCb) * 255
    np.testing.assert_allclose(bgr_to_luma(bgr), reference[..., 0], atol=0.01)
    # OpenCV rounds 1 / 1.772 and 1 / 1.402 to three digits, and centres float chroma at 0.5.
    np.testing.assert_allclose(bgr_to_chroma(bgr)[..., 0], reference[..., 2] - 127.5, atol=0.1)
    np.testing.assert_allclose(bgr_to_chroma(bgr)[..., 1], reference[..., 1] - 127.5, atol=0.1)


def test_round_trip(bgr):
    np.testing.assert_allclose(compose_bgr(bgr_to_luma(bgr), bgr_to_chroma(bgr)), bgr, atol=1e-3)


def test_gray_has_no_chroma_at_all():
    gray = np.repeat(np.linspace(0, 255, 997, dtype=np.float32)[None, :, None], 3, axis=2)
    assert not bgr_to_chroma(gray).any()


def test_mix_by_hand():
    chroma1 = np.array([[[30.0, -10.0], [0.0, 0.0], [8.0, 5.0]]], np.float32)
    chroma2 = np.array([[[10.0, 10.0], [0.0, -7.0], [0.0, 5.0]]], np.float32)
    np.testing.assert_allclose(mix_chroma(chroma1, chroma2), [[[25.0, 0.0], [0.0, -7.0], [8.0, 5.0]]])


def test_mix_with_gray_is_the_other_one_and_order_does_not_matter(bgr):
    chroma = bgr_to_chroma(bgr)
    np.testing.assert_array_equal(mix_chroma(chroma, np.zeros_like(chroma)), mix_chroma(np.zeros_like(chroma), chroma))
    np.testing.assert_allclose(mix_chroma(chroma, np.zeros_like(chroma)), chroma, rtol=1e-6)
    other = bgr_to_chroma(bgr[::-1])
    np.testing.assert_allclose(mix_chroma(chroma, other), mix_chroma(other, chroma), rtol=1e-6)


def test_gray_is_told_from_colours():
    gray = np.repeat(np.arange(240, dtype=np.uint8).reshape(40, 6, 1), 3, axis=2)
    assert is_gray(gray) and is_gray(gray[:5]) and is_gray(gray + np.array([0, 0, 1], np.uint8))
    gray[:, :, 2] //= 2
    assert not is_gray(gray)


def test_chroma_at_luma_by_hand():
    """Both have luma 112 and chroma (0, 20); then a fused luma of 172 is 1.5 times as bright, above an offset of 8."""
    bgr = compose_bgr(np.array([[112.0]]), np.array([[[0.0, 20.0]]]))
    for luma, chroma in ((112.0, 20.0), (172.0, 30.0), (52.0, 10.0), (600.0, 60.0), (0.0, 20.0 / 3)):
        np.testing.assert_allclose(chroma_at_luma(bgr, bgr, np.array([[luma]])), [[[0.0, chroma]]], atol=1e-4)
    # Chroma -30 at luma 52 is doubled, and counts an eighth.
    other = compose_bgr(np.array([[52.0]]), np.array([[[0.0, -30.0]]]))
    mixed = (20 - 60 / 8) / (1 + 1 / 8)
    np.testing.assert_allclose(chroma_at_luma(bgr, other, np.array([[112.0]])), [[[0.0, mixed]]], atol=1e-4)
    # The same at luma 20, 4.3 times as bright and darker than 40.
    other = compose_bgr(np.array([[20.0]]), np.array([[[0.0, -9.0]]]))
    weight = 0.5 * (28 / 120) ** 3
    mixed = (20 - 27 * weight) / (1 + weight)
    np.testing.assert_allclose(chroma_at_luma(bgr, other, np.array([[112.0]])), [[[0.0, mixed]]], atol=1e-4)


def test_colours_that_saturate_count_little():
    coffee = np.array([[[20.0, 70.0, 110.0]]], np.float32)
    over = np.minimum(coffee * 4, 255)  # (80, 255, 255) is yellow
    brown = bgr_to_chroma(coffee * 2)[0, 0]
    mixed = chroma_at_luma(coffee, over, bgr_to_luma(coffee * 2))[0, 0]
    usual = mix_chroma(bgr_to_chroma(coffee), bgr_to_chroma(over))[0, 0]
    assert np.abs(mixed - brown).max() < 6 and np.abs(usual - brown).max() > 25


def test_chroma_at_luma_of_gray_is_gray_and_order_does_not_matter(bgr):
    gray = np.full_like(bgr, 77)
    assert not chroma_at_luma(gray, gray // 2, bgr_to_luma(bgr)).any()
    other = np.ascontiguousarray(bgr[::-1])
    mixed = chroma_at_luma(bgr, other, bgr_to_luma(gray))
    np.testing.assert_allclose(mixed, chroma_at_luma(other, bgr, bgr_to_luma(gray)), rtol=1e-5, atol=1e-5)
    assert mixed.dtype == np.float32 and np.isfinite(mixed).all()


def test_exposures_get_the_colours_of_the_photo():
    rng = np.random.default_rng(3)
    np.random.seed(0)
    usual, errors = [], []
    for _ in range(8):
        photo = cv2.resize(rng.integers(20, 236, (4, 6, 3), dtype=np.uint8), (144, 96))
        pair = RandomMultiExposurePair().transform(dict(img=photo, img_shape=photo.shape[:2]))['img']
        sources, truth = (pair[..., :3], pair[..., 3:]), bgr_to_chroma(photo)
        errors.append(np.abs(chroma_at_luma(*sources, bgr_to_luma(photo)) - truth).mean())
        usual.append(np.abs(mix_chroma(*map(bgr_to_chroma, sources)) - truth).mean())
    assert np.mean(errors) < 0.5 * np.mean(usual)
