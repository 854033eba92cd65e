"""The registered dataset readers, and building one from the keys of a recipe."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from yacs.config import CfgNode

from mdtk.config import set_of
from mdtk.config.sections import DataSection, SequenceSection
from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry
from mdtk.datasets.reader import DatasetReader, DataSource

DATASETS: Registry[type[DatasetReader]] = Registry("dataset reader", home="mdtk.datasets.readers")


def dataset_reader(name: str) -> Callable[[type[DatasetReader]], type[DatasetReader]]:
    """A decorator that registers a `DatasetReader` under the name that DATA.NAME, ROOTS and protocols use."""

    def keep(reader: type[DatasetReader]) -> type[DatasetReader]:
        reader.key = name
        return DATASETS.register(name)(reader)

    return keep


def build_reader(node: CfgNode, cfg: CfgNode, split: str) -> DatasetReader:
    """The reader of the list `split` of a training set with the DATA node `node`; the root is DATA.ROOT or in ROOTS."""
    reader = DATASETS.find(node.NAME, "DATA.NAME")
    return reader.open(build_source(reader, node, cfg, needs_camera=not cfg.MODEL.LEARN_INTRINSICS), split)


def build_eval_reader(name: str, cfg: CfgNode, split: str) -> DatasetReader:
    """The reader of the list `split` of the dataset `name` for an evaluation; the data root is in ROOTS."""
    reader = DATASETS.find(name, "the protocol")
    return reader.open(build_eval_source(reader, cfg), split)


def absent_reason(name: str, cfg: CfgNode) -> str:
    """Why an evaluation on the dataset `name` finds no data, in one sentence; an empty text if it does."""
    reader = DATASETS.find(name, "the protocol")
    return reader.absent_reason(build_eval_source(reader, cfg))


def build_eval_source(reader: type[DatasetReader], cfg: CfgNode) -> DataSource:
    """Where an evaluation finds the dataset of `reader`. K may be unknown, since scores do not need it."""
    node = set_of(cfg, reader.key).clone()
    node.defrost()
    if reader.roots_differ:
        node.ROOT = ""  # a training set's own root need not hold the test images
    val_split = node.VAL_SPLIT if reader.key == node.NAME else ""
    return build_source(reader, node, cfg, needs_camera=False, val_split=val_split)


def build_source(
    reader: type[DatasetReader], node: CfgNode, cfg: CfgNode, needs_camera: bool, val_split: str = ""
) -> DataSource:
    """Where the dataset of `reader` is and how it is read, from the DATA node `node` and from ROOTS."""
    check_roots(cfg)
    data = DataSection.of(node, "DATA")
    return DataSource(
        root=data.root or (cfg.ROOTS.get(reader.key.upper(), reader.key) if reader.roots_differ else ""),
        intrinsics=data.intrinsics,
        sources=data.sources,
        sequence=SequenceSection.of(node, "DATA"),
        needs_camera=needs_camera,
        val_split=val_split,
    )


def check_roots(cfg: CfgNode) -> None:
    """Raises `MdtkError` if ROOTS has a key that is not the name of a registered dataset reader."""
    names = [name.upper() for name in DATASETS]
    for name in cfg.ROOTS:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
            raise MdtkError(f"ROOTS.{name} is the root of no dataset reader; the nearest is ROOTS.{near}")
