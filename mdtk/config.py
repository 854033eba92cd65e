"""The configuration tree: load with `_BASE_`, override, check, freeze, dump, compare.

A recipe is a YAML file; `_BASE_` names one or several recipes (relative to the file) that it starts from.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from mdtk.defaults import _C, CHOICES, RUNTIME_KEYS
from mdtk.errors import MdtkError


def default_config() -> CfgNode:
    """A fresh, mutable tree of all keys."""
    return _C.clone()


def load_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> CfgNode:
    """Defaults, then the recipe `path`, then `KEY VALUE` pairs; checked and frozen."""
    cfg = default_config()
    if path:
        merge_mapping(cfg, read_recipe(Path(path)), str(path))
    override(cfg, overrides)
    check(cfg)
    cfg.freeze()
    return cfg


def config_from_text(text: str, origin: str) -> CfgNode:
    """The tree that `dump` wrote, completed by defaults for keys that are newer than the text; checked and frozen."""
    cfg = default_config()
    merge_mapping(cfg, _parse(text, origin), origin)
    check(cfg)
    cfg.freeze()
    return cfg


def read_recipe(path: Path, seen: tuple[Path, ...] = ()) -> dict:
    """The mapping of a recipe with its `_BASE_` recipes merged beneath it."""
    path = path.resolve()
    if path in seen:
        raise MdtkError(f"{path}: _BASE_ leads back to itself; remove the circle")
    if not path.is_file():
        raise MdtkError(f"configuration not found: {path}; give an existing YAML file to --config")
    mapping = _parse(path.read_text(encoding="utf-8"), str(path))
    bases = mapping.pop("_BASE_", [])
    merged: dict = {}
    for base in [bases] if isinstance(bases, str) else bases:
        _merge_into(merged, read_recipe(path.parent / base, (*seen, path)))
    _merge_into(merged, mapping)
    return merged


def _parse(text: str, origin: str) -> dict:
    try:
        mapping = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise MdtkError(f"{origin}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(mapping, dict):
        raise MdtkError(f"{origin}: holds {type(mapping).__name__}, not a mapping of keys")
    return mapping


def _merge_into(target: dict, source: dict) -> None:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge_into(target[key], value)
        else:
            target[key] = value


def merge_mapping(cfg: CfgNode, mapping: dict, origin: str, prefix: str = "") -> None:
    """Sets every key of `mapping` in `cfg`; an unknown key or a wrong type is an error that names it."""
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and isinstance(cfg.get(key), CfgNode):
            merge_mapping(cfg[key], value, origin, f"{name}.")
        else:
            _set(cfg, key, value, name, origin)


def override(cfg: CfgNode, pairs: Sequence[str]) -> None:
    """Applies `KEY VALUE KEY VALUE …`; values are read as YAML (`1e-4`, `[0, 1]`, `true`, text)."""
    if len(pairs) % 2:
        raise MdtkError(f"overrides come in pairs KEY VALUE; '{pairs[-1]}' has no value")
    for key, text in zip(pairs[::2], pairs[1::2], strict=True):
        node, leaf = _descend(cfg, key)
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise MdtkError(f"{key}: cannot read the value '{text}'") from error
        _set(node, leaf, value, key, "command line")


def _descend(cfg: CfgNode, key: str) -> tuple[CfgNode, str]:
    node, parts = cfg, key.split(".")
    for part in parts[:-1]:
        if not isinstance(node.get(part), CfgNode):
            raise MdtkError(_unknown(key, "command line"))
        node = node[part]
    return node, parts[-1]


def _set(node: CfgNode, key: str, value: Any, name: str, origin: str) -> None:
    if key not in node:
        raise MdtkError(_unknown(name, origin))
    node[key] = _coerce(value, node[key], name, origin)


def _unknown(name: str, origin: str) -> str:
    near = difflib.get_close_matches(name, list(_C_KEYS), n=1, cutoff=0.0)
    return f"{origin}: unknown key {name}; the nearest is {near[0]}"


def _coerce(value: Any, default: Any, name: str, origin: str) -> Any:
    """`value` in the type of `default`. YAML reads `1e-4` as text and `1` as int: both become float where due."""
    if isinstance(default, CfgNode):
        raise MdtkError(f"{origin}: {name} is a group of keys, it takes no value of its own")
    if isinstance(default, float) and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    elif isinstance(default, list) and isinstance(value, (list, tuple)):
        return list(value)
    elif isinstance(default, str) and value is None:
        return ""
    elif type(value) is type(default):
        return value
    raise MdtkError(
        f"{origin}: {name} takes {type(default).__name__} (like {default!r}), not {type(value).__name__} {value!r}"
    )


def flatten(cfg: CfgNode, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every (dotted key, value) of the tree."""
    for key, value in cfg.items():
        if isinstance(value, CfgNode):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


_C_KEYS = dict(flatten(_C))


def dump(cfg: CfgNode) -> str:
    """The tree as YAML text; `config_from_text` reads it back."""
    return cfg.dump()


def differences(left: CfgNode, right: CfgNode, ignore: Sequence[str] = RUNTIME_KEYS) -> list[str]:
    """Lines "KEY: left != right" for keys that differ, those below a name in `ignore` left out."""
    left_keys, right_keys = dict(flatten(left)), dict(flatten(right))
    lines = []
    for key in sorted(left_keys.keys() | right_keys.keys()):
        if any(key == name or key.startswith(f"{name}.") for name in ignore):
            continue
        if left_keys.get(key) != right_keys.get(key):
            lines.append(f"{key}: {left_keys.get(key)!r} != {right_keys.get(key)!r}")
    return lines


