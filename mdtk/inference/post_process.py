"""Averaging a prediction with that of the mirrored image (Godard et al. 2017, "post-processing")."""

from __future__ import annotations

import numpy as np


def blend_flipped(disparity_nhw: np.ndarray, mirrored_nhw: np.ndarray) -> np.ndarray:
    """Both (N, H, W), `mirrored_nhw` predicted from mirrored images and mirrored back → (N, H, W) float32.

    Their mean, except for a ramp over 5 % of the width at the left edge, which ends in the mirrored prediction, and at
    the right edge, which ends in the plain one: there the other camera of a stereo pair saw nothing.
    """
    across = np.linspace(0, 1, disparity_nhw.shape[-1])
    left = 1 - np.clip(20 * (across - 0.05), 0, 1)
    right = left[::-1]
    mean = 0.5 * (disparity_nhw + mirrored_nhw)
    blended = right * disparity_nhw + left * mirrored_nhw + (1 - left - right) * mean
    return blended.astype(np.float32)
