"""Colours of the surfaces that rays hit. They are Lambertian: a surface looks the same from everywhere."""

from __future__ import annotations

import numpy as np

from mdtk.synthetic.raster import NOTHING, PinholeRays
from mdtk.synthetic.scene import Looks, Quads, Snapshot
from mdtk.synthetic.textures import Atlas

_ANISOTROPY = 2.0  # ratio of a footprint's sides above which the texture is blurred along the shorter one
_EMPTY = np.array([150, 165, 190], np.float32)
_SUN_SIDE = np.array([0.6, -0.64, -0.48])
Pair = tuple[np.ndarray, np.ndarray]


def shade(
    rays: PinholeRays,
    distance: np.ndarray,
    number: np.ndarray,
    world: Snapshot,
    rotation: np.ndarray,
    position: np.ndarray,
    atlas: Atlas,
) -> np.ndarray:
    """The colour that each ray sees.

    Args:
        distance, number: (h, w), see `raster.cast`.
        world: the primitives in world coordinates.
        rotation, position: (3, 3) and (3,), from the camera to the world.

    Returns:
        (h, w, 3) float32 in 0…255.
    """
    hit = number != NOTHING
    number = np.where(hit, number, 0)
    depth = np.where(hit, distance, 1).astype(np.float32)
    in_camera = world.quads.transformed(rotation.T, -rotation.T @ position)
    u, v, du, dv = _quad_coordinates(rays, depth, number, in_camera)
    light = np.ones((*depth.shape, 1), np.float32)
    _round_coordinates(rays, depth, number, world, rotation, position, (u, v, du, dv, light))
    looks = world.looks
    texture = looks.texture[number]
    tile_u, tile_v = np.take(looks.tile[:, 0], number), np.take(looks.tile[:, 1], number)
    footprint = _footprint(du[0] / tile_u, dv[0] / tile_v, du[1] / tile_u, dv[1] / tile_v)
    color = atlas.sample(texture, u / tile_u, v / tile_v, footprint)
    macro = _macro(number, looks, u, v, du, dv, atlas)
    color *= macro
    color *= light
    color *= np.stack([np.take(looks.color[:, k], number) for k in range(3)], axis=-1)
    color[~hit] = _EMPTY
    return color


def _macro(
    number: np.ndarray, looks: Looks, u: np.ndarray, v: np.ndarray, du: Pair, dv: Pair, atlas: Atlas
) -> np.ndarray:
    """The large-scale variation, a factor (h, w, 1) of about 1: no wall or lawn is only its tile repeated."""
    scale = 1 / np.take(looks.macro_tile, number)
    s = (u + np.take(looks.macro_start[:, 0], number)) * scale
    t = (v + np.take(looks.macro_start[:, 1], number)) * scale
    footprint = _footprint(du[0] * scale, dv[0] * scale, du[1] * scale, dv[1] * scale)
    texture = np.full(number.shape, atlas.index["macro"], np.int32)
    return atlas.sample(texture, s, t, footprint)[..., :1] * np.float32(2 / 255)


def _footprint(ux: np.ndarray, vx: np.ndarray, uy: np.ndarray, vy: np.ndarray) -> np.ndarray:
    """The extent of a sample from its extents along the image's x (ux, vx) and y (uy, vy)."""
    along_x, along_y = ux * ux + vx * vx, uy * uy + vy * vy
    longer, shorter = np.maximum(along_x, along_y), np.minimum(along_x, along_y)
    return np.sqrt(np.maximum(shorter, longer / np.float32(_ANISOTROPY**2)))


def _quad_coordinates(
    rays: PinholeRays, depth: np.ndarray, number: np.ndarray, quads: Quads
) -> tuple[np.ndarray, np.ndarray, Pair, Pair]:
    """Texture coordinates u, v in metres, and their changes from ray to ray: du = (du/dx, du/dy), dv likewise.

    X = t d with t = c / (n·d), so dX/dx = t (d' − d (n·d') / (n·d)) where d' is the change of d from ray to ray.
    """
    count = len(quads.origin)
    number = np.minimum(number, count - 1)  # rounds are overwritten later
    dx, dy, _ = rays.directions(slice(None), slice(None))

    def table(column: np.ndarray) -> np.ndarray:
        return np.take(column.astype(np.float32), number)

    n = [table(quads.normal[:, k]) for k in range(3)]
    facing = n[0] * dx + n[1] * dy + n[2]
    facing = np.where(np.abs(facing) < 1e-6, np.float32(1e-6), facing)
    coordinates: list[np.ndarray] = []
    changes: list[Pair] = []
    for axis, start in ((quads.axis_u, quads.start[:, 0]), (quads.axis_v, quads.start[:, 1])):
        g = [table(axis[:, k]) for k in range(3)]
        along = g[0] * dx + g[1] * dy + g[2]
        coordinates.append(depth * along + table(start))
        slope = along / facing
        changes.append(
            (
                depth * (g[0] - n[0] * slope) * np.float32(1 / rays.fx),
                depth * (g[1] - n[1] * slope) * np.float32(1 / rays.fy),
            )
        )
    return coordinates[0], coordinates[1], changes[0], changes[1]


def _round_coordinates(
    rays: PinholeRays,
    depth: np.ndarray,
    number: np.ndarray,
    world: Snapshot,
    rotation: np.ndarray,
    position: np.ndarray,
    out: tuple[np.ndarray, np.ndarray, Pair, Pair, np.ndarray],
) -> None:
    """Overwrites u, v, du, dv and light in `out` for the rays that hit cylinders and spheres."""
    first = len(world.quads.origin)
    rows, columns = np.nonzero(number >= first)
    if not len(rows):
        return
    u, v, du, dv, light = out
    which = number[rows, columns] - first
    rounds = world.rounds
    t = depth[rows, columns].astype(np.float64)
    x, y = (np.broadcast_to(a, depth.shape)[rows, columns] for a in (rays.x, rays.y))
    d = np.stack([x, y, np.ones(len(rows))], axis=1) @ rotation.T
    local = position + t[:, None] * d - rounds.center[which]
    radius, sphere = rounds.radius[which], rounds.sphere[which]
    flat = np.hypot(local[:, 0], local[:, 2])
    angle = np.arctan2(local[:, 0], local[:, 2])
    height = np.where(sphere, radius * np.arctan2(local[:, 1], flat), local[:, 1])
    start = world.looks.macro_start[first + which]
    u[rows, columns], v[rows, columns] = angle * radius + start[:, 0], height + start[:, 1]
    normal = np.stack([local[:, 0], np.where(sphere, local[:, 1], 0), local[:, 2]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    facing = np.minimum(np.einsum("ij,ij->i", normal, d), -1e-3)
    spread = t / -facing  # an isotropic bound of the footprint
    stretch = np.where(sphere, radius / np.maximum(flat, 0.2 * radius), 1.0)
    du[0][rows, columns] = 0.7 * spread / rays.fx * stretch
    du[1][rows, columns], dv[0][rows, columns] = 0, 0
    dv[1][rows, columns] = 0.7 * spread / rays.fy
    light[rows, columns, 0] = 0.72 + 0.38 * np.maximum(0, normal @ _SUN_SIDE)
