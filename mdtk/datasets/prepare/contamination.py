"""How much of a test list a model was trained on: its list travels with the checkpoint, frames and checksum."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from yacs.config import CfgNode

from mdtk.config import data_sets, dump
from mdtk.core.errors import MdtkError, one_line
from mdtk.core.guard import TEXT_LIMIT, reading
from mdtk.datasets import compact_splits
from mdtk.datasets.catalogue import DATASETS, build_reader, related
from mdtk.datasets.prepare.leaks import frame_key
from mdtk.datasets.prepare.nyu_split import place, test_places
from mdtk.datasets.reader import DatasetReader
from mdtk.datasets.readers.nyuv2 import LABELED, NYUv2
from mdtk.datasets.splits import as_text, text_sha256

NO_LISTS = ("sequence",)  # datasets whose lines are no lists of files that another machine knows
# Published training lists of KITTI raw that hold test frames: `content_sha256` of their lines → what is known of them
BAD_LISTS = {
    "8a18f9d55309e78146521badf544d3dcba16b5616618e28e32931b76ef008133": "Monodepth2's benchmark/train, made for the "
    "server's images: it holds 451 of Eigen's 697 test frames",
    # The same without the 451 left images; the published file has as many lines (71,633) and characters (3,172,008)
    "6e79ddab40c81682234b2c2a4587603cd13329ad6fcfe1db8e8aae69bb9658db": "eigen_benchmark/train of monodepth_benchmark "
    "and SlowTV (Kick Back & Relax): it holds the other camera's image of 451 of Eigen's 697 test frames",
}
# Another that is not at hand: (lines, Eigen test frames among them) → what is known; a list like it is probably it
BAD_COUNTS = {
    (71_634, 451): "eigen_zhou/train of SfMNeXt-Impl at 6a1e997f (SQLdepth), which SPIdepth ships too: 451 of Eigen's "
    "697 test frames",
}


@dataclass(frozen=True)
class TrainList:
    """The list that a model was trained on: dataset, name, checksum of its text form, lines, offsets of its sources."""

    dataset: str
    name: str
    sha256: str
    lines: tuple[str, ...]
    sources: tuple[int, ...] = ()
    assumed: bool = False  # a checkpoint without its list: the configuration names it, as the data here has it

    def pack(self) -> dict[str, Any]:
        """Plain values and one tensor, as a checkpoint holds them."""
        packed = zlib.compress(as_text(self.lines).encode(), 9)
        values = torch.from_numpy(np.frombuffer(packed, np.uint8).copy())
        return {
            "dataset": self.dataset,
            "name": self.name,
            "sha256": self.sha256,
            "lines": values,
            "sources": list(self.sources),
        }


def unpack(stored: Mapping[str, Any]) -> TrainList:
    """The list of `TrainList.pack`. Raises `MdtkError` where it is torn."""
    with reading("the checkpoint", "training list", "write the checkpoint again"):
        packed = zlib.decompressobj()
        text = packed.decompress(stored["lines"].numpy().tobytes(), TEXT_LIMIT)
        if packed.unconsumed_tail:
            raise ValueError(f"it unpacks to more than {TEXT_LIMIT >> 20} MB")
        lines = tuple(text.decode().splitlines())
        dataset, name, sha256 = (one_line(str(stored[key])) for key in ("dataset", "name", "sha256"))
        found = TrainList(dataset, name, sha256, lines, tuple(int(offset) for offset in stored["sources"]))
    if text_sha256(lines) != found.sha256:
        raise MdtkError(f"the checkpoint's training list {found.name} is not the one of its checksum; write it again")
    return found


def train_lists(cfg: CfgNode) -> tuple[TrainList, ...]:
    """The training lists of a configuration, of the sets whose data is there."""
    return _train_lists(dump(cfg), cfg)


def assumed_lists(cfg: CfgNode) -> tuple[TrainList, ...]:
    """`train_lists` for a checkpoint that carries none: results say that only its configuration names them."""
    return tuple(replace(one, assumed=True) for one in train_lists(cfg))


_KNOWN: dict[str, tuple[TrainList, ...]] = {}


def _train_lists(text: str, cfg: CfgNode) -> tuple[TrainList, ...]:
    if text not in _KNOWN:
        found = []
        for node in data_sets(cfg):
            try:
                reader = build_reader(node, cfg, node.TRAIN_SPLIT)
            except MdtkError:
                continue  # a checkpoint can be opened where its training data is not
            lines = tuple(reader.lines)
            found.append(TrainList(node.NAME, node.TRAIN_SPLIT, text_sha256(lines), lines, tuple(node.SOURCES)))
        _KNOWN[text] = tuple(found)
    return _KNOWN[text]


def content_sha256(lines: Sequence[str]) -> str:
    """A checksum of a list's content: whatever the order of its lines, and the leading zeros of its numbers."""
    plain = (" ".join(str(int(part)) if part.isdecimal() else part for part in line.split()) for line in lines)
    return text_sha256(sorted(plain))


