"""Texture tiles of the streets, (SIZE, SIZE, 3) float32 in 0…1: photographs, and pictures painted by rules."""

from __future__ import annotations

import cv2
import numpy as np
import skimage.data

from mdtk.core.errors import MdtkError

SIZE = 512
_PHOTOGRAPHS = ("brick", "grass", "gravel", "moon", "coffee", "chelsea", "rocket", "astronaut")
POSTERS = ("coffee", "chelsea", "rocket", "astronaut")
FACADES = tuple(f"facade{number}" for number in range(8))


def photograph(name: str) -> np.ndarray:
    """A photograph that comes with scikit-image, as a square RGB tile; grey ones get the mean 0.5."""
    try:
        image = np.asarray(getattr(skimage.data, name)())
    except (AttributeError, OSError, ModuleNotFoundError) as error:
        raise MdtkError(
            f"scikit-image gives no picture '{name}' ({error}); install scikit-image 0.20 or newer, which ships it"
        ) from error
    image = image.astype(np.float32) / 255
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    image = cv2.resize(image[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    if image.ndim == 2:
        image = 0.5 + 0.21 * (image - image.mean()) / image.std()
        image = np.repeat(image[..., None], 3, axis=2)
    return np.clip(image[..., :3], 0, 1)


def fractal_noise(rng: np.random.Generator, coarsest: int = 4, octaves: int = 6, gain: float = 0.65) -> np.ndarray:
    """A sum of smoothly enlarged random grids, (SIZE, SIZE) with mean 0 and standard deviation 1."""
    total = np.zeros((SIZE, SIZE), np.float32)
    for octave in range(octaves):
        cells = min(coarsest << octave, SIZE)
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        total += gain**octave * cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / total.std()


def _tinted(grey: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """A grey picture of mean 0.5, coloured so that its mean is `color`."""
    return np.clip(grey.reshape(SIZE, SIZE, -1) * (2 * np.array(color, np.float32)), 0, 1).astype(np.float32)


def _asphalt(rng: np.random.Generator, gravel: np.ndarray) -> np.ndarray:
    grey = 0.5 + 0.35 * (gravel[..., 0] - 0.5) + 0.11 * fractal_noise(rng, 4)
    for _ in range(6):  # mended patches
        x, y = rng.integers(0, SIZE - 60, 2)
        w, h = rng.integers(40, 200, 2)
        grey[y : y + h, x : x + w] *= rng.uniform(0.65, 1.35)
    for _ in range(7):  # cracks
        steps = np.cumsum(rng.normal(0, 9, (40, 2)) + rng.normal(0, 9, 2), axis=0) + rng.uniform(0, SIZE, 2)
        cv2.polylines(grey, [np.int32(steps)], False, 0.2, int(rng.integers(2, 5)), cv2.LINE_AA)
    return _tinted(grey, (0.36, 0.36, 0.38))


def _paving(rng: np.random.Generator, moon: np.ndarray, joints: int, color: tuple[float, float, float]) -> np.ndarray:
    """Slabs, each of its own brightness, with dark joints."""
    slabs = rng.uniform(0.6, 1.35, (joints, joints)).astype(np.float32)
    grey: np.ndarray = cv2.resize(slabs, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
    grey *= 0.5 + 0.2 * (moon[..., 0] - 0.5) + 0.05 * fractal_noise(rng, 16)
    step = SIZE // joints
    for edge in range(0, SIZE, step):
        grey[edge : edge + 5] *= 0.45
        grey[:, edge : edge + 5] *= 0.45
    return _tinted(grey, color)


def _planks(rng: np.random.Generator) -> np.ndarray:
    boards = np.repeat(rng.uniform(0.6, 1.4, 16), SIZE // 16).astype(np.float32)
    grain = cv2.resize(rng.standard_normal((24, SIZE)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    grey = boards[None] * (0.5 + 0.09 * grain + 0.07 * fractal_noise(rng, 8))
    grey[:, :: SIZE // 16] *= 0.3
    return _tinted(grey, (0.48, 0.36, 0.24))


def _window(rng: np.random.Generator, height: int, width: int, noise: np.ndarray) -> np.ndarray:
    """One window: frame, dark glass with a slanted reflection, maybe a curtain."""
    frame = np.float32(rng.choice([0.9, 0.75, 0.2])) * np.array([1, 0.98, 0.94], np.float32)
    pane = np.empty((height, width, 3), np.float32)
    pane[:] = frame
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    slope = np.clip((x / width - y / height + rng.uniform(-0.5, 0.5)) * rng.uniform(0.3, 1.2), -0.3, 0.5)
    top, left = rng.integers(0, SIZE - height), rng.integers(0, SIZE - width)
    glass = 0.22 + 0.35 * np.maximum(slope, 0) + 0.07 * noise[top : top + height, left : left + width]
    glass = glass[..., None] * np.array([0.85, 1.0, 1.15], np.float32)
    if rng.random() < 0.4:
        glass[: int(height * rng.uniform(0.3, 0.9))] = np.float32(rng.uniform(0.45, 0.85, 3))
    edge = max(3, width // 14)
    pane[edge:-edge, edge:-edge] = glass[edge:-edge, edge:-edge]
    pane[:, width // 2 - edge // 2 : width // 2 + edge // 2 + 1] = frame
    if rng.random() < 0.5:
        pane[height // 3 : height // 3 + edge] = frame
    return pane


def _facade(rng: np.random.Generator, wall: np.ndarray) -> np.ndarray:
    """Two or three storeys of windows in a wall; the lowest storey has a door or a shop window."""
    tile = wall.copy()
    noise = fractal_noise(rng, 4)
    storeys, bays = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    tile *= (1 + 0.12 * fractal_noise(rng, 3, 4))[..., None]
    cell_h, cell_w = SIZE // storeys, SIZE // bays
    h, w = int(cell_h * rng.uniform(0.45, 0.65)), int(cell_w * rng.uniform(0.4, 0.7))
    if rng.random() < 0.7:
        for storey in range(1, storeys):
            y = storey * cell_h
            tile[y - 6 : y + 6] = np.float32(rng.uniform(0.3, 0.85)) * np.array([1, 0.97, 0.92], np.float32)
    for storey in range(storeys):
        ground = storey == storeys - 1
        for bay in range(bays):
            high = int(cell_h * 0.82) if ground and rng.random() < 0.6 else h
            wide = min(cell_w - 12, int(w * 1.3)) if ground else w
            y = (storey + 1) * cell_h - high - (6 if ground and high > h else (cell_h - high) // 2)
            x = bay * cell_w + (cell_w - wide) // 2
            tile[y : y + high, x : x + wide] = _window(rng, high, wide, noise)
            tile[y + high : y + high + 7, x - 5 : x + wide + 5] *= 0.55  # the sill's shadow
    return np.clip(tile, 0, 1)


def _car_side(rng: np.random.Generator, van: bool) -> np.ndarray:
    """A car's flank: body, dark underside, two wheels, door lines; a van has windows too. White paint: tinted later."""
    grey = 0.74 + 0.13 * fractal_noise(rng, 5, 7, 0.8)  # dirt and reflections
    grey[: SIZE // 8] *= 1.12
    grey[SIZE // 2 : SIZE // 2 + 14] *= 0.6
    for x in (0.3, 0.52, 0.72):
        grey[40:420, int(x * SIZE) : int(x * SIZE) + 5] *= 0.45
    grey[410:] = 0.12
    tile = np.repeat(grey[..., None], 3, axis=2)
    if van:
        for left, right in ((0.05, 0.28), (0.33, 0.5), (0.55, 0.7)):
            tile[50:200, int(left * SIZE) : int(right * SIZE)] = np.linspace(0.15, 0.4, 150)[:, None, None]
    ratio = 0.5 if van else 0.24  # the tile is stretched over the flank; keep the wheels round
    for x in (0.19, 0.8):
        center, axes = (int(x * SIZE), 400 if not van else 450), (44, int(44 / ratio) if not van else 62)
        cv2.ellipse(tile, center, axes, 0, 0, 360, (0.07, 0.07, 0.07), -1, cv2.LINE_AA)
        cv2.ellipse(tile, center, (axes[0] // 2, axes[1] // 2), 0, 0, 360, (0.6, 0.6, 0.62), -1, cv2.LINE_AA)
    return np.clip(tile, 0, 1)


def _car_end(rng: np.random.Generator, lamp: tuple[float, float, float]) -> np.ndarray:
    tile = np.repeat(0.72 + 0.13 * fractal_noise(rng, 5, 7, 0.8)[..., None], 3, axis=2)
    for x in (20, 382):
        cv2.rectangle(tile, (x, 90), (x + 110, 210), lamp, -1, cv2.LINE_AA)
    cv2.rectangle(tile, (170, 250), (342, 320), (0.92, 0.92, 0.8), -1)
    for x in range(182, 330, 24):  # the plate's letters
        tile[264:306, x : x + 12] = 0.08
    tile[360:380] *= 0.4
    tile[430:] = 0.1
    return np.clip(tile, 0, 1)


def _glass(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    grey = 0.26 + 0.3 * np.clip(np.sin(5 * x + 3 * y + rng.uniform(0, 6)), 0, 1) + 0.10 * fractal_noise(rng, 5, 7, 0.8)
    tile = grey[..., None] * np.array([0.85, 1, 1.15], np.float32)
    for edge in (slice(0, 26), slice(SIZE - 26, SIZE)):
        tile[edge], tile[:, edge] = 0.75, 0.75
    return np.clip(tile, 0, 1)


def _clouds(rng: np.random.Generator) -> np.ndarray:
    cover = 1 / (1 + np.exp(-2.5 * fractal_noise(rng, 3, 6, 0.6)))[..., None]
    sky, cloud = np.array([0.42, 0.56, 0.78], np.float32), np.array([0.9, 0.91, 0.93], np.float32)
    return np.clip(sky + cover * (cloud - sky), 0, 1)


def _bark(rng: np.random.Generator) -> np.ndarray:
    grey = 0.5 + 0.5 * (_planks(rng)[..., :1] - 0.45) + 0.1 * fractal_noise(rng, 8)[..., None]
    return _tinted(grey, (0.4, 0.32, 0.26))


def _treeline(rng: np.random.Generator, grass: np.ndarray) -> np.ndarray:
    grey = 0.5 + 0.2 * fractal_noise(rng, 8, 6, 0.75) + 0.2 * (grass[..., 0] - 0.5)
    return _tinted(grey, (0.26, 0.36, 0.22))


def paint_all(seed: int) -> dict[str, np.ndarray]:
    """All textures of the streets by name; `seed` varies the painted ones."""
    rng = np.random.default_rng([seed, 7])
    photos = {name: photograph(name) for name in _PHOTOGRAPHS}
    brick = np.ascontiguousarray(photos["brick"].transpose(1, 0, 2))  # turned, so that the courses are level
    rough = 0.5 + 0.10 * fractal_noise(rng, 4) + 0.12 * (photos["gravel"][..., 0] - 0.5)
    walls = [
        _tinted(brick, (0.52, 0.30, 0.24)),
        _tinted(brick, (0.60, 0.52, 0.40)),
        _tinted(rough, (0.66, 0.62, 0.54)),
        _tinted(rough, (0.55, 0.56, 0.60)),
        _planks(rng),
        _tinted(0.5 + 0.35 * (photos["moon"] - 0.5), (0.64, 0.50, 0.38)),
        _tinted(brick, (0.40, 0.38, 0.38)),
        _paving(rng, photos["moon"], 8, (0.58, 0.57, 0.55)),
    ]
    textures = {name: _facade(rng, wall) for name, wall in zip(FACADES, walls, strict=True)}
    textures |= {name: photos[name] for name in POSTERS}
    return textures | {
        "asphalt": _asphalt(rng, photos["gravel"]),
        "grass": _tinted(photos["grass"] * (1 + 0.25 * fractal_noise(rng, 3)[..., None]), (0.30, 0.42, 0.18)),
        "paving": _paving(rng, photos["moon"], 8, (0.52, 0.50, 0.48)),
        "gravel": _tinted(photos["gravel"], (0.56, 0.52, 0.46)),
        "brick": walls[0],
        "concrete": _tinted(rough, (0.55, 0.54, 0.52)),
        "planks": _planks(rng),
        "leaves": _tinted(photos["grass"] * (1 + 0.35 * fractal_noise(rng, 6)[..., None]), (0.22, 0.38, 0.14)),
        "bark": _bark(rng),
        "clouds": _clouds(rng),
        "treeline": _treeline(rng, photos["grass"]),
        "car_side": _car_side(rng, van=False),
        "van_side": _car_side(rng, van=True),
        "car_rear": _car_end(rng, (0.75, 0.08, 0.06)),
        "car_front": _car_end(rng, (0.98, 0.97, 0.85)),
        "glass": _glass(rng),
        "plain": np.clip(0.5 + 0.10 * fractal_noise(rng, 5, 7, 0.8), 0, 1)[..., None].repeat(3, axis=2),
        "macro": np.clip(0.5 + 0.11 * fractal_noise(rng, 4, 7, 0.7), 0.1, 1)[..., None].repeat(3, axis=2),
    }
