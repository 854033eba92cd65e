"""Folders of frames: their order, the motion between frames, and the cache folder for what is computed from them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from mdtk.core.arrays import read_npy_file
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, dataset_home, inside
from mdtk.datasets.image_files import decode, open_picture

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
GREY_SIZE = (64, 48)  # width, height of the motion filter's copies: averaging to this size removes sensor noise


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """A sort key that compares numbers in `text` by value: frame2 comes before frame10."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def list_images(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The image files directly in `folder` without hidden ones, in natural order (see `natural_key`).

    Raises `MdtkError` for a link to a file outside the folder where MDTK_LINKS says so (see `files.inside`).
    """
    found = [
        inside(folder, path, "folder of images", links=True) if path.is_symlink() else path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def list_frames(folder: Path) -> list[Path]:
    """The frames of a sequence in natural order. Raises `MdtkError` if there are none, or two files with one stem."""
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
    """The folder `cache` below the data home, made if needed, for what can be computed again."""
    folder = dataset_home() / "cache"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MdtkError(f"cache folder {folder} cannot be made ({error.strerror}); set MDTK_DATASETS") from error
    return folder


def fingerprint(paths: Sequence[Path]) -> str:
    """A hash of the resolved names, sizes and modification times of files, which changes when a file does."""
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def grey_stack(frames: Sequence[Path]) -> np.ndarray:
    """Small grey copies of `frames`, (N, 48, 64) uint8, computed once and then read from the cache."""
    path = cache_folder() / f"grey-{fingerprint(frames)}.npy"
    if path.is_file():
        stack = read_npy_file(path, "cache of grey copies", "delete it")
        if stack.shape == (len(frames), *GREY_SIZE[::-1]):
            return stack
    bar = tqdm(frames, desc="measuring motion", unit="frame", leave=False, disable=None)
    stack = np.stack([_small_grey(frame) for frame in bar])
    with atomic_write(path) as temporary:
        np.save(temporary, stack, allow_pickle=False)
    return stack


def _small_grey(path: Path) -> np.ndarray:
    with open_picture(path, "image", "fetch or extract it again") as image:
        image.draft("L", (4 * GREY_SIZE[0], 4 * GREY_SIZE[1]))  # a JPEG is decoded at a fraction of its size
        image.load()
        return np.asarray(decode(image, path).convert("L").resize(GREY_SIZE, Image.Resampling.BOX))


def motion(stack: np.ndarray, targets: np.ndarray, sources: Sequence[np.ndarray]) -> np.ndarray:
    """How much each target differs from its sources: the mean absolute grey difference, minimum over the sources.

    Args:
        stack: grey images (N, h, w) uint8.
        targets: (M,) positions in `stack`.
        sources: for each source the (M,) positions in `stack`.

    Returns:
        (M,) float64 in 0 … 255; inf without sources.
    """
    change = np.full(len(targets), np.inf)
    for source in sources:
        for start in range(0, len(targets), 1024):  # in parts, so that a long video fits into memory
            part = slice(start, start + 1024)
            difference = np.abs(stack[targets[part]].astype(np.int16) - stack[source[part]])
            change[part] = np.minimum(change[part], difference.mean(axis=(1, 2)))
    return change
