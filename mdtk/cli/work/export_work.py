"""The work of `mdtk export`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from mdtk.cli.checkpoints import native_checkpoint
from mdtk.cli.work.card_work import export_card, export_weights
from mdtk.config import load_config
from mdtk.core.safetensors_files import SUFFIX
from mdtk.datasets.image_files import open_rgb, resize
from mdtk.inference.exported import HALF_TOLERANCE, TOLERANCE, Part, check_export, depth_part, export, motion_part
from mdtk.models import LoadedModel, load_model


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    load_config(None, args.overrides)  # imports the plugins
    if args.output and args.output.suffix != SUFFIX:
        check_export(args.output, args.half)
    model = load_model(native_checkpoint(args.checkpoint))
    if args.hub:
        return export_card(model, args.hub)
    if args.output.suffix == SUFFIX:
        return export_weights(model, args.output)
    images = images_for(model, args.image_path)
    parts: list[tuple[Part, Path, tuple[torch.Tensor, ...]]] = []
    parts.append((depth_part(model), args.output, (_stacked(model, images),)))
    if args.pose:
        path = args.output.with_stem(f"{args.output.stem}_pose")
        parts.append((motion_part(model), path, (images, images.roll(1, 0).roll(2, 3))))
    tolerance = args.tolerance or (HALF_TOLERANCE if args.half else TOLERANCE)
    for part, path, examples in parts:
        parity = export(part, path, examples, tolerance, args.static, args.half)
        print(f"against torch on {parity.images} images: maximum difference {parity.absolute:.2g}")
        print(f"  ({parity.relative:.2g} of the largest {part.output})")
        shape = " x ".join(["1" if args.static else "1…B", *map(str, examples[0].shape[1:])])
        print(f"{' and '.join(part.inputs)} {shape} → {part.output}; wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")


def images_for(model: LoadedModel, paths: list[Path]) -> torch.Tensor:
    """The images (B, 3, H, W) in 0 … 1 at the size of the network's input; without paths two images of smooth noise."""
    if paths:
        pixels = [torch.from_numpy(resize(open_rgb(path), (model.width, model.height))) for path in paths]
        return torch.stack(pixels).float() / 255
    coarse = torch.rand(2, 3, 6, 10, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, (model.height, model.width), mode="bicubic").clamp(0, 1)


def _stacked(model: LoadedModel, images: torch.Tensor) -> torch.Tensor:
    """The images as the input of a network that sees several frames: each frame is the image itself."""
    return images.repeat(1, len(model.input_offsets), 1, 1)
