"""The work of `mdtk report`."""

from __future__ import annotations

import argparse

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.evaluation.report.page import write_report
from mdtk.evaluation.report.sources import FromDisk


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    if args.images < 0:
        raise MdtkError(f"--images is {args.images}; it must be at least 0")
    load_config(args.config or None, args.overrides)  # imports the plugins
    opener = FromDisk(args.config, args.overrides)
    path, left_out = write_report(args.results, args.output, opener, args.labels, args.images)
    for sentence in left_out:
        print(f"careful: {sentence}")
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
