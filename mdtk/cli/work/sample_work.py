"""The work of `mdtk data sample`."""

from __future__ import annotations

import argparse

from mdtk.synthetic import make_sample


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    only = args.only.split(",") if args.only else None
    for dataset, state in make_sample(args.output, args.scale, args.seed, only, args.jobs).items():
        print(f"{state:6} {args.output}/{dataset}")
