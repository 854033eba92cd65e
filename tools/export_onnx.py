#!/usr/bin/env python3
"""Exports the depth network of a checkpoint to ONNX, and checks that ONNX Runtime gives the disparity of PyTorch.

  python tools/export_onnx.py --checkpoint FILE.pth --output FILE.onnx [--image_path IMAGE ...]

Input `image`: float (B, 3, H, W), RGB in 0 … 1, at the network's size. Output `disparity`: (B, 1, H, W), 1 / depth.
"""

from __future__ import annotations

from pathlib import Path

import torch

from mdtk.config import load_config
from mdtk.config.command_line import ToolParser
from mdtk.core.errors import run_tool
from mdtk.datasets.image_files import open_rgb, resize
from mdtk.inference.onnx_file import export_onnx, require
from mdtk.models import LoadedModel, load_model


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--checkpoint", required=True, help="a native or converted checkpoint")
    parser.add_argument("--output", type=Path, required=True, help="the .onnx file to write")
    parser.add_argument(
        "--image_path", type=Path, nargs="+", default=[], help="images for the comparison; default: noise"
    )
    parser.add_argument(
        "--tolerance", type=float, default=1e-4, help="maximum difference, as a share of the maximum disparity"
    )
    args = parser.parse_tool_args(keys=["PLUGINS"])
    load_config(None, args.overrides)  # imports the plugins
    require()
    model = load_model(args.checkpoint)
    parity = export_onnx(model, args.output, images_for(model, args.image_path), args.tolerance)
    print(f"ONNX Runtime against PyTorch on {parity.images} images: maximum difference {parity.absolute:.2g}")
    print(f"  ({parity.relative:.2g} of the maximum disparity)")
    print(f"input 1…B x 3 x {model.height} x {model.width}; wrote {args.output}")


def images_for(model: LoadedModel, paths: list[Path]) -> torch.Tensor:
    """The images (B, 3, H, W) in 0 … 1 at the size of the network's input; without paths two images of smooth noise."""
    if paths:
        pixels = [torch.from_numpy(resize(open_rgb(path), (model.width, model.height))) for path in paths]
        return torch.stack(pixels).float() / 255
    coarse = torch.rand(2, 3, 6, 10, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, (model.height, model.width), mode="bicubic").clamp(0, 1)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
