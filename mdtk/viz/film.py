"""Writes films from a stream of pictures, as GIF (Pillow), WebM or MP4 (OpenCV), atomically."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mdtk.core.ahead import ahead
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write

FILM_SUFFIXES = (".gif", ".mp4", ".webm")
# By suffix, the first that this machine's OpenCV can write. Browsers play H.264 (avc1) and VP9, not MPEG-4 Part 2,
# the mp4v that every OpenCV wheel writes.
CODECS = {".mp4": ("avc1", "vp09", "mp4v"), ".webm": ("VP90",)}
_PALETTE_FRAMES = 12  # number of first pictures that give the palette if the caller names none


def write_film(
    path: str | Path, pictures: Iterable[np.ndarray], rate: float, samples: Sequence[np.ndarray] = ()
) -> int:
    """Writes `pictures` (H, W, 3) uint8 as a .gif, .mp4 or .webm film of `rate` frames per second; gives their number.

    `samples` are a few pictures from the whole film that give the palette of a GIF; empty: its first pictures. Raises
    `MdtkError` for another suffix, or without pictures.
    """
    suffix = check_suffix(path)
    if suffix == ".gif":
        return write_gif(path, pictures, rate, samples)
    return write_video(path, pictures, rate)


def check_suffix(path: str | Path) -> str:
    """The suffix of a film's path in lower case. Raises `MdtkError` if it is none of `FILM_SUFFIXES`."""
    suffix = Path(path).suffix.lower()
    if suffix not in FILM_SUFFIXES:
        raise MdtkError(f"{path}: a film is written as .gif, .mp4 or .webm; give one of these suffixes")
    return suffix


def write_gif(path: str | Path, pictures: Iterable[np.ndarray], rate: float, samples: Sequence[np.ndarray] = ()) -> int:
    """Writes a looping GIF, see `write_film`. One palette for all pictures saves space and keeps colours steady."""
    stream = iter(pictures)
    head = list(itertools.islice(stream, 1 if samples else _PALETTE_FRAMES))
    if not head:
        raise MdtkError(f"{path}: no pictures to write")
    palette = _shared_palette(samples or head)
    count = 0

    def frames() -> Iterator[Image.Image]:
        nonlocal count
        for picture in itertools.chain(head, stream):
            count += 1
            yield Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)

    made = ahead(frames())
    duration = max(20, round(100 / rate) * 10)  # GIF counts hundredths; viewers slow down anything under 20 ms
    with atomic_write(path) as temporary:
        next(made).save(temporary, save_all=True, append_images=made, duration=duration, loop=0, optimize=False)
    return count


def _shared_palette(samples: Sequence[np.ndarray]) -> Image.Image:
    """A palette image of 256 colours for all `samples` together, by median cut."""
    step = max(1, samples[0].shape[1] // 320)  # a few hundred columns are enough to find the colours
    tall = np.concatenate([sample[::step, ::step] for sample in samples])
    return Image.fromarray(tall).quantize(colors=256, method=Image.Quantize.MEDIANCUT)


def write_video(path: str | Path, pictures: Iterable[np.ndarray], rate: float) -> int:
    """Writes an MP4 or a WebM, see `write_film`; a picture of odd size loses a row or column."""
    writer, count, size = None, 0, (0, 0)
    with atomic_write(path) as temporary:
        try:
            for picture in pictures:
                if writer is None:
                    size = (picture.shape[1] // 2 * 2, picture.shape[0] // 2 * 2)
                    writer = _open_video(temporary, path, rate, size)
                writer.write(np.ascontiguousarray(picture[: size[1], : size[0], ::-1]))
                count += 1
        finally:
            if writer is not None:
                writer.release()
        if not count:
            raise MdtkError(f"{path}: no pictures to write")
    return count


def _open_video(temporary: Path, path: str | Path, rate: float, size: tuple[int, int]) -> cv2.VideoWriter:
    suffix = temporary.suffix.lower()
    for codec in CODECS[suffix]:
        with _silent_stderr():  # FFmpeg complains there about every codec that is not built in
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*codec), rate, size)
        if writer.isOpened():
            return writer
    kind = suffix[1:].upper()
    raise MdtkError(f"{path} cannot be written as {kind} at {size[0]}x{size[1]}; choose a .gif")


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Sends what libraries below Python write to stderr nowhere, inside the block."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
