"""Augmentations, one module each: how its parameters are drawn in a worker, and how it is applied on the device.

An augmentation is registered with `@AUGMENTATIONS.register("name")` and is a frozen dataclass of its options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from mdtk.core.registry import NamedRegistry
from mdtk.core.structures import Parameters


@dataclass(frozen=True)
class Frames:
    """The frames of a batch, target first, and what is known of their cameras."""

    images_bn3hw: Tensor  # uint8
    K_b33: Tensor  # pixels of the images
    known_T_bk44: Tensor  # source ← target of the last K sources, whose motion the data tell


class Augmentation:
    """What one augmentation does; every method defaults to nothing. See `mdtk.core.structures.ViewKind.draw` for
    what `parameters` are."""

    name: ClassVar[str]  # set by the registry
    # Parameters that stay on the host when a batch crosses to the device, because the host decides by them.
    on_host: ClassVar[tuple[str, ...]] = ()

    def draw(self, generator: np.random.Generator, looks: int) -> dict[str, np.ndarray]:
        """One sample's parameters by name, from a generator of its own.

        `looks`: as many images may look different from one another: the frames, then the inputs of further views.
        """
        return {}

    def move(self, frames: Frames, parameters: Parameters) -> Frames:
        """What changes where things are, for networks and losses alike: the images, still uint8, and their cameras."""
        return frames

    def box_as_read(self, box_4: np.ndarray, size: tuple[int, int], parameters: dict[str, np.ndarray]) -> np.ndarray:
        """The inverse of `move` for a box of a sample's images (see `geometry.camera.magnified_box`)."""
        return box_4

    def recolour(self, images_bn3hw: Tensor, parameters: Parameters, first: int) -> Tensor:
        """What the networks see in place of images in 0..1, the looks `first` … `first` + N - 1."""
        return images_bn3hw

    def one_look(self) -> bool:
        """Whether `recolour` does the same to all images of a sample."""
        return True


AUGMENTATIONS: NamedRegistry[Augmentation] = NamedRegistry("augmentation", home="mdtk.data.augmentation")
