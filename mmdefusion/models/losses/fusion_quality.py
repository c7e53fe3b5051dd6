# Copyright (c) mmdefusion authors. All rights reserved.
"""Differentiable measures of how much of two sources a fused image keeps.

Each works on luma in [0, 1], (N, 1, H, W), in float32, and gives one value a sample. They follow the metrics of
``mmdefusion.evaluation`` up to what a gradient needs.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .filters import gaussian_kernel, smooth, sobel

#: Windows of pixel-domain VIF and its noise variance on a scale of 0 to 255.
_VIF_WINDOWS = (17, 9, 5, 3)
_VIF_NOISE = 2.0
#: Windows in which contrast is compared, their step, and the share of the sources' difference that is asked for beyond
#: the better one: what one source alone shows is to stand out, what both show is strong enough.
_CONTRAST_WINDOW = 32
_CONTRAST_STEP = 8
_CONTRAST_SURPLUS = 0.15
#: Squares whose mean brightness is compared for steps, how many of them apart, and what a step may have beyond the
#: sources' larger one.
_STEP_WINDOW = 16
_STEP_DISTANCES = (1, 2, 4)
_STEP_TOLERANCE = 1.1
#: Gray levels of the joint histograms of mutual information, 5 of 255 apart.
_INFORMATION_BINS = 52
#: Strengths below this (of a step of one gray level) have no direction.
_WEAK_EDGE = 4 / 255


def visual_fidelity(reference: Tensor, image: Tensor) -> Tensor:
    """Pixel-domain visual information fidelity (Sheikh and Bovik 2006).

    Args:
        reference: The source, (N, 1, H, W), sides of at least 41 pixels.
        image: The fused image.

    Returns:
        (N,), 1 where both are equal, more where the fused image has more contrast.
    """
    x, y = 255 * reference, 255 * image
    kept = available = 0.0
    for window in _VIF_WINDOWS:
        kernel = gaussian_kernel(window, window / 5)
        if window != _VIF_WINDOWS[0]:
            x, y = (smooth(plane, kernel)[..., ::2, ::2] for plane in (x, y))
        mean_x, mean_y, xx, yy, xy = smooth(torch.stack([x, y, x * x, y * y, x * y]), kernel)
        var_x, var_y = (xx - mean_x**2).clamp(min=0), (yy - mean_y**2).clamp(min=0)
        covariance = xy - mean_x * mean_y
        # A negative gain keeps nothing: all of the fused image is noise then.
        gain = (covariance / (var_x + 1e-2)).clamp(min=0)
        noise = (var_y - gain * covariance).clamp(min=0)
        kept = kept + torch.log1p(gain**2 * var_x / (noise + _VIF_NOISE)).sum(dim=(1, 2, 3))
        available = available + torch.log1p(var_x / _VIF_NOISE).sum(dim=(1, 2, 3))
    # Flat crops have nothing to keep: a tenth of a nat a pixel bounds their weight.
    return kept / (available + 0.1 * reference[0].numel())


def _edges(image: Tensor) -> tuple[Tensor, Tensor]:
    gradient = sobel(image)
    strength = (gradient.square().sum(1, keepdim=True) + _WEAK_EDGE**2).sqrt()
    return strength, gradient / strength


def edge_fidelity(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    """Share of the sources' edges that a fused image keeps in strength and direction (Xydeas and Petrovic 2000).

    Args:
        x1: First source, (N, 1, H, W).
        x2: Second source.
        fused: Fused image.

    Returns:
        (N,), up to .975.
    """
    strength, direction = _edges(fused)
    kept = total = 0.0
    for source in (x1, x2):
        source_strength, source_direction = _edges(source)
        ratio = torch.minimum(strength, source_strength) / torch.maximum(strength, source_strength)
        # Short of 1, where the arc cosine has no slope.
        cosine = (direction * source_direction).sum(1, keepdim=True).abs().clamp(max=0.9995)
        agreement = 1 - 2 / math.pi * torch.acos(cosine)
        worth = 0.9994 * torch.sigmoid(15 * (ratio - 0.5)) * 0.9879 * torch.sigmoid(22 * (agreement - 0.8))
        kept = kept + (worth * source_strength).sum(dim=(1, 2, 3))
        total = total + source_strength.sum(dim=(1, 2, 3))
    return kept / total


def strongest_gradient_error(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    """Mean absolute difference between the fused gradient and, at each pixel, the stronger of the sources'.

    Args:
        x1: First source, (N, 1, H, W).
        x2: Second source.
        fused: Fused image.

    Returns:
        (N,), in units of the Sobel operator.
    """
    gradient1, gradient2 = sobel(x1), sobel(x2)
    first = gradient1.square().sum(1, keepdim=True) > gradient2.square().sum(1, keepdim=True)
    return (sobel(fused) - torch.where(first, gradient1, gradient2)).abs().mean(dim=(1, 2, 3))


def _correlation(x: Tensor, y: Tensor) -> Tensor:
    x, y = (plane.flatten(1) - plane.flatten(1).mean(1, keepdim=True) for plane in (x, y))
    # The variance of one gray level keeps flat differences from being blown up.
    return (x * y).mean(1) / ((x.square().mean(1) + 255**-2) * (y.square().mean(1) + 255**-2)).sqrt()


def difference_correlation(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    """Sum of correlations of differences, ``corr(f - x2, x1) + corr(f - x1, x2)`` (Aslantas and Bendes 2015).

    Args:
        x1: First source, (N, 1, H, W).
        x2: Second source.
        fused: Fused image.

    Returns:
        (N,), between -2 and 2.
    """
    return _correlation(fused - x2, x1) + _correlation(fused - x1, x2)


def _local_contrast(image: Tensor) -> Tensor:
    """Standard deviation in each window, (N, 1, h, w); not quite 0 in flat ones, where a root has no slope."""
    mean, square = (F.avg_pool2d(plane, _CONTRAST_WINDOW, _CONTRAST_STEP) for plane in (image, image**2))
    return ((square - mean**2).clamp(min=0) + 1e-6).sqrt()


def contrast_shortfall(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    """Share of the better source's local contrast that a fused image lacks to it and a surplus.

    Contrast is the standard deviation in windows of 32x32 pixels, so an object that only one source shows has to stay
    as visible as there. The surplus is 0.15 times what the better source has more than the other one. Windows count by
    their contrast.

    Args:
        x1: First source, (N, 1, H, W), sides of at least 32 pixels.
        x2: Second source.
        fused: Fused image.

    Returns:
        (N,), between 0 and 1.15.
    """
    contrasts = _local_contrast(x1), _local_contrast(x2)
    best, other = torch.maximum(*contrasts), torch.minimum(*contrasts)
    missing = (best + _CONTRAST_SURPLUS * (best - other) - _local_contrast(fused)).clamp(min=0)
    return missing.sum(dim=(1, 2, 3)) / best.sum(dim=(1, 2, 3))


def unfounded_steps(x1: Tensor, x2: Tensor, fused: Tensor) -> Tensor:
    """How much brightness changes from place to place where it does in neither source.

    That happens where a network changes its mind about which source to follow, in a sky that is bright in one source
    and dark in the other one for example, and looks like a shadow that is not there. Brightness is the mean over
    squares of 16x16 pixels; squares one, two and four apart along rows and columns are compared.

    Args:
        x1: First source, (N, 1, H, W), sides of at least 80 pixels.
        x2: Second source.
        fused: Fused image.

    Returns:
        (N,), the mean square of what exceeds 1.1 times the larger change of the sources.
    """
    planes = [F.avg_pool2d(plane, _STEP_WINDOW) for plane in (x1, x2, fused)]
    excesses = []
    for dim in (-2, -1):
        for distance in _STEP_DISTANCES:
            length = planes[0].size(dim) - distance
            first, second, change = (
                (plane.narrow(dim, distance, length) - plane.narrow(dim, 0, length)).abs() for plane in planes
            )
            excess = change - _STEP_TOLERANCE * torch.maximum(first, second)
            excesses.append(excess.clamp(min=0).square().mean(dim=(1, 2, 3)))
    return torch.stack(excesses).mean(0)


def _histogram_entropy(histogram: Tensor) -> Tensor:
    # Empty bins, which pixels on a neighbouring gray level reach with a share of 0, have no slope of their own.
    return -(histogram * (histogram + 1e-6).log()).sum(-1)


def _soft_bins(image: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The two gray levels next to each pixel and its shares in them, (N, HW) each."""
    position = image.flatten(1).clamp(0, 1) * (_INFORMATION_BINS - 1)
    low = position.detach().floor().clamp(max=_INFORMATION_BINS - 2)
    upper = position - low
    low = low.long()
    return [(low, 1 - upper), (low + 1, upper)]


