"""The options of the commands that measure: evaluate, odometry."""

from __future__ import annotations

import argparse

from mdtk.cli.subcommand import Command
from mdtk.config import find_recipe
from mdtk.config.command_line import ToolParser
from mdtk.evaluation.scoring.alignment import ALIGNMENTS
from mdtk.evaluation.scoring.protocols import SUBMISSIONS, benchmarks, variants

CHECKPOINT = "a .pth of a training, a published checkpoint (file or folder), or a name of `mdtk models`"

PREDICTIONS_ARE = ("disparity", "depth", "affine_disparity", "affine_depth")
MAP_METRICS = ("point_cloud", "point_cloud_slowtv", "edges", "boundary_depth_pro", "boundary_moge", "regions", "tae")


def _evaluate(parser: ToolParser) -> None:
    add = parser.add_argument
    add("--checkpoint", default="", help=CHECKPOINT)
    add("--config", default="", type=find_recipe, help="a recipe whose keys go over the checkpoint's own")
    known = ", ".join((*benchmarks(), *SUBMISSIONS))
    add("--datasets", nargs="+", default=[], help=f"benchmarks, or benchmark/variant; default: what is there. {known}")
    add("--variant", default="", help=", ".join(variants()))
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--eval_mono", action="store_true", help="median scaling, whatever the training was")
    scale.add_argument("--eval_stereo", action="store_true", help="no alignment, depth x EVAL.STEREO_SCALE (5.4)")
    scale.add_argument("--no_median_scaling", action="store_true", help="predicted depth is taken as metres")
    names = ", ".join(ALIGNMENTS)
    scale.add_argument("--alignment", choices=ALIGNMENTS, metavar="NAME", help=f"EVAL.ALIGNMENT: {names}")
    add("--scale_factor", help="EVAL.SCALE_FACTOR, a factor on predicted depth")
    add("--post_process", action="store_true", help="average with the mirrored image's prediction")
    add("--predictions", default="", help="file (N x H x W, in list order) or folder of another program's predictions")
    kinds = "disparity: 1 / depth; affine_…: up to scale and shift"
    add("--predictions_are", choices=PREDICTIONS_ARE, default="disparity", help=kinds)
    own = "a registered predictor or FILE.py:CLASS, then its option=value …"
    add("--predictor", nargs="+", default=[], metavar="NAME", help=own)
    add("--ground_truth", default="", help="exported .npz or published gt_depths.npz; default: read from the data set")
    add("--save_predictions", action="store_true", help="keep the predicted disparities as .npy")
    add("--no_eval", action="store_true", help="predict and save only")
    add("--no_baselines", action="store_true", help="leave out the two baseline predictors")
    add("--no_trivial", action="store_true", dest="no_baselines", help=argparse.SUPPRESS)  # its former name
    add("--skip_empty", action="store_true", help="leave out images without a valid ground-truth pixel")
    on_maps = f"metrics on maps: {', '.join(MAP_METRICS)} (which needs poses)"
    add("--map_metrics", nargs="+", default=[], choices=MAP_METRICS, metavar="NAME", help=on_maps)
    corruptions = "all, or names: mCE and mRR beside the result"
    add("--corruptions", nargs="+", default=[], metavar="NAME", help=corruptions)
    add("--kitti_c", default="", help="folder of a published KITTI-C; default: corruptions are made on the fly, seeded")
    add("--overwrite", action="store_true", help="replace results that another configuration made")
    add("--report", action="store_true", help="write report.html, the page of mdtk report")
    add(
        "--output",
        default="",
        help="folder of the results; default: evaluation/ beside the checkpoint, else in OUT_DIR",
    )


def _compare(parser: ToolParser) -> None:
    parser.add_argument("results", nargs="+", metavar="A B", help="result folders; runs of one recipe joined by commas")
    parser.add_argument("--protocol", default="", help="benchmark or benchmark/variant; default: all that they share")
    parser.add_argument("--metrics", nargs="+", default=[], help="columns; default: what the protocol's papers report")
    parser.add_argument("--labels", nargs="+", default=[], help="names to print, one for each argument")
    parser.add_argument("--published", action="store_true", help="add the published numbers of the protocol")
    parser.add_argument("--changed", type=int, default=5, help="how many of the images that changed most are named")
    parser.add_argument("--output", default="", help="also write <output>.md and <output>.tex")


