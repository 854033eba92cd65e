"""A packed copy of a split: its frames decoded and resized once, read by position without decoding anything.

A folder holds `frames.npy` (F, 3, H, W) uint8, every frame once however many entries show it; with native pixels also
`native.npy`, the bytes (H, W, 3) of one native image after the other; `index.npz`, which frames an entry shows and each
frame's CRC32; and `packed.json`, what was packed and from where. Both .npy are numpy's own format. Frames are read with
`pread`, which forked loader workers share safely, and which reports a torn file as an error where a memory map would
kill the process.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
from PIL import Image

from mdtk.core.arrays import check_member, read_header, read_numbers
from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import check_size, read_json, reading
from mdtk.datasets.entry_frames import EntryFrames
from mdtk.datasets.image_files import MOST_PIXELS
from mdtk.datasets.reader import DatasetReader

FRAMES, NATIVE, INDEX, NOTE = "frames.npy", "native.npy", "index.npz", "packed.json"
ARRAYS = ("entries", "frame_crc", "native_size", "native_start", "native_crc")
_LARGEST_INDEX = 4 << 30  # bytes
_WHAT, _ADVICE = "packed copy", "make it with mdtk pack"


@dataclass(frozen=True)
class PackedFacts:
    """What a packed copy and the recipe that reads it must share. `offsets` are texts: "0", "-1", "s"."""

    dataset: str
    offsets: tuple[str, ...]
    width: int
    height: int
    stride: int  # DATA.SEQUENCE.STRIDE
    entries: int
    list_sha256: str
    native: bool = False  # holds native pixels, for views that cut frames of their own

    def misfit(self, asked: PackedFacts) -> str:
        """What keeps a copy with these facts from serving a recipe that asks for others; an empty text if nothing."""
        for field in dataclasses.fields(self):
            has, wants = getattr(self, field.name), getattr(asked, field.name)
            if has != wants and not (field.name == "native" and has):
                return f"has {field.name} {_shown(has)}, and the recipe wants {_shown(wants)}"
        return ""


def _shown(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)


def packed_folder(root: Path, dataset: str, split: str) -> Path:
    """The folder of one list's packed copy below DATA.PACKED; a text file is known by its stem."""
    name = Path(split).stem if split.endswith(".txt") else split
    return root / re.sub(r"[^A-Za-z0-9]+", "_", f"{dataset}_{name}")


def read_note(folder: Path) -> tuple[PackedFacts, Mapping[str, Any]]:
    """What a packed copy says of itself: its facts, and the whole note. Raises `MdtkError` for a broken one."""
    path = folder / NOTE
    note = read_json(path, _WHAT, _ADVICE)
    with reading(path, _WHAT, "pack it again"):
        facts = PackedFacts(**{**note["facts"], "offsets": tuple(map(str, note["facts"]["offsets"]))})
        if not isinstance(note["index_sha256"], str) or not isinstance(note["unreadable"], dict):
            raise ValueError("its fields have other types")
    return facts, note


