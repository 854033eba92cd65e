"""The work of `mdtk convert`."""

from __future__ import annotations

import argparse

from mdtk.convert.formats import convert
from mdtk.convert.published import fetch, find_model, published_models


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    source = fetch(find_model(args.input)) if args.input in published_models() else args.input
    converted = convert(source, args.format, args.overrides, args.pose_input)
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
