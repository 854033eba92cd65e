"""Scores a checkpoint, or predictions of another program, on every benchmark that is there.

Runs as `python tools/evaluate.py …` or under torchrun with several processes; the rows are the same. KEY VALUE pairs
override the checkpoint's configuration, for example ROOTS.KITTI_RAW /data/kitti EVAL.MAX_DEPTH 50.
"""

from __future__ import annotations

import argparse

from mdtk.config.command_line import ToolParser
from mdtk.core.errors import run_tool
from mdtk.evaluation.command import SUBMISSIONS, run
from mdtk.evaluation.scoring.alignment import ALIGNMENTS, KINDS
from mdtk.evaluation.scoring.map_metrics import MAP_METRICS
from mdtk.evaluation.scoring.protocols import benchmarks, variants


def main() -> int:
    parser = ToolParser(__doc__)
    add = parser.add_argument
    add("--checkpoint", default="", help="a native or converted .pth")
    add("--config", default="", help="a recipe whose keys go over the checkpoint's own")
    known = ", ".join((*benchmarks(), *SUBMISSIONS))
    add("--datasets", nargs="+", default=[], help=f"benchmarks, or benchmark/variant; default: what is there. {known}")
    add("--variant", default="", help=", ".join(variants()))
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--eval_mono", action="store_true", help="median scaling, whatever the training was")
    scale.add_argument("--eval_stereo", action="store_true", help="no alignment, depth x EVAL.STEREO_SCALE (5.4)")
    scale.add_argument("--no_median_scaling", action="store_true", help="predicted depth is taken as metres")
    scale.add_argument("--alignment", choices=ALIGNMENTS, help="EVAL.ALIGNMENT")
    add("--scale_factor", help="EVAL.SCALE_FACTOR, a factor on predicted depth")
    add("--post_process", action="store_true", help="average with the mirrored image's prediction")
    add("--predictions", default="", help="file (N x H x W, in list order) or folder of predictions")
    add(
        "--predictions_are",
        choices=KINDS,
        default="disparity",
        help="what these hold (disparity: 1 / depth; affine: up to scale and shift)",
    )
    add(
        "--predictor",
        nargs="+",
        default=[],
        metavar="NAME",
        help="a registered predictor or FILE.py:CLASS, then option=value …",
    )
    add("--ground_truth", default="", help="exported .npz or published gt_depths.npz; default: read from the data set")
    add("--save_predictions", action="store_true", help="keep the predicted disparities as .npy")
    add("--no_eval", action="store_true", help="predict and save only")
    add("--no_baselines", action="store_true", help="leave out the two baseline predictors")
    add("--no_trivial", action="store_true", dest="no_baselines", help=argparse.SUPPRESS)  # its former name
    add("--skip_empty", action="store_true", help="leave out images without a valid ground-truth pixel")
    add("--map_metrics", nargs="+", default=[], choices=tuple(MAP_METRICS), help="metrics on maps, beside the others")
    add(
        "--corruptions",
        nargs="+",
        default=[],
        metavar="NAME",
        help="all, or names: mCE and mRR beside the result",
    )
    add("--kitti_c", default="", help="folder of a published KITTI-C; default: corruptions are made on the fly, seeded")
    add("--overwrite", action="store_true", help="replace results that another configuration made")
    add("--report", action="store_true", help="write an HTML report with pictures for each benchmark")
    add("--output", default="", help="folder of the results; default: evaluation/ beside the checkpoint")
    failed = run(parser.parse_tool_args())
    return 1 if failed else 0  # what failed is said already


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
