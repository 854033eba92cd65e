#!/usr/bin/env python3
"""Makes the thinned reference vectors that are committed from the full folder; the same input gives the same bytes.

  python -m tests.reference.thin_vectors /path/to/reference [--output tests/reference/vectors]

Inputs stay exact, to the last bit, wherever an expected number depends on them; elsewhere they are blanked:
a prediction where no valid ground truth is near, what a protocol crops. Outputs are kept
as samples. Scored images are kept for the first of each data set, whose row does not depend on the others.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.reference.fill import fill_value
from tests.reference.stored import field, part, to_planes

Arrays = dict[str, np.ndarray]
BLANK = np.float32(0.05)  # a scaled disparity like any other
PNG_ROWS = (100, 132)  # of the benchmark picture, and which rows of the prediction they are made of
PREDICTION_ROWS = (52, 74)
COPIED = ("meta.json", "tiny.params", "tiny.pdparams")  # not the laser sweep and its calibration: they are KITTI's


class Thinned:
    """What goes into one file: packed arrays, and how each was packed."""

    def __init__(self, file: str) -> None:
        self.file, self.raw, self.how = file, {}, {}

    def add(self, name: str, array: np.ndarray, kept: Any = None) -> None:
        """Exactly the `kept` part of an array (see `stored.part`)."""
        array = np.array(part(array, kept), order="C")
        packing = "planes" if array.dtype == np.float32 and array.size > 64 else "whole"
        if packing == "planes" and np.array_equal(grey(array).astype(np.float32) / np.float32(255), array):
            packing, array = "grey", grey(array)
        elif packing == "planes" and np.array_equal(array.astype(np.float16), array):
            packing, array = "half", array.astype(np.float16)
        self.raw[name] = to_planes(array) if packing == "planes" else array
        self.how[name] = {"packing": packing, "kept": kept}

    def add_smooth(self, name: str, maps_nhw: np.ndarray, levels: list[float], inverse: bool) -> None:
        """Maps that were enlarged from a grid of a twentieth of their size: a grid, and what is left in last bits."""
        grids, differences, constants = [], [], []
        for array in maps_nhw:
            constant = sum(index * (array == np.float32(level)) for index, level in enumerate(levels))
            values = np.where(constant > 0, 0, 1 / array.astype(float) if inverse else array.astype(float))
            grids.append(fit_grid(values, constant == 0).astype(np.float32))
            near = field(grids[-1], array.shape, inverse)
            differences.append(np.where(constant > 0, 0, array.view(np.int32) - near.view(np.int32)))
            constants.append(constant.astype(np.uint8))
        self.raw[f"{name}#grid"], self.raw[f"{name}#constant"] = np.stack(grids), np.stack(constants)
        self.raw[f"{name}#difference"] = to_planes(np.stack(differences).astype(np.int32))
        self.how[name] = {"packing": "smooth", "inverse": inverse, "levels": levels}

    def write(self, folder: Path) -> None:
        """An .npz (zip of .npy), without the time of day."""
        with zipfile.ZipFile(folder / f"{self.file}.npz", "w", zipfile.ZIP_LZMA) as archive:
            for name, array in self.raw.items():
                buffer = io.BytesIO()
                np.save(buffer, array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_LZMA)


def grey(array: np.ndarray) -> np.ndarray:
    """The nearest grey levels of an image in 0..1."""
    return np.clip(np.round(array * 255), 0, 255).astype(np.uint8)


def fit_grid(values_hw: np.ndarray, known_hw: np.ndarray) -> np.ndarray:
    """The grid (H // 20, W // 20) whose cubic enlargement is nearest to the known values."""
    (height, width), (rows, columns) = values_hw.shape, (values_hw.shape[0] // 20, values_hw.shape[1] // 20)
    down, across = enlarging(rows, height), enlarging(columns, width)
    squares, product = np.zeros((rows, columns, rows, columns)), np.zeros((rows, columns))
    for weights, values, known in zip(down, values_hw, known_hw, strict=True):
        used = np.flatnonzero(weights)
        seen = across * known[:, None]
        product[used] += weights[used, None] * (seen.T @ values)
        both = np.outer(weights[used], weights[used])
        squares[np.ix_(used, range(columns), used, range(columns))] += np.einsum("ab,cd->acbd", both, seen.T @ seen)
    count = rows * columns
    return np.linalg.solve(squares.reshape(count, count), product.reshape(count)).reshape(rows, columns)


def enlarging(count: int, size: int) -> np.ndarray:
    """(size, count) weights of cv2's cubic interpolation along one axis."""
    return cv2.resize(np.eye(count), (count, size), interpolation=cv2.INTER_CUBIC)


def near_truth(truth_hw: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Which pixels of a prediction any interpolation to the truth's size takes where the truth is valid."""
    near = np.zeros(shape, np.uint8)
    places = np.argwhere(truth_hw > 0)
    for aligned in ("centres", "corners", "nearest"):
        axes = []
        for axis in (0, 1):
            ratio = shape[axis] / truth_hw.shape[axis]
            at = {
                "centres": (places[:, axis] + 0.5) * ratio - 0.5,
                "corners": places[:, axis] * (shape[axis] - 1) / (truth_hw.shape[axis] - 1),
                "nearest": places[:, axis] * ratio,
            }[aligned]
            axes.append(np.clip(np.round(at), 0, shape[axis] - 1).astype(int))
        near[axes[0], axes[1]] = 1
    return cv2.dilate(near, np.ones((3, 3), np.uint8)) > 0


def evaluation(full: Arrays) -> Thinned:
    """The first image of each data set with its rows; a strip of the pictures; odometry whole."""
    out = Thinned("evaluation")
    kitti = full["kitti/pred_disp"][0]
    keep = near_truth(full["kitti/gt0"], kitti.shape)
    keep[slice(*PREDICTION_ROWS)] = True
    out.add("kitti/gt0", full["kitti/gt0"])
    out.add("kitti/pred_disp", np.where(keep, kitti, BLANK)[None])
    out.add("kitti/benchmark_png0", full["kitti/benchmark_png0"], [PNG_ROWS, (0, None)])
    make3d, truth = full["make3d/pred_disp"][0], full["make3d/gt"][0]
    out.add("make3d/gt", full["make3d/gt"][:1])
    out.add("make3d/pred_disp", np.where(near_truth(truth, make3d.shape), make3d, BLANK)[None])
    out.add_smooth("nyuv2/gt", full["nyuv2/gt"][:1], [-1.0, 0.0], inverse=False)
    out.add_smooth("nyuv2/pred_disp", full["nyuv2/pred_disp"][:1], [-1.0, *ends(full["nyuv2/pred_disp"])], inverse=True)
    # Published: the lower quarter is cut off, then rows from 256 and columns 192 to 1856 count.
    truth = np.zeros_like(full["cityscapes/gt0"])
    truth[256:768, 192:1856] = full["cityscapes/gt0"][256:768, 192:1856]
    city = full["cityscapes/pred_disp"][0]
    keep = cv2.resize(near_truth(truth[:768], city.shape).astype(np.uint8), city.shape[::-1]) > 0
    out.add("cityscapes/gt0", truth)
    out.add("cityscapes/pred_disp", np.where(keep, city, BLANK)[None])
    for name, array in full.items():
        if name.startswith("post_process/"):
            out.add(name, array[:1, PREDICTION_ROWS[0] : PREDICTION_ROWS[0] + 8])
        elif name.startswith("odometry/"):
            out.add(name, array)
        elif array.ndim == 2 and array.dtype == np.float64 and name.startswith(tuple(PREFIXES)):
            out.add(name, array[:1])
    return out


PREFIXES = ("kitti/", "make3d/", "nyuv2/", "cityscapes/")


def ends(array: np.ndarray) -> list[float]:
    """The smallest and the largest value: what the maps were clipped to."""
    return [float(array.min()), float(array.max())]


def bdedepth_losses(full: Arrays) -> Thinned:
    """The second item's native images go: its frames and crops are the stored batch's."""
    out = Thinned("bdedepth_losses")
    sampled = ("outputs/color_local_", "batch/color_reshuffle_")
    for name, array in full.items():
        if name in ("input/image_8", "input/image_9", "input/image_10") or name.startswith("outputs/color_reshuffle"):
            continue
        out.add(name, array, 7 if name.startswith(sampled) else None)
    return out


def losses(full: Arrays) -> Thinned:
    """Gradients are sampled."""
    out = Thinned("losses")
    for name, array in full.items():
        out.add(name, array, 4 if "/grad_disp" in name else None)
    return out


def sampled(file: str, stride: int, only: Callable[[str], bool] = lambda name: True) -> Callable[[Arrays], Thinned]:
    """Larger arrays as every `stride`-th value."""

    def thin(full: Arrays) -> Thinned:
        out = Thinned(file)
        for name, array in full.items():
            out.add(name, array, stride if array.size > 100 and only(name) else None)
        return out

    return thin


def thin(source: Path, target: Path) -> None:
    """Writes the thinned folder."""
    target.mkdir(parents=True, exist_ok=True)
    makers: dict[str, Callable[[Arrays], Thinned]] = {
        "evaluation": evaluation,
        "bdedepth_losses": bdedepth_losses,
        "losses": losses,
        "geometry": sampled("geometry", 5, lambda name: name in ("depth", "ssim_map")),
    }
    networks = [path.stem for path in sorted(source.glob("*_networks.npz"))]
    makers |= {name: sampled(name, 7) for name in networks}
    thinned = {}
    for name, make in makers.items():
        with np.load(source / f"{name}.npz", allow_pickle=False) as file:
            out = make({key: file[key] for key in file.files})
        out.write(target)
        thinned[name] = out.how
        print(f"{name}: {(target / f'{name}.npz').stat().st_size / 1e3:.0f} kB")
    for name in COPIED:
        shutil.copyfile(source / name, target / name)
    for path in sorted(source.glob("*_keys.json")):
        write_json(target / f"{path.name}.gz", json.loads(path.read_text()))
    write_json(target / "thinned.json.gz", thinned)
    print(f"{sum(path.stat().st_size for path in target.iterdir()) / 1e6:.2f} MB in {target}")


def write_json(path: Path, content: dict) -> None:
    """Compressed JSON, without the time of day."""
    path.write_bytes(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0))


def check_fill(source: Path) -> None:
    """The networks' parameters follow from this project's own spelling of the rule."""
    rule: dict[str, Any] = {}
    exec((source / "fill.py").read_text(), rule)
    for name in ("a.weight", "a.bias", "bn.running_var", "bn.running_mean", "x._variance", "n.num_batches_tracked"):
        for shape in ((1,), (5,), (4, 3, 3, 3)):
            assert np.array_equal(rule["fill_value"](name, shape, 1, 0.7), fill_value(name, shape, 1, 0.7)), name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "vectors")
    args = parser.parse_args()
    check_fill(args.source)
    thin(args.source, args.output)


if __name__ == "__main__":
    main()
