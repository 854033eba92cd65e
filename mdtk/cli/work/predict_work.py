"""The work of `mdtk predict`."""

from __future__ import annotations

import argparse

from mdtk.cli.checkpoints import native_checkpoint, resized
from mdtk.config import load_config
from mdtk.config.machine import apply_float_settings
from mdtk.core.distributed import pick_device
from mdtk.inference import Predictor, Saves, depth_scale, predict_images, write_sheet
from mdtk.inference.images import find_inputs
from mdtk.models import load_model


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    apply_float_settings(load_config(None, args.overrides))  # which imports the plugins
    find_inputs(args.image_path, args.ext)  # before a model is fetched
    device = pick_device(args.device)
    model = resized(load_model(native_checkpoint(args.checkpoint), device), args.height, args.width)
    scale = depth_scale(model.cfg, args.scale)
    saves = Saves(args.save_npy, args.save_png16, args.save_ply, args.png_scale, args.max_depth)
    predictor = Predictor(model, device, args.post_process)
    written = predict_images(predictor, args.image_path, args.output, scale, saves, args.ext, args.K, args.K_size)
    if args.sheet:
        write_sheet(args.sheet, written, args.image_path, args.ext)
        print(f"wrote {args.sheet}")
    if saves.depth:
        print(f"depth is {scale.kind}; unit: {scale.unit}; scale: {scale.source} (factor {scale.factor:g})")
    for path in written[:12]:
        print(f"wrote {path}")
    if len(written) > 12:
        print(f"wrote {len(written) - 12} more files in {written[-1].parent}")
