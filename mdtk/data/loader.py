"""Loaders from a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from yacs.config import CfgNode

from mdtk.config import data_sets, depth_range
from mdtk.core.errors import MdtkError
from mdtk.core.spacing import evenly_spaced
from mdtk.data.batch import Batch, collate
from mdtk.data.sampler import TrainSampler, share
from mdtk.data.samples import NO_DRAWS, DrawOptions, Key, MixedDataset, MonoDataset
from mdtk.datasets.catalogue import build_reader
from mdtk.datasets.readers.kitti import NOMINAL
from mdtk.geometry.camera import fraction_intrinsics


def build_draw_options(cfg: CfgNode) -> DrawOptions:
    """The AUGMENT and VIEWS keys."""
    augment, views = cfg.AUGMENT, cfg.VIEWS
    return DrawOptions(
        flip=augment.FLIP,
        jitter=augment.JITTER,
        brightness=augment.BRIGHTNESS,
        contrast=augment.CONTRAST,
        saturation=augment.SATURATION,
        hue=augment.HUE,
        per_frame=augment.JITTER_PER_FRAME,
        local_crop=views.LOCAL_CROP,
        crop_ratio=tuple(views.CROP_RATIO),
        split_permute=views.SPLIT_PERMUTE,
        permute_ratio=tuple(views.PERMUTE_RATIO),
    )


def build_mono_dataset(node: CfgNode, cfg: CfgNode, split: str, options: DrawOptions) -> MonoDataset:
    """One DATA node over one split list."""
    reader = build_reader(node, cfg, split)
    if not len(reader):
        raise MdtkError(f"the split {split} of {node.NAME} is empty; give a list with entries")
    return MonoDataset(
        reader,
        node.SOURCES,
        node.STEREO,
        (node.WIDTH, node.HEIGHT),
        baseline=node.BASELINE,
        depth_range=depth_range(node, cfg),
        options=options,
        seed=cfg.SEED,
    )


def build_train_data(cfg: CfgNode, rank: int, world_size: int) -> tuple[MixedDataset, TrainSampler]:
    """All training sets behind one index, and the sampler of this process."""
    nodes, options = data_sets(cfg), build_draw_options(cfg)
    dataset = MixedDataset([build_mono_dataset(node, cfg, node.TRAIN_SPLIT, options) for node in nodes])
    sizes, weights = [len(part) for part in dataset.sets], [node.WEIGHT for node in nodes]
    return dataset, TrainSampler(sizes, weights, cfg.SOLVER.BATCH_SIZE, cfg.SEED, rank, world_size)


def build_val_loader(cfg: CfgNode, rank: int, world_size: int, device: torch.device) -> DataLoader | None:
    """This process's share of the validation entries, without augmentation; None without a validation split."""
    sets = [build_mono_dataset(n, cfg, n.VAL_SPLIT, NO_DRAWS) for n in data_sets(cfg) if n.VAL_SPLIT]
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
    )


def synthetic_batch(cfg: CfgNode, size: int, seed: int = 0) -> Batch:
    """A batch of noise in the shape that a recipe gives, for profiling and benchmarks (no files are read)."""
    generator = torch.Generator().manual_seed(seed)
    height, width, frames = cfg.DATA.HEIGHT, cfg.DATA.WIDTH, 1 + len(cfg.DATA.SOURCES) + cfg.DATA.STEREO
    images = torch.randint(0, 256, (size, frames, 3, height, width), dtype=torch.uint8, generator=generator)
    K = torch.from_numpy(fraction_intrinsics(*NOMINAL, (width, height))).float()
    stereo_T = torch.eye(4)
    stereo_T[0, 3] = -0.1
    extra = {}
    if cfg.VIEWS.LOCAL_CROP:
        extra |= {"crop_bn3hw": images.clone(), "crop_box_b4": torch.tensor([[1.5, 1.5, width / 4, height / 4]] * size)}
    if cfg.VIEWS.SPLIT_PERMUTE:
        extra["split_b2"] = torch.tensor([[width // 2, height // 3]] * size)
    return Batch(
        names=tuple(f"noise {index}" for index in range(size)),
        frames_bn3hw=images,
        K_b33=K.repeat(size, 1, 1),
        stereo_T_b44=stereo_T.repeat(size, 1, 1),
        depth_range_b2=torch.tensor([[cfg.MODEL.MIN_DEPTH, cfg.MODEL.MAX_DEPTH]] * size),
        flip_b=torch.arange(size) % 2 == 0,
        jitter_bn5=torch.tensor([[[1.0, 1.1, 0.9, 1.1, 0.05]]] * size),
        order_bn4=torch.arange(4).repeat(size, 1, 1),
        **extra,
    )
