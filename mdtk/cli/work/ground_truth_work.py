"""The work of `mdtk data ground_truth`."""

from __future__ import annotations

import argparse
import os
from functools import partial

from tqdm import tqdm

from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import DATASETS
from mdtk.datasets.depth_files import depths_in_order, export_depths
from mdtk.datasets.splits import load_split

_A_JOB = 64  # images for which another process pays
# (dataset, split) → dataset reader, list, kind of ground truth
SOURCES = {
    ("kitti", "eigen"): ("kitti_raw", "eigen/test", "velodyne"),
    ("kitti", "eigen_benchmark"): ("kitti_raw", "eigen_benchmark/test", "improved"),
    ("cityscapes", "test"): ("cityscapes", "cityscapes/test", "disparity"),
}


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    split = args.split or ("eigen" if args.dataset == "kitti" else "test")
    if (args.dataset, split) not in SOURCES:
        raise MdtkError(f"{args.dataset} has no --split {split}")
    if not args.input and not args.data_path:
        raise MdtkError("give --data_path, or --input")
    key, list_name, kind = SOURCES[args.dataset, split]
    names = load_split(list_name, args.data_path).lines
    jobs = 1
    if args.input:
        depth_of = depths_in_order(args.input, names)
    else:
        jobs = max(1, args.jobs or min(os.cpu_count() or 1, len(names) // _A_JOB))
        depth_of = partial(DATASETS[key](args.data_path, names).ground_truth, kind=kind)
    output = args.output or f"splits/{split}/gt_depths.npz"
    print(export_depths(names, depth_of, output, partial(tqdm, unit="image", disable=None), jobs))
