"""Horizontal flip: the images, K, and the side on which the other camera stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mdtk.core.structures import Parameters
from mdtk.data.augmentation import AUGMENTATIONS, Augmentation, Frames
from mdtk.geometry.camera import flip_box, flip_K


@AUGMENTATIONS.register("flip")
@dataclass(frozen=True)
class Flip(Augmentation):
    """All frames of a sample are mirrored together."""

    probability: float = 0.5

    def draw(self, generator: np.random.Generator, looks: int) -> dict[str, np.ndarray]:
        return {"on": np.array(generator.random() < self.probability)}

    def move(self, frames: Frames, parameters: Parameters) -> Frames:
        on, images = parameters["on"], frames.images_bn3hw
        stereo_T = frames.stereo_T_b44.clone()
        stereo_T[:, 0, 3] *= 1 - 2 * on.to(stereo_T.dtype)  # mirrored, the other camera stands on the other side
        return Frames(
            torch.where(on.view(-1, 1, 1, 1, 1), images.flip(-1), images),
            torch.where(on[:, None, None], flip_K(frames.K_b33, images.shape[-1]), frames.K_b33),
            stereo_T,
        )

    def box_as_read(self, box_4: np.ndarray, size: tuple[int, int], parameters: dict[str, np.ndarray]) -> np.ndarray:
        return flip_box(box_4, size) if parameters["on"] else box_4
