"""Reads command lines that were written for Monodepth2, BDEdepth or their ports.

A `Word` is one of their options and what it says here. `translate` replaces the words of a command line; an option
without a meaning here is refused with the key or option to use. The dictionaries are in `familiar_words`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from mdtk.core.errors import MdtkError

KEY = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)*")


@dataclass(frozen=True)
class Word:
    """A familiar option.

    `here` is what it becomes, as words separated by blanks in which {} stands for its values, joined by ", "; empty:
    nothing needs to be said here. `choices`: value → `here`, for options that take a name. `refused`: what to do
    instead, for an option that has no meaning here. `note`: printed where the option is met.
    """

    name: str
    here: str = ""
    values: str = ""  # "" none, "1" one, "+" one or more
    choices: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    note: str = ""
    unless: tuple[str, ...] = ()  # options that say it already: with one of them on the line, this one is left out

    def replacement(self, values: Sequence[str]) -> list[str]:
        """The words that the option with these values becomes. Raises `MdtkError` for a value without a meaning."""
        if self.refused:
            raise MdtkError(f"{self.name} has no meaning here: {self.refused}")
        if self.values and not values:
            raise MdtkError(f"{self.name} takes a value")
        template = self.here
        if self.choices:
            if values[0] not in self.choices:
                raise MdtkError(f"{self.name} {values[0]} is not known; it takes {', '.join(self.choices)}")
            template = self.choices[values[0]]
            if template.startswith("!"):
                raise MdtkError(f"{self.name} {values[0]} has no meaning here: {template[1:]}")
        return [word.replace("{}", ", ".join(values)) for word in template.split()]

    def describe(self) -> str:
        """What to type here, for the dictionary in the documentation."""
        if self.refused:
            return f"refused: {self.refused}"
        if self.choices:
            return "; ".join(f"{value}: {text.lstrip('!') or 'nothing'}" for value, text in self.choices.items())
        return self.here.replace("{}", "…") or self.note or "nothing"


@dataclass(frozen=True)
class Met:
    """A familiar option found on a command line, with its values."""

    word: Word
    values: tuple[str, ...]


def translate(
    words: Sequence[str], dictionary: Mapping[str, Word], own: Container[str] = ()
) -> tuple[list[str], list[Met]]:
    """The command line with every familiar option replaced, and the options that were met, in their order.

    Options in `own` are the tool's own and stay as they are. Several values for one option of several values, such as
    --datasets, are left to the parser.
    """
    kept: list[str] = []
    met: list[Met] = []
    place = 0
    while place < len(words):
        name, equals, value = words[place].partition("=")
        word = None if name in own else dictionary.get(name)
        place += 1
        if word is None:
            kept.append(words[place - 1])
            continue
        values = (value,) if equals else tuple(_values(word, words[place:]))
        place += 0 if equals else len(values)
        met.append(Met(word, values))
        kept += [] if any(other in words for other in word.unless) else word.replacement(values)
    return kept, met


def _values(word: Word, following: Sequence[str]) -> list[str]:
    if not word.values:
        return []
    values: list[str] = []
    for value in following:
        if value.startswith("--") or (word.values == "+" and KEY.fullmatch(value)):
            break
        values.append(value)
        if word.values == "1":
            break
    return values


def gather(words: Sequence[str], option: str) -> list[str]:
    """The words with all values of a repeated `option` behind its first place: each old option may give one."""
    kept: list[str] = []
    values: list[str] = []
    place, first = 0, -1
    while place < len(words):
        if words[place] != option:
            kept.append(words[place])
            place += 1
            continue
        first = len(kept) if first < 0 else first
        place += 1
        while place < len(words) and not words[place].startswith("--") and not KEY.fullmatch(words[place]):
            values.append(words[place])
            place += 1
    return kept if first < 0 else [*kept[:first], option, *dict.fromkeys(values), *kept[first:]]
