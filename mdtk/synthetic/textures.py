"""All textures of the sample world in one mip-mapped atlas.

Every texture is a square of `SIZE` texels that repeats mirrored, so that it has no seam. The level of detail follows
the footprint of a sample on the surface (Williams 1983, "Pyramidal parametrics"): far surfaces do not shimmer.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from mdtk.synthetic.paint import SIZE, paint_all
from mdtk.synthetic.paint_rooms import paint_rooms

LEVELS = 9  # 512, 256 … 2 texels
_COLUMNS = 6


class Atlas:
    """All textures and their mip levels in one uint8 image, so that one `cv2.remap` samples them together."""

    def __init__(self, textures: dict[str, np.ndarray]) -> None:
        """An atlas of `textures`, each (SIZE, SIZE, 3) float32 in 0…1, by name."""
        self.names = list(textures)
        self.index = {name: number for number, name in enumerate(self.names)}
        rows = -(-len(self.names) // _COLUMNS)
        sides = [(SIZE >> level) + 2 for level in range(LEVELS)]  # one texel of border on each side
        self.pixels = np.zeros((rows * sum(sides), _COLUMNS * sides[0], 3), np.uint8)
        self._x = np.zeros((LEVELS, len(self.names)), np.float32)
        self._y = np.zeros((LEVELS, len(self.names)), np.float32)
        for number, name in enumerate(self.names):
            level_image: np.ndarray = textures[name].astype(np.float32)
            top = 0
            for level, side in enumerate(sides):
                x, y = (number % _COLUMNS) * side, top + (number // _COLUMNS) * side
                quantised = np.clip(np.rint(level_image * 255), 0, 255).astype(np.uint8)
                self.pixels[y : y + side, x : x + side] = np.pad(quantised, ((1, 1), (1, 1), (0, 0)), "edge")
                self._x[level, number], self._y[level, number] = x + 0.5, y + 0.5
                top += rows * side
                level_image = cv2.resize(level_image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)

    def sample(self, texture: np.ndarray, s: np.ndarray, t: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Trilinearly interpolated samples.

        Args:
            texture: (h, w) number of the texture of each sample.
            s, t: (h, w) texture coordinates; 0…1 is one tile, the next tile is mirrored.
            footprint: (h, w) extent of the sample in tiles.

        Returns:
            (h, w, 3) float32 in 0…255.
        """
        lod = np.log2(np.maximum(footprint * SIZE, 1.0))
        np.minimum(lod, LEVELS - 1.001, out=lod)
        level = lod.astype(np.int32)
        blend = (lod - level)[..., None].astype(np.float32)
        s, t = _mirror(s), _mirror(t)
        fine, coarse = self._level(texture, s, t, level), self._level(texture, s, t, level + 1)
        return fine + blend * (coarse.astype(np.float32) - fine)

    def _level(self, texture: np.ndarray, s: np.ndarray, t: np.ndarray, level: np.ndarray) -> np.ndarray:
        flat = level * len(self.names) + texture
        side = np.ldexp(np.float32(SIZE), -level)
        x = np.take(self._x.ravel(), flat) + s * side
        y = np.take(self._y.ravel(), flat) + t * side
        return cv2.remap(self.pixels, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)


def _mirror(s: np.ndarray) -> np.ndarray:
    """The triangle wave 0 → 1 → 0 of period 2."""
    return 1 - np.abs(s - 2 * np.floor(s * 0.5) - 1)


@functools.lru_cache(maxsize=2)
def load_atlas(seed: int) -> Atlas:
    """The atlas of the world with this seed, painted once in each process."""
    return Atlas(paint_all(seed) | paint_rooms(seed))
