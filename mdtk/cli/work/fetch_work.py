"""The work of `mdtk data fetch`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.core.files import resolve_data
from mdtk.datasets.prepare.download_table import Download, downloads
from mdtk.datasets.prepare.stock import stock
from mdtk.datasets.prepare.unpacking import Order, fetch_order


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    row = downloads()[args.dataset]
    root = data_root(row, args.data_path, args.overrides)
    names = row.names(args.split)
    folder = Path(args.archives).expanduser() if args.archives else root / ".archives"
    order = Order(row, names, root, folder, args.jpeg, args.keep_archives, args.again)
    if args.list:
        print("\n".join(row.url(name) or name for name in order.archives()))
        return
    accept(row, args.accept_licence)
    count = fetch_order(order, lambda text: print(text, flush=True))
    print(f"{row.name}: {', '.join(names)} are below {root}" + ("" if count else " already; nothing was fetched"))
    for found in stock(row, names, root, root.with_name(f"{root.name}_prepared")):
        if found.missing:
            print(f"note: {found.describe()}; if they were lost, add --again")
    for line in dict.fromkeys(row.then[name].format(root=shlex.quote(str(root))) for name in names if name in row.then):
        print(f"next: {line}")


def data_root(row: Download, given: str | None, overrides: list[str]) -> Path:
    """The folder of a dataset: --data_path, ROOTS, or its usual place."""
    roots = load_config(None, overrides).ROOTS
    return resolve_data(given or roots.get(row.root, row.root.lower()))


def accept(row: Download, accepted: bool) -> None:
    """Shows the licence, and asks where nobody has said yes. Raises `MdtkError` for a no, and where none can answer."""
    print(f"{row.name} ({row.size}); licence: {row.licence}; read it at {row.page}", flush=True)
    if accepted:
        return
    if not sys.stdin.isatty():
        raise MdtkError(f"{row.name} is fetched once its licence is accepted: read {row.page}, add --accept_licence")
    if input("Do you accept the licence? Type yes: ").strip().lower() != "yes":
        raise MdtkError(f"the licence of {row.name} was not accepted; nothing was fetched")
