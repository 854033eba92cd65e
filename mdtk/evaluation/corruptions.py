"""The 18 corruptions × 5 levels of RoboDepth (Kong et al. 2023; after Hendrycks and Dietterich 2019), seeded.

The published KITTI-C was made with unseeded noise, so its exact pixels are in its files alone; what is made here is a
set of its own, `SET`, with the same kinds and levels. The constants are those of the package imagecorruptions 1.1.2
(Michaelis et al. 2019), with which RoboDepth made its set, and RoboDepth's own for dark, quantisation and ISO noise.
Two things are not the published ones: frost is procedural instead of photographs, and glass moves each pixel once a
round instead of swapping neighbours one after the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry

SET = "mdtk-c"  # the name of the self-made set in results
LEVELS = (1, 2, 3, 4, 5)
NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # σ of normal noise, of values in 0 … 1
PHOTONS = (60, 25, 12, 5, 3)  # of a white pixel
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
    """Cloudy noise (H, W) in 0 … 1: octaves of a square, each `roughness`² weaker than the one before.

    The strengths are those of the published diamond-square fractal.
    """
    side = 1 << (max(shape[:2]) - 1).bit_length()
    total, weight, cells = np.zeros((side, side)), 1.0, 2
    while cells < side and weight > 1e-3:
        coarse = generator.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
        total += weight * cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
        weight, cells = weight / roughness**2, cells * 2
    total -= total.min()
    return np.asarray(total[: shape[0], : shape[1]] / total.max())


@CORRUPTIONS.register("brightness")
def brightness(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """The value of HSV plus 0.1 … 0.5."""
    hsv = _hsv(image)
    hsv[..., 2] = np.clip(hsv[..., 2] + (0.1, 0.2, 0.3, 0.4, 0.5)[level], 0, 1)
    return _rgb(hsv)


@CORRUPTIONS.register("dark")
def dark(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """The range of values is stretched, squared and falls to 0.6 … 0.2; then photons of 600 … 30, and normal noise."""
    low, high = image.min(), image.max()
    scaled = ((image - low) / max(high - low, 1e-9)) ** 2 * (0.6, 0.5, 0.4, 0.3, 0.2)[level]
    photons = 10 * PHOTONS[level]
    return np.clip(generator.poisson(scaled * photons) / photons, 0, 1) + generator.normal(
        0, 0.1 * NOISE[level], image.shape
    )


@CORRUPTIONS.register("fog")
def fog(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """A cloudy field over the image, (1.5, 2) … (3, 1.4)."""
    strength, roughness = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[level]
    top = image.max()
    return (image + strength * _field(image.shape, generator, roughness)[..., None]) * top / (top + strength)


@CORRUPTIONS.register("frost")
def frost(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Crystals of ridged noise over the image; their mean brightness is that of the published photographs, 0.6."""
    keep, ice = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[level]
    ridges = 1 - np.abs(2 * _field(image.shape, generator, 1.4) - 1)
    crystals = 0.6 + 0.2 * (ridges**4 - np.mean(ridges**4)) / max(float(np.std(ridges**4)), 1e-9)
    return keep * image + ice * np.clip(crystals, 0, 1)[..., None] * np.array([0.93, 1.0, 1.07])


@CORRUPTIONS.register("snow")
def snow(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Streaks of flakes over a whitened image."""
    mean, zoom, cut, length, sigma, keep = (
        (0.1, 3.0, 0.5, 10, 4, 0.8),
        (0.2, 2.0, 0.5, 12, 4, 0.7),
        (0.55, 4.0, 0.9, 12, 8, 0.7),
        (0.55, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 2.5, 0.85, 12, 12, 0.55),
    )[level]
    flakes: np.ndarray = _magnified(generator.normal(mean, 0.3, image.shape[:2]), zoom)
    flakes = np.clip(np.where(flakes < cut, 0, flakes), 0, 1)
    flakes = cv2.filter2D(flakes, -1, _streak(length, sigma, generator.uniform(-135, -45)))
    grey = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)[..., None]
    white = np.maximum(image, grey * 1.5 + 0.5)
    return keep * image + (1 - keep) * white + flakes[..., None] + np.rot90(flakes, 2)[..., None]


def _magnified(image: np.ndarray, zoom: float) -> np.ndarray:
    """The middle of an image (H, W[, 3]), `zoom` times as large and as large as the image."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, zoom)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))


def _streak(length: int, sigma: float, angle: float) -> np.ndarray:
    """A filter whose sum is 1: half of a bell, 2 `length` + 1 pixels from the middle in the direction `angle`°."""
    reach = 2 * length + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float64)
    steps = np.arange(reach)
    places = [reach + np.round(steps * one(np.radians(angle))).astype(int) for one in (np.sin, np.cos)]
    np.add.at(kernel, (places[0], places[1]), np.exp(-0.5 * (steps / sigma) ** 2))
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
    rim = 3 if radius <= 8 else 5  # pixels of the smoothing filter
    y, x = np.mgrid[-radius - 2 : radius + 3, -radius - 2 : radius + 3]
    disc = cv2.GaussianBlur((x * x + y * y <= radius * radius).astype(np.float64), (rim, rim), alias)
    return cv2.filter2D(image, -1, disc / disc.sum())


