"""What a configuration key is: its name, default, meaning and range, declared as a field of a section's dataclass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from yacs.config import CfgNode

from mdtk.core.errors import MdtkError

MOST = 10**9  # of counts that have no natural bound
S = TypeVar("S", bound="Section")


@dataclass(frozen=True)
class Key:
    """A key of the configuration tree. Ranges hold for a number, or for every number of a list."""

    name: str  # dotted, for example LOSS.SMOOTHNESS
    default: Any
    meaning: str
    choices: tuple = ()
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False  # the lower end itself is refused
    open_high: bool = False
    element: type | None = None  # what a list holds
    lengths: tuple[int, ...] = ()  # of a list; empty: any
    runtime: bool = False  # where and how a run goes, not what it computes: may differ when a run is resumed

    def check(self, value: Any) -> None:
        """Refuses what the key cannot take, in one sentence."""
        if self.choices and value not in self.choices:
            raise MdtkError(f"{self.name} is {value!r}; it takes one of {', '.join(map(str, self.choices))}")
        if isinstance(value, list) and self.lengths and len(value) not in self.lengths:
            raise MdtkError(f"{self.name} is {value}; it takes {' or '.join(map(str, self.lengths))} elements")
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, (int, float)) and not isinstance(number, bool) and not self._holds(number):
                raise MdtkError(f"{self.name} is {value}; it must be {self.span()}")

    def _holds(self, number: float) -> bool:
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return above and below and math.isfinite(number)

    def span(self) -> str:
        """The range, for example "at least 1" or "between 0 and 1 (not 1 itself)"."""
        if math.isinf(self.low) and math.isinf(self.high):
            return "a finite number"
        if self.high >= MOST:
            return f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        ends = [f"{end:g}" for end, out in ((self.low, self.open_low), (self.high, self.open_high)) if out]
        return f"between {self.low:g} and {self.high:g}" + (f" (not {' or '.join(ends)} itself)" if ends else "")


def key(name: str, default: Any, meaning: str, **more: Any) -> Any:
    """A dataclass field that is the one declaration of the key `name`; `more`: further fields of `Key`."""
    if isinstance(default, list):
        default = tuple(default)
    return dataclasses.field(default=default, metadata={"key": Key(name, default, meaning, **more)})


class Section:
    """A frozen dataclass whose fields are `key(…)`s: the keys of one part of the tree as arguments."""

    @classmethod
    def all_keys(cls) -> Iterator[tuple[str, Key]]:
        """(field name, key) of every field."""
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            yield field.name, field.metadata["key"]

    @classmethod
    def of(cls: type[S], cfg: CfgNode, below: str = "") -> S:
        """The section that a tree holds; lists become tuples.

        `below`: `cfg` is the node of that name and not the whole tree (a DATA node of DATA.SETS).
        """
        prefix = f"{below}." if below else ""
        values = {name: _frozen(_look_up(cfg, one.name.removeprefix(prefix))) for name, one in cls.all_keys()}
        return cls(**values)


def _look_up(cfg: CfgNode, name: str) -> Any:
    node: Any = cfg
    for part in name.split("."):
        node = node[part]
    return node


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def tree(sections: Sequence[type[Section]]) -> tuple[CfgNode, Mapping[str, Key]]:
    """The configuration tree of all defaults, and every key by its dotted name."""
    root, keys = CfgNode(), {}
    for section in sections:
        for _, one in section.all_keys():
            *parents, leaf = one.name.split(".")
            node = root
            for parent in parents:
                if parent not in node:
                    node[parent] = CfgNode()
                node = node[parent]
            node[leaf] = list(one.default) if isinstance(one.default, tuple) else one.default
            keys[one.name] = one
    return root, keys
