"""Writes the ground truth of a test list to one file without pickled objects, or to numbered .npy files.

KITTI: --split eigen projects the laser scans as the published evaluators do, eigen_benchmark reads the improved PNGs.
Cityscapes: ground truth is computed from the disparity and camera files. If --output is a folder, it is written in the
published form %03d_depth.npy, numbered by the test list; existing files are kept. Evaluations look for it in
<data_path>/gt_depths. --input reads published ground truth instead (gt_depths.npz, or such a folder), without running
code in it, and writes it again.
"""

from __future__ import annotations

from functools import partial

from tqdm import tqdm

from mdtk.config.command_line import ToolParser
from mdtk.core.errors import run_tool
from mdtk.datasets.catalogue import DATASETS
from mdtk.datasets.depth_files import depths_in_order, export_depths
from mdtk.datasets.splits import load_split

# (dataset, split) → dataset reader, list, kind of ground truth
SOURCES = {
    ("kitti", "eigen"): ("kitti_raw", "eigen/test", "velodyne"),
    ("kitti", "eigen_benchmark"): ("kitti_raw", "eigen_benchmark/test", "improved"),
    ("cityscapes", "test"): ("cityscapes", "cityscapes/test", "disparity"),
}


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--data_path", help="data root (not needed with --input)")
    parser.add_argument("--dataset", default="kitti", choices=["kitti", "cityscapes"])
    parser.add_argument(
        "--split", choices=["eigen", "eigen_benchmark", "test"], help="default: eigen; cityscapes: test"
    )
    parser.add_argument("--input", help="published ground truth to read instead of the dataset")
    parser.add_argument("--output", required=True, help="FILE.npz, or a folder for numbered .npy files")
    args = parser.parse_tool_args(keys=[])
    split = args.split or ("eigen" if args.dataset == "kitti" else "test")
    if (args.dataset, split) not in SOURCES:
        parser.error(f"{args.dataset} has no --split {split}")
    if not args.input and not args.data_path:
        parser.error("give --data_path, or --input")
    key, list_name, kind = SOURCES[args.dataset, split]
    names = load_split(list_name, args.data_path).lines
    if args.input:
        depth_of = depths_in_order(args.input, names)
    else:
        depth_of = partial(DATASETS[key](args.data_path, names).ground_truth, kind=kind)
    print(export_depths(names, depth_of, args.output, partial(tqdm, unit="image", disable=None)))


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
