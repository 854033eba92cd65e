"""The work of `mdtk train`."""

from __future__ import annotations

import argparse
import functools
import sys

from mdtk.cli.checkpoints import native_checkpoint
from mdtk.config import load_config
from mdtk.core.distributed import launched, launched_as_main
from mdtk.core.errors import MdtkError
from mdtk.core.files import shipped
from mdtk.training.launch import launch
from mdtk.training.train import train

SAMPLE = shipped("configs") / "sample" / "monodepth2.yaml"


def main(args: argparse.Namespace) -> int:
    """Does what the command line asks; gives the exit status."""
    if args.nproc < 0:
        raise MdtkError(f"--nproc is {args.nproc}; give the number of processes")
    recipe = args.config or SAMPLE
    if args.nproc and not launched():
        load_config(recipe, args.overrides)  # what is wrong with it is said once, here
        return launch([sys.executable, *sys.argv], args.nproc)
    if not args.config and launched_as_main():
        print(f"no --config given: training the sample recipe {SAMPLE}", flush=True)
    return train(load_config(recipe, args.overrides), functools.partial(native_checkpoint, partial=True))
