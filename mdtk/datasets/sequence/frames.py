"""Folders of frames: their order, and small grey copies of them for the motion filter. Caches live in one folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, dataset_home

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
GREY_SIZE = (64, 48)  # width, height of the motion filter's copies: averaging to this size removes sensor noise


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key in which numbers count as numbers: frame2 before frame10."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def list_images(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The image files directly in `folder` in natural order; hidden files are left out."""
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def list_frames(folder: Path) -> list[Path]:
    """The frames of one sequence in natural order. Two files of one stem, or no file at all, are errors."""
    if not folder.is_dir():
        raise MdtkError(f"folder of frames not found: {folder}; correct DATA.SEQUENCE.PATHS")
    frames = list_images(folder)
    if not frames:
        inside = next((child.name for child in sorted(folder.iterdir()) if child.is_dir() and list_images(child)), "")
        advice = f"its subfolder {inside} does: name the subfolders instead" if inside else "extract the frames there"
        raise MdtkError(f"folder {folder} holds no frames ({', '.join(IMAGE_SUFFIXES)}); {advice}")
    stems: dict[str, Path] = {}
    for path in frames:
        if path.stem in stems:
            raise MdtkError(f"{folder} holds both {stems[path.stem].name} and {path.name}; keep one file a frame")
        stems[path.stem] = path
    return frames


def cache_folder() -> Path:
    """The folder for what can be computed again (`cache` below the data home); made when it is not there."""
    folder = dataset_home() / "cache"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MdtkError(f"cache folder {folder} cannot be made ({error.strerror}); set MDTK_DATASETS") from error
    return folder


def fingerprint(paths: Sequence[Path]) -> str:
    """Hash of the files' resolved names, sizes and times of change: another content has another hash."""
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def grey_stack(frames: Sequence[Path]) -> np.ndarray:
    """Small grey copies (N, 48, 64) uint8 of `frames`, computed once and kept in the cache."""
    path = cache_folder() / f"grey-{fingerprint(frames)}.npy"
    if path.is_file():
        stack = np.load(path, allow_pickle=False)
        if stack.shape == (len(frames), *GREY_SIZE[::-1]):
            return stack
    bar = tqdm(frames, desc="measuring motion", unit="frame", leave=False, disable=None)
    stack = np.stack([_small_grey(frame) for frame in bar])
    with atomic_write(path) as temporary:
        np.save(temporary, stack, allow_pickle=False)
    return stack


def _small_grey(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            image.draft("L", (4 * GREY_SIZE[0], 4 * GREY_SIZE[1]))  # a JPEG is decoded at a fraction of its size
            return np.asarray(image.convert("L").resize(GREY_SIZE, Image.Resampling.BOX))
    except (OSError, SyntaxError, ValueError) as error:
        raise MdtkError(f"image cannot be read: {path} ({error}); fetch or extract it again") from error


def motion(stack: np.ndarray, frames: Sequence[int], gaps: Sequence[int]) -> np.ndarray:
    """Least mean absolute change (0 … 255) of each of `frames` to its sources `gaps` frames away.

    `stack` is (N, h, w) uint8; every frame + gap must lie in 0 … N-1. Returns (len(frames),) float64.
    """
    index = np.asarray(frames, dtype=np.int64)
    change = np.full(len(index), np.inf)
    for gap in gaps:
        for start in range(0, len(index), 1024):  # bounded memory on long videos
            part = index[start : start + 1024]
            difference = np.abs(stack[part].astype(np.int16) - stack[part + gap])
            change[start : start + 1024] = np.minimum(change[start : start + 1024], difference.mean(axis=(1, 2)))
    return change
