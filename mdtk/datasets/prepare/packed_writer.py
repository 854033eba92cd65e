"""Writes a packed copy of a split (see `mdtk.datasets.packed`): beside its place, and moved there when it is whole."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.datasets.entry_frames import EntryFrames
from mdtk.datasets.packed import ARRAYS, FRAMES, INDEX, NATIVE, NOTE, PackedFacts


@dataclass(frozen=True)
class Packed:
    """What was written: different frames, bytes, and the entries that could not be read (index → why)."""

    frames: int
    size: int
    unreadable: dict[int, str]


def write_packed(
    folder: Path,
    facts: PackedFacts,
    entries: Iterable[EntryFrames | MdtkError],
    provenance: dict[str, object],
    most_unreadable: int = 0,
) -> Packed:
    """Writes the packed copy of `entries`, the frames of every entry of the list in order, as the folder `folder`.

    A copy that is there is replaced when the new one is whole. An entry may be the error that reading it gave: more
    than `most_unreadable` of them raise the last one.
    """
    unfinished, old = (folder.with_name(f".{folder.name}.{word}") for word in ("unfinished", "old"))
    try:
        with _emptied(unfinished), _emptied(old):
            unfinished.mkdir(parents=True)
            found = _write(unfinished, facts, entries, provenance, most_unreadable)
            if folder.exists():
                folder.rename(old)
            unfinished.rename(folder)
    except OSError as error:
        raise MdtkError(
            f"{folder} cannot be written ({error.strerror}); make room there, or give another DATA.PACKED"
        ) from error
    return found


@contextlib.contextmanager
def _emptied(folder: Path) -> Iterator[None]:
    """Removes `folder` before and after: what an interruption leaves is no copy."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Frames:
    """Different frames in the order of their first use, written as they come."""

    file: IO[bytes]
    native: IO[bytes] | None
    numbers: dict[bytes, int] = field(default_factory=dict)  # digest → number
    crc: list[int] = field(default_factory=list)
    size: list[tuple[int, int]] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    native_crc: list[int] = field(default_factory=list)
    native_bytes: int = 0

    def add(self, frames: EntryFrames) -> list[int]:
        """The numbers of an entry's frames, those that are new written."""
        found = []
        for place, frame in enumerate(frames.resized_n3hw):
            pixels = np.asarray(frames.images[place]) if self.native else np.empty(0, np.uint8)
            digest = hashlib.blake2b(frame.data, digest_size=16, key=repr(frames.native_size).encode())
            digest.update(np.ascontiguousarray(pixels).data)
            if digest.digest() not in self.numbers:
                self.numbers[digest.digest()] = len(self.crc)
                self._write(frame, np.ascontiguousarray(pixels), frames.native_size)
            found.append(self.numbers[digest.digest()])
        return found

    def _write(self, frame: np.ndarray, pixels: np.ndarray, size: tuple[int, int]) -> None:
        self.file.write(frame.data)
        self.crc.append(zlib.crc32(frame.data))
        self.size.append(size)
        self.start.append(self.native_bytes)
        self.native_crc.append(zlib.crc32(pixels.data))
        if self.native:
            self.native.write(pixels.data)
            self.native_bytes += pixels.nbytes


def _write(
    folder: Path,
    facts: PackedFacts,
    entries: Iterable[EntryFrames | MdtkError],
    provenance: dict[str, object],
    most_unreadable: int,
) -> Packed:
    shape = (3, facts.height, facts.width)
    numbers, unreadable = np.full((facts.entries, len(facts.offsets)), -1, np.int64), {}
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_array(folder / FRAMES))
        native = stack.enter_context(_array(folder / NATIVE)) if facts.native else None
        frames = _Frames(file, native)
        for index, entry in enumerate(entries):
            if isinstance(entry, MdtkError):
                unreadable[index] = str(entry)
                if len(unreadable) > most_unreadable:
                    raise entry
            else:
                numbers[index] = frames.add(entry)
        _finish(file, (len(frames.crc), *shape))
        if native:
            _finish(native, (frames.native_bytes,))
    sizes = np.array(frames.size, np.int32).reshape(-1, 2)
    crc, native_crc = (np.array(one, np.uint32) for one in (frames.crc, frames.native_crc))
    arrays: dict[str, np.ndarray] = dict(
        zip(ARRAYS, (numbers, crc, sizes, np.array(frames.start, np.int64), native_crc), strict=True)
    )
    with (folder / INDEX).open("wb") as index_file:
        np.savez(index_file, allow_pickle=False, **arrays)
    note = {
        "facts": dataclasses.asdict(facts),
        "index_sha256": hashlib.sha256((folder / INDEX).read_bytes()).hexdigest(),
        "unreadable": unreadable,
        "provenance": provenance,
    }
    (folder / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return Packed(len(crc), sum(path.stat().st_size for path in folder.iterdir()), unreadable)


_ROOM = 4096  # bytes of the header, whatever number stands in it: reads of frames then start at a page


@contextlib.contextmanager
def _array(path: Path) -> Iterator[IO[bytes]]:
    """A file in numpy's format whose shape is written at the end, by `_finish`."""
    with path.open("wb") as file:
        file.write(bytes(_ROOM))
        yield file
        file.flush()
        os.fsync(file.fileno())


def _finish(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Writes the header of version 1.0: magic, length, and a literal padded with spaces up to a line's end."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape})
    length = _ROOM - 10
    file.seek(0)
    file.write(np.lib.format.magic(1, 0) + length.to_bytes(2, "little") + f"{text:{length - 1}}\n".encode("latin1"))