def data_sets(cfg: CfgNode) -> list[CfgNode]:
    """One DATA node a training set: DATA itself, or one for each mapping of DATA.SETS merged over it."""
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


def check(cfg: CfgNode) -> None:
    """Values that cannot work are refused here, with the key and what it takes."""
    flat = dict(flatten(cfg))
    for key, choices in CHOICES.items():
        if flat[key] not in choices:
            raise MdtkError(f"{key} is {flat[key]!r}; it takes one of {', '.join(map(str, choices))}")
    for key in ("DATA.HEIGHT", "DATA.WIDTH"):
        if flat[key] < 32 or flat[key] % 32:
            near = max(32, round(flat[key] / 32) * 32)
            raise MdtkError(f"{key} is {flat[key]}; it must be a multiple of 32, for example {near}")
    _check_model(cfg)
    _check_solver(cfg)
    for node in data_sets(cfg):
        _check_data(node, cfg)


def _check_model(cfg: CfgNode) -> None:
    model = cfg.MODEL
    if not model.SCALES or any(s not in (0, 1, 2, 3) for s in model.SCALES) or 0 not in model.SCALES:
        raise MdtkError(f"MODEL.SCALES is {model.SCALES}; it takes 0 and any of 1, 2, 3")
    if not 0 < model.MIN_DEPTH < model.MAX_DEPTH:
        raise MdtkError(
            f"MODEL.MIN_DEPTH {model.MIN_DEPTH} and MODEL.MAX_DEPTH {model.MAX_DEPTH} must hold 0 < least < greatest"
        )
    if not 0 < model.INIT_SIGMOID < 1:
        raise MdtkError(f"MODEL.INIT_SIGMOID is {model.INIT_SIGMOID}; it lies between 0 and 1")
    if model.PREDICTIVE_MASK and (cfg.VIEWS.LOCAL_CROP or cfg.VIEWS.SPLIT_PERMUTE):
        raise MdtkError("MODEL.PREDICTIVE_MASK knows the whole image only; set VIEWS.LOCAL_CROP, SPLIT_PERMUTE false")
    if model.PREDICTIVE_MASK and cfg.LOSS.AUTOMASK:
        raise MdtkError("MODEL.PREDICTIVE_MASK replaces the automask; set LOSS.AUTOMASK false with it")
    if cfg.LOSS.GEOMETRY_CONSISTENCY and cfg.VIEWS.LOCAL_CROP:
        raise MdtkError(
            "LOSS.GEOMETRY_CONSISTENCY compares depths of whole images, not of a magnified crop; "
            "set VIEWS.LOCAL_CROP false"
        )
    if model.LEARN_INTRINSICS and model.POSE != "separate":
        raise MdtkError(f"MODEL.LEARN_INTRINSICS needs MODEL.POSE separate, not {model.POSE}")


def _check_solver(cfg: CfgNode) -> None:
    solver = cfg.SOLVER
    for key in ("BATCH_SIZE", "EPOCHS", "ACCUMULATE"):
        if solver[key] < 1:
            raise MdtkError(f"SOLVER.{key} is {solver[key]}; it must be at least 1")
    if solver.LR <= 0:
        raise MdtkError(f"SOLVER.LR is {solver.LR}; it must be positive")
    if not 0 <= solver.EMA < 1:
        raise MdtkError(f"SOLVER.EMA is {solver.EMA}; it takes a decay in 0 … 1, for example 0.999")


def _check_data(node: CfgNode, cfg: CfgNode) -> None:
    if (node.HEIGHT, node.WIDTH) != (cfg.DATA.HEIGHT, cfg.DATA.WIDTH):
        raise MdtkError("DATA.SETS: all sets share DATA.HEIGHT and DATA.WIDTH; set them in DATA only")
    if (node.SOURCES, node.STEREO) != (cfg.DATA.SOURCES, cfg.DATA.STEREO):
        raise MdtkError("DATA.SETS: all sets share DATA.SOURCES and DATA.STEREO; set them in DATA only")
    if not node.SOURCES and not node.STEREO:
        raise MdtkError("DATA.SOURCES is empty and DATA.STEREO is false; training needs at least one source")
    if 0 in node.SOURCES or len(set(node.SOURCES)) != len(node.SOURCES):
        raise MdtkError(f"DATA.SOURCES is {node.SOURCES}; it takes different offsets other than 0")
    if node.SOURCES and cfg.MODEL.POSE == "none":
        raise MdtkError("MODEL.POSE none has no motion for DATA.SOURCES; set DATA.SOURCES [] and DATA.STEREO true")
    if node.NAME == "sequence":
        sequence = node.SEQUENCE
        if len(sequence.K) not in (0, 4) or len(sequence.K_SIZE) not in (0, 2):
            raise MdtkError("DATA.SEQUENCE.K takes fx, fy, cx, cy and DATA.SEQUENCE.K_SIZE width, height, in pixels")
        if sequence.K and not sequence.K_SIZE:
            raise MdtkError(
                "DATA.SEQUENCE.K is set without DATA.SEQUENCE.K_SIZE; add the width and height K belongs to"
            )
