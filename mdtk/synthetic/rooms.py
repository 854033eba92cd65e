"""Indoor scenes: a furnished room, and a hand-held camera that looks around in it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mdtk.synthetic.paint import POSTERS
from mdtk.synthetic.paint_rooms import FABRICS, WALLPAPERS
from mdtk.synthetic.rig import rotation
from mdtk.synthetic.scene import Scene, SceneBuilder, heading_axes
from mdtk.synthetic.textures import load_atlas

_HEIGHT = 2.7  # metres from the floor to the ceiling
_EYE = 1.45  # metres from the floor to the camera


@dataclass(frozen=True)
class Room:
    """A room whose floor is centred at the world's origin."""

    scene: Scene
    half_width: float
    half_length: float
    wander: np.ndarray  # (9, 3): amplitude, angular frequency and phase of each component of the motion

    def camera_to_world(self, seconds: float) -> np.ndarray:
        """The pose (4, 4) of the camera `seconds` after the start of the recording."""
        amplitude, frequency, phase = self.wander.T
        m = amplitude * np.sin(frequency * seconds + phase)
        heading = self.wander[3, 2] * 2 + m[3] + m[4]
        right, forward = heading_axes(heading)
        upright = np.stack([right, [0.0, 1.0, 0.0], forward], axis=1)
        pose = np.eye(4)
        pose[:3, :3] = upright @ rotation(-0.12 + m[5] + m[6], 0.0, m[7])  # a little downwards
        pose[:3, 3] = [m[0] + 0.2 * m[1], -_EYE + m[8], m[1] + 0.2 * m[2]]
        return pose


@functools.lru_cache(maxsize=2)
def make_room(seed: int, place: int) -> Room:
    """The room with the number `place` in the world of `seed`; the last two are cached."""
    rng = np.random.default_rng([seed, 2000 + place])
    start_x, start_z = rng.uniform(0, 50, 2)
    builder = SceneBuilder(load_atlas(seed).index, rng, ground_start=(start_x, start_z))
    half_width, half_length = rng.uniform(2.1, 3.1), rng.uniform(2.5, 3.6)
    _shell(builder, half_width, half_length)
    for side in range(4):
        _along_wall(builder, side, half_width, half_length)
    _in_the_middle(builder, half_width, half_length)
    return Room(Scene(builder.build(), [], seed), half_width, half_length, _wander(rng, half_width, half_length))


def _wander(rng: np.random.Generator, half_width: float, half_length: float) -> np.ndarray:
    """A motion of about 0.2 m/s and 5°/s: some 7 cm and 2° between frames a third of a second apart."""
    amplitude = np.array([0.24 * half_width, 0.24 * half_length, 0.15, 0.45, 0.05, 0.10, 0.02, 0.04, 0.08])
    frequency = np.array([0.33, 0.27, 0.6, 0.19, 1.1, 0.23, 1.3, 0.5, 0.45]) * rng.uniform(0.85, 1.15, 9)
    return np.column_stack([amplitude, frequency, rng.uniform(0, 2 * np.pi, 9)])


def _shell(builder: SceneBuilder, half_width: float, half_length: float) -> None:
    rng = builder.rng
    corner = np.array([-half_width, 0.0, -half_length])
    edges = np.array([2 * half_width, 0, 0]), np.array([0, 0, 2 * half_length])
    floor = str(rng.choice(["boards", "boards", "paving", "fabric0"]))
    builder.quad(corner, *edges, (0, -1, 0), floor, (1.8, 1.8), level=True)
    builder.quad(corner - [0, _HEIGHT, 0], *edges, (0, 1, 0), "ceiling", (2.5, 2.5), level=True, light=0.95)
    if rng.random() < 0.7:  # a rug
        size = rng.uniform(1.2, 2.2, 2)
        x, z = rng.uniform(-0.4, 0.4, 2) - size / 2
        builder.quad((x, -0.008, z), (size[0], 0, 0), (0, 0, size[1]), (0, -1, 0), str(rng.choice(FABRICS)), None)
    paper = WALLPAPERS[rng.integers(len(WALLPAPERS))]
    for side in range(4):
        heading, distance, half = _wall(side, half_width, half_length)
        right, forward = heading_axes(heading)
        texture, tile = (paper, 1.5) if rng.random() < 0.8 else ("brick", 1.1)
        corner = forward * distance - right * half - [0, _HEIGHT, 0]
        builder.quad(corner, 2 * right * half, (0, _HEIGHT, 0), -forward, texture, (tile, tile))
        base = forward * (distance - 0.015) - right * half - [0, 0.12, 0]
        builder.quad(base, 2 * right * half, (0, 0.12, 0), -forward, "planks", (0.6, 0.6), (1.3, 1.25, 1.2))


def _wall(side: int, half_width: float, half_length: float) -> tuple[float, float, float]:
    """The heading and distance of a wall from the middle of the room, and half its length."""
    heading = side * np.pi / 2
    return (heading, half_length, half_width) if side % 2 == 0 else (heading, half_width, half_length)


def _along_wall(builder: SceneBuilder, side: int, half_width: float, half_length: float) -> None:
    """Adds furniture along a wall, and pictures above the low pieces."""
    rng = builder.rng
    heading, distance, half = _wall(side, half_width, half_length)
    right, forward = heading_axes(heading)
    along = -half + 0.6
    while along < half - 1.1:
        width = rng.uniform(0.6, 1.5)
        kind = str(rng.choice(["shelves", "cupboard", "table", "sofa", "none", "lamp"]))
        depth = {"shelves": 0.32, "cupboard": 0.55, "table": 0.6, "sofa": 0.85}.get(kind, 0.4)
        place = right * (along + width / 2) + forward * (distance - depth / 2 - 0.02)
        height = _piece(builder, kind, place, (width, depth), heading)
        if height < 1.3 and rng.random() < 0.75:
            _picture(builder, right * (along + width / 2) + forward * (distance - 0.02), heading)
        along += width + rng.uniform(0.05, 0.5)


