"""Packed copies of a recipe's lists: what they must hold, opening them, and making them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import DataLoader, Dataset
from yacs.config import CfgNode

from mdtk import __version__
from mdtk.config import data_sets
from mdtk.core.errors import MdtkError
from mdtk.core.files import resolve_data
from mdtk.data.preparation import Preparation, build_preparation
from mdtk.datasets.catalogue import build_reader
from mdtk.datasets.entry_frames import EntryFrames, decode_frames
from mdtk.datasets.packed import PackedFacts, PackedFrames, packed_folder, read_note
from mdtk.datasets.prepare.packed_writer import Packed, write_packed
from mdtk.datasets.reader import STEREO, DatasetReader, Offset
from mdtk.datasets.splits import text_sha256

Entries = Iterable[EntryFrames | MdtkError]


def build_offsets(node: CfgNode) -> list[Offset]:
    """The frames of a training sample of a DATA node: the target, its sources, the other camera."""
    return [0, *node.SOURCES, *([STEREO] if node.STEREO else [])]


def build_facts(node: CfgNode, reader: DatasetReader, prepare: Preparation) -> PackedFacts:
    """What a packed copy of the reader's list must hold for samples that `prepare` draws."""
    return PackedFacts(
        dataset=node.NAME,
        list_sha256=text_sha256(reader.lines),
        entries=len(reader),
        offsets=tuple(map(str, build_offsets(node))),
        width=node.WIDTH,
        height=node.HEIGHT,
        stride=node.SEQUENCE.STRIDE if node.NAME == "sequence" else 1,
        native=prepare.cuts_native,
    )


def build_packed(node: CfgNode, split: str, reader: DatasetReader, prepare: Preparation) -> PackedFrames | None:
    """The packed copy that DATA.PACKED names, if it does. Raises `MdtkError` for one that does not fit the recipe."""
    if not node.PACKED:
        return None
    folder = packed_folder(resolve_data(node.PACKED), node.NAME, split)
    return PackedFrames(folder, build_facts(node, reader, prepare), reader)


@dataclass(frozen=True)
class Job:
    """One list to pack."""

    folder: Path
    title: str
    facts: PackedFacts
    reader: DatasetReader
    offsets: list[Offset]
    most_unreadable: int

    def is_done(self) -> bool:
        """Whether a copy that fits is there; `MdtkError` for one that does not fit."""
        if not self.folder.exists():
            return False
        if reason := read_note(self.folder)[0].misfit(self.facts):
            raise MdtkError(f"{self.folder} {reason}; give --overwrite, or another DATA.PACKED")
        return True

    def run(self, workers: int, progress: Callable[[Entries], Entries]) -> Packed:
        """Decodes and writes every entry in order, in `workers` processes (0: in this one)."""
        entries = progress(_decoded(self, workers))
        root = str(getattr(self.reader, "root", ""))
        provenance: dict[str, object] = {"list": self.title, "root": root, "mdtk": __version__}
        return write_packed(self.folder, self.facts, entries, provenance, self.most_unreadable)


def build_jobs(cfg: CfgNode) -> list[Job]:
    """The training and validation lists of every set, each once. Raises `MdtkError` without DATA.PACKED."""
    jobs: dict[Path, Job] = {}
    preparations = build_preparation(cfg), build_preparation(cfg, augmented=False)
    for node in data_sets(cfg):
        if not node.PACKED:
            raise MdtkError("DATA.PACKED is empty; name the folder of the packed copy: DATA.PACKED /fast/disk/packed")
        for split, prepare in zip((node.TRAIN_SPLIT, node.VAL_SPLIT), preparations, strict=True):
            if not split:
                continue
            reader = build_reader(node, cfg, split)
            folder = packed_folder(resolve_data(node.PACKED), node.NAME, split)
            facts = build_facts(node, reader, prepare)
            title = f"{node.NAME} {split}"
            job = Job(folder, title, facts, reader, build_offsets(node), cfg.DATA.MAX_UNREADABLE)
            jobs[folder] = _with_both(jobs[folder], job) if folder in jobs else job
    return list(jobs.values())


def _with_both(first: Job, second: Job) -> Job:
    """One copy for two uses of a list, in one folder."""
    wider = dataclasses.replace(first.facts, native=first.facts.native or second.facts.native)
    if reason := wider.misfit(second.facts):
        raise MdtkError(
            f"{first.title} and {second.title} would be packed into {first.folder}, and one {reason}; give each set "
            "of DATA.SETS a PACKED of its own"
        )
    return dataclasses.replace(first, facts=wider)


class _Decoder(Dataset):
    """Entries of a job; an `MdtkError` comes back as an item, to stay one sentence."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __len__(self) -> int:
        return len(self.job.reader)

    def __getitem__(self, index: int) -> EntryFrames | MdtkError:
        job = self.job
        try:
            frames = decode_frames(job.reader, index, job.offsets, (job.facts.width, job.facts.height))
            return frames if job.facts.native else dataclasses.replace(frames, images=())
        except MdtkError as error:
            return error


def _decoded(job: Job, workers: int) -> Iterator[EntryFrames | MdtkError]:
    yield from DataLoader(_Decoder(job), batch_size=None, shuffle=False, num_workers=workers, collate_fn=_same)


def _same(item: object) -> object:
    return item
