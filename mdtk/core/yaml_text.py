"""Reads YAML that may come from anybody: its length, depth and what its aliases expand to are bounded first."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from mdtk.core.errors import MdtkError, one_line
from mdtk.core.guard import reading

LONGEST_TEXT = 256 << 10  # characters; the longest recipe has 4 thousand
DEEPEST = 32  # levels of nesting
MOST_NODES = 50_000  # values, each counted as often as aliases repeat it


def parse_yaml(text: str, origin: str) -> Any:
    """The plain values of a YAML text; `origin` names it in messages.

    Raises `MdtkError` for invalid YAML, a text of more than `LONGEST_TEXT` characters, nesting of more than `DEEPEST`
    levels, and aliases that stand for more than `MOST_NODES` values or for a value that holds itself.
    """
    if len(text) > LONGEST_TEXT:
        raise MdtkError(f"{origin}: {len(text)} characters of YAML are too many ({LONGEST_TEXT}); shorten it")
    with reading(origin, "YAML", "correct it"):
        try:
            _check_depth(text, origin)
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            if root is not None:
                _expanded(root, {}, origin)
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise MdtkError(f"{origin}: not valid YAML: {one_line(str(error), 250)}") from error


def _check_depth(text: str, origin: str) -> None:
    """Goes through the parser's events, which are made one by one, and stops at the first that is too deep."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise MdtkError(f"{origin}: YAML nested more than {DEEPEST} levels deep; it is no configuration")
        if count > MOST_NODES:
            raise MdtkError(f"{origin}: more than {MOST_NODES} values in YAML; it is no configuration")


def _expanded(node: Node, known: dict[int, int], origin: str) -> int:
    """The number of values in `node` with every alias written out; 0 marks a node that is being counted."""
    if not isinstance(node, CollectionNode):
        return 1
    if id(node) in known:
        if not known[id(node)]:
            raise MdtkError(f"{origin}: a YAML value holds itself; write it without an alias")
        return known[id(node)]
    known[id(node)] = 0
    if isinstance(node, MappingNode):
        names = Counter(key.value for key, _ in node.value if isinstance(key, ScalarNode))
        if twice := [name for name, count in names.items() if count > 1 and name != "<<"]:
            raise MdtkError(f"{origin}: {twice[0]} stands twice in one YAML mapping, and one would be lost; join them")
    children = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    total = 1
    for child in children:
        total += _expanded(child, known, origin)
        if total > MOST_NODES:
            raise MdtkError(f"{origin}: its aliases stand for more than {MOST_NODES} YAML values; write them out")
    known[id(node)] = total
    return total
