"""The options of the commands that predict: predict, video."""

from __future__ import annotations

from pathlib import Path

from mdtk.cli.options.evaluation_options import CHECKPOINT
from mdtk.cli.subcommand import Command
from mdtk.config.command_line import ToolParser

PNG_SCALE_HELP = "PNG value of one unit of depth; default: 256 (KITTI's) for metres, else the largest that fits"


def network_options(parser: ToolParser) -> None:
    """The checkpoint, how it is run, and the size of its input."""
    network_options_without_size(parser)
    parser.add_argument("--height", type=int, default=0, help="height of the network's input; default: as trained")
    parser.add_argument("--width", type=int, default=0, help="width of the network's input; default: as trained")


def _predict(parser: ToolParser) -> None:
    add = parser.add_argument
    add("--image_path", type=Path, required=True, help="an image, or a folder of images")
    network_options(parser)
    add("--output", type=Path, help="folder to write to")
    add("--ext", default="", help="only images of a folder with this suffix (jpg, png, …)")
    add("--save_npy", action="store_true", help="full-resolution disparity and depth, float32 .npy")
    add("--save_png16", action="store_true", help="depth × PNG_SCALE as 16-bit PNG; 0 is unknown")
    add("--png_scale", type=float, default=0.0, help=PNG_SCALE_HELP)
    add("--save_ply", action="store_true", help="coloured point cloud; needs the intrinsics")
    add("--K", type=float, nargs=4, default=(), metavar=("FX", "FY", "CX", "CY"), help="intrinsics in pixels")
    add("--K_size", type=float, nargs=2, default=(), metavar=("W", "H"), help="size of the image that K belongs to")
    add("--max_depth", type=float, default=float("inf"), help="maximum depth of points in the cloud")
    add("--scale", default="auto", help="auto, poses, stereo, none, or the metres in one unit of the model's depth")
    add("--sheet", type=Path, help="PNG to which a contact sheet of some images with their disparity is written")


def _video(parser: ToolParser) -> None:
    add = parser.add_argument
    add("--image_path", type=Path, required=True, help="a folder of frames, or a video file")
    network_options_without_size(parser)
    add("--output", type=Path, help="out.gif, .webp, .mp4 or .webm; default: a .gif beside the frames or the video")
    add("--stride", type=int, default=1, help="use every STRIDE-th frame")
    add("--max_frames", type=int, default=0, help="maximum number of frames; 0: all")
    add("--fps", type=float, default=0.0, help="frames per second; 0: those of the video, 10 for a folder")
    add("--width", type=int, default=0, help="width in pixels; 0: at most 480 for a GIF or WebP, 960 for a video")
    add("--colour_bar", action="store_true", help="a bar below the film that says which disparity has which colour")


def network_options_without_size(parser: ToolParser) -> None:
    """The checkpoint and how it is run; of a film, --width is that of its pictures."""
    parser.add_argument("--checkpoint", required=True, help=CHECKPOINT)
    parser.add_argument("--post_process", action="store_true", help="average with the mirrored image's prediction")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])


PREDICTION_COMMANDS = (
    Command(
        name="predict",
        tool="test_simple",
        summary="Predicts disparity and depth for an image or a folder of images",
        add_options=_predict,
        work="mdtk.cli.work.predict_work",
        keys=("PLUGINS", "TF32", "CUDNN_BENCHMARK", "DETERMINISTIC"),
        examples=(
            "--image_path street.jpg --checkpoint mono_640x192",
            "--image_path images/ --model_name mono+stereo_640x192 --ext png --pred_metric_depth",
        ),
        details="Writes <name>_disp.png, disparity in magma colours (near is bright). With --save_npy, --save_png16 "
        "or\n--save_ply it also writes depth at the image's own size; these files are named metric or relative, and\n"
        "<name>_depth.json says where the scale comes from. Without --output, files go beside the image, or for a\n"
        "folder into FOLDER_disp.",
    ),
    Command(
        name="video",
        tool="test_video",
        summary="Predicts the frames of a folder or a video, and writes a film of the input above its disparity",
        add_options=_video,
        work="mdtk.cli.work.video_work",
        keys=("PLUGINS", "TF32", "CUDNN_BENCHMARK", "DETERMINISTIC"),
        examples=(
            "--image_path drive.mp4 --checkpoint mono_640x192 --output drive.webm",
            "--image_path frames/ --checkpoint runs/my_video/last.pth --output frames.gif --stride 2",
        ),
        details="All frames share one range of colours: from the minimum to the 95th percentile of the disparity of\n"
        "the whole film, so that colours do not flicker.",
    ),
)
