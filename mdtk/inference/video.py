"""A film of the input above its disparity, with one colour range from the first frame to the last.

The range needs every prediction before the first picture is coloured: predictions wait in a temporary file, frames are
read twice, and memory holds a few frames at a time (of a GIF or WebP also the finished pictures, at one and three bytes
a pixel). Frames are decoded in a thread while the networks run, and later decoded and coloured in two while the film is
written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from mdtk.core.ahead import ahead
from mdtk.core.errors import MdtkError
from mdtk.core.spacing import evenly_spaced
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.sequence.frames import list_frames
from mdtk.datasets.sequence.video_frames import frame_rate, read_frames
from mdtk.inference.predictor import Predictor, enlarge
from mdtk.viz import colour_bar, colour_map, disparity_range, resize_picture
from mdtk.viz.film import check_suffix, write_film

FOLDER_RATE = 10.0  # frames per second of a folder, whose files do not say
DEFAULT_WIDTH = {".gif": 480, ".webp": 480, ".mp4": 960, ".webm": 960}  # a GIF of more is too large to show anywhere
BAR = 28  # rows of the colour bar below a film
_SAMPLED = 2048  # pixels of each frame that the colour range is taken from
_PALETTE_PICTURES = 16


@dataclass(frozen=True)
class Source:
    """A folder of frames or a video; every `stride`-th frame, `limit` of them at most (0: all)."""

    path: Path
    stride: int = 1
    limit: int = 0

    def frames(self) -> Iterator[np.ndarray]:
        """RGB frames (H, W, 3) uint8, one at a time."""
        if not self.path.exists():
            raise MdtkError(f"--image_path not found: {self.path}; give a folder of frames or a video")
        reader = self._folder() if self.path.is_dir() else read_frames(self.path)
        for number, frame in enumerate(reader):
            if self.limit and number >= self.limit * self.stride:
                return
            if number % self.stride == 0:
                yield frame

    def _folder(self) -> Iterator[np.ndarray]:
        for path in list_frames(self.path):
            yield np.asarray(open_rgb(path))

    def rate(self) -> float:
        """Frames per second: a video keeps its speed whatever the stride; a folder has none to keep."""
        rate = 0.0 if self.path.is_dir() else frame_rate(self.path)
        return rate / self.stride if rate else FOLDER_RATE


@dataclass
class _Evenly:
    """Keeps `room` to 2 · `room` items spread evenly over a stream whose length is not known before its end."""

    room: int
    step: int = 1
    count: int = 0
    items: list = field(default_factory=list)

    def add(self, item: object) -> None:
        if self.count % self.step == 0:
            self.items.append(item)
            if len(self.items) > 2 * self.room:
                self.items, self.step = self.items[::2], 2 * self.step
        self.count += 1


@dataclass(frozen=True)
class FilmReport:
    """What was written: frames, size of the picture, frames a second, and the disparities of the end colours."""

    frames: int
    size: tuple[int, int]
    rate: float
    range: tuple[float, float]


def predict_film(
    predictor: Predictor, source: Source, output: Path, rate: float = 0.0, width: int = 0, bar: bool = False
) -> FilmReport:
    """Writes `output` (.gif, .webp, .mp4 or .webm).

    `rate` 0: the source's own; `width` 0: at most 480 (GIF, WebP) or 960 pixels; `bar`: a colour bar with the range
    below.
    """
    suffix = check_suffix(output)
    with tempfile.TemporaryFile() as store:
        first, lo, hi, kept = _predict_all(predictor, source, store)
        width = width or min(DEFAULT_WIDTH[suffix], first[1])
        size = (width // 2 * 2, max(2, round(first[0] * width / first[1] / 2) * 2))
        look = _Look(size, lo, hi, bar)
        samples = [look.compose(photo, disparity) for photo, disparity in kept]
        rate = rate or source.rate()
        store.seek(0)
        shape = predictor.model.height, predictor.model.width
        count = write_film(output, ahead(_compose_all(source, store, shape, look)), rate, samples)
    return FilmReport(count, (size[0], 2 * size[1] + (BAR if bar else 0)), rate, (lo, hi))


def _predict_all(
    predictor: Predictor, source: Source, store: IO[bytes]
) -> tuple[tuple[int, int], float, float, list[tuple[np.ndarray, np.ndarray]]]:
    """Predicts every frame into `store` (float16); gives the first one's (H, W), the range, some small frames."""
    first: tuple[int, int] | None = None
    sampled: list[np.ndarray] = []
    kept = _Evenly(_PALETTE_PICTURES)
    for size, pixels, small in tqdm(ahead(_looked_at(predictor, source)), "predicting", unit="frame", disable=None):
        first = first or size
        disparity = predictor.at_network_size(pixels).astype(np.float16)
        store.write(disparity.tobytes())
        sampled.append(disparity.ravel()[evenly_spaced(disparity.size, _SAMPLED)])
        kept.add((small, disparity))
    if first is None:
        raise MdtkError(f"{source.path} has no frames")
    lo, hi = disparity_range(np.concatenate(sampled).astype(np.float32))
    return first, lo, hi, kept.items


def _looked_at(predictor: Predictor, source: Source) -> Iterator[tuple[tuple[int, int], Tensor, np.ndarray]]:
    """(H, W) of each frame, what the network sees of it, and a small picture."""
    for frame in source.frames():
        small = resize_picture(frame, min(320, frame.shape[1]))
        yield frame.shape[:2], predictor.pixels(Image.fromarray(frame)), small


def _compose_all(source: Source, store: IO[bytes], shape: tuple[int, int], look: _Look) -> Iterator[np.ndarray]:
    length = 2 * shape[0] * shape[1]
    for frame in tqdm(ahead(source.frames()), desc="writing", unit="frame", disable=None):
        disparity = np.frombuffer(store.read(length), np.float16).reshape(shape)
        yield look.compose(frame, disparity)


@dataclass(frozen=True)
class _Look:
    """How a film shows a frame: above its coloured disparity, each of `size` = (width, height), and the colour bar."""

    size: tuple[int, int]
    lo: float
    hi: float
    bar: bool

    def compose(self, frame: np.ndarray, disparity: np.ndarray) -> np.ndarray:
        coloured = colour_map(enlarge(disparity.astype(np.float32), self.size), self.lo, self.hi)
        parts = [resize_picture(frame, *self.size), coloured]
        if self.bar:
            parts.append(colour_bar(self.size[0], BAR, f"far {self.lo:.3g}", f"{self.hi:.3g} near"))
        return np.concatenate(parts)
