# Copyright (c) mmdefusion authors. All rights reserved.
"""All metrics by name, and their evaluation on one pair with shared intermediate results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from .edge import edge_artifacts, edge_preservation
from .feature_information import feature_mutual_information
from .information import cross_entropy, entropy, mutual_information, normalized_mutual_information
from .luma import ImageLike, prepare
from .mef_ssim import mef_ssim, multi_scale_mef_ssim
from .perceptual import chen_blum_quality, chen_varshney_quality
from .pixelwise import (
    average_gradient,
    correlation_coefficient,
    psnr,
    spatial_frequency,
    standard_deviation,
    sum_of_correlations_of_differences,
)
from .reference import gmsd, prepare_two, reference_psnr, reference_ssim
from .structural import multi_scale_ssim, ssim, yang_quality
from .visual_fidelity import visual_information_fidelity

MetricNames = Sequence[str] | Mapping[str, Mapping[str, Any]]


def _of_fused_image(function: Callable[..., float]) -> Callable[..., float]:
    """Give a metric of the fused image alone the arguments (a, b, f) of the others."""

    @wraps(function)
    def metric(a: ImageLike, b: ImageLike, f: ImageLike, **variant: Any) -> float:
        return function(f, **variant)

    # inspect.signature would otherwise show the signature of the wrapped function.
    del metric.__wrapped__
    return metric


FUSION_METRICS: dict[str, Callable[..., float]] = {
    'EN': _of_fused_image(entropy),
    'SD': _of_fused_image(standard_deviation),
    'SF': _of_fused_image(spatial_frequency),
    'AG': _of_fused_image(average_gradient),
    'MI': mutual_information,
    'NMI': normalized_mutual_information,
    'CE': cross_entropy,
    'FMI': feature_mutual_information,
    'CC': correlation_coefficient,
    'SCD': sum_of_correlations_of_differences,
    'PSNR': psnr,
    'SSIM': ssim,
    'MS-SSIM': multi_scale_ssim,
    'MEF-SSIM': mef_ssim,
    'MEF-MS-SSIM': multi_scale_mef_ssim,
    'VIF': visual_information_fidelity,
    'Qabf': edge_preservation,
    'Nabf': edge_artifacts,
    'Q_CB': chen_blum_quality,
    'Q_CV': chen_varshney_quality,
    'Q_Y': yang_quality,
}
"""Name -> ``function(a, b, f, **variant)`` of both sources and the fused image."""

REFERENCE_METRICS: dict[str, Callable[..., float]] = {
    'PSNR-GT': reference_psnr,
    'SSIM-GT': reference_ssim,
    'GMSD': gmsd,
}
"""Name -> ``function(reference, fused, **variant)`` of the true and the fused image."""

LOWER_IS_BETTER = frozenset({'CE', 'Nabf', 'Q_CV', 'GMSD'})


def evaluate_pair(a: ImageLike, b: ImageLike, f: ImageLike, metrics: MetricNames | None = None) -> dict[str, float]:
    """Score one fused image against its two sources.

    Args:
        a (np.ndarray): First source, (H, W) or (H, W, 3) BGR, uint8 or floating point, values in [0, 255].
        b (np.ndarray): Second source.
        f (np.ndarray): Fused image.
        metrics (Sequence[str] | Mapping[str, Mapping]): Names out of ``FUSION_METRICS``, or names with the variant of
            each, as in ``{'SSIM': {'reduction': 'sum'}, 'EN': {}}``. None means all, in their default variants.

    Returns:
        dict[str, float]: Name -> value, all finite, in the order of ``metrics``.

    Raises:
        TypeError: If an image is neither uint8 nor floating point, or a metric has no such variant.
        ValueError: If a name is unknown, sizes differ, an image is too small for a metric, or values are out of range.
    """
    variants = resolve_metrics(metrics, FUSION_METRICS)
    a, b, f = prepare(a, b, f)
    return {name: FUSION_METRICS[name](a, b, f, **variant) for name, variant in variants.items()}


def evaluate_reference(reference: ImageLike, fused: ImageLike, metrics: MetricNames | None = None) -> dict[str, float]:
    """Score one fused image against the true image.

    Args:
        reference (np.ndarray): The true image, (H, W) or (H, W, 3) BGR, uint8 or floating point, values in [0, 255].
        fused (np.ndarray): Fused image.
        metrics (Sequence[str] | Mapping[str, Mapping]): Names out of ``REFERENCE_METRICS``, as in
            :func:`evaluate_pair`. None means all.

    Returns:
        dict[str, float]: Name -> value, all finite, in the order of ``metrics``.

    Raises:
        TypeError: If an image is neither uint8 nor floating point, or a metric has no such variant.
        ValueError: If a name is unknown, sizes differ, an image is too small for a metric, or values are out of range.
    """
    variants = resolve_metrics(metrics, REFERENCE_METRICS)
    reference, fused = prepare_two(reference, fused)
    return {name: REFERENCE_METRICS[name](reference, fused, **variant) for name, variant in variants.items()}


def resolve_metrics(metrics: MetricNames | None, known: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Bring a choice of metrics into one form.

    Args:
        metrics (Sequence[str] | Mapping[str, Mapping]): Names, or names with the variant of each. None means all.
        known (Mapping[str, Any]): The names that may be chosen, ``FUSION_METRICS`` for example.

    Returns:
        dict[str, Mapping[str, Any]]: Name -> variant.

    Raises:
        TypeError: If ``metrics`` is a string.
        ValueError: If a name is unknown.
    """
    if isinstance(metrics, str):
        raise TypeError(f'metrics must be a sequence of names, found the string {metrics!r}')
    if metrics is None:
        metrics = list(known)
    unknown = [name for name in metrics if name not in known]
    if unknown:
        raise ValueError(f'unknown metrics {unknown}; known are {list(known)}')
    return dict(metrics) if isinstance(metrics, Mapping) else {name: {} for name in metrics}
