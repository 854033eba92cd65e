"""Objects of a street, added to a `SceneBuilder`. A `point` is (x, z) on the ground in metres."""

from __future__ import annotations

import numpy as np

from mdtk.synthetic.paint import FACADES, POSTERS
from mdtk.synthetic.scene import SceneBuilder, heading_axes

_CAR_COLORS = (
    (0.95, 0.95, 0.95),
    (0.36, 0.36, 0.39),
    (0.75, 0.12, 0.10),
    (0.22, 0.34, 0.72),
    (0.60, 0.62, 0.65),
    (0.85, 0.70, 0.20),
    (0.24, 0.50, 0.34),
    (0.58, 0.36, 0.24),
)


def add_car(builder: SceneBuilder, point: np.ndarray, heading: float) -> None:
    """Adds a car (body and cabin) or a van, about 1.8 m wide, with its shadow on the ground."""
    (x, z), rng = point, builder.rng
    color = np.array(_CAR_COLORS[rng.integers(len(_CAR_COLORS))]) * rng.uniform(0.85, 1.1)
    right, forward = heading_axes(heading)
    if rng.random() < 0.25:
        size = np.array([1.95, rng.uniform(1.9, 2.4), rng.uniform(4.6, 5.6)])
        builder.box((x, -0.08, z), size, heading, ("van_side", "car_front", "car_rear", "plain"), None, color)
    else:
        size = np.array([1.78, rng.uniform(0.82, 0.95), rng.uniform(3.9, 4.7)])
        builder.box((x, -0.08, z), size, heading, ("car_side", "car_front", "car_rear", "plain"), None, color)
        cabin = np.array([1.55, rng.uniform(0.52, 0.62), size[2] * 0.5])
        foot = np.array([x, -0.08 - size[1], z]) - forward * size[2] * 0.07
        builder.box(foot, cabin, heading, ("glass", "glass", "glass", "plain"), None, np.maximum(color, 0.5))
    reach = right * (size[0] / 2 + 0.25), forward * (size[2] / 2 + 0.25)
    corner = np.array([x, -0.012, z]) - reach[0] - reach[1]
    builder.quad(corner, 2 * reach[0], 2 * reach[1], (0, -1, 0), "asphalt", (3.0, 3.0), (0.35,) * 3, light=1.0)


def add_building(builder: SceneBuilder, point: np.ndarray, heading: float, size: tuple[float, float, float]) -> None:
    """Adds a block with windows; `size` is its width across the heading, height, and length along it."""
    (x, z), rng = point, builder.rng
    facade = FACADES[rng.integers(len(FACADES))]
    metres = rng.uniform(5.5, 9.0)
    color = rng.uniform(0.75, 1.2) * rng.uniform(0.9, 1.1, 3)
    builder.box(
        (x, 0.0, z), size, heading, (facade, facade, facade, None), (metres * rng.uniform(0.9, 1.3), metres), color
    )


def add_tree(builder: SceneBuilder, point: np.ndarray) -> None:
    """Adds a tree: a trunk and a crown of two or three balls."""
    (x, z), rng = point, builder.rng
    trunk = rng.uniform(1.8, 2.8)
    builder.round((x, 0.0, z), rng.uniform(0.12, 0.25), trunk + 0.8, "bark", 1.2, (1.0, 1.0, 1.0), sphere=False)
    color = np.array([1.0, 1.0, 1.0]) * rng.uniform(0.8, 1.35) * rng.uniform(0.85, 1.15, 3)
    for _ in range(rng.integers(2, 4)):
        radius = rng.uniform(0.9, 1.7)
        shift = rng.uniform(-0.8, 0.8, 2)
        center = (x + shift[0], -(trunk + 0.8 + rng.uniform(-0.2, 1.2)), z + shift[1])
        builder.round(center, radius, 0.0, "leaves", 2.0, color, sphere=True)


def add_pole(builder: SceneBuilder, point: np.ndarray, heading: float) -> None:
    """Adds a lamp post or a traffic sign."""
    (x, z), rng = point, builder.rng
    sign = rng.random() < 0.4
    height = 2.6 if sign else rng.uniform(4.5, 7.0)
    tone = rng.uniform(0.5, 1.3)
    builder.round((x, 0.0, z), rng.uniform(0.05, 0.11), height, "plain", 1.0, (tone, tone, tone), sphere=False)
    if sign:
        right, forward = heading_axes(heading)
        corner = np.array([x, -height, z]) - right * 0.35 - forward * 0.12
        color = np.array(_CAR_COLORS[rng.integers(len(_CAR_COLORS))]) * 1.3
        builder.quad(corner, right * 0.7, (0, 0.7, 0), -forward, "car_rear", None, color)


def add_wall(builder: SceneBuilder, start: np.ndarray, end: np.ndarray, kind: str) -> None:
    """Adds a low wall, a fence or a hedge, as `kind` says, between two points."""
    rng = builder.rng
    step = end - start
    heading = float(np.arctan2(step[0], step[1]))
    texture, width, height, tile = {
        "wall": ("brick", 0.3, rng.uniform(0.7, 1.6), (2.4, 2.4)),
        "fence": ("planks", 0.1, rng.uniform(1.1, 1.8), (2.2, 2.2)),
        "hedge": ("leaves", 0.8, rng.uniform(0.9, 1.7), (1.8, 1.8)),
    }[kind]
    middle = (start + end) / 2
    size = (width, height, float(np.hypot(*step)))
    color = rng.uniform(0.8, 1.3) * rng.uniform(0.9, 1.1, 3)
    builder.box((middle[0], 0.0, middle[1]), size, heading, (texture,) * 4, tile, color)


def add_billboard(builder: SceneBuilder, point: np.ndarray, heading: float) -> None:
    """Adds a poster on a box, which faces those who come along `heading`."""
    (x, z), rng = point, builder.rng
    poster = POSTERS[rng.integers(len(POSTERS))]
    size = (rng.uniform(1.3, 2.4), rng.uniform(1.8, 2.8), 0.35)
    builder.box((x, 0.0, z), size, heading, ("concrete", poster, poster, "concrete"), None)


def add_crate(builder: SceneBuilder, point: np.ndarray, heading: float) -> None:
    """Adds a box such as a bin, a skip or an electric cabinet."""
    (x, z), rng = point, builder.rng
    texture = str(rng.choice(["planks", "concrete", "plain", "brick"]))
    size = (rng.uniform(0.5, 1.4), rng.uniform(0.7, 1.5), rng.uniform(0.5, 1.8))
    color = rng.uniform(0.5, 1.3, 3)
    builder.box((x, 0.0, z), size, heading, (texture,) * 4, (1.5, 1.5), color)
