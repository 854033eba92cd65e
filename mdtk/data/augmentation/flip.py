"""Horizontal flip: the images, K, and the known motions of the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mdtk.core.structures import Parameters
from mdtk.data.augmentation import AUGMENTATIONS, Augmentation, Frames
from mdtk.geometry.camera import flip_box, flip_K
from mdtk.geometry.pose import mirror_motion


@AUGMENTATIONS.register("flip")
@dataclass(frozen=True)
class Flip(Augmentation):
    """All frames of a sample are mirrored together."""

    probability: float = 0.5

    def draw(self, generator: np.random.Generator, looks: int) -> dict[str, np.ndarray]:
        return {"on": np.array(generator.random() < self.probability)}

    def move(self, frames: Frames, parameters: Parameters) -> Frames:
        on, images = parameters["on"], frames.images_bn3hw
        known_T = frames.known_T_bk44
        return Frames(
            torch.where(on.view(-1, 1, 1, 1, 1), images.flip(-1), images),
            torch.where(on[:, None, None], flip_K(frames.K_b33, images.shape[-1]), frames.K_b33),
            torch.where(on[:, None, None, None], mirror_motion(known_T), known_T),
        )

    def box_as_read(self, box_4: np.ndarray, size: tuple[int, int], parameters: dict[str, np.ndarray]) -> np.ndarray:
        return flip_box(box_4, size) if parameters["on"] else box_4
