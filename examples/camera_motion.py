#!/usr/bin/env python3
"""The poses of a camera that drives at a known, steady speed, for MODEL.POSE given (docs/custom_data.md, Known poses).

  python examples/camera_motion.py videos/road.mp4 --K 867 867 502 121 --speed 1.1 --output videos/road_poses.txt

The essential matrix of tracked corners says how each frame is turned against the one before; it is moved by `--speed`
metres in the usual direction of the whole film: for a car that keeps its speed and its lane. Where the speed changes,
take poses from odometry, GPS or SLAM instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import cv2
import numpy as np

LARGEST_TURN = np.radians(5)  # between two frames; more is a wrong match
INLIER = 0.5  # pixels from the epipolar line


def frames(path: str) -> Iterator[np.ndarray]:
    video = cv2.VideoCapture(path)
    while True:
        there, picture = video.read()
        if not there:
            return
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


def motion(first: np.ndarray, second: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation vector (3,) and direction (3,) from the first camera to the second."""
    start = cv2.goodFeaturesToTrack(first, 2000, 0.003, 6)
    if start is None:
        return np.zeros(3), np.zeros(3)
    end, there, _ = cv2.calcOpticalFlowPyrLK(first, second, start, None)
    back, again, _ = cv2.calcOpticalFlowPyrLK(second, first, end, None)
    kept = (there & again).ravel().astype(bool) & (np.linalg.norm(start - back, axis=2).ravel() < 0.3)
    start, end = start[kept, 0], end[kept, 0]
    if len(start) < 20:
        return np.zeros(3), np.zeros(3)
    essential, inliers = cv2.findEssentialMat(start, end, K, cv2.USAC_MAGSAC, 0.9999, INLIER)
    if essential is None or essential.shape != (3, 3):
        return np.zeros(3), np.zeros(3)
    _, rotation, direction, _ = cv2.recoverPose(essential, start, end, K, mask=inliers)
    return cv2.Rodrigues(rotation)[0].ravel(), direction.ravel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", help="video file, or a pattern of images such as color/%%06d.png")
    parser.add_argument("--K", type=float, nargs=4, required=True, metavar=("FX", "FY", "CX", "CY"))
    parser.add_argument("--speed", type=float, required=True, help="metres from one frame to the next")
    parser.add_argument("--output", required=True, help="world_T_camera of each frame, twelve numbers a line (KITTI)")
    args = parser.parse_args()
    fx, fy, cx, cy = args.K
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    previous, motions = None, []
    for frame in frames(args.video):
        if previous is not None:
            motions.append(motion(previous, frame, K))
        previous = frame
    if not motions:
        parser.error(f"{args.video}: no two frames can be read")
    turns, directions = (np.array(one) for one in zip(*motions, strict=True))
    usual = np.median(directions, 0)
    if not np.linalg.norm(usual):
        parser.error(f"{args.video}: the camera's motion cannot be seen; there are too few corners")
    usual *= args.speed / np.linalg.norm(usual)
    world_T_camera = np.eye(4)
    lines = [world_T_camera[:3].ravel()]
    for turn in turns:
        next_T_camera = np.eye(4)
        next_T_camera[:3, :3] = cv2.Rodrigues(turn * (np.linalg.norm(turn) < LARGEST_TURN))[0]
        next_T_camera[:3, 3] = usual
        world_T_camera = world_T_camera @ np.linalg.inv(next_T_camera)
        lines.append(world_T_camera[:3].ravel())
    np.savetxt(args.output, lines)
    print(f"wrote {len(lines)} poses over {len(turns) * args.speed:.0f} m to {args.output}")


if __name__ == "__main__":
    main()
