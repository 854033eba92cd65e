"""The work of `mdtk data split`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mdtk.core.files import write_text
from mdtk.datasets.splits import as_text, kitti_archives, load_split


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    lines: Sequence[str]
    if args.kitti_archives:
        lines, origin = kitti_archives(), "rule over the KITTI lists"
    else:
        split = load_split(args.split, args.data_path)
        lines, origin = split.lines, f"{split.origin}, sha256 {split.sha256}"
    write_text(args.output, as_text(lines))
    print(f"{args.output}: {len(lines)} lines ({origin})")
