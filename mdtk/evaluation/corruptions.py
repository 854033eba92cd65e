"""The 18 corruptions × 5 levels of RoboDepth (Kong et al. 2023; after Hendrycks and Dietterich 2019), seeded.

The published KITTI-C was made with unseeded noise, so its exact pixels are in its files alone; what is made here is a
set of its own, `SET`, with the same kinds and levels. Snow, frost, fog and elastic fields come from noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import cv2
import numpy as np
from scipy import ndimage

from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry

SET = "mdtk-c"  # the name of the self-made set in results
LEVELS = (1, 2, 3, 4, 5)
Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]  # (H, W, 3) in 0 … 1, level 0 … 4 → the same
CORRUPTIONS: Registry[Corruption] = Registry("corruption")


def corrupt(image: np.ndarray, name: str, level: int, seed: str = "") -> np.ndarray:
    """The image (H, W, 3) uint8 corrupted at `level` 1 … 5; the noise depends on `seed`, the name and the level."""
    kind = CORRUPTIONS.find(name, "--corruptions")
    if level not in LEVELS:
        raise MdtkError(f"corruption level {level}: there are {', '.join(map(str, LEVELS))}")
    digest = hashlib.sha256(f"{seed}|{name}|{level}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    found = kind(image.astype(np.float64) / 255, level - 1, generator)
    return np.round(np.clip(found, 0, 1) * 255).astype(np.uint8)


def _hsv(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)


def _rgb(hsv: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2RGB).astype(np.float64)


def _field(shape: tuple[int, ...], generator: np.random.Generator, roughness: float) -> np.ndarray:
    """Cloudy noise (H, W) in 0 … 1: octaves of smooth noise whose strength falls by `roughness` with their size."""
    total, weight = np.zeros(shape[:2]), 1.0
    cells = 2
    while cells <= 256:
        coarse = generator.uniform(0, 1, (cells + 1, cells + 1)).astype(np.float32)
        total += weight * cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
        weight, cells = weight / roughness, cells * 2
    total -= total.min()
    return total / total.max()


@CORRUPTIONS.register("brightness")
def brightness(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """The value of HSV plus 0.1 … 0.5."""
    hsv = _hsv(image)
    hsv[..., 2] = np.clip(hsv[..., 2] + (0.1, 0.2, 0.3, 0.4, 0.5)[level], 0, 1)
    return _rgb(hsv)


@CORRUPTIONS.register("dark")
def dark(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Light falls to 0.6 … 0.2, gamma 2, then Poisson and Gaussian noise."""
    low = image**2 * (0.6, 0.5, 0.4, 0.3, 0.2)[level]
    return generator.poisson(low * 60) / 60 + generator.normal(0, 0.02, image.shape)


