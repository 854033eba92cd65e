#!/usr/bin/env python3
"""Predicts the frames of a folder or a video, and writes a film of the input above its disparity.

All frames share one range of colours.

python tools/test_video.py --image_path FOLDER|VIDEO --checkpoint FILE.pth --output out.gif|out.mp4
"""

from __future__ import annotations

from pathlib import Path

from mdtk.config import load_config
from mdtk.config.command_line import ToolParser
from mdtk.core.distributed import pick_device
from mdtk.core.errors import MdtkError, run_tool
from mdtk.inference import Predictor, predict_film
from mdtk.inference.video import Source
from mdtk.models import load_model
from mdtk.viz.film import check_suffix


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--image_path", type=Path, required=True, help="a folder of frames, or a video file")
    parser.add_argument("--checkpoint", required=True, help="a native or converted checkpoint")
    parser.add_argument("--output", type=Path, required=True, help="out.gif or out.mp4")
    parser.add_argument("--stride", type=int, default=1, help="use every STRIDE-th frame")
    parser.add_argument("--max_frames", type=int, default=0, help="maximum number of frames; 0: all")
    parser.add_argument(
        "--fps", type=float, default=0.0, help="frames per second; 0: those of the video, 10 for a folder"
    )
    parser.add_argument(
        "--width", type=int, default=0, help="width in pixels; 0: at most 480 for a GIF, 960 for an MP4"
    )
    parser.add_argument("--post_process", action="store_true", help="average with the mirrored image's prediction")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    args = parser.parse_tool_args(keys=["PLUGINS"])
    load_config(None, args.overrides)  # imports the plugins
    for name, minimum in (("stride", 1), ("max_frames", 0), ("fps", 0), ("width", 0)):
        if getattr(args, name) < minimum:
            raise MdtkError(f"--{name} is {getattr(args, name)}; it must be at least {minimum}")
    check_suffix(args.output)
    device = pick_device(args.device)
    predictor = Predictor(load_model(args.checkpoint, device), device, args.post_process)
    source = Source(args.image_path, args.stride, args.max_frames)
    report = predict_film(predictor, source, args.output, args.fps, args.width)
    width, height = report.size
    print(f"{report.frames} frames of {width}x{height} at {report.rate:g} per second")
    print(f"colours from disparity {report.range[0]:.4g} (dark) to {report.range[1]:.4g} (bright), in the model's unit")
    megabytes = args.output.stat().st_size / 1e6
    print(f"wrote {args.output} ({megabytes:.1f} MB)")
    if args.output.suffix.lower() == ".gif" and megabytes > 20:
        print("a large GIF: --stride and --width make it smaller, and .mp4 takes a tenth")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
