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
from mdtk.inference.onnx_file import export_onnx, require
from mdtk.models import LoadedModel, load_model


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    load_config(None, args.overrides)  # imports the plugins
    model = load_model(native_checkpoint(args.checkpoint))
    if args.hub:
        return export_card(model, args.hub)
    if args.output.suffix == SUFFIX:
        return export_weights(model, args.output)
    require()
    parity = export_onnx(model, args.output, images_for(model, args.image_path), args.tolerance, args.static)
    print(f"ONNX Runtime against PyTorch on {parity.images} images: maximum difference {parity.absolute:.2g}")
    print(f"  ({parity.relative:.2g} of the maximum disparity)")
    print(f"input {'1' if args.static else '1…B'} x 3 x {model.height} x {model.width}; wrote {args.output}")


def images_for(model: LoadedModel, paths: list[Path]) -> torch.Tensor:
    """The images (B, 3, H, W) in 0 … 1 at the size of the network's input; without paths two images of smooth noise."""
    if paths:
        pixels = [torch.from_numpy(resize(open_rgb(path), (model.width, model.height))) for path in paths]
        return torch.stack(pixels).float() / 255
    coarse = torch.rand(2, 3, 6, 10, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, (model.height, model.width), mode="bicubic").clamp(0, 1)
