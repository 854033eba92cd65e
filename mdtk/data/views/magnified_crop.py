"""A magnified crop of every frame (BDEdepth's local crop)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from mdtk.core.structures import Parameters
from mdtk.data.views import VIEWS, ViewKind
from mdtk.datasets.image_files import magnified_crop
from mdtk.geometry.camera import magnified_box, magnified_crop_K
from mdtk.geometry.warp import magnified_crop_pixels, sample_pixels


@VIEWS.register("crop")
@dataclass(frozen=True)
class MagnifiedCrop(ViewKind):
    """The network sees the crop as if it were a whole image of its usual camera: everything looks `ratio` times
    closer, so its depth is multiplied by the ratio (Yang et al., BDEdepth).

    ratio: the magnification's minimum and maximum, uniform.
    """

    ratio: tuple[float, float] = (1.2, 2.0)

    def draw(self, generator: np.random.Generator, size: tuple[int, int]) -> dict[str, np.ndarray]:
        ratio, x, y = generator.uniform((self.ratio[0], 0, 0), (self.ratio[1], 1, 1))
        return {"box": magnified_box(size, ratio, x, y)}

    def cut(
        self,
        images: Sequence[Image.Image],
        size: tuple[int, int],
        parameters: Mapping[str, np.ndarray],
        as_read: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        return magnified_crop(images, size, as_read(parameters["box"]))

    def depth(self, depth_b1hw: Tensor, parameters: Parameters) -> Tensor:
        return depth_b1hw * parameters["box"][:, 0, None, None, None]

    def intrinsics(self, K_b33: Tensor, parameters: Parameters) -> Tensor:
        return magnified_crop_K(K_b33, parameters["box"])

    def from_whole(self, map_bchw: Tensor, parameters: Parameters) -> Tensor:
        return sample_pixels(map_bchw, magnified_crop_pixels(parameters["box"], *map_bchw.shape[-2:]))