@CORRUPTIONS.register("fog")
def fog(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """A cloudy field over the image, (1.5, 2) … (3, 1.4)."""
    strength, roughness = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[level]
    top = image.max()
    return (image + strength * _field(image.shape, generator, roughness)[..., None]) * top / (top + strength)


@CORRUPTIONS.register("frost")
def frost(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Crystals of ridged noise over the image."""
    keep, ice = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[level]
    ridges = 1 - np.abs(2 * _field(image.shape, generator, 1.4) - 1)
    return keep * image + ice * (ridges**4)[..., None] * np.array([0.9, 0.95, 1.0])


@CORRUPTIONS.register("snow")
def snow(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Streaks of flakes over a whitened image."""
    mean, spread, cut, length, keep = (
        (0.1, 0.3, 0.5, 10, 0.8),
        (0.2, 0.3, 0.5, 12, 0.7),
        (0.55, 0.3, 0.9, 12, 0.7),
        (0.55, 0.3, 0.85, 12, 0.65),
        (0.55, 0.3, 0.85, 12, 0.55),
    )[level]
    flakes: np.ndarray = generator.normal(mean, spread, image.shape[:2])
    flakes = np.clip(np.where(flakes < cut, 0, flakes), 0, 1)
    flakes = cv2.filter2D(flakes, -1, _streak(length, generator.uniform(-135, -45)))
    grey = image.mean(-1, keepdims=True)
    white = np.maximum(image, grey * 1.5 + 0.5)
    return keep * image + (1 - keep) * white + flakes[..., None] + np.rot90(flakes, 2)[..., None]


def _streak(length: int, angle: float) -> np.ndarray:
    """A line of `length` pixels as a filter whose sum is 1."""
    size = 2 * length + 1
    kernel = np.zeros((size, size), np.float64)
    x, y = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    steps = np.linspace(-length / 2, length / 2, 4 * length)
    np.add.at(kernel, (np.round(length + y * steps).astype(int), np.round(length + x * steps).astype(int)), 1)
    return kernel / kernel.sum()


@CORRUPTIONS.register("contrast")
def contrast(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Contrast about each channel's mean times 0.4 … 0.05."""
    mean = image.mean((0, 1), keepdims=True)
    return (image - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[level] + mean


@CORRUPTIONS.register("defocus_blur")
def defocus_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """A disc of radius 3 … 10, its rim smoothed."""
    radius, alias = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[level]
    y, x = np.mgrid[-radius - 1 : radius + 2, -radius - 1 : radius + 2]
    disc = cv2.GaussianBlur((x * x + y * y <= radius * radius).astype(np.float64), (3, 3), alias)
    return cv2.filter2D(image, -1, disc / disc.sum())


@CORRUPTIONS.register("glass_blur")
def glass_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Pixels change places with near ones, between two blurs."""
    sigma, reach, rounds = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[level]
    found = cv2.GaussianBlur(image, (0, 0), sigma)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    for _ in range(rounds):
        dy, dx = generator.integers(-reach, reach + 1, (2, *image.shape[:2]))
        found = found[np.clip(rows + dy, 0, rows.max()), np.clip(columns + dx, 0, columns.max())]
    return cv2.GaussianBlur(found, (0, 0), sigma)


@CORRUPTIONS.register("motion_blur")
def motion_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """A streak in a direction within 45° of the horizontal."""
    length, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[level]
    angle = np.radians(generator.uniform(-45, 45))
    y, x = np.mgrid[-length : length + 1, -length : length + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    kernel = np.exp(-0.5 * (along / sigma) ** 2) * (np.abs(across) <= 0.5)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


@CORRUPTIONS.register("zoom_blur")
def zoom_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """The mean of the image and its magnifications about the middle."""
    top, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[level]
    height, width = image.shape[:2]
    zooms = np.arange(1, top, step)
    total = image.copy()
    for zoom in zooms:
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, float(zoom))
        total += cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return total / (len(zooms) + 1)


@CORRUPTIONS.register("elastic_transform")
def elastic_transform(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Pixels are moved by a smooth random field."""
    reach, sigma = ((12.5, 16.25), (16.25, 21.25), (21.25, 21.25), (25.0, 25.0), (30.0, 30.0))[level]
    height, width = image.shape[:2]
    fields = [ndimage.gaussian_filter(generator.uniform(-1, 1, (height, width)), sigma / 5) for _ in range(2)]
    dy, dx = (field / max(np.abs(field).max(), 1e-9) * reach / 5 for field in fields)
    rows, columns = np.mgrid[0:height, 0:width]
    places = ((columns + dx).astype(np.float32), (rows + dy).astype(np.float32))
    return cv2.remap(image, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


@CORRUPTIONS.register("color_quant")
def color_quant(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """5 … 1 bits for each channel."""
    steps = 2 ** (5, 4, 3, 2, 1)[level]
    return np.floor(image * 255 / 256 * steps) / steps * 256 / 255


@CORRUPTIONS.register("gaussian_noise")
def gaussian_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Normal noise, σ 0.08 … 0.38."""
    return image + generator.normal(0, (0.08, 0.12, 0.18, 0.26, 0.38)[level], image.shape)


@CORRUPTIONS.register("impulse_noise")
def impulse_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Salt and pepper on a share of 0.03 … 0.27 of the values."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[level]
    draw = generator.random(image.shape)
    return np.where(draw < share / 2, 0.0, np.where(draw < share, 1.0, image))


@CORRUPTIONS.register("shot_noise")
def shot_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Poisson noise of 60 … 3 photons."""
    photons = (60, 25, 12, 5, 3)[level]
    return generator.poisson(image * photons) / photons


@CORRUPTIONS.register("iso_noise")
def iso_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Poisson noise of 25 photons and normal noise, σ 0.7 · (0.08 … 0.38)."""
    noise = generator.normal(0, 0.7 * (0.08, 0.12, 0.18, 0.26, 0.38)[level], image.shape)
    return generator.poisson(image * 25) / 25 + noise


@CORRUPTIONS.register("pixelate")
def pixelate(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Shrunk to 0.6 … 0.25 of the size, and magnified to the nearest."""
    height, width = image.shape[:2]
    factor = (0.6, 0.5, 0.4, 0.3, 0.25)[level]
    small = cv2.resize(image, (max(1, int(width * factor)), max(1, int(height * factor))), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


@CORRUPTIONS.register("jpeg_compression")
def jpeg_compression(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """JPEG of quality 25 … 7."""
    stored = np.round(image[..., ::-1] * 255).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, (25, 18, 15, 10, 7)[level]])
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return decoded[..., ::-1].astype(np.float64) / 255
