"""The work of `mdtk video`."""

from __future__ import annotations

import argparse

from mdtk.cli.checkpoints import native_checkpoint
from mdtk.config import load_config
from mdtk.config.machine import apply_float_settings
from mdtk.core.distributed import pick_device
from mdtk.core.errors import MdtkError
from mdtk.inference import Predictor, predict_film
from mdtk.inference.video import Source
from mdtk.models import load_model
from mdtk.viz.film import check_suffix


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    apply_float_settings(load_config(None, args.overrides))  # which imports the plugins
    for name, minimum in (("stride", 1), ("max_frames", 0), ("fps", 0), ("width", 0)):
        if getattr(args, name) < minimum:
            raise MdtkError(f"--{name} is {getattr(args, name)}; it must be at least {minimum}")
    if not args.image_path.exists():  # before a model is fetched
        raise MdtkError(f"--image_path not found: {args.image_path}; give a video or a folder of images")
    args.output = args.output or args.image_path.with_name(f"{args.image_path.stem}_disp.gif")
    check_suffix(args.output)
    device = pick_device(args.device)
    predictor = Predictor(load_model(native_checkpoint(args.checkpoint), device), device, args.post_process)
    source = Source(args.image_path, args.stride, args.max_frames)
    report = predict_film(predictor, source, args.output, args.fps, args.width, args.colour_bar)
    width, height = report.size
    print(f"{report.frames} frames of {width}x{height} at {report.rate:g} per second")
    print(f"colours from disparity {report.range[0]:.4g} (dark) to {report.range[1]:.4g} (bright), in the model's unit")
    megabytes = args.output.stat().st_size / 1e6
    print(f"wrote {args.output} ({megabytes:.1f} MB)")
    if args.output.suffix.lower() == ".gif" and megabytes > 20:
        print("a large GIF: --stride and --width make it smaller, and .webp, .mp4 or .webm takes a fifth or less")
