"""Renders one frame of a scene: its image, depth, and mask of moving surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mdtk.synthetic.raster import NOTHING, Rays, cast
from mdtk.synthetic.scene import Quads, Rounds, Scene, Snapshot
from mdtk.synthetic.shade import shade
from mdtk.synthetic.textures import load_atlas
from mdtk.synthetic.world_camera import Camera

_LENS_BLUR = 0.6  # standard deviation in pixels; blurred as by a lens, the image can be interpolated
_RAYS_AT_ONCE = 2_000_000
_BAND_OVERLAP = 4  # pixels: more than the blur reaches
_UP = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class Frame:
    """A rendered frame of a camera."""

    image: np.ndarray  # (h, w, 3) uint8 RGB
    depth: np.ndarray  # (h, w) float32 camera z in metres at the pixel centres; inf where nothing is
    K: np.ndarray  # (3, 3) in pixels
    camera_to_world: np.ndarray  # (4, 4)
    moving: np.ndarray  # (h, w) bool: the surface moves in the world


def _into(rays_to_world: np.ndarray, world: Snapshot) -> tuple[Quads, Rounds, np.ndarray]:
    """The primitives and the world's upward direction in the frame of a sensor."""
    rotation, position = rays_to_world[:3, :3], rays_to_world[:3, 3]
    quads = world.quads.transformed(rotation.T, -rotation.T @ position)
    r = world.rounds
    rounds = Rounds((r.center - position) @ rotation, r.radius, r.height, r.sphere)
    return quads, rounds, rotation.T @ _UP


def cast_world(rays: Rays, sensor_to_world: np.ndarray, world: Snapshot) -> tuple[np.ndarray, np.ndarray]:
    """See `raster.cast`, for a sensor with the pose `sensor_to_world` (4, 4)."""
    return cast(rays, *_into(sensor_to_world, world))


def render_depth(world: Snapshot, camera: Camera, camera_to_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Camera z in metres at the pixel centres, (h, w) float32 with inf where nothing is, and the mask of what moves."""
    depth, number = cast_world(camera.rays(), camera_to_world, world)
    return depth, world.looks.moving[np.maximum(number, 0)] & (number != NOTHING)


def render_image(
    scene: Scene, world: Snapshot, camera: Camera, camera_to_world: np.ndarray, supersample: int = 2
) -> np.ndarray:
    """The image (h, w, 3) uint8 RGB: the mean of `supersample`² rays per pixel, blurred as by a lens.

    It is rendered in bands of rows, to save memory.
    """
    band = max(8, _RAYS_AT_ONCE // (camera.width * supersample**2))
    if camera.distortion is not None or band >= camera.height:
        return _render_band(scene, world, camera, camera_to_world, supersample)
    parts = []
    for start in range(0, camera.height, band):
        stop = min(start + band, camera.height)
        low, high = max(start - _BAND_OVERLAP, 0), min(stop + _BAND_OVERLAP, camera.height)
        image = _render_band(scene, world, camera.rows(low, high), camera_to_world, supersample)
        parts.append(image[start - low : stop - low])
    return np.concatenate(parts)


def _render_band(
    scene: Scene, world: Snapshot, camera: Camera, camera_to_world: np.ndarray, supersample: int
) -> np.ndarray:
    rays = camera.rays(supersample)
    distance, number = cast_world(rays, camera_to_world, world)
    rotation, position = camera_to_world[:3, :3], camera_to_world[:3, 3]
    color = shade(rays, distance, number, world, rotation, position, load_atlas(scene.atlas_seed))
    color = np.minimum(color, 255)
    color = cv2.GaussianBlur(color, (0, 0), _LENS_BLUR * supersample, borderType=cv2.BORDER_REPLICATE)
    if supersample > 1:
        color = cv2.resize(color, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    return np.rint(color).astype(np.uint8)


def render_frame(
    scene: Scene, camera: Camera, camera_to_world: np.ndarray, frame: int = 0, supersample: int = 2
) -> Frame:
    """Renders `scene` at the moment `frame`.

    Args:
        camera_to_world: (4, 4), camera axes x right, y down, z forward, metres.
    """
    world = scene.at(frame)
    depth, moving = render_depth(world, camera, camera_to_world)
    image = render_image(scene, world, camera, camera_to_world, supersample)
    return Frame(image, depth, camera.K, camera_to_world, moving)
