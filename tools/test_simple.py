#!/usr/bin/env python3
"""Predicts disparity and depth for an image or a folder of images.

  python tools/test_simple.py --image_path IMAGE|FOLDER --checkpoint FILE.pth [--output DIR] [--save_npy] ...

Writes <name>_disp.png, disparity in magma colours (near is bright). With --save_npy, --save_png16 or --save_ply it also
writes depth at the image's own size; these files are named metric or relative, and <name>_depth.json says where the
scale comes from. Without --output, files go beside the image, or for a folder into FOLDER_disp.
"""

from __future__ import annotations

from pathlib import Path

from mdtk.config import load_config
from mdtk.config.command_line import ToolParser
from mdtk.core.distributed import pick_device
from mdtk.core.errors import run_tool
from mdtk.inference import Predictor, Saves, depth_scale, predict_images, write_sheet
from mdtk.models import load_model

PNG_SCALE_HELP = "PNG value of one unit of depth; default: 256 (KITTI's) for metres, else the largest that fits"


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--image_path", type=Path, required=True, help="an image, or a folder of images")
    parser.add_argument("--checkpoint", required=True, help="a native or converted checkpoint")
    parser.add_argument("--output", type=Path, help="folder to write to")
    parser.add_argument("--ext", default="", help="only images of a folder with this suffix (jpg, png, …)")
    parser.add_argument("--save_npy", action="store_true", help="full-resolution disparity and depth, float32 .npy")
    parser.add_argument("--save_png16", action="store_true", help="depth × PNG_SCALE as 16-bit PNG; 0 is unknown")
    parser.add_argument("--png_scale", type=float, default=0.0, help=PNG_SCALE_HELP)
    parser.add_argument("--save_ply", action="store_true", help="coloured point cloud; needs the intrinsics")
    parser.add_argument(
        "--K", type=float, nargs=4, default=(), metavar=("FX", "FY", "CX", "CY"), help="intrinsics in pixels"
    )
    parser.add_argument(
        "--K_size", type=float, nargs=2, default=(), metavar=("W", "H"), help="size of the image that K belongs to"
    )
    parser.add_argument("--max_depth", type=float, default=float("inf"), help="maximum depth of points in the cloud")
    parser.add_argument(
        "--scale", default="auto", help="auto, stereo, none, or the metres in one unit of the model's depth"
    )
    parser.add_argument(
        "--sheet", type=Path, help="PNG to which a contact sheet of some images with their disparity is written"
    )
    parser.add_argument("--post_process", action="store_true", help="average with the mirrored image's prediction")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    args = parser.parse_tool_args(keys=["PLUGINS"])
    load_config(None, args.overrides)  # imports the plugins
    device = pick_device(args.device)
    model = load_model(args.checkpoint, device)
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


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
