"""Texture tiles of the indoor scenes, (SIZE, SIZE, 3) float32 in 0…1."""

from __future__ import annotations

import cv2
import numpy as np

from mdtk.synthetic.paint import SIZE, fractal_noise

WALLPAPERS = tuple(f"wallpaper{number}" for number in range(4))
FABRICS = ("fabric0", "fabric1")


def _wallpaper(rng: np.random.Generator) -> np.ndarray:
    """Stripes and a repeated ornament over stained paper."""
    base, accent = rng.uniform(0.5, 0.85, 3), rng.uniform(0.25, 0.7, 3)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    stripes = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * x * rng.integers(4, 12)))
    ornament = np.sin(2 * np.pi * 8 * x + 2 * np.sin(2 * np.pi * 8 * y)) * np.sin(2 * np.pi * 8 * y) > 0.55
    mix = np.clip(0.35 * stripes * rng.random() + 0.8 * ornament * rng.uniform(0.3, 1), 0, 1)[..., None]
    stains = (1 + 0.10 * fractal_noise(rng, 3, 7, 0.7))[..., None]
    return np.clip((base + mix * (accent - base)) * stains, 0, 1).astype(np.float32)


def _boards(rng: np.random.Generator) -> np.ndarray:
    """A wooden floor: boards of various lengths and shades."""
    tile = np.empty((SIZE, SIZE), np.float32)
    width = SIZE // 12
    for row in range(12 + 1):
        x = -int(rng.integers(0, 150))
        while x < SIZE:
            length = int(rng.integers(90, 260))
            tile[row * width : (row + 1) * width, max(x, 0) : x + length] = rng.uniform(0.65, 1.25)
            tile[row * width : (row + 1) * width, max(x, 0) : max(x, 0) + 2] = 0.35
            x += length
        tile[row * width : row * width + 2] = 0.35
    grain = cv2.resize(rng.standard_normal((SIZE, 20)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    grey = tile * (0.55 + 0.06 * grain + 0.05 * fractal_noise(rng, 8))
    return np.clip(grey[..., None] * np.array([1.1, 0.82, 0.55], np.float32), 0, 1)


def _shelves(rng: np.random.Generator) -> np.ndarray:
    """A bookcase seen from the front."""
    tile = np.full((SIZE, SIZE, 3), 0.12, np.float32)
    board, rows = np.array([0.45, 0.30, 0.18], np.float32), 4
    height = SIZE // rows
    for row in range(rows):
        foot = (row + 1) * height - 12
        x = 10
        while x < SIZE - 20:
            wide, high = int(rng.integers(9, 30)), int(height * rng.uniform(0.55, 0.85))
            color = rng.uniform(0.08, 0.85, 3).astype(np.float32)
            tile[foot - high : foot, x : x + wide - 2] = color
            tile[foot - high + 12 : foot - high + 20, x : x + wide - 2] = 1 - color
            x += wide + (int(rng.integers(15, 50)) if rng.random() < 0.1 else 0)
        tile[foot : foot + 12] = board
    tile[:, :8], tile[:, -8:] = board, board
    return np.clip(tile * (1 + 0.08 * fractal_noise(rng, 4))[..., None], 0, 1)


def _fabric(rng: np.random.Generator) -> np.ndarray:
    """A checked cloth."""
    colors = rng.uniform(0.2, 0.8, (2, 3)).astype(np.float32)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    checks = (np.sin(2 * np.pi * x / 64) > 0.3).astype(np.float32) + (np.sin(2 * np.pi * y / 64) > 0.3)
    weave = 1 + 0.12 * fractal_noise(rng, 64, 3, 0.8) + 0.08 * fractal_noise(rng, 3)
    return np.clip((colors[0] + 0.5 * checks[..., None] * (colors[1] - colors[0])) * weave[..., None], 0, 1)


def _cupboard(rng: np.random.Generator) -> np.ndarray:
    """Two doors with panels and knobs."""
    grain = cv2.resize(rng.standard_normal((30, SIZE)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    tile = 0.6 + 0.07 * grain + 0.06 * fractal_noise(rng, 4)
    for left in (0, SIZE // 2):
        for top, bottom in ((30, 200), (240, 480)):
            cv2.rectangle(tile, (left + 35, top), (left + SIZE // 2 - 35, bottom), 0.3, 6)
            tile[top + 10 : bottom - 8, left + 42 : left + SIZE // 2 - 42] *= 1.15
        cv2.circle(tile, (SIZE // 2 + (22 if left else -22), 250), 10, 0.95, -1)
    tile[:, SIZE // 2 - 3 : SIZE // 2 + 3] = 0.15
    return np.clip(tile[..., None] * np.array([0.95, 0.85, 0.7], np.float32), 0, 1)


def paint_rooms(seed: int) -> dict[str, np.ndarray]:
    """All textures of the indoor scenes by name, for a seed."""
    rng = np.random.default_rng([seed, 8])
    textures = {name: _wallpaper(rng) for name in WALLPAPERS} | {name: _fabric(rng) for name in FABRICS}
    ceiling = 0.72 + 0.05 * fractal_noise(rng, 6, 7, 0.8)
    return textures | {
        "boards": _boards(rng),
        "shelves": _shelves(rng),
        "cupboard": _cupboard(rng),
        "ceiling": np.clip(ceiling[..., None] * np.array([1, 0.98, 0.93], np.float32), 0, 1),
    }