@CORRUPTIONS.register("glass_blur")
def glass_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Pixels change places with near ones, between two blurs."""
    sigma, reach, rounds = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[level]
    found = cv2.GaussianBlur(image, (0, 0), sigma)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    for _ in range(rounds):
        dy, dx = generator.integers(-reach, reach, (2, *image.shape[:2]))
        found = found[np.clip(rows + dy, 0, rows.max()), np.clip(columns + dx, 0, columns.max())]
    return cv2.GaussianBlur(found, (0, 0), sigma)


@CORRUPTIONS.register("motion_blur")
def motion_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """A streak in a direction within 45° of the horizontal."""
    length, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[level]
    kernel = _streak(length, sigma, generator.uniform(-45, 45))
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)


@CORRUPTIONS.register("zoom_blur")
def zoom_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """The mean of the image and its magnifications about the middle."""
    top, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[level]
    zooms = np.arange(1, top, step)
    return (image + sum(_magnified(image, float(zoom)) for zoom in zooms)) / (len(zooms) + 1)


@CORRUPTIONS.register("elastic_transform")
def elastic_transform(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Pixels are moved by a field of noise within 0.5 % of the height, smoothed by 1 % of the size, times 12.5 … 30."""
    strength = 250 * (0.05, 0.065, 0.085, 0.1, 0.12)[level]
    height, width = image.shape[:2]
    sigma, most = (0.01 * height, 0.01 * width), 0.005 * height
    dx, dy = (
        strength * ndimage.gaussian_filter(generator.uniform(-most, most, (height, width)), sigma, truncate=3)
        for _ in range(2)
    )
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
    return image + generator.normal(0, NOISE[level], image.shape)


@CORRUPTIONS.register("impulse_noise")
def impulse_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Salt and pepper on a share of 0.03 … 0.27 of the values."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[level]
    draw = generator.random(image.shape)
    return np.where(draw < share / 2, 0.0, np.where(draw < share, 1.0, image))


@CORRUPTIONS.register("shot_noise")
def shot_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Poisson noise of 60 … 3 photons."""
    return generator.poisson(image * PHOTONS[level]) / PHOTONS[level]


@CORRUPTIONS.register("iso_noise")
def iso_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Poisson noise of 25 photons and normal noise, σ 0.7 · (0.08 … 0.38)."""
    return np.clip(generator.poisson(image * 25) / 25, 0, 1) + generator.normal(0, 0.7 * NOISE[level], image.shape)


@CORRUPTIONS.register("pixelate")
def pixelate(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Shrunk to 0.6 … 0.25 of the size, and magnified to the nearest."""
    factor = (0.6, 0.5, 0.4, 0.3, 0.25)[level]
    whole = Image.fromarray(np.round(image * 255).astype(np.uint8))
    small = whole.resize((max(1, int(whole.width * factor)), max(1, int(whole.height * factor))), Image.Resampling.BOX)
    return np.asarray(small.resize(whole.size, Image.Resampling.NEAREST)) / 255


@CORRUPTIONS.register("jpeg_compression")
def jpeg_compression(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """JPEG of quality 25 … 7."""
    stored = np.round(image[..., ::-1] * 255).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, (25, 18, 15, 10, 7)[level]])
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return decoded[..., ::-1].astype(np.float64) / 255
