#!/usr/bin/env python3
"""A laser scan to its depth map, against the published evaluator's steps written in numpy.

  python benchmarks/lidar.py [--scan FILE --calibration FOLDER] [--repeats N] [--json FILE]

The scan is KITTI's own where one is given: a .bin, and the folder of its date with calib_cam_to_cam.txt and
calib_velo_to_cam.txt. Without one it is made: 64 beams of 1,900 points over flat ground with walls, as many
as KITTI's. Both ways read the file; their maps must be equal to the last bit.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.ratios import Figure, measure, report
from mdtk.core.errors import run_tool
from mdtk.datasets import velodyne
from mdtk.datasets.kitti_calibration import read_raw_cameras, velodyne_projection

BAR = 0.5
FOCAL, CENTRE, SIZE = 721.5, (609.6, 172.9), (1242, 375)  # a camera like KITTI's, at the scanner


def published(path: Path, projection: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The steps of the published evaluators one after the other; their facts are those of `mdtk.datasets.velodyne`.

    All pixels are counted, and each one that is shared is searched for.
    """
    width, height = size
    points = np.fromfile(path, np.float32).reshape(-1, 4)
    points[:, 3] = 1.0
    points = points[points[:, 0] >= 0]
    pixels = np.dot(projection, points.T).T
    pixels[:, :2] = pixels[:, :2] / pixels[:, 2:]
    pixels[:, 2] = points[:, 0]
    pixels[:, 0] = np.round(pixels[:, 0]) - 1
    pixels[:, 1] = np.round(pixels[:, 1]) - 1
    inside = (pixels[:, 0] >= 0) & (pixels[:, 1] >= 0) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    pixels = pixels[inside]
    depth = np.zeros((height, width))
    depth[pixels[:, 1].astype(int), pixels[:, 0].astype(int)] = pixels[:, 2]
    index = pixels[:, 1] * (width - 1) + pixels[:, 0] - 1
    for shared in [one for one, count in Counter(index).items() if count > 1]:
        places = np.where(index == shared)[0]
        column, row = int(pixels[places[0], 0]), int(pixels[places[0], 1])
        depth[row, column] = pixels[places, 2].min()
    depth[depth < 0] = 0
    return depth.astype(np.float32)


def made_scan() -> np.ndarray:
    """64 beams over a street: the nearer of the ground 1.73 m below and of walls 8 m to both sides and 60 m ahead."""
    turn, tilt = np.meshgrid(np.linspace(-np.pi, np.pi, 1900), np.radians(np.linspace(2, -24.8, 64)))
    rays = np.stack([np.cos(tilt) * np.cos(turn), np.cos(tilt) * np.sin(turn), np.sin(tilt)], -1).reshape(-1, 3)
    with np.errstate(divide="ignore"):
        reach = np.min([1.73 / np.maximum(-rays[:, 2], 1e-9), 8 / abs(rays[:, 1]), 60 / abs(rays[:, 0])], 0)
    noise = np.random.default_rng(0).normal(1, 1e-3, len(rays))
    return np.column_stack([rays * (reach * noise)[:, None], np.zeros(len(rays))]).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path)
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    size, (cx, cy) = SIZE, CENTRE
    projection = np.array([[cx, -FOCAL, 0, 0], [cy, 0, -FOCAL, 0], [1.0, 0, 0, -0.27]])
    with tempfile.TemporaryDirectory() as folder:
        path = args.scan or Path(folder) / "scan.bin"
        if args.scan:
            cameras = read_raw_cameras(args.calibration)
            projection, size = velodyne_projection(cameras, 2), cameras.sizes[2]
        else:
            made_scan().tofile(path)
        ours = lambda: velodyne.depth_map(velodyne.read_parts(path), projection, size)  # noqa: E731
        if not np.array_equal(ours(), published(path, projection, size)):
            raise RuntimeError("the map is not the published one")
        times = measure({"published": lambda: published(path, projection, size), "scan": ours}, args.repeats)
    name = "real scan" if args.scan else "made scan"
    report({f"lidar, {name}": Figure.of(times, "scan", "published", BAR)}, times, args.json)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