def _report(parser: ToolParser) -> None:
    add = parser.add_argument
    add("results", nargs="+", metavar="RESULTS", help="folders of mdtk evaluate; the first is the one looked at")
    add("--output", default="report.html", help="one .html file that holds everything, or a folder; %(default)s")
    add("--labels", nargs="+", default=[], help="names of the models, one for each folder")
    add("--images", type=int, default=3, help="worst, median and best images each; 0: no pictures; %(default)s")
    add("--config", default="", type=find_recipe, help="a recipe that says where the data is, if it has moved")


def _odometry(parser: ToolParser) -> None:
    parser.add_argument("--checkpoint", required=True, help=f"{CHECKPOINT}; it needs a pose network")
    names = "KITTI's, with a list odom/test_<sequence> (default: 09 10), or clips of DATA.SEQUENCE.PATHS (default: all)"
    parser.add_argument("--sequences", nargs="+", default=[], help=names)
    own = "the clips of DATA.SEQUENCE.PATHS with their poses; default: for a model of one's own frames"
    parser.add_argument("--own", action=argparse.BooleanOptionalAction, default=None, help=own)
    parser.add_argument("--config", default="", type=find_recipe, help="a recipe to lay over the checkpoint's own")
    parser.add_argument("--output", default="", help="folder of the results; default: odometry/ beside the checkpoint")
    parser.add_argument("--overwrite", action="store_true", help="replace results that another configuration made")


EVALUATION_COMMANDS = (
    Command(
        name="evaluate",
        tool="evaluate",
        summary="Scores a checkpoint, or predictions of another program, on every benchmark that is there",
        add_options=_evaluate,
        work="mdtk.cli.work.evaluate_work",
        examples=(
            "--checkpoint mono_640x192 --datasets kitti_eigen ROOTS.KITTI_RAW /data/kitti",
            "--load_weights_folder ~/models/mono_640x192 --eval_mono --eval_split eigen --data_path /data/kitti",
        ),
        details="In one process, or under torchrun with several; the rows are the same. KEY VALUE pairs override the\n"
        "checkpoint's configuration, for example ROOTS.KITTI_RAW /data/kitti EVAL.MAX_DEPTH 50. The options of\n"
        "Monodepth2's and BDEdepth's evaluation are understood.",
    ),
    Command(
        name="compare",
        tool="compare",
        summary="Says whether results differ by more than chance, and makes the table of a paper from them",
        add_options=_compare,
        work="mdtk.cli.work.compare_work",
        examples=(
            "runs/a/evaluation/last runs/b/evaluation/last --protocol kitti_eigen",
            "runs/a1/evaluation/last,runs/a2/evaluation/last runs/b/evaluation/last --published --output table",
        ),
        details="A, B, C … are folders of results (or CSV files in them). Every one after A is compared with A: the\n"
        "mean difference per image, an interval from resampling whole drives or scenes, and 'differs' or 'does not\n"
        "differ'. Several runs of one recipe (seeds) are one argument, joined by commas: the mean over the runs is\n"
        "compared image by image, and the table has the mean and the standard deviation.",
    ),
    Command(
        name="report",
        tool="report",
        summary="Writes one HTML page over finished results: tables, plots, pictures, learning curves",
        add_options=_report,
        work="mdtk.cli.work.report_work",
        examples=(
            "runs/a/evaluation/last runs/b/evaluation/last --output report.html",
            "runs/a/evaluation/last --output report/ --images 8 ROOTS.KITTI_RAW /data/kitti",
        ),
        details="The page works from a file without a network. Its pictures come from the predictions that\n"
        "--save_predictions kept, else from the checkpoint that the result names; without both it has none.",
    ),
    Command(
        name="odometry",
        tool="evaluate_pose",
        summary="Scores a checkpoint's pose network on KITTI odometry or own clips: snippets, trajectories, plots",
        add_options=_odometry,
        work="mdtk.cli.work.odometry_work",
        examples=(
            "--checkpoint runs/odom/last.pth ROOTS.KITTI_ODOM /data/odometry",
            "--checkpoint runs/odom/last.pth --own DATA.SEQUENCE.PATHS [walk] DATA.SEQUENCE.POSES [walk.txt]",
            "--eval_split odom_9 --load_weights_folder ~/models/mono_odom_640x192 --data_path /data/odometry",
        ),
        details="Train with DATA.TRAIN_SPLIT odom/train: the Eigen training drives overlap sequences 09 and 10.",
    ),
)
