# Copyright (c) mmdefusion authors. All rights reserved.
"""Pairs made from photos, with the photo as the truth: depth, lens, exposure and sensor."""

from .camera import Camera, defocus, disc_kernel
from .disparity import FAMILIES, draw_disparity, smooth_noise

__all__ = ['FAMILIES', 'Camera', 'defocus', 'disc_kernel', 'draw_disparity', 'smooth_noise']
