"""Expands the published split lists from this project's compact form: rules, and bits where no rule gives the list.

`splits/<folder>.yaml` describes the lists <folder>/<part>. These are the keys of a file, which a part may override:

form       how an entry is written as a line (`_FORMS`)
groups     the frames of each group, a length N or a text such as "5-176,181-406"; or the name of a table in drives.yaml
margin     for lengths: the frames are margin[0] … N - 1 - margin[1] (default 0, 0)
sides      the cameras of each frame, in order (default: l)
without    static_frames: static frames are left out
snippets   (Cityscapes) the number of sequences of each city, each with `snippet_frames`; they come before `groups`

These are the keys of a part, which choose from those entries (default: all of them):

count      the number of entries that must result
bits       one bit for each entry, packed, compressed by zlib and coded in base64
rest_of    the entries that are not in another part
of         choose from this published list instead
targets    (Cityscapes) "<sequence>:<frame>" or "<sequence>" for each city, in order
scenes     (Make3D) the angles of each scene; the list is sorted
"""

from __future__ import annotations

import base64
import binascii
import functools
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import yaml

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file, require_file, shipped
from mdtk.core.guard import reading

FOLDER = shipped("splits")
_TARGET_FRAME = 19  # the annotated frame of a 30-frame Cityscapes sequence


class Item(NamedTuple):
    """An entry, before it is written as a line."""

    group: str
    frame: int
    side: str = "l"


def _drive(group: str) -> str:
    """KITTI's folder of a drive: "2011_09_26/2011_09_26_drive_0001_sync" for "2011_09_26/0001"."""
    date, number = group.split("/")
    return f"{date}/{date}_drive_{number}_sync"


_FORMS = {
    "kitti": lambda item: f"{_drive(item.group)} {item.frame} {item.side}",
    "kitti_10": lambda item: f"{_drive(item.group)} {item.frame:010d} {item.side}",
    "odometry": lambda item: f"{item.group} {item.frame} {item.side}",
    "image": lambda item: f"{item.group} {item.frame}",
    "static": lambda item: f"{_drive(item.group).replace('/', ' ')} {item.frame:010d}",
    "cityscapes": lambda item: f"{item.group.split('_')[0]} {item.group}_{item.frame:06d}",
    "nyuv2": lambda item: f"{item.group}/{item.frame:05d}.h5",
}


def names() -> list[str]:
    """The names of all published lists."""
    folders = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    return [f"{folder}/{part}" for folder in folders for part in _document(folder).get("parts", {})]


def knows(name: str) -> bool:
    """Whether `name` is the name of a published list."""
    folder, _, part = name.partition("/")
    return "/" not in folder and is_file(FOLDER / f"{folder}.yaml") and part in _document(folder).get("parts", {})


def expand(name: str) -> list[str]:
    """The lines of the published list `name`; test lists have their published order, training lists any order."""
    folder, _, part = name.partition("/")
    node = _node(folder, part)
    if "scenes" in node:
        lines = sorted(f"{scene}-p-{angle}" for scene, text in node["scenes"].items() for angle in text.split())
        _check_count(folder, part, len(lines))
        return lines
    return [_FORMS[node["form"]](item) for item in _items(folder, part)]


def static_frames() -> Iterator[tuple[str, int]]:
    """The published static frames of KITTI raw, as pairs of "<date>/<drive>" and frame number."""
    return ((_drive(item.group), item.frame) for item in _items("static_frames", "all"))


@functools.lru_cache(maxsize=16)
def _document(folder: str) -> dict[str, Any]:
    path = FOLDER / f"{folder}.yaml"
    require_file(path, "split lists", "the published lists come with the project's repository: work in a clone of it")
    with reading(path, "split lists", "restore the file from the repository"):
        document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def _node(folder: str, part: str) -> dict[str, Any]:
    """The keys of a part, and those of its file that it does not override."""
    document = _document(folder)
    return {**document, **document["parts"][part]}


def _check_count(folder: str, part: str, found: int) -> None:
    count = _node(folder, part)["count"]
    if found != count:
        raise MdtkError(f"{FOLDER / folder}.yaml: {part} has {found} entries, not {count}; restore the file")


def _items(folder: str, part: str) -> list[Item]:
    node = _node(folder, part)
    if "rest_of" in node:
        chosen = set(_items(folder, node["rest_of"]))
        items = [item for item in _universe(_node(folder, node["rest_of"])) if item not in chosen]
    else:
        items = _items(*node["of"].split("/")) if "of" in node else _universe(node)
    if "bits" in node:
        items = [items[index] for index in np.flatnonzero(_bits(node["bits"], len(items), folder))]
    _check_count(folder, part, len(items))
    return items


def _universe(node: dict[str, Any]) -> list[Item]:
    """All entries that a part chooses from, ordered by group, frame and side."""
    if "targets" in node:
        return [_target(city, text) for city, items in node["targets"].items() for text in _pieces(items)]
    groups = node["groups"]
    lengths = _document("drives")[groups] if isinstance(groups, str) else groups
    static = frozenset(_items("static_frames", "all")) if "without" in node else frozenset()
    margin, sides = node.get("margin", (0, 0)), node.get("sides", "l")
    snippets = {
        f"{city}_{sequence:06d}": node["snippet_frames"]
        for city, count in node.get("snippets", {}).items()
        for sequence in range(count)
    }
    return [
        Item(group, frame, side)
        for group, frames in {**snippets, **lengths}.items()
        for frame in _frames(frames, margin)
        if (group, frame, "l") not in static
        for side in sides
    ]


def _target(city: str, text: str) -> Item:
    sequence, _, frame = text.partition(":")
    return Item(f"{city}_{int(sequence):06d}", int(frame or _TARGET_FRAME))


def _pieces(text: str) -> list[str]:
    return "".join(text.split()).split(",")


def _frames(frames: int | str, margin: Sequence[int]) -> Sequence[int]:
    """The frames of a group: those within the margins of a length, or those that a text such as "5-176,181" lists."""
    if isinstance(frames, int):
        return range(margin[0], frames - margin[1])
    spans = (span.partition("-") for span in _pieces(frames))
    return [frame for first, dash, last in spans for frame in range(int(first), int(last if dash else first) + 1)]


def _bits(text: str, count: int, folder: str) -> np.ndarray:
    """One flag for each of `count` entries, from packed bits, compressed by zlib and coded in base64."""
    try:
        packed = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    except (zlib.error, binascii.Error) as error:
        raise MdtkError(f"{FOLDER / folder}.yaml: is damaged ({error}); restore it from the repository") from error
    if len(packed) != -(-count // 8):
        raise MdtkError(f"{FOLDER / folder}.yaml: {len(packed) * 8} bits for {count} entries; restore the file")
    return np.unpackbits(packed, count=count)
