"""The work of `mdtk data cityscapes`."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from mdtk.core.errors import MdtkError
from mdtk.datasets.prepare.cityscapes_triplets import Options, Report, prepare


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    if args.img_height < 4 or args.img_width < 1 or args.num_threads < 1:
        raise MdtkError("--img_height, --img_width and --num_threads must be positive")
    options = Options(Path(args.dataset_dir), Path(args.dump_root), args.img_height, args.img_width)
    report = Report()
    try:
        with tqdm(unit="job", disable=None) as bar, closing(prepare(options, args.num_threads)) as steps:
            for done, total, report in steps:  # noqa: B007
                bar.total = total
                bar.update(done - bar.n)
    except KeyboardInterrupt:
        print(f"{report.made} triplets made so far; the same command goes on", file=sys.stderr)
        raise
    print("\n".join(report.describe()))
    print(f"triplets are in {args.dump_root}")
