"""What of the published datasets is on this machine: for each split list, the files that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file
from mdtk.datasets.catalogue import DATASETS
from mdtk.datasets.prepare.download_table import Download
from mdtk.datasets.reader import DatasetReader
from mdtk.datasets.splits import load_split


@dataclass(frozen=True)
class Stock:
    """What is there of one list: the numbers of its entries, of the files that they need and of missing ones.

    `advice` is the command that gets what is missing, `problem` says why nothing can be counted.
    """

    name: str
    entries: int = 0
    files: int = 0
    missing: int = 0
    first: str = ""  # the first missing file
    problem: str = ""
    advice: str = ""

    def describe(self) -> str:
        """One line."""
        if self.problem:
            return f"{self.name}: {self.problem}"
        state = f"{self.missing:,} of {self.files:,} files missing, the first {self.first}" if self.missing else "whole"
        return f"{self.name}: {self.entries:,} entries, {state}"


def stock(row: Download, names: list[str], root: Path, prepared_root: Path) -> Iterator[Stock]:
    """What is there of each of the lists below `root`, a folder; of lists that are prepared, below `prepared_root`."""
    key = row.root.lower()
    for name in names:
        own = f" --data_path {root}" if root.name != key else ""
        fetch = f"mdtk data fetch {row.name} --split {name}{own}"
        found = _count(row, name, DATASETS.find(key, "--split")(root, ["-"]), root, fetch)
        if name in row.prepared and not found.missing and not found.problem:
            then = row.then[name].format(root=root)
            reader = DATASETS.find(row.prepared[name], "--split")
            absent = Stock(name, found.entries, problem="fetched, but not prepared", advice=then)
            made = (
                _count(row, name, reader(prepared_root, ["-"]), prepared_root, then)
                if prepared_root.is_dir()
                else absent
            )
            yield absent if made.missing == made.files else made
        else:
            yield found


def _count(row: Download, name: str, reader: DatasetReader, root: Path, advice: str) -> Stock:
    try:
        reader.lines = list(load_split(name, root).lines)
        paths = [path for index in range(len(reader)) for path in _files(row, name, reader, index)]
    except MdtkError as error:
        return Stock(name, problem=str(error), advice=advice)
    missing = [path for path in dict.fromkeys(paths) if not is_file(path)]
    count = len(set(paths))
    first = str(missing[0]) if missing else ""
    return Stock(name, len(reader), count, len(missing), first, advice=advice if missing else "")


def _files(row: Download, name: str, reader: DatasetReader, index: int) -> list[Path]:
    """The files of an entry that this dataset brings: its image, its ground truth."""
    truth = {**row.truth, **row.truth_only}
    images = [] if name in row.truth_only else reader.files(index, [0])
    return images + (reader.ground_truth_files(index, truth[name]) if name in truth else [])
