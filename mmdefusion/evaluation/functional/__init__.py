# Copyright (c) mmdefusion authors. All rights reserved.
"""Fusion metrics as pure functions of arrays: no network, no registry, no state."""

from .edge import edge_artifacts, edge_preservation
from .evaluate import (
    FUSION_METRICS,
    LOWER_IS_BETTER,
    REFERENCE_METRICS,
    MetricNames,
    evaluate_pair,
    evaluate_reference,
    resolve_metrics,
)
from .feature_information import feature_mutual_information
from .information import cross_entropy, entropy, mutual_information, normalized_mutual_information
from .luma import to_luma
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
from .reference import gmsd, reference_psnr, reference_ssim
from .structural import multi_scale_ssim, ssim, yang_quality
from .visual_fidelity import visual_information_fidelity

__all__ = [
    'FUSION_METRICS',
    'LOWER_IS_BETTER',
    'MetricNames',
    'REFERENCE_METRICS',
    'average_gradient',
    'chen_blum_quality',
    'chen_varshney_quality',
    'correlation_coefficient',
    'cross_entropy',
    'edge_artifacts',
    'edge_preservation',
    'entropy',
    'evaluate_pair',
    'evaluate_reference',
    'feature_mutual_information',
    'gmsd',
    'mef_ssim',
    'multi_scale_mef_ssim',
    'multi_scale_ssim',
    'mutual_information',
    'normalized_mutual_information',
    'psnr',
    'reference_psnr',
    'reference_ssim',
    'resolve_metrics',
    'spatial_frequency',
    'ssim',
    'standard_deviation',
    'sum_of_correlations_of_differences',
    'to_luma',
    'visual_information_fidelity',
    'yang_quality',
]
