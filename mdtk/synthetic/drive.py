"""A drive through a street: the pose of the rig at every frame, the moving cars, and what the cameras see."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mdtk.synthetic.render import Frame, render_depth, render_frame, render_image
from mdtk.synthetic.rig import CAMERA_HEIGHT, Rig, rotation
from mdtk.synthetic.scene import Scene, heading_axes
from mdtk.synthetic.street import Street, build_street, plan_street

STILL = 0.1  # metres per frame below which the rig counts as standing still


@dataclass(frozen=True)
class DriveSpec:
    """The parameters of a drive, from which everything else follows."""

    seed: int  # of the world
    place: int  # number of the street, unique in the world; its remainder by 3 gives the kind of street
    frames: int
    rig: Rig
    stops: bool = False  # the car stands still for some frames
    follows: bool = False  # a car ahead keeps the same speed
    oncoming: int = 1  # number of cars that come towards the camera
    pace: float = 1.0  # factor on the speed


@dataclass(frozen=True)
class Drive:
    """A drive whose scene is built."""

    spec: DriveSpec
    scene: Scene
    rig_to_world: np.ndarray  # (F, 4, 4), from rectified camera 0 to the world
    travelled: np.ndarray  # (F,) metres along the road

    def camera_to_world(self, frame: int, side: str) -> np.ndarray:
        """The pose (4, 4) of the left (`l`, image_02) or right (`r`, image_03) camera at a frame."""
        return self.spec.rig.camera_to_world(self.rig_to_world[frame], side)

    def render(self, frame: int, side: str = "l", supersample: int = 2) -> Frame:
        """Renders one frame of one camera, with its depth, intrinsics, pose and mask of moving surfaces."""
        pose = self.camera_to_world(frame, side)
        return render_frame(self.scene, self.spec.rig.camera, pose, frame, supersample)

    def image(self, frame: int, side: str) -> np.ndarray:
        """The image (h, w, 3) uint8 RGB of one frame of one camera."""
        pose = self.camera_to_world(frame, side)
        return render_image(self.scene, self.scene.at(frame), self.spec.rig.camera, pose)

    def depth(self, frame: int, side: str) -> np.ndarray:
        """The depth (h, w) float32, camera z in metres, of one frame of one camera."""
        pose = self.camera_to_world(frame, side)
        return render_depth(self.scene.at(frame), self.spec.rig.camera, pose)[0]

    def static_frames(self) -> list[int]:
        """The frames that are closer than `STILL` to a neighbour."""
        steps = np.abs(np.diff(self.travelled)) < STILL
        return [int(f) for f in np.flatnonzero(np.append(steps, False) | np.append(False, steps))]


def travelled(spec: DriveSpec) -> np.ndarray:
    """The distance along the road in metres at each frame, (F,): 0.6 to 1.1 per frame times `pace`, less at a stop."""
    rng = np.random.default_rng([spec.seed, spec.place, 1])
    frame = np.arange(spec.frames - 1)
    base, swing = rng.uniform(0.75, 0.95), rng.uniform(0.05, 0.15)
    speed = base + swing * np.sin(2 * np.pi * (frame / rng.uniform(20, 50) + rng.random()))
    speed *= spec.pace
    if spec.stops:
        middle, half = spec.frames * rng.uniform(0.4, 0.6), max(2.0, spec.frames / 12)
        speed *= np.clip((np.abs(frame - middle) - half) / 4, 0, 1)
    return np.append(0.0, np.cumsum(speed))


def _poses(street: Street, s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poses of the rig in the right lane; it sways with the distance, not with time, so that it is calm at a stop."""
    phase, wave = rng.random(5), rng.uniform(7, 25, 5)
    poses = np.tile(np.eye(4), (len(s), 1, 1))
    for frame, along in enumerate(s):
        sway = np.sin(2 * np.pi * (along / wave + phase))
        point, heading = street.path.beside(along, street.lane + 0.12 * sway[4])
        right, forward = heading_axes(heading)
        upright = np.stack([right, [0.0, 1.0, 0.0], forward], axis=1)
        poses[frame, :3, :3] = upright @ rotation(0.004 * sway[0], 0.006 * sway[1], 0.004 * sway[2])
        poses[frame, :3, 3] = point[0], -CAMERA_HEIGHT + 0.015 * sway[3], point[1]
    return poses


def _tracks(
    spec: DriveSpec, lane: float, s: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    tracks: list[tuple[np.ndarray, np.ndarray]] = []
    if spec.follows:
        tracks.append((s + rng.uniform(8, 13), np.full(len(s), lane)))
    start = 25.0
    for _ in range(spec.oncoming):
        start += rng.uniform(8, 30)
        tracks.append((start - rng.uniform(0.7, 1.1) * np.arange(len(s)), np.full(len(s), -lane - 0.1)))
        start += 8
    return tracks


@functools.lru_cache(maxsize=2)
def make_drive(spec: DriveSpec) -> Drive:
    """Builds the drive of a spec; the last two are cached for callers that render frame by frame."""
    s = travelled(spec)
    rng = np.random.default_rng([spec.seed, spec.place, 2])
    street = plan_street([spec.seed, spec.place, 3], float(s[-1]), spec.place % 3)
    poses = _poses(street, s, rng)
    scene = build_street(street, spec.seed, _tracks(spec, street.lane, s, rng))
    return Drive(spec, scene, poses, s)