def mutual_information(reference: Tensor, image: Tensor) -> Tensor:
    """Share of a source's entropy that is mutual information with an image (Qu, Zhang and Yan 2002, by the entropy).

    Histograms have 52 gray levels. A pixel between two of them counts in both, by its distance, which gives a slope.

    Args:
        reference: The source, (N, 1, H, W).
        image: The fused image.

    Returns:
        (N,), from 0 to 1, nearly 1 where both are equal and lie on gray levels that are multiples of 5 of 255.
    """
    bins = _INFORMATION_BINS
    joint = reference.new_zeros(len(reference), bins * bins)
    for row, row_share in _soft_bins(reference):
        for column, column_share in _soft_bins(image):
            joint = joint.scatter_add(1, row * bins + column, row_share * column_share)
    joint = joint / reference[0].numel()
    of_reference, of_image = (joint.view(-1, bins, bins).sum(dim) for dim in (2, 1))
    entropy = _histogram_entropy(of_reference)
    information = entropy + _histogram_entropy(of_image) - _histogram_entropy(joint)
    # A hundredth of a nat keeps flat sources, which have nothing to share, from counting.
    return information / (entropy + 1e-2)


def exposure_fidelity(x1: Tensor, x2: Tensor, fused: Tensor, window: int = 8) -> Tensor:
    """MEF-SSIM (Ma, Zeng and Wang 2015), single scale, without the luminance term.

    Args:
        x1: First source, (N, 1, H, W).
        x2: Second source.
        fused: Fused image.
        window: Side of the box window in pixels.

    Returns:
        (N,), at most 1.
    """

    def mean(plane: Tensor) -> Tensor:
        return F.avg_pool2d(plane, window, 1)

    sources = torch.stack([x1, x2])
    centre = torch.stack([mean(x) for x in sources])
    variance = (torch.stack([mean(x * x) for x in sources]) - centre**2).clamp(min=0)
    contrast = (variance + 1e-8).sqrt()
    # Consistency R of the two patches: norm of the sum over the sum of norms.
    covariance = mean(x1 * x2) - centre[0] * centre[1]
    together = (variance.sum(0) + 2 * covariance).clamp(min=0).sqrt()
    consistency = together / contrast.sum(0)
    exponent = torch.tan(math.pi / 2 * consistency.clamp(max=0.999)).clamp(max=10)
    weight = (contrast + 1e-4) ** exponent
    weight = weight / weight.sum(0)
    # The desired patch: structure is the weighted sum of unit structures, contrast the larger one.
    share = weight / contrast
    norm = ((share**2 * variance).sum(0) + 2 * share[0] * share[1] * covariance).clamp(min=1e-8).sqrt()
    scale = contrast.amax(0) / norm
    centre_f = mean(fused)
    variance_f = (mean(fused * fused) - centre_f**2).clamp(min=0)
    with_sources = torch.stack([mean(x * fused) for x in sources]) - centre * centre_f
    covariance_f = scale * (share * with_sources).sum(0)
    c2 = 0.03**2
    return ((2 * covariance_f + c2) / (contrast.amax(0) ** 2 + variance_f + c2)).mean(dim=(1, 2, 3))
