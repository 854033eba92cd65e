"""Writes films from a stream of pictures, as GIF or WebP (Pillow), WebM or MP4 (ffmpeg or OpenCV), atomically."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from mdtk.core.ahead import ahead
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write

FILM_SUFFIXES = (".gif", ".webp", ".mp4", ".webm")
ANIMATIONS = (".gif", ".webp")  # pages and chats play them as pictures
# What the program ffmpeg is asked for, by suffix, where it is installed: a tenth of the time of OpenCV's VP9, which
# takes longer than the networks (benchmarks/README.md), and a smaller film.
PROGRAM = {
    ".mp4": ("libx264", "-preset", "veryfast", "-crf", "20", "-movflags", "+faststart"),
    ".webm": ("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "0", "-crf", "30"),
}
# By suffix, the first that this machine's OpenCV can write. Browsers play H.264 (avc1) and VP9, not MPEG-4 Part 2,
# the mp4v that every OpenCV wheel writes.
CODECS = {".mp4": ("avc1", "vp09", "mp4v"), ".webm": ("VP90",)}
_PALETTE_FRAMES = 12  # number of first pictures that give the palette if the caller names none
_WEBP_QUALITY = 80  # of 100, Pillow's own; a drive at 480 pixels takes a seventh of its GIF


def write_film(
    path: str | Path, pictures: Iterable[np.ndarray], rate: float, samples: Sequence[np.ndarray] = ()
) -> int:
    """Writes `pictures` (H, W, 3) uint8 as .gif, .webp, .mp4 or .webm of `rate` frames per second; gives their number.

    `samples` are a few pictures from the whole film that give the palette of a GIF; empty: its first pictures. Raises
    `MdtkError` for another suffix, or without pictures.
    """
    suffix = check_suffix(path)
    if suffix in ANIMATIONS:
        return write_animation(path, pictures, rate, samples)
    return write_video(path, pictures, rate)


def check_suffix(path: str | Path) -> str:
    """The suffix of a film's path in lower case. Raises `MdtkError` if it is none of `FILM_SUFFIXES`."""
    suffix = Path(path).suffix.lower()
    if suffix not in FILM_SUFFIXES:
        raise MdtkError(f"{path}: a film is written as .gif, .webp, .mp4 or .webm; give one of these suffixes")
    return suffix


def write_animation(
    path: str | Path, pictures: Iterable[np.ndarray], rate: float, samples: Sequence[np.ndarray] = ()
) -> int:
    """Writes a looping GIF or WebP, see `write_film`, whose finished pictures memory holds until the last.

    A GIF has one palette for all pictures, which saves space and keeps colours steady; a WebP has all colours.
    """
    gif = check_suffix(path) == ".gif"
    stream = iter(pictures)
    head = list(itertools.islice(stream, _PALETTE_FRAMES if gif and not samples else 1))
    if not head:
        raise MdtkError(f"{path}: no pictures to write")
    palette = _shared_palette(samples or head) if gif else None
    count = 0

    def frames() -> Iterator[Image.Image]:
        nonlocal count
        for picture in itertools.chain(head, stream):
            count += 1
            image = Image.fromarray(picture)
            yield image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) if palette else image

    made = ahead(frames())
    duration = max(20, round(100 / rate) * 10)  # GIF counts hundredths; viewers slow down anything under 20 ms
    options: dict[str, Any] = {"optimize": False} if gif else {"quality": _WEBP_QUALITY, "method": 4}
    with atomic_write(path) as temporary:
        next(made).save(temporary, save_all=True, append_images=made, duration=duration, loop=0, **options)
    return count


def _shared_palette(samples: Sequence[np.ndarray]) -> Image.Image:
    """A palette image of 256 colours for all `samples` together, by median cut."""
    step = max(1, samples[0].shape[1] // 320)  # a few hundred columns are enough to find the colours
    tall = np.concatenate([sample[::step, ::step] for sample in samples])
    return Image.fromarray(tall).quantize(colors=256, method=Image.Quantize.MEDIANCUT)


class _Writer(Protocol):
    """Takes a film's pictures (H, W, 3) uint8 RGB; `close` finishes the film, `give_up` leaves it."""

    def write(self, picture: np.ndarray) -> None: ...
    def close(self) -> None: ...
    def give_up(self) -> None: ...


def write_video(path: str | Path, pictures: Iterable[np.ndarray], rate: float) -> int:
    """Writes an MP4 or a WebM, see `write_film`; a picture of odd size loses a row or column."""
    writer: _Writer | None = None
    count, size = 0, (0, 0)
    with atomic_write(path) as temporary:
        try:
            for picture in pictures:
                if writer is None:
                    size = (picture.shape[1] // 2 * 2, picture.shape[0] // 2 * 2)
                    writer = _open_video(temporary, path, rate, size)
                writer.write(picture[: size[1], : size[0]])
                count += 1
        except BaseException:
            if writer is not None:
                writer.give_up()
            raise
        if writer is None:
            raise MdtkError(f"{path}: no pictures to write")
        writer.close()
    return count


def _open_video(temporary: Path, path: str | Path, rate: float, size: tuple[int, int]) -> _Writer:
    suffix = temporary.suffix.lower()
    if _program_writes(shutil.which("ffmpeg"), PROGRAM[suffix][0]):
        return _Program(temporary, path, rate, size)
    for codec in CODECS[suffix]:
        with _silent_stderr():  # FFmpeg complains there about every codec that is not built in
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*codec), rate, size)
        if writer.isOpened():
            return _OpenCV(writer)
    kind = suffix[1:].upper()
    raise MdtkError(f"{path} cannot be written as {kind} at {size[0]}x{size[1]}; choose a .gif")


class _OpenCV:
    """OpenCV's encoders, which take no options."""

    def __init__(self, writer: cv2.VideoWriter) -> None:
        self._writer = writer

    def write(self, picture: np.ndarray) -> None:
        self._writer.write(np.ascontiguousarray(picture[..., ::-1]))

    def close(self) -> None:
        self._writer.release()

    give_up = close


class _Program:
    """The program ffmpeg, in a process of its own, which gets the pictures through a pipe."""

    def __init__(self, temporary: Path, path: str | Path, rate: float, size: tuple[int, int]) -> None:
        self._path = path
        codec, *options = PROGRAM[temporary.suffix.lower()]
        frames = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{size[0]}x{size[1]}"]
        made = ["-c:v", codec, "-pix_fmt", "yuv420p", *options, f"file:{temporary}"]
        self._process = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-y", *frames, "-framerate", f"{rate:.6f}", "-i", "pipe:0", *made],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process, which then gives up
        )

    def write(self, picture: np.ndarray) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(picture).data)
        except BrokenPipeError as error:
            raise self._ended(self._process.communicate()[1]) from error

    def close(self) -> None:
        _, said = self._process.communicate()
        if self._process.returncode:
            raise self._ended(said)

    def _ended(self, said: bytes) -> MdtkError:
        last = said.decode(errors="replace").strip().rpartition("\n")[2][:200] or "without a word"
        return MdtkError(f"{self._path} cannot be written: ffmpeg ended early ({last}); make room, or choose a .gif")

    def give_up(self) -> None:
        self._process.kill()
        self._process.communicate()


@functools.cache
def _program_writes(program: str | None, codec: str) -> bool:
    """Whether the program is there and has the encoder: one small picture is tried."""
    if program is None:
        return False
    tried = ["-f", "lavfi", "-i", "color=size=64x64", "-frames:v", "1", "-c:v", codec, "-f", "null", "-"]
    try:
        return not subprocess.run(
            [program, "-v", "quiet", *tried], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


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