class PackedFrames:
    """index → the entry's frames, from a packed copy that fits `asked`. Raises `MdtkError` for one that does not fit.

    May be pickled: another process opens the files anew.
    """

    def __init__(self, folder: Path, asked: PackedFacts, reader: DatasetReader) -> None:
        self.folder, self.facts = folder, asked
        has, note = read_note(folder)
        if reason := has.misfit(asked):
            raise MdtkError(f"DATA.PACKED: {folder} {reason}; pack it again with mdtk pack --overwrite")
        self.unreadable: Mapping[str, str] = note["unreadable"]  # index as a text → why
        self._index = _read_index(folder / INDEX, note["index_sha256"], has)
        self._name = reader.name
        count, shape = len(self._index["frame_crc"]), (3, asked.height, asked.width)
        self._frames = _Records(folder / FRAMES, (count, *shape))
        self._native: _Records | None = None
        if asked.native:
            sizes = self._index["native_size"].astype(np.int64)
            self._native = _Records(folder / NATIVE, (int(3 * sizes.prod(1).sum()),))

    def __call__(self, index: int) -> EntryFrames:
        """The frames of entry `index`. Raises `MdtkError` for an entry that could not be read when it was packed, and
        for pixels that are not those that were packed."""
        numbers = self._index["entries"][index].tolist()
        if numbers[0] < 0:
            raise MdtkError(self.unreadable.get(str(index), f"entry {index} could not be read when it was packed"))
        frames = np.empty((len(numbers), 3, self.facts.height, self.facts.width), np.uint8)
        for number, frame in zip(numbers, frames, strict=True):
            self._read(number, frame, index)
        if self._native is None:
            return EntryFrames(frames, self._size(numbers[0]), _NoImages(len(numbers), self.folder))
        images = [self._image(self._native, number, index) for number in numbers]
        return EntryFrames(frames, self._size(numbers[0]), images)

    def first_uses(self) -> dict[int, int]:
        """Frame → the first entry that shows it."""
        entries = self._index["entries"]
        numbers, places = np.unique(entries, return_index=True)
        pairs = zip(numbers.tolist(), (places // entries.shape[1]).tolist(), strict=True)
        return {number: index for number, index in pairs if number >= 0}

    def native_sizes(self) -> dict[int, tuple[int, int]]:
        """Entry → (width, height) of its native images, for the entries that could be read when they were packed."""
        targets = self._index["entries"][:, 0].tolist()
        return {index: self._size(number) for index, number in enumerate(targets) if number >= 0}

    def verify(self, number: int, index: int) -> None:
        """Reads a frame of entry `index`, with its native pixels. Raises `MdtkError` for others than were packed."""
        self._read(number, np.empty((3, self.facts.height, self.facts.width), np.uint8), index)
        if self._native is not None:
            self._image(self._native, number, index)

    def _size(self, number: int) -> tuple[int, int]:
        width, height = self._index["native_size"][number].tolist()
        return width, height

    def _read(self, number: int, frame: np.ndarray, index: int) -> None:
        self._frames.read(number * frame.nbytes, frame)
        self._check(frame, self._index["frame_crc"][number], index, FRAMES)

    def _image(self, native: _Records, number: int, index: int) -> Image.Image:
        width, height = self._size(number)
        pixels = np.empty((height, width, 3), np.uint8)
        native.read(int(self._index["native_start"][number]), pixels)
        self._check(pixels, self._index["native_crc"][number], index, NATIVE)
        return Image.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)

    def _check(self, pixels: np.ndarray, crc: np.uint32, index: int, file: str) -> None:
        if zlib.crc32(pixels.data) != crc:
            raise MdtkError(
                f"{self.folder / file}: the frames of {self._name(index)} are not those that were packed (CRC32 "
                "differs); pack it again with mdtk pack --overwrite"
            )


class _NoImages(Sequence[Image.Image]):
    """So many native images, none of which the packed copy holds."""

    def __init__(self, count: int, folder: Path) -> None:
        self._count, self._folder = count, folder

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Image.Image: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Image.Image]: ...
    def __getitem__(self, place: int | slice) -> Image.Image | Sequence[Image.Image]:
        raise MdtkError(f"{self._folder} holds no native images; pack it again with this recipe: mdtk pack --overwrite")


class _Records:
    """The bytes of an array of uint8 in numpy's format, read by position."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = require_file(path, _WHAT, _ADVICE)
        self._file: IO[bytes] | None = None
        with reading(path, _WHAT, "pack it again"), path.open("rb") as file:
            found = read_header(file)
            self._start = file.tell()
        if found != (shape, False, np.dtype(np.uint8)) or path.stat().st_size != self._start + int(np.prod(shape)):
            raise MdtkError(f"{path}: is not the array of {shape} bytes that its index names; pack it again")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def read(self, position: int, out: np.ndarray) -> None:
        """Fills `out` with the bytes from `position` on."""
        with reading(self.path, _WHAT, "pack it again"):
            if self._file is None:
                self._file = self.path.open("rb", buffering=0)
            if os.preadv(self._file.fileno(), [out.data.cast("B")], self._start + position) != out.nbytes:
                raise EOFError("the file ends early")


def _read_index(path: Path, sha256: str, facts: PackedFacts) -> dict[str, np.ndarray]:
    require_file(path, _WHAT, _ADVICE)
    with reading(path, _WHAT, "pack it again"):
        check_size(path, _WHAT, _LARGEST_INDEX)
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise MdtkError(f"{path}: is not the index that was packed (its SHA256 differs); pack it again")
        index = {}
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in ARRAYS:
                member = archive.getinfo(f"{name}.npy")
                check_member(member, str(path))
                with archive.open(member) as file:
                    index[name] = read_numbers(file, member.file_size, str(path))
    if not _fits(index, facts):
        raise MdtkError(f"{path}: does not fit {NOTE}; pack it again")
    return index


def _fits(index: Mapping[str, np.ndarray], facts: PackedFacts) -> bool:
    """Whether the arrays of an index have the shapes and types that are written, and name frames that there are."""
    entries, count = index["entries"], index["frame_crc"].size
    kinds = dict(zip(ARRAYS, ("i8", "u4", "i4", "i8", "u4"), strict=True))
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(ARRAYS, (count,))
    shapes |= {"entries": (facts.entries, len(facts.offsets)), "native_size": (count, 2)}
    if any(index[name].dtype != kinds[name] or index[name].shape != shapes[name] for name in ARRAYS):
        return False
    sizes = index["native_size"].astype(np.int64)
    whole = bool((sizes > 0).all() and (sizes.prod(1) <= MOST_PIXELS).all() and (index["native_start"] >= 0).all())
    named = entries[entries[:, 0] >= 0]  # the others could not be read when the list was packed
    return whole and bool(((named >= 0) & (named < count)).all())
