"""The work of `mdtk odometry`."""

from __future__ import annotations

import argparse

from mdtk.cli.checkpoints import native_checkpoint, results_beside
from mdtk.evaluation.odometry.sequences import run


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    output = args.output or results_beside(args.checkpoint, "odometry")
    run(
        str(native_checkpoint(args.checkpoint)),
        args.sequences,
        args.config,
        args.overrides,
        output,
        args.own,
        args.overwrite,
    )
