"""Loaders from a configuration."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler
from yacs.config import CfgNode

from mdtk.config import data_sets, depth_range
from mdtk.config.sections import DataSection
from mdtk.core.errors import MdtkError
from mdtk.core.spacing import evenly_spaced
from mdtk.data.batch import Batch, collate
from mdtk.data.packing import build_packed
from mdtk.data.preparation import Preparation, build_preparation
from mdtk.data.sampler import TrainSampler, share
from mdtk.data.samples import Key, MixedDataset, MonoDataset
from mdtk.datasets.catalogue import build_reader
from mdtk.datasets.reader import DatasetReader, Offset
from mdtk.datasets.readers.kitti import NOMINAL
from mdtk.geometry.camera import fraction_intrinsics


def build_mono_dataset(
    node: CfgNode, cfg: CfgNode, split: str, prepare: Preparation, replace: bool = False
) -> MonoDataset:
    """One DATA node over one split list; `replace`: entries that cannot be read (see `MonoDataset`)."""
    reader = build_reader(node, cfg, split)
    if not len(reader):
        raise MdtkError(f"the split {split} of {node.NAME} is empty; give a list with entries")
    return MonoDataset(
        reader,
        node.SOURCES,
        node.STEREO,
        (node.WIDTH, node.HEIGHT),
        poses=cfg.MODEL.POSE == "given",
        baseline=node.BASELINE,
        depth_range=depth_range(node, cfg),
        prepare=prepare,
        seed=cfg.SEED,
        replace=replace,
        packed=build_packed(node, split, reader, prepare),
    )


def build_train_data(cfg: CfgNode, rank: int, world_size: int) -> tuple[MixedDataset, TrainSampler]:
    """All training sets behind one index, and the sampler of this process."""
    nodes, prepare = data_sets(cfg), build_preparation(cfg)
    replace = cfg.DATA.MAX_UNREADABLE > 0
    dataset = MixedDataset([build_mono_dataset(node, cfg, node.TRAIN_SPLIT, prepare, replace) for node in nodes])
    sizes, weights = [len(part) for part in dataset.sets], [node.WEIGHT for node in nodes]
    return dataset, TrainSampler(sizes, weights, cfg.SOLVER.BATCH_SIZE, cfg.SEED, rank, world_size)


def build_val_loader(cfg: CfgNode, rank: int, world_size: int, device: torch.device) -> DataLoader | None:
    """This process's share of the validation entries, without augmentation; None without a validation split."""
    prepare = build_preparation(cfg, augmented=False)
    sets = [build_mono_dataset(n, cfg, n.VAL_SPLIT, prepare) for n in data_sets(cfg) if n.VAL_SPLIT]
    if not sets:
        return None
    dataset = MixedDataset(sets)
    chosen = evenly_spaced(len(dataset), cfg.DATA.VAL_LIMIT)
    keys = [(0, i, chosen[i]) for i in share(len(chosen), rank, world_size)]
    size = max(1, cfg.SOLVER.BATCH_SIZE // world_size // cfg.SOLVER.ACCUMULATE)
    return build_loader(dataset, Chunks(keys, size), min(cfg.DATA.WORKERS, 2), device)


class Chunks(Sampler):
    """Keys in order, `size` at a time; the last chunk may be smaller."""

    def __init__(self, keys: list[Key], size: int) -> None:
        self.keys, self.size = keys, size

    def __len__(self) -> int:
        return -(-len(self.keys) // self.size)

    def __iter__(self) -> Iterator[list[Key]]:
        for start in range(0, len(self.keys), self.size):
            yield self.keys[start : start + self.size]


def build_loader(dataset: Dataset, batches: Iterable[list[Key]], workers: int, device: torch.device) -> DataLoader:
    """A loader of `Batch`es, one for each list of keys; in page-locked memory when `device` is a GPU."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=device.type == "cuda",
        persistent_workers=False,
        prefetch_factor=3 if workers else None,
        worker_init_fn=_leave_signals,
    )


def _leave_signals(worker: int) -> None:
    """A cluster and a terminal send their signals to workers too, whose training needs them to finish its step."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _end_workers() -> None:
    """Ends workers that are alive when this process exits, for example because a traceback still holds their loader.

    Python itself would send the SIGTERM that they leave, and wait for ever.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would report them
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


atexit.register(_end_workers)


class NoiseReader(DatasetReader):
    """Frames of noise at `size` = (width, height) from a camera like KITTI's: no files are read."""

    key = "noise"

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self.size, self.seed = size, seed

    def __len__(self) -> int:
        return 1 << 20  # there is always another one

    def name(self, index: int) -> str:
        return f"noise {index}"

    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        generator = np.random.default_rng((self.seed, index))
        shape = (len(offsets), self.size[1], self.size[0], 3)
        return [Image.fromarray(frame) for frame in generator.integers(0, 256, shape, dtype=np.uint8)]

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        return fraction_intrinsics(*NOMINAL, size)

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        return []

    def stereo_pose(self, index: int) -> tuple[int, float]:
        return -1, 0.54

    def pose(self, index: int, offset: int = 0) -> np.ndarray:
        forward = np.eye(4)
        forward[2, 3] = offset
        return forward


def build_synthetic_batch(cfg: CfgNode, size: int, seed: int = 0) -> Batch:
    """A batch of noise in the shape that a recipe gives, for profiling and benchmarks (no files are read)."""
    data = DataSection.of(cfg)
    dataset = MonoDataset(
        NoiseReader((data.width, data.height), seed),
        data.sources,
        data.stereo,
        (data.width, data.height),
        poses=cfg.MODEL.POSE == "given",
        baseline=data.baseline,
        depth_range=depth_range(cfg.DATA, cfg),
        prepare=build_preparation(cfg),
        seed=seed,
    )
    return collate([dataset[0, index, index] for index in range(size)])
