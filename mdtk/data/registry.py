"""Dataset families by name, and how a recipe's keys become one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from yacs.config import CfgNode

from mdtk.data.family import Family
from mdtk.data.splits import load_split
from mdtk.errors import MdtkError
from mdtk.files import resolve_data


class _Families(Mapping):
    """Name → class. A family's module is imported when it is asked for: NYUv2 needs h5py, Make3D scipy."""

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places

    def __getitem__(self, key: str) -> type[Family]:
        module, _, name = self._places[key].partition(":")
        return getattr(importlib.import_module(f"mdtk.data.{module}"), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


DATASETS: Mapping[str, type[Family]] = _Families(
    {
        "kitti_raw": "kitti:KittiRaw",
        "kitti_odom": "kitti:KittiOdom",
        "nyuv2": "nyuv2:NYUv2",
        "make3d": "make3d:Make3D",
        "cityscapes": "cityscapes:Cityscapes",
        "cityscapes_prepared": "cityscapes:CityscapesPrepared",
        "sequence": "sequence:SequenceFamily",
    }
)


def build_family(node: CfgNode, cfg: CfgNode, split_name: str) -> Family:
    """The family of a DATA node over the list `split_name`; its root is node.ROOT, else ROOTS.<family>.

    For `sequence`, `split_name` is train, val, all, or a text file.
    """
    family = _family(node.NAME, "DATA.NAME")
    if node.NAME == "sequence":
        return family.from_config(node, split_name, allow_unknown_intrinsics=cfg.MODEL.LEARN_INTRINSICS)
    return _build(family, node.ROOT or cfg.ROOTS[node.NAME.upper()], split_name, node.INTRINSICS)


def build_eval_family(key: str, cfg: CfgNode, split_name: str) -> Family:
    """The family `key` over a list that a protocol names; its root is ROOTS.<family>.

    For `sequence`, "val" is what DATA.VAL_SPLIT says (a text list of the frames that have depth, say).
    """
    family = _family(key, "a protocol")
    if key == "sequence":
        own = cfg.DATA.VAL_SPLIT if split_name == "val" and cfg.DATA.NAME == "sequence" else ""
        # Scores need no K: a model of other data can be evaluated on frames whose camera is unknown.
        return family.from_config(cfg.DATA, own or split_name, allow_unknown_intrinsics=True)
    return _build(family, cfg.ROOTS[key.upper()], split_name, cfg.DATA.INTRINSICS)


def _family(key: str, who: str) -> type[Family]:
    if key not in DATASETS:
        raise MdtkError(f"{who} names the dataset {key!r}; it takes one of {', '.join(DATASETS)}")
    return DATASETS[key]


def _build(family: type[Family], root: str, split_name: str, intrinsics_mode: str) -> Family:
    path = resolve_data(root)
    if not path.is_dir():
        generated = Path(root).parts[:1] == ("sample",)
        hint = f"python tools/make_sample_data.py --output {path.parent} makes it" if generated else family.hint
        raise MdtkError(f"data root of {family.key} not found: {path}; {hint}")
    return family(path, load_split(split_name, path).lines, intrinsics_mode)
