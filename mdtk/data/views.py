"""Views of the target: the whole image, a magnified crop, and the image with its parts swapped (BDEdepth).

A view says what the depth network sees, what the loss compares, the intrinsics of both, and how to bring the
predicted disparity back to the loss's image. All of it happens on the device, a batch at a time.
"""

from __future__ import annotations

from mdtk.core.structures import CROP, FULL, PERMUTED, View, roll
from mdtk.data.augmentation import Augmented
from mdtk.data.batch import Batch
from mdtk.geometry.camera import magnified_crop_K


def build_views(augmented: Augmented, batch: Batch) -> list[View]:
    """The whole-image view first, then those whose draws the batch carries."""
    clean = augmented.clean_bn3hw
    full = View(FULL, augmented.target_input_b3hw, clean[:, 0], clean[:, 1:], augmented.K_b33)
    views = [full]
    if augmented.crop_bn3hw is not None:
        crop = augmented.crop_bn3hw
        box = batch.crop_box_b4
        # The network sees the crop as if it were a whole image of its usual camera: everything looks `ratio` times
        # closer, so its depth is multiplied by the ratio (Yang et al., BDEdepth).
        K = magnified_crop_K(augmented.K_b33, box)
        views.append(View(CROP, augmented.crop_input_b3hw, crop[:, 0], crop[:, 1:], K, box[:, 0], box_b4=box))
    if batch.split_b2 is not None:
        # split = size - swapped part: rolling by it puts the first part last.
        permuted = roll(augmented.permute_input_b3hw, batch.split_b2)
        views.append(
            View(PERMUTED, permuted, full.target_b3hw, full.sources_bs3hw, full.K_b33, split_b2=batch.split_b2)
        )
    return views
