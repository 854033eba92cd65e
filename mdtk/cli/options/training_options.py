"""The options of the commands around a training: train, check, profile, fetch_weights."""

from __future__ import annotations

from mdtk.cli.subcommand import Command
from mdtk.config import find_recipe
from mdtk.config.command_line import ToolParser
from mdtk.config.familiar_training import recipe_text, translate_training
from mdtk.core.files import shipped

RECIPE = "a recipe, e.g. configs/kitti/monodepth2_mono_640x192.yaml, or its path below configs/"


def recipe_option(parser: ToolParser, required: bool = False) -> None:
    """--config, with the recipes that come with the package found by their path below configs/."""
    parser.add_argument("--config", type=find_recipe, required=required, help=RECIPE)


def _train(parser: ToolParser) -> None:
    recipe_option(parser)
    parser.add_argument("--nproc", type=int, default=0, help="number of processes on this machine, one for each GPU")


def familiar_training(words: list[str], parser: ToolParser) -> tuple[list[str], str]:
    """Replaces a training command of Monodepth2 or BDEdepth; gives the recipe that results as a text to print."""
    translation = translate_training(words, shipped("configs"), parser.options)
    if translation.words == words:
        return words, ""
    args = parser.parse_tool_args(translation.words)
    notes = "".join(f"note: {note}\n" for note in translation.notes)
    return translation.words, f"{notes}the options say this recipe:\n\n{recipe_text(args.config or '', args.overrides)}"


def _check(parser: ToolParser) -> None:
    recipe_option(parser)
    parser.add_argument("--quick", action="store_true", help="only check that files exist, without decoding them")


def _profile(parser: ToolParser) -> None:
    recipe_option(parser)
    parser.add_argument("--batch_size", type=int, default=1, help="images per call")
    parser.add_argument("--warmup", type=int, default=5, help="number of runs before the timed ones")
    parser.add_argument("--repeats", type=int, default=20, help="number of timed runs")
    parser.add_argument("--devices", nargs="+", default=[], help="a line for each: cpu, cuda; default: DEVICE")
    kinds = ("fp32", "bf16")
    parser.add_argument("--precisions", nargs="+", default=[], choices=kinds, help="default: SOLVER.PRECISION")
    parser.add_argument("--threads", nargs="+", type=int, default=[], help="a line for each number of CPU threads")
    parser.add_argument("--onnx", action="store_true", help="ONNX Runtime on the CPU too")
    parser.add_argument("--output", help="JSON file to which the results are written as well")


def _pack(parser: ToolParser) -> None:
    recipe_option(parser)
    parser.add_argument("--jobs", type=int, help="number of processes that decode; default: DATA.WORKERS")
    parser.add_argument("--overwrite", action="store_true", help="replace copies that are there")


def _fetch_weights(parser: ToolParser) -> None:
    recipe_option(parser, required=True)


TRAINING_COMMANDS = (
    Command(
        name="train",
        tool="train",
        summary="Trains a recipe in one process or under torchrun; resumes a training that was interrupted",
        add_options=_train,
        work="mdtk.cli.work.train_work",
        examples=(
            "--config kitti/monodepth2_mono_640x192.yaml ROOTS.KITTI_RAW /data/kitti",
            "--model_name mono --split eigen_zhou --frame_ids 0 -1 1 --use_stereo --data_path /data/kitti",
        ),
        details="Without --config it trains the sample recipe. KEY VALUE pairs, anywhere on the line, override any key "
        "of\nmdtk/config/sections.py. The training options of Monodepth2 and BDEdepth are translated, and the recipe\n"
        "that results is printed. Several processes: --nproc 2, or torchrun --nproc_per_node=2 tools/train.py …\n"
        "SIGTERM and Ctrl-C finish the step and save; exit status 75 then means: run the same command again.",
        prepare=familiar_training,
    ),
    Command(
        name="check",
        tool="check_data",
        summary="Checks all data that a recipe would read, before the training starts",
        add_options=_check,
        work="mdtk.cli.work.check_work",
        examples=("--config kitti/monodepth2_mono_640x192.yaml", "--quick ROOTS.KITTI_RAW /data/kitti"),
        details="Lists missing or unreadable files, images that do not fit their calibration, test frames that "
        "training also\nsees, and static frames. With DATA.PACKED the packed copy is read in place of image files, by "
        "its checksums.\nWithout --config it checks the sample recipe. The exit status is 1 if training would fail.",
    ),
    Command(
        name="pack",
        tool="pack_dataset",
        summary="Writes a recipe's lists decoded and resized into DATA.PACKED, which a training then reads",
        add_options=_pack,
        work="mdtk.cli.work.pack_work",
        examples=(
            "--config kitti/monodepth2_mono_640x192.yaml DATA.PACKED /ssd/packed",
            "--config nyuv2/bdedepth_hrnet18_384x288.yaml DATA.PACKED packed --jobs 16",
        ),
        details="Train with the same DATA.PACKED: samples are equal to the last bit, without decoding. Lists and "
        "calibration are\nstill read from the data root. With VIEWS.LOCAL_CROP the copy also holds the native pixels. "
        "Every frame has a\nchecksum, and a copy that does not fit the recipe is refused.",
    ),
    Command(
        name="profile",
        tool="profile_model",
        summary="Measures parameters, multiply-adds, latency, throughput and peak memory of a recipe's networks",
        add_options=_profile,
        work="mdtk.cli.work.profile_work",
        examples=(
            "--config kitti/monodepth2_mono_640x192.yaml",
            "--config kitti/bdedepth_hrnet18_640x192.yaml --devices cpu cuda --threads 1 8 --onnx",
        ),
    ),
    Command(
        name="weights",
        tool="fetch_weights",
        summary="Downloads the ImageNet weights that a recipe starts from, before several processes need them",
        add_options=_fetch_weights,
        work="mdtk.cli.work.weights_work",
        examples=("--config kitti/monodepth2_mono_640x192.yaml", "--config kitti/bdedepth_hrnet18_640x192.yaml"),
    ),
)
