"""The work of `mdtk models`."""

from __future__ import annotations

import argparse

from mdtk.cli.checkpoints import native_checkpoint
from mdtk.convert.published import PublishedModel, cache_home, fetched, find_model, published_models
from mdtk.core.errors import MdtkError


def main(args: argparse.Namespace) -> None:
    """Lists the published checkpoints, or fetches and converts the named ones."""
    models = [find_model(name) for name in args.names] or list(published_models().values())
    if args.fetch:
        if not args.names:
            raise MdtkError("--fetch takes the names of the models, for example mdtk models --fetch mono_640x192")
        for model in models:
            print(f"{model.name}: {native_checkpoint(model.name)}", flush=True)
        return
    print("\n".join(table(models)))
    print(f"\nfetched ones are in {cache_home()} (marked *); published numbers: KITTI Eigen unless they say otherwise")


def table(models: list[PublishedModel]) -> list[str]:
    """One line a model: name, modality, size, whether it is in the cache, published numbers, licence."""
    rows = [("name", "from", "training", "input", "published")]
    for model in models:
        mark = "*" if fetched(model) else ""
        rows.append((f"{model.name}{mark}", model.origin, model.modality, model.size, model.published or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]]) for row in rows
    ]