def _piece(builder: SceneBuilder, kind: str, place: np.ndarray, size: tuple[float, float], heading: float) -> float:
    """Adds a piece of furniture; `size` is its extent along and across the wall. Returns its height."""
    rng = builder.rng
    width, depth = size
    color = rng.uniform(0.7, 1.25) * rng.uniform(0.88, 1.12, 3)
    if kind in ("shelves", "cupboard"):
        height = rng.uniform(0.8, 2.1)
        builder.box(place, (width, height, depth), heading, ("planks", "planks", kind, "planks"), None, color)
        return height
    if kind == "table":
        return _table(builder, place, size, heading, color)
    if kind == "sofa":
        fabric = str(rng.choice(FABRICS))
        _, forward = heading_axes(heading)
        builder.box(place, (width, 0.42, depth), heading, (fabric,) * 4, (0.7, 0.7), color)
        builder.box(
            place + forward * depth * 0.36, (width, 0.85, depth * 0.28), heading, (fabric,) * 4, (0.7, 0.7), color
        )
        return 0.85
    if kind == "lamp":
        builder.round(place, 0.03, 1.5, "plain", 0.5, (0.6, 0.6, 0.6), sphere=False)
        builder.round(place - [0, 1.5, 0], 0.2, 0.35, str(rng.choice(FABRICS)), 0.6, color * 1.3, sphere=False)
        return 1.85
    return 0.0


def _table(
    builder: SceneBuilder, place: np.ndarray, size: tuple[float, float], heading: float, color: np.ndarray
) -> float:
    """Adds a table on four legs, with things on it; returns its height."""
    rng = builder.rng
    width, depth = size
    height = rng.uniform(0.68, 0.78)
    right, forward = heading_axes(heading)
    builder.box(place - [0, height - 0.05, 0], (width, 0.05, depth), heading, ("planks",) * 4, (0.7, 0.7), color)
    for a in (-1, 1):
        for b in (-1, 1):
            foot = place + a * right * (width / 2 - 0.05) + b * forward * (depth / 2 - 0.05)
            builder.box(foot, (0.06, height - 0.05, 0.06), heading, ("planks",) * 3 + (None,), (0.4, 0.4), color)
    for _ in range(rng.integers(1, 4)):
        spot = place - [0, height, 0]
        spot = spot + right * rng.uniform(-0.35, 0.35) * width + forward * rng.uniform(-0.25, 0.25) * depth
        tint = rng.uniform(0.4, 1.4, 3)
        if rng.random() < 0.5:
            edge = rng.uniform(0.1, 0.35, 3)
            poster = POSTERS[rng.integers(len(POSTERS))]
            builder.box(spot, edge, heading + rng.normal(0, 0.4), (poster, poster, poster, "cupboard"), None, tint)
        else:
            radius = rng.uniform(0.06, 0.16)
            builder.round(spot - [0, radius, 0], radius, 0.0, str(rng.choice(FABRICS)), 0.3, tint, sphere=True)
    return height


def _picture(builder: SceneBuilder, place: np.ndarray, heading: float) -> None:
    rng = builder.rng
    right, forward = heading_axes(heading)
    width, height = rng.uniform(0.35, 0.9), rng.uniform(0.35, 0.8)
    top = place - right * width / 2 - [0, rng.uniform(1.95, 2.3), 0]
    border = 0.04
    frame = top - right * border - [0, border, 0]
    edges = right * (width + 2 * border), np.array([0, height + 2 * border, 0])
    builder.quad(frame, *edges, -forward, "planks", (0.3, 0.3), rng.uniform(0.4, 1.3, 3))
    poster = POSTERS[rng.integers(len(POSTERS))]
    builder.quad(top - forward * 0.01, right * width, (0, height, 0), -forward, poster, None, light=1.0)


def _in_the_middle(builder: SceneBuilder, half_width: float, half_length: float) -> None:
    """Adds chairs and boxes between the walls and the space in which the camera moves."""
    rng = builder.rng
    for _ in range(rng.integers(3, 6)):
        angle = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.55, 0.68)
        place = np.array([reach * half_width * np.sin(angle), 0.0, reach * half_length * np.cos(angle)])
        heading, color = rng.uniform(0, np.pi), rng.uniform(0.5, 1.3, 3)
        if rng.random() < 0.5:
            size = (rng.uniform(0.3, 0.55), rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.55))
            texture = str(rng.choice(["cupboard", "planks", *FABRICS]))
            builder.box(place, size, heading, (texture,) * 4, (0.6, 0.6), color)
        else:  # a chair
            builder.box(place - [0, 0.40, 0], (0.42, 0.06, 0.42), heading, (FABRICS[0],) * 4, (0.4, 0.4), color)
            _, forward = heading_axes(heading)
            back = place + forward * 0.2 - [0, 0.46, 0]
            builder.box(back, (0.42, 0.45, 0.04), heading, ("planks",) * 4, (0.4, 0.4), color)
            builder.round(place, 0.05, 0.40, "plain", 0.4, (0.5, 0.5, 0.5), sphere=False)
