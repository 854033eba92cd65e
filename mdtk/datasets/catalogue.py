"""The registered dataset readers, and building one from the keys of a recipe."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from yacs.config import CfgNode

from mdtk.config import data_sets
from mdtk.config.sections import DataSection, SequenceSection
from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry
from mdtk.datasets.reader import DatasetReader, DataSource

# Datasets whose images are of the same cameras, partly the same images; every other dataset is alone
FAMILIES = (("kitti_raw", "kitti_odom"), ("cityscapes", "cityscapes_prepared"))
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


def related(dataset: str) -> tuple[str, ...]:
    """The dataset, and those that hold images of the same cameras."""
    family = next((family for family in FAMILIES if dataset in family), ())
    return (dataset, *(name for name in family if name != dataset))


def numbered(dataset: str) -> tuple[str, int]:
    """A dataset's name and place among the training sets of that name: "sequence_2" is the second one's."""
    name, _, place = dataset.rpartition("_")
    known = dataset not in DATASETS and place.isdecimal() and name in DATASETS
    return (name, int(place)) if known else (dataset, 1)


def trained_set(cfg: CfgNode, dataset: str = "") -> CfgNode:
    """The DATA node that an evaluation on `dataset` reads (see `numbered`).

    It is the training set of that dataset, else the first one of the same cameras, else the first.
    """
    nodes = data_sets(cfg)
    name, place = numbered(dataset)
    own = [node for node in nodes if name == node.NAME]
    if place > max(1, len(own)):
        raise MdtkError(
            f"{dataset} is training set {place} of {name}, of which the recipe has {len(own)}; name one of them"
        )
    if own:
        return own[place - 1]
    return next((node for near in related(name) for node in nodes if near == node.NAME), nodes[0])


def rootless_sets(cfg: CfgNode) -> dict[str, int]:
    """How many training sets there are of each dataset without a root of its own, which its DATA node describes."""
    names = [node.NAME for node in data_sets(cfg) if node.NAME in DATASETS]
    return {name: names.count(name) for name in names if not DATASETS[name].roots_differ}


def build_eval_reader(name: str, cfg: CfgNode, split: str) -> DatasetReader:
    """The reader of the list `split` of the dataset `name` for an evaluation; the data root is in ROOTS."""
    kind = DATASETS.find(numbered(name)[0], "the protocol")
    reader = kind.open(build_eval_source(kind, cfg, name), split)
    reader.dataset = name
    return reader


def absent_reason(name: str, cfg: CfgNode) -> str:
    """Why an evaluation on the dataset `name` finds no data, in one sentence; an empty text if it does."""
    reader = DATASETS.find(numbered(name)[0], "the protocol")
    return reader.absent_reason(build_eval_source(reader, cfg, name))


def build_eval_source(reader: type[DatasetReader], cfg: CfgNode, name: str = "") -> DataSource:
    """Where an evaluation finds the dataset of `reader`, or `name`d with its place (see `numbered`).

    K may be unknown, since scores do not need it.
    """
    node = trained_set(cfg, name or reader.key).clone()
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
