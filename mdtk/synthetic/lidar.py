"""A LiDAR's sweep of a scene, and semi-dense ground truth like the one that KITTI makes from such sweeps."""

from __future__ import annotations

import numpy as np

from mdtk.synthetic.drive import Drive
from mdtk.synthetic.raster import NOTHING, SpinningRays
from mdtk.synthetic.render import cast_world

MAX_RANGE = 90.0  # metres
_ELEVATION = np.radians(np.concatenate([np.linspace(2.0, -8.33, 32), np.linspace(-8.83, -24.33, 32)]))  # HDL-64E


def make_rays(front_step: float, rear_step: float) -> SpinningRays:
    """Rays of 64 beams. Steps are in degrees: `front_step` within ±50° of straight ahead, `rear_step` elsewhere.

    A real sensor has steps of 0.17°.
    """
    front = np.arange(-50, 50, front_step)
    rear = np.arange(50, 180, rear_step)
    return SpinningRays(_ELEVATION, np.radians(np.sort(np.concatenate([-rear, front, rear]))))


def sweep(drive: Drive, frame: int, rays: SpinningRays) -> np.ndarray:
    """The points of one sweep, (N, 4) float32: x forward, y left, z up in metres, and reflectance 0…1.

    They are seen from the LiDAR's own position, so that some lie on surfaces that the cameras do not see; a few returns
    are lost.
    """
    pose = drive.spec.rig.velodyne(drive.rig_to_world[frame])
    world = drive.scene.at(frame)
    distance, number = cast_world(rays, pose, world)
    rng = np.random.default_rng([drive.spec.seed, drive.spec.place, 4, frame])
    keep = (number != NOTHING) & (distance < MAX_RANGE) & (rng.random(distance.shape) > 0.08)
    d = np.stack(np.broadcast_arrays(*rays.directions(slice(None), slice(None))), axis=-1)[keep]
    reflectance = np.clip(world.looks.color[number[keep]].mean(1) * 0.5, 0, 0.99)
    return np.column_stack([d * distance[keep][:, None], reflectance]).astype(np.float32)


def semi_dense(depth: np.ndarray, focal: float, center_y: float, seed: list[int]) -> np.ndarray:
    """Improved ground truth like KITTI's from a dense depth (h, w) in metres: uint16, metres × 256, 0 where unknown.

    About a third of the pixels is kept, up to 80 m, below the uppermost beam of the LiDAR and away from depth edges.
    """
    height = depth.shape[0]
    depth = np.minimum(depth, 1e4)  # the sky may be infinitely far
    up = (center_y - np.arange(height)[:, None]) / focal
    edge = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        jump = np.abs(np.diff(depth, axis=axis)) > 0.08 * np.take(depth, range(depth.shape[axis] - 1), axis)
        edge |= np.pad(jump, [(0, 1), (0, 0)] if axis == 0 else [(0, 0), (0, 1)])
        edge |= np.pad(jump, [(1, 0), (0, 0)] if axis == 0 else [(0, 0), (1, 0)])
    kept = (depth < 80) & ~edge & (up < np.tan(np.radians(2.0)))
    kept &= np.random.default_rng(seed).random(depth.shape) < 0.35
    return np.where(kept, np.rint(np.where(kept, depth, 0) * 256), 0).astype(np.uint16)
