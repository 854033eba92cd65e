"""The published split lists, expanded from the project's compact form: rules where a rule makes the list, else facts.

`splits/<folder>.yaml` describes the lists <folder>/<part>. Its keys:

form       how an entry becomes a line (`_FORMS`)
sides      the cameras of each frame, in order (default: one, "l")
groups     group → frames: a text such as "5-176,181-406", or the name of a part of drives.yaml (group → length N)
margin     with lengths: frames margin[0] … N - 1 - margin[1]
without    "static_frames": leave those out
parts      part → how it is chosen from the entries of `groups`:
             bits: base64 of zlib of one bit an entry; rest_of: a part's complement; or `groups` (and margin) of its
             own; of: another published list whose entries `bits` chooses from; order: sorted (by line)
           each with `count`, which is checked
"""

from __future__ import annotations

import base64
import binascii
import functools
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import yaml

from mdtk.errors import MdtkError
from mdtk.files import ROOT, require_file

FOLDER = ROOT / "splits"


class Item(NamedTuple):
    """An entry before it is a line."""

    group: str
    frame: int
    side: str = "l"


def _drive(group: str) -> str:
    """ "2011_09_26/0001" → KITTI's folder of that drive."""
    date, number = group.split("/")
    return f"{date}/{date}_drive_{number}_sync"


_FORMS = {
    "kitti": lambda item: f"{_drive(item.group)} {item.frame} {item.side}",
    "kitti_10": lambda item: f"{_drive(item.group)} {item.frame:010d} {item.side}",
    "odometry": lambda item: f"{item.group} {item.frame} {item.side}",
    "static": lambda item: f"{_drive(item.group).replace('/', ' ')} {item.frame:010d}",
    "cityscapes": lambda item: f"{item.group.split('_')[0]} {item.group}_{item.frame:06d}",
    "nyuv2": lambda item: f"{item.group}/{item.frame:05d}.h5",
}


def names() -> list[str]:
    """Every published list that `expand` knows."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        found += [f"{path.stem}/{part}" for part in _document(path.stem).get("parts", {})]
    return found


def knows(name: str) -> bool:
    """Whether `name` is a published list."""
    folder, _, part = name.partition("/")
    return (FOLDER / f"{folder}.yaml").is_file() and part in _document(folder).get("parts", {})


def expand(name: str) -> list[str]:
    """The lines of the published list `name`: test lists in their published order, training lists as sets."""
    folder, _, part = name.partition("/")
    document = _document(folder)
    form = _FORMS.get(document.get("form", ""))
    if "lines" in document["parts"][part]:
        lines = document["parts"][part]["lines"].split()
    else:
        lines = [form(item) for item in _part(folder, part)]
    return sorted(lines) if document["parts"][part].get("order") == "sorted" else lines


def static_frames() -> Iterator[tuple[str, int]]:
    """(<date>/<drive>, frame) of every published static frame."""
    return ((_drive(item.group), item.frame) for item in _part("static_frames", "all"))


@functools.lru_cache(maxsize=16)
def _document(folder: str) -> dict:
    path = FOLDER / f"{folder}.yaml"
    require_file(path, "split lists", "the published lists come with the project's repository: work in a clone of it")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _part(folder: str, name: str) -> list[Item]:
    part = _document(folder)["parts"][name]
    if "of" in part:
        items = _part(*part["of"].split("/"))
    elif "groups" in part:
        items = _universe(folder, part)
    else:
        items = _universe(folder, _document(folder))
    if "bits" in part:
        items = [items[index] for index in np.flatnonzero(_bits(part["bits"], len(items), folder))]
    elif "rest_of" in part:
        left_out = set(_part(folder, part["rest_of"]))
        items = [item for item in items if item not in left_out]
    if len(items) != part["count"]:
        found = f"{len(items)} entries, not {part['count']}"
        raise MdtkError(f"{FOLDER / folder}.yaml: {name} has {found}; restore it from the repository")
    return items


def _universe(folder: str, node: dict) -> list[Item]:
    """Every entry that a part may choose from: groups in their order, frames in theirs, sides in theirs."""
    document = _document(folder)
    groups = node["groups"]
    lengths = _document("drives")[groups] if isinstance(groups, str) else groups
    margin = node.get("margin", document.get("margin", [0, 0]))
    sides = document.get("sides", ["l"])
    static = set(_part("static_frames", "all")) if document.get("without") == "static_frames" else frozenset()
    return [
        Item(group, frame, side)
        for group, frames in lengths.items()
        for frame in _frames(frames, margin)
        if (group, frame, "l") not in static
        for side in sides
    ]


def _frames(frames: int | str, margin: list[int]) -> Iterable[int]:
    """A length with margins, or "5-176,181" as the frames it names, in its order."""
    if isinstance(frames, int):
        return range(margin[0], frames - margin[1])
    spans = (span.partition("-") for span in frames.replace("\n", "").split(","))
    return [frame for first, dash, last in spans for frame in range(int(first), int(last if dash else first) + 1)]


def _bits(text: str, count: int, folder: str) -> np.ndarray:
    """One flag an entry, from base64 of zlib of packed bits."""
    try:
        packed = zlib.decompress(base64.b64decode(text))
        return np.unpackbits(np.frombuffer(packed, np.uint8), count=count)
    except (zlib.error, binascii.Error, ValueError) as error:
        raise MdtkError(f"{FOLDER / folder}.yaml: is damaged ({error}); restore it from the repository") from error
