#!/usr/bin/env python3
"""Converts a published checkpoint into a native one.

  python tools/convert_checkpoint.py --input FOLDER|FILE --output FILE.pth [--format auto] [KEY VALUE ...]
  python tools/convert_checkpoint.py --input HRNET_FILE --pose_input RESNET_FILE --output FILE.pth  # ImageNet weights

KEY VALUE pairs give what the files do not state, e.g. MODEL.MAX_DEPTH 10 DATA.WIDTH 1024.
"""

from __future__ import annotations

from mdtk.config.command_line import ToolParser
from mdtk.convert.formats import CONVERTERS, convert
from mdtk.core.errors import run_tool


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--input", required=True, help="folder or file of the published checkpoint")
    parser.add_argument("--output", required=True, help="native checkpoint to write")
    parser.add_argument("--format", default="auto", choices=["auto", *CONVERTERS])
    parser.add_argument("--pose_input", help="ImageNet weights of the pose encoder, if it is another backbone")
    args = parser.parse_tool_args()
    converted = convert(args.input, args.format, args.overrides, args.pose_input)
    converted.save(args.output)
    model, data = converted.cfg.MODEL, converted.cfg.DATA
    networks = f"{model.ENCODER} with the {model.DECODER} decoder, pose {model.POSE}, {data.WIDTH}x{data.HEIGHT}"
    if converted.meta.get("partial"):
        networks = f"{model.ENCODER} without a decoder"
    print(f"{converted.meta['source_format']}: {networks}, {len(converted.state)} tensors")
    if converted.dropped:
        print(f"left out on purpose: {', '.join(converted.dropped)}")
    for note in converted.notes:
        print(f"note: {note}")
    print(f"wrote {args.output}")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
