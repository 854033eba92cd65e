"""Checks all data that a recipe would read, before the training starts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from yacs.config import CfgNode

from mdtk.config import data_sets
from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import build_eval_reader, build_reader
from mdtk.datasets.packed import PackedFrames
from mdtk.datasets.prepare.check_list import (
    Checked,
    Progress,
    check_ground_truth,
    check_list,
    check_packed,
    check_poses,
)
from mdtk.datasets.prepare.contamination import known_bad
from mdtk.datasets.prepare.leaks import frames_seen, overlap, published_overlaps
from mdtk.datasets.reader import STEREO, DatasetReader, Offset

Test = tuple[str, str, str]  # dataset, list and kind of ground truth of a protocol
Seen = set[tuple[Hashable, int]]  # frames that training looks at, see `leaks.frame_key`
OpenPacked = Callable[[CfgNode, str, DatasetReader], PackedFrames | None]  # a DATA node, its list, the list's reader


def build_checks(
    cfg: CfgNode,
    tests: Sequence[Test],
    quick: bool,
    progress: Progress,
    open_packed: OpenPacked = lambda node, split, reader: None,
) -> Iterator[Checked]:
    """Yields the result of each list: training and validation lists of every set, then the `tests` of protocols.

    `open_packed` gives the packed copy that a training would read; None for the files of the data root.
    """
    seen: Seen = set()
    for node in data_sets(cfg):
        offsets = [0, *node.SOURCES, *([STEREO] if node.STEREO else [])]
        for split in (node.TRAIN_SPLIT, node.VAL_SPLIT):
            if not split:
                continue
            checked, reader = _check_set(node, cfg, split, offsets, quick, progress, open_packed)
            if reader is not None and split == node.TRAIN_SPLIT:
                held = _seen(reader, offsets)
                seen |= held
                for text in published_overlaps(reader, held):
                    checked.add("overlap", text, fatal=False)
                if known := known_bad(node.NAME, tuple(reader.lines)):
                    checked.add("known list", known, fatal=False)
            elif reader is not None:
                _add_overlap(checked, seen, reader, f"the validation list {split}")
            yield checked
    for test in dict.fromkeys(tests):
        yield _check_test(test, cfg, seen, quick, progress)


def _check_set(
    node: CfgNode,
    cfg: CfgNode,
    split: str,
    offsets: list[Offset],
    quick: bool,
    progress: Progress,
    open_packed: OpenPacked,
) -> tuple[Checked, DatasetReader | None]:
    title = f"{node.NAME} {split}"
    try:
        reader = build_reader(node, cfg, split)
    except MdtkError as error:
        return _cannot_open(title, error), None
    try:
        packed = open_packed(node, split, reader)
    except MdtkError as error:
        return _cannot_open(title, error, "packed copy", len(reader)), reader
    if packed is not None:
        checked = check_packed(packed, reader, offsets, title, quick, progress)
    else:
        checked = check_list(reader, offsets, title, quick, progress)
    if cfg.MODEL.POSE == "given":
        check_poses(reader, offsets, checked)
    return checked, reader


def _check_test(test: Test, cfg: CfgNode, seen: Seen, quick: bool, progress: Progress) -> Checked:
    key, split, kind = test
    title = f"{key} {split} (evaluation{', ' + kind if kind else ''})"
    try:
        reader = build_eval_reader(key, cfg, split)
    except MdtkError as error:
        return _cannot_open(title, error)
    checked = check_list(reader, [0], title, quick, progress)
    if not quick:
        check_ground_truth(reader, kind, checked, progress)
    _add_overlap(checked, seen, reader, split)
    return checked


def _cannot_open(title: str, error: MdtkError, what: str = "data", entries: int = 0) -> Checked:
    checked = Checked(title, entries)
    checked.add(what, str(error))
    return checked


def _seen(reader: DatasetReader, offsets: list[Offset]) -> Seen:
    try:
        return frames_seen(reader, offsets)
    except MdtkError:
        return set()  # a line cannot be read, which `check_list` has found too


def _add_overlap(checked: Checked, seen: Seen, reader: DatasetReader, title: str) -> None:
    try:
        text = overlap(seen, reader, title)
    except MdtkError:
        return  # a line cannot be read, which `check_list` has found too
    if text:
        checked.add("overlap", text, fatal=False)
