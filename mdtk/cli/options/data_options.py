"""The options of `mdtk data …`: the sample world, lists, ground truth, prepared training data."""

from __future__ import annotations

from pathlib import Path

from mdtk.cli.subcommand import Command
from mdtk.config.command_line import ToolParser
from mdtk.datasets.compact_splits import names

SAMPLE_SCALES = ("small", "full", "tiny")
RULE = """Frames of a scene are ordered by time. A target is taken every --every raw frames; its neighbours -4 ... 4 are
the frames nearest to k * step / rate seconds away, each within a quarter of a step of that time. Targets that lack a
neighbour, and static ones (grey change below --min_motion), are left out, as are the scenes of the official test images
where nyu_depth_v2_labeled.mat names them."""
DOWNLOADS = ("kitti_raw", "kitti_improved", "kitti_odom", "make3d", "nyuv2", "cityscapes")
LAYOUTS = (
    *("kitti_raw", "kitti_odom", "nyuv2", "make3d", "cityscapes"),
    *("ddad", "diode", "eth3d", "sintel", "scannet", "tum_rgbd", "syns_patches"),
)


def _sample(parser: ToolParser) -> None:
    parser.add_argument("--output", default="datasets/sample", help="folder to write")
    parser.add_argument(
        "--scale", default="small", choices=SAMPLE_SCALES, help="how much data: number of drives and frames, image size"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed is another world")
    parser.add_argument("--only", help=f"comma-separated datasets out of {','.join(LAYOUTS)}; default: all")
    parser.add_argument("--jobs", type=int, help="number of processes; default: one for each CPU")


def _split(parser: ToolParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--split", help=f"the list: {', '.join(names())}; or a text file")
    what.add_argument(
        "--kitti_archives", action="store_true", help="write the URLs of all KITTI raw archives that the lists need"
    )
    parser.add_argument("--data_path", help="data root, whose own lists in splits/ come first")
    parser.add_argument("--output", required=True, help="the text file to write")


def _ground_truth(parser: ToolParser) -> None:
    add = parser.add_argument
    add("--data_path", help="data root (not needed with --input)")
    add("--dataset", default="kitti", choices=["kitti", "cityscapes"])
    add("--split", choices=["eigen", "eigen_benchmark", "test"], help="default: eigen; cityscapes: test")
    add("--input", help="published ground truth to read instead of the dataset")
    add("--output", help="FILE.npz, or a folder for numbered .npy files; default: splits/<split>/gt_depths.npz")


def _cityscapes(parser: ToolParser) -> None:
    add = parser.add_argument
    add("--dataset_dir", required=True, help="Cityscapes: leftImg8bit_sequence/train and camera/train")
    add("--dump_root", required=True, help="folder to write, the root of cityscapes_prepared")
    add("--img_height", type=int, default=512, help="height of a resized frame before the cut, pixels")
    add("--img_width", type=int, default=1024, help="width of a resized frame, pixels")
    add("--seq_length", type=int, default=3, choices=[3], help="frames per file; training reads three")
    add("--num_threads", type=int, default=8, help="number of processes")


def _nyu_split(parser: ToolParser) -> None:
    add = parser.add_argument
    add("--data_path", required=True, type=Path, help="NYU root, with nyu_depth_v2/<scene>/")
    add("--output", type=Path, help="default: <data_path>/splits/nyuv2/train_files.txt, the root's own")
    add("--step", type=int, default=10, help="raw frames between neighbours (default 10)")
    add("--every", type=int, default=10, help="raw frames between targets (default 10)")
    add("--rate", type=float, default=30.0, help="raw frames per second (default 30)")
    add("--min_motion", type=float, default=3.0, help="minimum grey difference, 0 ... 255 (default 3); 0: keep static")
    add("--val_every", type=int, default=20, help="one of this many scenes is for validation (default 20); 0: none")
    add("--overwrite", action="store_true", help="replace existing lists")


def _fetch(parser: ToolParser) -> None:
    add = parser.add_argument
    add("dataset", choices=DOWNLOADS)
    add(
        "--split",
        nargs="+",
        default=[],
        help="lists to fetch for: eigen_zhou, odom/test_09 …, or text files; default: all",
    )
    add("--data_path", help="data root to fill; default: its ROOTS key")
    add("--accept_licence", action="store_true", help="the licence that is shown is accepted")
    add("--jpeg", action="store_true", help="turn KITTI's PNGs into the JPEGs of Monodepth2's published numbers")
    add("--archives", help="folder where archives are, or come to lie; default: .archives in the data root")
    add("--keep_archives", action="store_true", help="keep archives that were unpacked")
    add(
        "--again", action="store_true", help="fetch and unpack once more what was unpacked before, where files are lost"
    )
    add("--list", action="store_true", help="print the addresses of the archives and fetch nothing")


def _status(parser: ToolParser) -> None:
    parser.add_argument(
        "datasets", nargs="*", default=[], metavar="dataset", help=f"of {', '.join(DOWNLOADS)}; default: all"
    )


DATA_COMMANDS = (
    Command(
        name="fetch",
        tool="",
        summary="Fetches the archives of a published dataset that a list needs, checks, unpacks and converts them",
        add_options=_fetch,
        work="mdtk.cli.work.fetch_work",
        examples=(
            "kitti_raw --split eigen_zhou --jpeg --accept_licence",
            "cityscapes --split cityscapes/test --archives ~/Downloads",
        ),
        details="After an interruption the same command goes on where it was. An archive that lies in --archives "
        "already is not\nfetched. MDTK_DATA_URL names a server that has the archives instead of the publisher's. A "
        "dataset that needs an\naccount (cityscapes) is answered with what to click.",
    ),
    Command(
        name="status",
        tool="",
        summary="Says what of the published datasets is there, what is missing, and what to type",
        add_options=_status,
        work="mdtk.cli.work.status_work",
        examples=("", "kitti_raw kitti_improved ROOTS.KITTI_RAW /data/kitti"),
    ),
    Command(
        name="sample",
        tool="make_sample_data",
        summary="Renders the sample world in the file layout of every dataset, so that all runs without a download",
        add_options=_sample,
        work="mdtk.cli.work.sample_work",
        keys=(),
        examples=("--output datasets/sample", "--scale tiny --only kitti_raw,nyuv2"),
    ),
    Command(
        name="split",
        tool="export_split",
        summary="Writes a split list in Monodepth2's text form: one entry a line",
        add_options=_split,
        work="mdtk.cli.work.split_work",
        keys=(),
        examples=("--split eigen_zhou/train --output train_files.txt", "--kitti_archives --output archives.txt"),
        details="Published lists come from the project's compact form. Test lists keep their published order; training "
        "lists\nare in any order.",
    ),
    Command(
        name="ground_truth",
        tool="export_gt_depth",
        summary="Writes the ground truth of a test list to one file without pickled objects, or to numbered .npy files",
        add_options=_ground_truth,
        work="mdtk.cli.work.ground_truth_work",
        keys=(),
        examples=("--data_path /data/kitti --split eigen", "--dataset cityscapes --data_path /data/cs --output gt"),
        details="KITTI: --split eigen projects the laser scans as the published evaluators do, eigen_benchmark reads "
        "the\nimproved PNGs. Cityscapes: ground truth is computed from disparity and camera files. If --output is a "
        "folder,\nit is written in the published form %03d_depth.npy, numbered by the test list; existing files are "
        "kept.\nEvaluations look for it in <data_path>/gt_depths. --input reads published ground truth instead "
        "(gt_depths.npz, or\nsuch a folder), without running code in it, and writes it again.",
    ),
    Command(
        name="cityscapes",
        tool="prepare_cityscapes",
        summary="Makes Cityscapes' training triplets: frames two apart, resized, without their lower quarter, and K",
        add_options=_cityscapes,
        work="mdtk.cli.work.cityscapes_work",
        keys=(),
        examples=("--dataset_dir /data/cs --dump_root /data/cs_prepared", "--dataset_dir cs --dump_root out"),
        details="After an interruption the same command continues: finished triplets are kept, and no incomplete file "
        "is left.\nWhat was left out is reported with the reason and listed in <dump_root>/skipped.txt.",
    ),
    Command(
        name="nyu_split",
        tool="make_nyu_split",
        summary="Makes NYU Depth v2's training list (nine image paths per line) and a validation list from raw folders",
        add_options=_nyu_split,
        work="mdtk.cli.work.nyu_split_work",
        keys=(),
        examples=("--data_path /data/nyu", "--data_path /data/nyu --step 5 --val_every 10 --overwrite"),
        details=RULE,
    ),
)
