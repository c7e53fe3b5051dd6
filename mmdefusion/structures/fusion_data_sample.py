# Copyright (c) mmdefusion authors. All rights reserved.
"""The record of one sample: what was known of it and what the model predicted."""

from __future__ import annotations

from mmengine.structures import BaseDataElement


class FusionDataSample(BaseDataElement):
    """One photo (pretraining) or one pair of images (fusion), with its annotations and predictions.

    Every image is a ``torch.Tensor`` of shape (C, H, W), RGB, values in [0, 1]; every mask is a uint8 ``torch.Tensor``
    of zeros and ones. All fields are optional.

    Data fields:
        cud_masks: Visibility of each pixel in the two views of common and unique decomposition, shape (2, H, W).
        pred_fused: The fused image.
        pred_common: What both sources show.
        pred_unique1: What only the first source shows.
        pred_unique2: What only the second source shows.
        pred_masked: The image that masked feature modeling reconstructs (pretraining only).
        view1: First degraded view of a photo (pretraining only).
        view2: Second degraded view of a photo (pretraining only).
        gt_fused: The image that fusion should give, where it is known; the photo itself in pretraining.

    Meta information: ``img_path`` and, for pairs of files, ``partner_path`` and the ``name`` that both share;
    ``ori_shape`` and ``img_shape`` as (H, W); ``sample_idx``; ``flip`` and ``flip_direction``; ``kind``, what the
    sample is where training mixes several datasets, for example ``'infrared_visible'``.
    """
