"""Video files: read frame by frame, or extracted once to a cache folder that is either complete or missing.

Frames are kept as JPEG of quality 95 with full chroma. A video is lossy already, and this adds little: on 640x480
office video 46 dB against the decoded frame (the codec itself: 37 dB), at a quarter of PNG's size and a third of its
decoding time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import reading
from mdtk.datasets.image_files import MOST_PIXELS
from mdtk.datasets.sequence.frames import cache_folder, fingerprint

# Windows has no such locks: there, of two processes that both extract a video, the first to finish wins.
CAN_LOCK = sys.platform != "win32"
if sys.platform != "win32":
    import fcntl

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif")
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
# How videos begin: MP4 and MOV, AVI, Matroska and WebM, GIF, MPEG's streams. FFmpeg also knows lists, which name other
# files of this machine and addresses.
_STARTS = re.compile(
    rb".{4}(ftyp|moov|mdat|free|skip|wide|pnot)|RIFF.{4}AVI |\x1aE\xdf\xa3|GIF8|\x00\x00\x01[\xb3\xba]|\x47.{187}\x47",
    re.DOTALL,
)
_log = logging.getLogger(__name__)


def open_video(path: Path) -> cv2.VideoCapture:
    """Opens a video, whose frames OpenCV turns upright as its metadata say. Raises `MdtkError` if it cannot be read."""
    require_file(path, "video", "give an existing file")
    with reading(path, "video", "give another file"), path.open("rb") as file:
        start = file.read(256)
    if not _STARTS.match(start):
        raise MdtkError(
            f"video cannot be read: {path} does not begin as MP4, MOV, AVI, MKV, WebM, GIF and MPEG do; re-encode it, "
            "e.g. to .mp4 (H.264)"
        )
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # the error below replaces the decoder's own messages
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise MdtkError(
            f"video cannot be read: {path}; it is damaged or not a video; re-encode it, e.g. to .mp4 (H.264)"
        )
    if capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT) > MOST_PIXELS:
        raise MdtkError(f"video cannot be read: {path} has frames of more than {MOST_PIXELS / 1e6:.0f} megapixels")
    return capture


def frame_rate(path: Path) -> float:
    """Frames per second as the file states them; 0 when it does not."""
    capture = open_video(path)
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return float(rate) if 0 < rate < 1000 else 0.0


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Yields the frames of a video in order, (H, W, 3) uint8 RGB. Raises `MdtkError` if none can be decoded."""
    capture = open_video(path)
    try:
        good, frame = capture.read()
        if not good:
            raise MdtkError(f"video cannot be read: {path} has no frame that can be decoded; re-encode it")
        while good:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            good, frame = capture.read()
    finally:
        capture.release()


def extract_frames(path: Path) -> Path:
    """The folder with the frames 000000.jpg … of a video, which are extracted at the first call only.

    A video that changed (path, size or time) gets another folder. An interrupted extraction leaves nothing that could
    be taken for a complete one; of several processes one extracts and the others wait.
    """
    require_file(path, "video", "correct DATA.SEQUENCE.PATHS")
    folder = cache_folder() / f"{path.stem}-{fingerprint([path])}"
    if folder.is_dir():
        return folder
    with _lock(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            _extract(path, folder)
    return folder


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file `path`; the system releases it when the process dies."""
    with path.open("w") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _extract(path: Path, folder: Path) -> None:
    temporary = folder.with_name(f".{folder.name}.tmp" if CAN_LOCK else f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # the remains of a killed extraction
    temporary.mkdir()
    try:
        count = _write_frames(path, temporary)
        with contextlib.nullcontext() if CAN_LOCK else contextlib.suppress(OSError):
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _log.info("%s: %d frames extracted to %s", path, count, folder)


def _write_frames(path: Path, folder: Path) -> int:
    """Writes every frame into `folder` and returns their number."""
    capture = open_video(path)
    declared = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))  # an estimate in some containers
    capture.release()
    bar = tqdm(read_frames(path), desc=f"extracting {path.name}", total=declared or None, unit="frame", disable=None)
    count = 0
    for count, frame in enumerate(bar, start=1):
        target = folder / f"{count - 1:06d}.jpg"
        if not cv2.imwrite(str(target), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), _JPEG):
            raise MdtkError(f"{target} cannot be written; make room or set MDTK_DATASETS to another disk")
        if count == 1:
            _check_space(path, folder, declared * target.stat().st_size)
    if count < 0.9 * declared:
        _log.warning("%s: only %d of %d declared frames could be decoded; the rest is damaged", path, count, declared)
    return count


def _check_space(path: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MdtkError(
            f"the frames of {path} take about {needed / 1e9:.1f} GB and {folder.parent} has {free / 1e9:.1f} GB left; "
            "set MDTK_DATASETS to another disk, or shrink the video first"
        )
