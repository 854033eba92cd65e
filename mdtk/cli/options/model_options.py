"""The options of the commands about checkpoints: convert, export, models."""

from __future__ import annotations

from pathlib import Path

from mdtk.cli.options.evaluation_options import CHECKPOINT
from mdtk.cli.subcommand import Command
from mdtk.config.command_line import ToolParser

FORMATS = ("monodepth2", "bdedepth", "paddle", "gluoncv", "imagenet")


def _convert(parser: ToolParser) -> None:
    parser.add_argument("--input", required=True, help="folder or file of the published checkpoint, or its name")
    parser.add_argument("--output", required=True, help="native checkpoint to write")
    parser.add_argument("--format", default="auto", choices=["auto", *FORMATS])
    parser.add_argument("--pose_input", help="ImageNet weights of the pose encoder, if it is another backbone")


def _export(parser: ToolParser) -> None:
    add = parser.add_argument
    add("--checkpoint", required=True, help=CHECKPOINT)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", type=Path, help="the file to write: .onnx, or .safetensors for the weights")
    what.add_argument("--hub", help="folder to write with weights, recipe and a model card; hf://owner/name uploads it")
    add("--image_path", type=Path, nargs="+", default=[], help="images for the comparison; default: noise")
    add("--tolerance", type=float, default=1e-4, help="maximum difference, as a share of the maximum disparity")
    add("--static", action="store_true", help="a batch of one image, for runtimes that want every size fixed")


def _models(parser: ToolParser) -> None:
    parser.add_argument("names", nargs="*", default=[], help="only these; default: all")
    parser.add_argument("--fetch", action="store_true", help="download, check and convert the named ones")


MODEL_COMMANDS = (
    Command(
        name="convert",
        tool="convert_checkpoint",
        summary="Converts a published checkpoint into a native one",
        add_options=_convert,
        work="mdtk.cli.work.convert_work",
        examples=(
            "--input ~/models/mono_640x192 --output mono_640x192.pth",
            "--input kitti_hrnet18_640x192.pth --output hrnet.pth MODEL.MAX_DEPTH 10",
        ),
        details="KEY VALUE pairs give what the files do not state, e.g. MODEL.MAX_DEPTH 10 DATA.WIDTH 1024. ImageNet\n"
        "weights: --input HRNET_FILE --pose_input RESNET_FILE; of another timm backbone (.pth, .bin, .safetensors)\n"
        "--input FILE MODEL.ENCODER NAME, where neither a config.json beside it nor its own name says the name.",
    ),
    Command(
        name="export",
        tool="export_onnx",
        summary="Exports the depth network to ONNX, checked against PyTorch; or the weights, or a folder for the Hub",
        add_options=_export,
        work="mdtk.cli.work.export_work",
        keys=("PLUGINS",),
        examples=(
            "--checkpoint mono_640x192 --output mono.onnx",
            "--checkpoint runs/my_video/best.pth --hub my_video",
            "--checkpoint runs/my_video/last.pth --output mine.onnx --static --image_path a.jpg b.jpg",
        ),
        details="Input `image`: float (B, 3, H, W), RGB in 0 … 1, at the network's size. Output `disparity`: "
        "(B, 1, H, W), 1 / depth.",
    ),
    Command(
        name="models",
        tool="",
        summary="Lists the published checkpoints that --checkpoint NAME fetches, and fetches some",
        add_options=_models,
        work="mdtk.cli.work.models_work",
        keys=(),
        examples=("", "--fetch mono_640x192"),
    ),
)
