"""Dataset datasets by name, and how a recipe's keys become one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from yacs.config import CfgNode

from mdtk.core.errors import MdtkError
from mdtk.core.files import resolve_data
from mdtk.datasets.reader import DatasetReader
from mdtk.datasets.splits import load_split


class _Readers(Mapping):
    """Name → class. A dataset's module is imported when it is asked for: NYUv2 needs h5py, Make3D scipy."""

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places

    def __getitem__(self, key: str) -> type[DatasetReader]:
        module, _, name = self._places[key].partition(":")
        return getattr(importlib.import_module(f"mdtk.datasets.readers.{module}"), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


DATASETS: Mapping[str, type[DatasetReader]] = _Readers(
    {
        "kitti_raw": "kitti:KittiRaw",
        "kitti_odom": "kitti:KittiOdom",
        "nyuv2": "nyuv2:NYUv2",
        "make3d": "make3d:Make3D",
        "cityscapes": "cityscapes:Cityscapes",
        "cityscapes_prepared": "cityscapes:CityscapesPrepared",
        "sequence": "own_frames:SequenceReader",
    }
)


def build_reader(node: CfgNode, cfg: CfgNode, split_name: str) -> DatasetReader:
    """The dataset of a DATA node over the list `split_name`; its root is node.ROOT, else ROOTS.<dataset>.

    For `sequence`, `split_name` is train, val, all, or a text file.
    """
    reader = _reader(node.NAME, "DATA.NAME")
    if node.NAME == "sequence":
        return reader.from_config(node, split_name, allow_unknown_intrinsics=cfg.MODEL.LEARN_INTRINSICS)
    return _build(reader, node.ROOT or cfg.ROOTS[node.NAME.upper()], split_name, node.INTRINSICS)


def build_eval_reader(key: str, cfg: CfgNode, split_name: str) -> DatasetReader:
    """The dataset `key` over a list that a protocol names; its root is ROOTS.<dataset>.

    For `sequence`, "val" is what DATA.VAL_SPLIT says (a text list of the frames that have depth, say).
    """
    reader = _reader(key, "a protocol")
    if key == "sequence":
        own = cfg.DATA.VAL_SPLIT if split_name == "val" and cfg.DATA.NAME == "sequence" else ""
        # Scores need no K: a model of other data can be evaluated on frames whose camera is unknown.
        return reader.from_config(cfg.DATA, own or split_name, allow_unknown_intrinsics=True)
    return _build(reader, cfg.ROOTS[key.upper()], split_name, cfg.DATA.INTRINSICS)


def _reader(key: str, who: str) -> type[DatasetReader]:
    if key not in DATASETS:
        raise MdtkError(f"{who} names the dataset {key!r}; it takes one of {', '.join(DATASETS)}")
    return DATASETS[key]


def _build(reader: type[DatasetReader], root: str, split_name: str, intrinsics_mode: str) -> DatasetReader:
    path = resolve_data(root)
    if not path.is_dir():
        generated = Path(root).parts[:1] == ("sample",)
        hint = f"python tools/make_sample_data.py --output {path.parent} makes it" if generated else reader.hint
        raise MdtkError(f"data root of {reader.key} not found: {path}; {hint}")
    return reader(path, load_split(split_name, path).lines, intrinsics_mode)
