"""The published split lists, expanded from the project's compact form: rules where a rule makes the list, else facts.

`splits/<folder>.yaml` describes the lists <folder>/<part>. Keys of the file, which a part may override:

form       how an entry becomes a line (`_FORMS`)
groups     group → frames: a length N, or a text such as "5-176,181-406"; or the name of a table of drives.yaml
margin     with lengths: frames margin[0] … N - 1 - margin[1] (default 0, 0)
sides      the cameras of each frame, in order (default: l)
without    static_frames: those are left out
snippets   (Cityscapes) city → number of sequences, each with `snippet_frames`; they come before `groups`

Keys of a part, which choose from those entries (default: all of them) and say how many that must leave:

count      the number of entries
bits       base64 of zlib of one bit an entry
rest_of    the entries that another part leaves
of         choose from this published list instead
targets    (Cityscapes) city → "<sequence>:<frame>" or "<sequence>", in order
scenes     (Make3D) scene → angles; the list is sorted
"""

from __future__ import annotations

import base64
import binascii
import functools
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import yaml

from mdtk.core.errors import MdtkError
from mdtk.core.files import ROOT, require_file

FOLDER = ROOT / "splits"
_TARGET_FRAME = 19  # the annotated frame of a 30-frame Cityscapes sequence


class Item(NamedTuple):
    """An entry before it is a line."""

    group: str
    frame: int
    side: str = "l"


def _drive(group: str) -> str:
    """KITTI's folder of a drive: "2011_09_26/0001" → "2011_09_26/2011_09_26_drive_0001_sync"."""
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
    """Every published list that `expand` knows."""
    folders = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    return [f"{folder}/{part}" for folder in folders for part in _document(folder).get("parts", {})]


def knows(name: str) -> bool:
    """Whether `name` is a published list."""
    folder, _, part = name.partition("/")
    return (FOLDER / f"{folder}.yaml").is_file() and part in _document(folder).get("parts", {})


def expand(name: str) -> list[str]:
    """The lines of the published list `name`: test lists in their published order, training lists as sets."""
    folder, _, part = name.partition("/")
    node = _node(folder, part)
    if "scenes" in node:
        lines = sorted(f"{scene}-p-{angle}" for scene, text in node["scenes"].items() for angle in text.split())
        _check_count(folder, part, len(lines))
        return lines
    return [_FORMS[node["form"]](item) for item in _items(folder, part)]


def static_frames() -> Iterator[tuple[str, int]]:
    """(<date>/<drive>, frame) of every published static frame."""
    return ((_drive(item.group), item.frame) for item in _items("static_frames", "all"))


@functools.lru_cache(maxsize=16)
def _document(folder: str) -> dict:
    path = FOLDER / f"{folder}.yaml"
    require_file(path, "split lists", "the published lists come with the project's repository: work in a clone of it")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _node(folder: str, part: str) -> dict:
    """A part's keys over those of its file."""
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


def _universe(node: dict) -> list[Item]:
    """Every entry that a part may choose from: groups in their order, frames in theirs, sides in theirs."""
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
    """A length with margins, or "5-176,181" as the frames it names, in its order."""
    if isinstance(frames, int):
        return range(margin[0], frames - margin[1])
    spans = (span.partition("-") for span in _pieces(frames))
    return [frame for first, dash, last in spans for frame in range(int(first), int(last if dash else first) + 1)]


def _bits(text: str, count: int, folder: str) -> np.ndarray:
    """One flag an entry, from base64 of zlib of packed bits."""
    try:
        packed = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    except (zlib.error, binascii.Error) as error:
        raise MdtkError(f"{FOLDER / folder}.yaml: is damaged ({error}); restore it from the repository") from error
    if len(packed) != -(-count // 8):
        raise MdtkError(f"{FOLDER / folder}.yaml: {len(packed) * 8} bits for {count} entries; restore the file")
    return np.unpackbits(packed, count=count)
