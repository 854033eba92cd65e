#!/usr/bin/env python3
"""What a training item costs: from PNGs, against decoding and resizing its frames; from a packed copy, against PNGs.

  python benchmarks/item.py [--data FOLDER] [--items N] [--repeats N] [--json FILE] [KEY VALUE ...]

Three 1242x375 PNGs at 640x192, the recipe's defaults (flip, jitter). FOLDER holds such images, PNG or JPEG, in the
order of a drive; without one, blurred noise is written, about as large as KITTI's PNGs. `crops` is the item with both
BDEdepth views, which cut from the native pixels, against the same item from PNGs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.ratios import Figure, measure, report
from mdtk.config import load_config
from mdtk.core.errors import run_tool
from mdtk.data.loader import build_train_data
from mdtk.data.packing import build_jobs
from mdtk.data.samples import MixedDataset

DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"
VIEWS = ["VIEWS.LOCAL_CROP", "true", "VIEWS.SPLIT_PERMUTE", "true"]


def make_drive(folder: Path, count: int) -> None:
    generator = np.random.default_rng(0)
    for number in range(count):
        noise = cv2.GaussianBlur(generator.uniform(0, 255, (375, 1242, 3)).astype(np.float32), (0, 0), 2.0)
        picture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX) + generator.normal(0, 1, noise.shape)
        cv2.imwrite(str(folder / f"{number:010d}.png"), picture.clip(0, 255).astype(np.uint8))


def decode_and_resize(paths: list[Path]) -> list[Image.Image]:
    """The floor: what the frames of an item take in Pillow."""
    frames = []
    for path in paths:
        with Image.open(path) as image:
            frames.append(image.convert("RGB").resize((640, 192), Image.Resampling.LANCZOS))
    return frames


def parts_of(root: Path, items: int, overrides: list[str]) -> dict[str, Callable[[], object]]:
    (root / "list.txt").write_text("".join(f"{DRIVE} {number + 1} l\n" for number in range(items)))
    keys = ["ROOTS.KITTI_RAW", str(root), "DATA.TRAIN_SPLIT", str(root / "list.txt"), "DATA.VAL_SPLIT", ""]
    keys += ["SOLVER.BATCH_SIZE", "1", *overrides]

    def source(*more: str) -> MixedDataset:
        return build_train_data(load_config(None, [*keys, *more]), 0, 1)[0]

    def packed(name: str, *more: str) -> MixedDataset:
        asked = [*more, "DATA.PACKED", str(root / name)]
        for job in build_jobs(load_config(None, [*keys, *asked])):
            job.run(0, lambda entries: entries)
        return source(*asked)

    png, copy, png_crops, copy_crops = source(), packed("packed"), source(*VIEWS), packed("crops", *VIEWS)
    offsets, reader = png.sets[0].offsets, png.sets[0].reader
    files = [reader.files(index, offsets) for index in range(items)]

    def all_of(dataset: MixedDataset) -> Callable[[], object]:
        return lambda: [dataset[0, index, index] for index in range(items)]

    return {
        "decode and LANCZOS": lambda: [decode_and_resize(paths) for paths in files],
        "item": all_of(png),
        "packed item": all_of(copy),
        "item with crops": all_of(png_crops),
        "packed item with crops": all_of(copy_crops),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--items", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / DRIVE / "image_02" / "data"
        images.mkdir(parents=True)
        if args.data:
            found = sorted(args.data.iterdir())[: args.items + 2]
            for number, path in enumerate(found):
                (images / f"{number:010d}{path.suffix}").write_bytes(path.read_bytes())
        else:
            make_drive(images, args.items + 2)
        times = measure(parts_of(Path(folder), args.items, args.overrides), args.repeats)
    figures = {
        "item from PNG": Figure.of(times, "item", "decode and LANCZOS", 1.05),
        "packed item": Figure.of(times, "packed item", "item", 0.15),
        "packed item with crops": Figure.of(times, "packed item with crops", "item with crops", 0.7),
    }
    report(figures, {name: (cpu / args.items, wall / args.items) for name, (cpu, wall) in times.items()}, args.json)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
