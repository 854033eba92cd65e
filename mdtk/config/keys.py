"""Configuration keys: each has a name, a default, a meaning and a range, and is a field of a section's dataclass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from yacs.config import CfgNode

from mdtk.core.errors import MdtkError

MOST = 10**9  # the maximum of counts that have no natural bound
S = TypeVar("S", bound="Section")


@dataclass(frozen=True)
class Key:
    """A key of the configuration tree. Its range applies to a number, or to every number of a list."""

    name: str  # dotted, for example LOSS.SMOOTHNESS
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False  # whether `low` itself is refused
    open_high: bool = False  # whether `high` itself is refused
    element: type | None = None  # the type of a list's elements
    lengths: tuple[int, ...] = ()  # the allowed lengths of a list; empty: any
    runtime: bool = False  # says where or how a run is done, not what it computes: may differ when a run is resumed

    def check(self, value: Any) -> None:
        """Raises `MdtkError` for a value that the key cannot take."""
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
        """Describes the range, for example "at least 1" or "between 0 and 1 (not 1 itself)"."""
        if math.isinf(self.low) and math.isinf(self.high):
            return "a finite number"
        if self.high >= MOST:
            return f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        ends = [f"{end:g}" for end, out in ((self.low, self.open_low), (self.high, self.open_high)) if out]
        return f"between {self.low:g} and {self.high:g}" + (f" (not {' or '.join(ends)} itself)" if ends else "")


def key(name: str, default: Any, meaning: str, **more: Any) -> Any:
    """A dataclass field that declares the key `name`; `more` are further fields of `Key`."""
    if isinstance(default, list):
        default = tuple(default)
    return dataclasses.field(default=default, metadata={"key": Key(name, default, meaning, **more)})


@dataclass(frozen=True)
class Section:
    """The base of the sections: frozen dataclasses whose fields are declared with `key`."""

    @classmethod
    def all_keys(cls) -> Iterator[tuple[str, Key]]:
        """The name and the key of every field."""
        for field in dataclasses.fields(cls):
            yield field.name, field.metadata["key"]

    @classmethod
    def of(cls: type[S], cfg: CfgNode, below: str = "") -> S:
        """The section with the values of the tree `cfg`; lists become tuples.

        `below` says that `cfg` is not the whole tree but its node of that name, for example one DATA node of DATA.SETS.
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
    """The configuration tree with all defaults, and a mapping from dotted names to keys."""
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