@functools.lru_cache(maxsize=8)
def known_bad(dataset: str, lines: tuple[str, ...]) -> str:
    """What is known of a published training list that holds test frames; empty for any other list."""
    if dataset != "kitti_raw":
        return ""
    if found := BAD_LISTS.get(content_sha256(lines)):
        return found
    if len(lines) not in {count for count, _ in BAD_COUNTS}:
        return ""
    tests = {tuple(line.split()[:2]) for line in compact_splits.expand("eigen/test")}
    frames = {(folder, str(int(frame))) for folder, frame, *_ in (line.split() for line in lines)}
    held = sum((folder, str(int(frame))) in frames for folder, frame in tests)
    found = BAD_COUNTS.get((len(lines), held), "")
    return f"{found} (by its counts)" if found else ""


def contamination(lists: Sequence[TrainList], test: DatasetReader, indices: Sequence[int]) -> dict[str, object]:
    """What training on `lists` held of the entries `indices` of a test list, as plain values for a result.

    `test_frames` counts frames that are entries of the training list, `test_frames_seen` those that training looks at,
    as sources too, and `test_recordings` the drives or scenes of which training has any frame.
    """
    if not lists:
        return {"text": "the training list is not known"}
    family = related(test.key)
    used = [one for one in lists if one.dataset in family and one.dataset not in NO_LISTS]
    names = ", ".join(f"{one.name} of {one.dataset}" for one in lists)
    names += "; the checkpoint carries none, its configuration says this" if any(one.assumed for one in lists) else ""
    facts: dict[str, object] = {
        "training_lists": [{"dataset": one.dataset, "name": one.name, "sha256": one.sha256} for one in lists]
    }
    if any(one.dataset in NO_LISTS and one.dataset in family for one in lists):
        return {"text": "not known: frames of one's own have no list to compare", **facts}
    keys = [frame_key(test, index) for index in indices]
    entries = set().union(*(_frames(one, test) for one in used)) if used else set()
    offsets = {offset for one in used for offset in one.sources if isinstance(offset, int)}
    seen = entries | {(recording, frame + offset) for recording, frame in entries for offset in offsets}
    recordings, trained = {recording for recording, _ in keys}, {recording for recording, _ in entries}
    if isinstance(test, NYUv2) and used:
        recordings, trained = _nyu_places(test, indices, used)
    held, looked_at = sum(key in entries for key in keys), sum(key in seen for key in keys)
    shared = recordings & trained
    drives = f"frames of {len(shared)} of their {len(recordings)} drives or scenes"
    drives = drives if recordings else f"their scenes are not known: {LABELED} is not there or names none"
    known = [text for one in used if (text := known_bad(one.dataset, one.lines))]
    text = f"the training list ({names}) holds {held} of the {len(keys)} test frames, and {drives}" + "".join(
        f"; known list: {one}" for one in known
    )
    counts = {"test_frames": held, "test_frames_seen": looked_at, "frames": len(keys)}
    return {"text": text, **counts, "test_recordings": len(shared), "recordings": len(recordings), **facts}


def _nyu_places(test: NYUv2, indices: Sequence[int], used: Sequence[TrainList]) -> tuple[set[Hashable], set[Hashable]]:
    """The places of the test images, none where the official file does not say, and those that training shows."""
    places = test_places(test.root / LABELED) or {}
    lines = (line.split()[0] for one in used for line in one.lines if line.split())
    trained: set[Hashable] = {place(line.split("/")[-2]) for line in lines if line.count("/") > 1}
    numbers = [test.official_id(index) for index in indices if places and test.is_test(index)]
    return {places[number] for number in numbers if number in places}, trained


def _frames(one: TrainList, test: DatasetReader) -> set[tuple[Hashable, int]]:
    reader = DATASETS.find(one.dataset, "the checkpoint")(test.root, one.lines)
    return {frame_key(reader, index) for index in range(len(reader))}
