"""Published datasets as rows of data (`download_table.yaml`): which archives a split list needs, and where files go."""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mdtk.core.errors import MdtkError
from mdtk.datasets.splits import load_split

TABLE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Download:
    """A row of the table, whose head says what each field means."""

    name: str
    root: str
    licence: str
    page: str
    size: str
    lists: tuple[str, ...]
    files: Mapping[str, str]
    address: str = ""
    steps: str = ""
    default: tuple[str, ...] = ()
    group: str = ""
    per_group: tuple[str, ...] = ()
    archives: Mapping[str, Sequence[str]] = field(default_factory=dict)
    images: str = ""
    checksum: str = ""
    truth: Mapping[str, str] = field(default_factory=dict)
    truth_only: Mapping[str, str] = field(default_factory=dict)
    prepared: Mapping[str, str] = field(default_factory=dict)
    then: Mapping[str, str] = field(default_factory=dict)

    def names(self, words: Sequence[str]) -> list[str]:
        """The lists that --split means: their names, a folder for all of its lists, text files; none: the default.

        Raises `MdtkError` for a list that this dataset does not serve.
        """
        found: list[str] = []
        for word in words or self.default or self.lists:
            named = [name for name in self.lists if word in (name, name.split("/")[0])]
            if not named and not (self.group and word.endswith(".txt")):
                near = difflib.get_close_matches(word, self.lists, n=1, cutoff=0.0)[0]
                raise MdtkError(f"--split {word}: {self.name} serves {', '.join(self.lists)}; the nearest is {near}")
            found += named or [word]
        return list(dict.fromkeys(found))

    def groups(self, names: Sequence[str], root: Path) -> frozenset[str] | None:
        """The groups of files (drives, sequences) that the lists need; None: all."""
        if not self.group:
            return None
        found: set[str] = set()
        for name in names:
            for number, line in enumerate(load_split(name, root).lines, 1):
                if match := re.search(self.group, line):
                    found.add(match[0].zfill(2))
                elif self.per_group:
                    raise MdtkError(f"{name}, line {number}: '{line}' names no files of {self.name}; correct the list")
        return frozenset(found)

    def needed(self, names: Sequence[str], groups: frozenset[str] | None) -> list[str]:
        """The archives that the lists need, as paths below `address`."""
        found = [name for name, lists in self.archives.items() if not lists or set(lists) & set(names)]
        for pattern in self.per_group:
            found += [
                pattern.format(group=one, date=one[:10], drive=one.removesuffix("_sync"))
                for one in sorted(groups or ())
            ]
        return list(dict.fromkeys(found))

    def place(self, member: str, groups: frozenset[str] | None) -> str:
        """Where a member of an archive goes below the root; an empty text: it is not needed."""
        for pattern, place in self.files.items():
            if match := re.fullmatch(pattern, member):
                group = match.groupdict().get("group")
                needed = groups is None or group is None or group in groups
                return match.expand(place) if needed else ""
        return ""

    def url(self, archive: str) -> str:
        """The address of an archive, at the mirror of MDTK_DATA_URL where there is one; empty: by hand."""
        mirror = os.environ.get("MDTK_DATA_URL", "")
        return f"{(mirror or self.address).rstrip('/')}/{archive}" if mirror or self.address else ""


@functools.cache
def downloads() -> Mapping[str, Download]:
    """All rows of the table by name."""
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return {name: Download(name, **{key: _frozen(value) for key, value in row.items()}) for name, row in table.items()}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
