# Copyright (c) mmdefusion authors. All rights reserved.
"""A simple camera: lens blur, exposure, sensor noise and response, in linear light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

#: Depths that a lens is simulated with; blur changes by a fraction of a pixel from one to the next.
DEPTH_LAYERS = 24


@dataclass(frozen=True)
class Camera:
    """A camera's sensor and how it turns light into pixel values.

    Attributes:
        gamma: Exponent of the response; 2.2 is close to sRGB.
        contrast: Share in the response of the S-curve ``3 v^2 - 2 v^3``, 0 to below 1, as of a picture style.
        full_well: Electrons that saturate a pixel; more means less noise.
        read_noise: Standard deviation of the read noise in electrons.
    """

    gamma: float = 2.2
    contrast: float = 0.0
    full_well: float = 10_000.0
    read_noise: float = 6.0

    def linearize(self, image: np.ndarray) -> np.ndarray:
        """Pixel values 0..255 to light in [0, 1], float32; the inverse of :meth:`develop`."""
        grid = np.linspace(0, 1, 4097)
        unbent = np.interp(image / 255.0, self._bend(grid), grid)
        return (unbent**self.gamma).astype(np.float32)

    def develop(self, light: np.ndarray) -> np.ndarray:
        """Light, clipped to [0, 1], to uint8 pixel values."""
        values = np.clip(light, 0, 1) ** (1 / self.gamma)
        return np.rint(self._bend(values) * 255).astype(np.uint8)

    def photograph(self, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Takes a picture: adds noise to the light, clips it where the sensor saturates, and develops it.

        Args:
            light: (H, W, C) linear light times exposure; 1 saturates.
            rng: Generator of the noise.

        Returns:
            (H, W, C) uint8.
        """
        # Shot noise is Poisson's, whose variance is its mean; for this many electrons it is normal to good accuracy.
        variance = np.maximum(light, 0) / self.full_well + (self.read_noise / self.full_well) ** 2
        return self.develop(light + np.sqrt(variance) * rng.standard_normal(light.shape, dtype=np.float32))

    def _bend(self, values: np.ndarray) -> np.ndarray:
        return (1 - self.contrast) * values + self.contrast * values**2 * (3 - 2 * values)


def disc_kernel(radius: float) -> np.ndarray:
    """Blur disc of unit sum with a smooth edge; up to half a pixel of radius it is a single pixel, no blur."""
    reach = max(1, int(np.ceil(radius)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    # At radius 0.5 the centre counts fully and its neighbours not at all, so blur sets in gradually.
    kernel = np.clip(max(radius, 0.5) + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def defocus(
    light: np.ndarray, disparity: np.ndarray, focus: float, strength: float, depth_of_field: float = 0.0
) -> np.ndarray:
    """Blurs a scene as a lens does that is focused at one depth.

    The radius of the blur disc is ``strength * max(0, |disparity - focus| - depth_of_field)`` pixels: disparity
    (inverse depth) is what a thin lens's blur is linear in. The scene is cut into layers of equal disparity. Each is
    blurred with its own disc together with its mask and laid over the layers behind it, so that a blurred foreground
    spreads over what it borders on, and a sharp one stays sharp before a blurred background.

    Args:
        light: (H, W, C) float32, linear.
        disparity: (H, W), larger is nearer, in any unit.
        focus: Disparity that is in focus.
        strength: Pixels of radius for each unit of disparity.
        depth_of_field: Difference of disparity up to which everything is sharp.

    Returns:
        (H, W, C) float32.
    """
    near_to_far = float(np.ptp(disparity)) or 1.0
    layers = (disparity - disparity.min()) / near_to_far * DEPTH_LAYERS
    layers = np.minimum(layers, DEPTH_LAYERS - 1).astype(np.uint8)
    image, weight = np.zeros_like(light), np.zeros((*disparity.shape, 1), np.float32)
    for index in np.unique(layers):
        inside = layers == index
        kernel = disc_kernel(strength * max(0.0, abs(disparity[inside].mean() - focus) - depth_of_field))
        mask = inside.astype(np.float32)[..., None]
        # Reflected borders, as if the scene went on.
        layer = cv2.filter2D(light * mask, -1, kernel, borderType=cv2.BORDER_REFLECT)
        alpha = cv2.filter2D(mask, -1, kernel, borderType=cv2.BORDER_REFLECT)[..., None]
        image, weight = image * (1 - alpha) + layer, weight * (1 - alpha) + alpha
    return image / np.maximum(weight, 1e-6)
