# Copyright (c) mmdefusion authors. All rights reserved.
import cv2
import numpy as np
import pytest

from mmdefusion.apis.color import bgr_to_chroma, bgr_to_luma, compose_bgr, mix_chroma


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
