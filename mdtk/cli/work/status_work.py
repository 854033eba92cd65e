"""The work of `mdtk data status`."""

from __future__ import annotations

import argparse

from mdtk.cli.work.fetch_work import data_root
from mdtk.config import load_config
from mdtk.core.files import resolve_data
from mdtk.datasets.prepare.download_table import downloads
from mdtk.datasets.prepare.stock import stock


def main(args: argparse.Namespace) -> int:
    """Says what is there; the status is 1 where a dataset that was named lacks something."""
    lacking = 0
    roots = load_config(None, args.overrides).ROOTS
    for name in args.datasets or downloads():
        row = downloads()[name]
        root = data_root(row, None, args.overrides)
        prepared = resolve_data(roots.get(f"{row.root}_PREPARED", f"{row.root.lower()}_prepared"))
        if not root.is_dir():
            print(f"{name}: nothing, {root} is not there ({row.size}; {', '.join(row.lists)})")
            print(f"      mdtk data fetch {name}")
            lacking += 1
            continue
        print(f"{name}: {root}")
        for found in stock(row, list(row.lists), root, prepared):
            print(f"  {found.describe()}", flush=True)
            if found.advice:
                lacking += 1
                print(f"      {found.advice}", flush=True)
    return 1 if args.datasets and lacking else 0
