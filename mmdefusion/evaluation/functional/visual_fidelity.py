# Copyright (c) mmdefusion authors. All rights reserved.
"""Visual information fidelity: VIF in the pixel domain."""

from __future__ import annotations

import numpy as np

from .luma import ImageLike, Luma, Plane, Window, combine, prepare, require_side

SCALE_WINDOWS = tuple(Window(size, size / 5) for size in (17, 9, 5, 3))
NOISE_VARIANCE = 2.0
EPS = 1e-10
# The smallest image of which the coarsest scale keeps one position.
MIN_SIDE = 41


def visual_information_fidelity(a: ImageLike, b: ImageLike, f: ImageLike, *, reduction: str = 'sum') -> float:
    """VIF, pixel-domain visual information fidelity of the fused image, ``vifp(a, f) + vifp(b, f)``.

    Per source (the reference), over four scales with Gaussian windows of 17, 9, 5, 3 pixels and sigma of a fifth of
    that: sum of ``log(1 + g^2 var_s / (var_v + 2))`` by sum of ``log(1 + var_s / 2)``, where f = g s + v locally.

    Source: H. R. Sheikh, A. C. Bovik, "Image information and visual quality", IEEE TIP 15 (2006), the pixel-domain
    version of the authors' code. This is not VIFF (Y. Han et al., 2013). Values near .84 on RoadScene where .63 is
    right come from squares of uint8 arrays that saturate.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, values in [0, 255], at least 41x41.
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        reduction (str): ``'sum'`` or ``'mean'`` over the sources.

    Returns:
        float: At least 0; 2 (sum) where both sources equal the fused image, more where it has more contrast. A
        constant source has no information and adds 0.
    """
    a, b, f = prepare(a, b, f)
    require_side(f, MIN_SIDE, 'VIF')
    fused_scales = _scales(f)
    return combine(_fidelity(_scales(a), fused_scales), _fidelity(_scales(b), fused_scales), reduction)


def _scales(image: Luma) -> list[Plane]:
    # No other metric uses these windows: a plane of its own frees their moments with the list.
    planes = [Plane(image.values)]
    for window in SCALE_WINDOWS[1:]:
        planes.append(Plane(np.ascontiguousarray(planes[-1].mean(window)[::2, ::2])))
    return planes


def _fidelity(reference: list[Plane], fused: list[Plane]) -> float:
    kept = available = 0.0
    for x, y, window in zip(reference, fused, SCALE_WINDOWS, strict=True):
        variance_x, variance_y, covariance = x.variance(window), y.variance(window), x.covariance(y, window)
        gain = covariance / (variance_x + EPS)
        noise = variance_y - gain * covariance

        flat_x = variance_x < EPS
        gain[flat_x] = 0
        noise[flat_x] = variance_y[flat_x]
        variance_x = np.where(flat_x, 0, variance_x)
        flat_y = variance_y < EPS
        gain[flat_y] = 0
        noise[flat_y] = 0
        # A negative gain inverts the image: no fidelity, all noise.
        inverted = gain < 0
        gain[inverted] = 0
        noise[inverted] = variance_y[inverted]
        noise = np.maximum(noise, EPS)

        kept += float(np.log1p(gain * gain * variance_x / (noise + NOISE_VARIANCE)).sum())
        available += float(np.log1p(variance_x / NOISE_VARIANCE).sum())
    return kept / available if available > 0 else 0.0
