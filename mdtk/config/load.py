"""Loads recipes into the configuration tree, checks and freezes it, writes it as text and compares two of them.

A recipe is a YAML file; its key `_BASE_` names one or several recipes that it starts from: files relative to it, else
those that come with the package, such as `kitti/monodepth2_mono_640x192.yaml`.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from mdtk.config.check import check_values
from mdtk.config.keys import tree
from mdtk.config.sections import RENAMED, SECTIONS
from mdtk.core.errors import MdtkError
from mdtk.core.files import shipped
from mdtk.core.guard import read_text
from mdtk.core.registry import import_plugins
from mdtk.core.yaml_text import parse_yaml

MOST_FILES = 64  # recipes that one may be built of

_DEFAULTS, KEYS = tree(SECTIONS)
# The data root of each dataset; relative ones start at $MDTK_DATASETS, else at ./datasets. The keys are the names of
# dataset readers in capitals; a root that is not given is the reader's name in small letters.
_DEFAULTS.ROOTS = CfgNode()
_OPEN = ("ROOTS",)
RUNTIME_KEYS = (*_OPEN, *(name for name, one in KEYS.items() if one.runtime))


def default_config() -> CfgNode:
    """A new, mutable configuration tree with all defaults."""
    return _DEFAULTS.clone()


def load_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> CfgNode:
    """The checked and frozen configuration: defaults, changed by the recipe `path`, changed by the pairs `overrides`.

    Also imports the modules that PLUGINS names. Raises `MdtkError` that names the file and the key at fault.
    """
    cfg = default_config()
    if path:
        merge_mapping(cfg, read_recipe(Path(path)), str(path))
    override(cfg, overrides)
    check(cfg)
    import_plugins(cfg.PLUGINS, str(path or "command line"))
    cfg.freeze()
    return cfg


def config_from_text(text: str, origin: str) -> CfgNode:
    """The checked and frozen tree that `dump` wrote, completed by the defaults of keys that are newer than the text.

    `origin` names the file in messages. PLUGINS are not imported, since a checkpoint may come from anybody.
    """
    cfg = default_config()
    merge_mapping(cfg, _parse(text, origin), origin)
    check(cfg)
    cfg.freeze()
    return cfg


def read_recipe(path: Path) -> dict[str, Any]:
    """The nested mapping of a recipe over those of its `_BASE_` recipes, `MOST_FILES` of them at most."""
    return _Recipes().read(path, ())


class _Recipes:
    """Reads recipes, each file once: two bases that both name two others would double at every step."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[str, Any]] = {}

    def read(self, path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
        """A new mapping of the recipe `path`; `seen` holds the files that lead here."""
        path = Path(os.path.realpath(path))
        if path in seen:
            raise MdtkError(f"{path}: _BASE_ leads back to itself; remove the circle")
        if path not in self._known:
            if len(self._known) + len(seen) >= MOST_FILES:
                raise MdtkError(f"{path}: _BASE_ leads to more than {MOST_FILES} files; write fewer recipes")
            self._known[path] = self._merged(path, (*seen, path))
        return copy.deepcopy(self._known[path])

    def _merged(self, path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
        mapping = _parse(read_text(path, "configuration", "give an existing YAML file to --config"), str(path))
        bases = mapping.pop("_BASE_", [])
        bases = [bases] if isinstance(bases, str) else bases
        if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
            raise MdtkError(f"{path}: _BASE_ is {bases!r}; it takes the name of a recipe, or a list of names")
        if len(bases) > MOST_FILES:
            raise MdtkError(f"{path}: _BASE_ names more than {MOST_FILES} files; write fewer recipes")
        merged: dict[str, Any] = {}
        for base in bases:
            file = Path(find_recipe(base, path.parent))
            if not file.is_file():
                known = shipped("configs")
                raise MdtkError(f"{path}: _BASE_ {base} not found; give a file beside the recipe, or one of {known}")
            _merge_into(merged, self.read(file, seen))
        _merge_into(merged, mapping)
        return merged


def find_recipe(name: str, folder: str | Path = "") -> str:
    """The recipe's file: `name` as seen from `folder`, else the one of that name that comes with the package."""
    beside, inside = os.path.join(folder, name), shipped("configs") / name.removeprefix("configs/")
    return beside if os.path.exists(beside) or not inside.is_file() else str(inside)


def _parse(text: str, origin: str) -> dict[str, Any]:
    mapping = parse_yaml(text, origin)
    if not isinstance(mapping or {}, dict):
        raise MdtkError(f"{origin}: holds {type(mapping).__name__}, not a mapping of keys")
    if wrong := _not_text(mapping or {}):
        raise MdtkError(f"{origin}: the key {wrong[0]!r} is no text; keys are names such as DATA")
    return mapping or {}


def _not_text(mapping: dict[Any, Any]) -> list[Any]:
    """The keys in nested mappings that are no text."""
    below = [key for value in mapping.values() if isinstance(value, dict) for key in _not_text(value)]
    return [key for key in mapping if not isinstance(key, str)] + below


def _merge_into(target: dict[str, Any], source: dict[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge_into(target[key], value)
        else:
            target[key] = value


def merge_mapping(cfg: CfgNode, mapping: dict[str, Any], origin: str, prefix: str = "") -> None:
    """Sets every key of the nested `mapping` in `cfg`, the node whose name is `prefix`.

    Raises `MdtkError` for an unknown key or a value of the wrong type; `origin` names the file in it.
    """
    for key, value in mapping.items():
        name = RENAMED.get(f"{prefix}{key}", f"{prefix}{key}")
        leaf = name.rpartition(".")[2]
        if isinstance(value, dict) and isinstance(cfg.get(leaf), CfgNode):
            merge_mapping(cfg[leaf], value, origin, f"{name}.")
        else:
            _set(cfg, leaf, value, name, origin)


def override(cfg: CfgNode, pairs: Sequence[str]) -> None:
    """Sets keys of `cfg` from `pairs`, KEY VALUE KEY VALUE …; values are YAML, such as `1e-4`, `[0, 1]` or `true`."""
    if len(pairs) % 2:
        raise MdtkError(f"overrides come in pairs KEY VALUE; '{pairs[-1]}' has no value")
    for word, text in zip(pairs[::2], pairs[1::2], strict=True):
        key = RENAMED.get(word, word)
        node, leaf = _descend(cfg, key)
        value = parse_yaml(text, f"{key}, value '{text[:80]}'")
        if isinstance(node.get(leaf, ""), str) and not isinstance(value, (str, type(None))):
            value = text  # OUT_DIR 2011_09_26 is a name, though YAML reads a number
        _set(node, leaf, value, key, "command line")


def _descend(cfg: CfgNode, key: str) -> tuple[CfgNode, str]:
    node, parts = cfg, key.split(".")
    for part in parts[:-1]:
        if not isinstance(node.get(part), CfgNode):
            raise MdtkError(_unknown(key, "command line"))
        node = node[part]
    return node, parts[-1]


def _set(node: CfgNode, key: str, value: Any, name: str, origin: str) -> None:
    known = key in node or (name.rpartition(".")[0] in _OPEN and key.isupper())
    if not known:
        raise MdtkError(_unknown(name, origin))
    node[key] = _coerce(value, node.get(key, ""), name, origin)


def _unknown(name: str, origin: str) -> str:
    near = difflib.get_close_matches(name, list(KEYS), n=1, cutoff=0.0)
    return f"{origin}: unknown key {name}; the nearest is {near[0]}"


def _coerce(value: Any, default: Any, name: str, origin: str) -> Any:
    """`value` in the type of `default`. YAML reads `1e-4` as text and `1` as int; both become float where needed."""
    if isinstance(default, CfgNode):
        raise MdtkError(f"{origin}: {name} is a group of keys, it takes no value of its own")
    if isinstance(default, float) and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    elif isinstance(default, list) and isinstance(value, (list, tuple)):
        return [_element(item, name, origin) for item in value]
    elif isinstance(default, str) and value is None:
        return ""
    elif type(value) is type(default):
        return value
    raise MdtkError(
        f"{origin}: {name} takes {type(default).__name__} (like {default!r}), not {type(value).__name__} {value!r}"
    )


def _element(item: Any, name: str, origin: str) -> Any:
    """The element `item` in the type that the list `name` holds."""
    wanted = KEYS[name].element
    if wanted is float and isinstance(item, (int, float, str)) and not isinstance(item, bool):
        with contextlib.suppress(ValueError):
            return float(item)
    elif type(item) is wanted:
        return item
    raise MdtkError(f"{origin}: {name} is a list of {getattr(wanted, '__name__', 'values')}, it cannot hold {item!r}")


def flatten(cfg: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted name and the value of every key in the tree."""
    for key, value in cfg.items():
        if isinstance(value, CfgNode):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def dump(cfg: CfgNode) -> str:
    """The tree as YAML text, which `config_from_text` reads."""
    return str(cfg.dump())


def differences(left: CfgNode, right: CfgNode, ignore: Sequence[str] = RUNTIME_KEYS) -> list[str]:
    """A line "KEY: left != right" for each key that differs, except the keys in `ignore` and below them."""
    left_keys, right_keys = dict(flatten(left)), dict(flatten(right))
    lines = []
    for key in sorted(left_keys.keys() | right_keys.keys()):
        if any(key == name or key.startswith(f"{name}.") for name in ignore):
            continue
        if left_keys.get(key) != right_keys.get(key):
            lines.append(f"{key}: {left_keys.get(key)!r} != {right_keys.get(key)!r}")
    return lines


def data_sets(cfg: CfgNode) -> list[CfgNode]:
    """The DATA node of each training set: DATA itself, or DATA changed by one mapping of DATA.SETS."""
    if not cfg.DATA.SETS:
        return [cfg.DATA]
    nodes = []
    for index, mapping in enumerate(cfg.DATA.SETS):
        node = cfg.DATA.clone()
        node.defrost()
        node.SETS = []
        if not isinstance(mapping, dict):
            raise MdtkError(f"DATA.SETS[{index}] is {mapping!r}; it takes a mapping such as {{NAME: kitti_raw}}")
        merge_mapping(node, mapping, f"DATA.SETS[{index}]", "DATA.")
        node.freeze()
        nodes.append(node)
    return nodes


def depth_range(node: CfgNode, cfg: CfgNode) -> tuple[float, float]:
    """The minimum and maximum depth of a training set, in the unit of the pose: the depths of sigmoid 1 and 0."""
    return tuple(node.DEPTH_RANGE) if any(node.DEPTH_RANGE) else (cfg.MODEL.MIN_DEPTH, cfg.MODEL.MAX_DEPTH)


def check(cfg: CfgNode) -> None:
    """Raises `MdtkError` for the first value that its key cannot take, or that contradicts another."""
    sets = data_sets(cfg)
    for node in [cfg, *({"DATA": one} for one in sets if cfg.DATA.SETS)]:
        for name, value in flatten(node):
            if name in KEYS:
                KEYS[name].check(value)
    check_values(cfg, sets)
