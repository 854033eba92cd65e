"""A street along a gently curved path; every drive has its own street, made from its own seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdtk.synthetic import objects
from mdtk.synthetic.scene import Scene, SceneBuilder, Snapshot, heading_axes
from mdtk.synthetic.textures import load_atlas

_BEHIND, _AHEAD = 15.0, 130.0  # metres of street before the first and after the last frame
_STEP = 0.1


@dataclass(frozen=True)
class Path:
    """The middle of the road, sampled by arc length s, which starts at −`_BEHIND` metres."""

    points: np.ndarray  # (n, 2) x, z every `_STEP` metres
    headings: np.ndarray  # (n,)

    def at(self, s: float) -> tuple[np.ndarray, float]:
        """The point (x, z) and the heading at arc length `s` in metres."""
        grid = np.arange(len(self.headings)) * _STEP - _BEHIND
        point = np.array([np.interp(s, grid, self.points[:, k]) for k in range(2)])
        return point, float(np.interp(s, grid, self.headings))

    def beside(self, s: float, lateral: float) -> tuple[np.ndarray, float]:
        """The point (x, z) that is `lateral` metres to the right of the path at `s`, and the heading there."""
        point, heading = self.at(s)
        right, _ = heading_axes(heading)
        return point + lateral * right[[0, 2]], heading

    def clearance(self, point: np.ndarray) -> float:
        """The distance in metres from a point (x, z) to the path."""
        return float(np.min(np.hypot(*(self.points[::5] - point).T)))


def make_path(rng: np.random.Generator, length: float) -> Path:
    """A path whose curvature is a sum of slow waves, up to about 1/45 per metre, with heading 0 at s = 0."""
    s = np.arange(0, _BEHIND + length + _AHEAD, _STEP)
    curvature = np.zeros_like(s)
    for wavelength in rng.uniform(60, 220, 3):
        curvature += rng.uniform(0.001, 0.0075) * np.sin(2 * np.pi * (s / wavelength + rng.random()))
    headings = np.cumsum(curvature) * _STEP
    headings -= np.interp(_BEHIND, s, headings)
    points = np.cumsum(np.stack([np.sin(headings), np.cos(headings)], axis=1), axis=0) * _STEP
    points -= [np.interp(_BEHIND, s, points[:, k]) for k in range(2)]
    return Path(points, headings)


@dataclass(frozen=True)
class Style:
    """The properties of a street; lengths are in metres."""

    half_road: float
    sidewalk: float
    setback: tuple[float, float]  # minimum and maximum distance of the facades from the sidewalk
    parked: float  # share of parking places that are taken
    trees: float  # share of places on the sidewalk with a tree
    ground: str  # texture
    divided: bool  # whether a strip with hedges, walls and trees divides the road


# For each kind the ranges of: half the road's width, sidewalk, minimum setback, maximum minus minimum setback, share of
# parked cars, share of trees. Streets differ, so that the typical depth of a pixel says little about a new place.
_KINDS = (
    ((4.8, 5.8), (1.5, 3.0), (0.0, 3.0), (2.0, 9.0), (0.25, 0.75), (0.0, 0.5)),  # a street with parked cars
    ((2.4, 3.0), (0.9, 1.4), (0.0, 0.3), (0.3, 2.0), (0.0, 0.0), (0.0, 0.0)),  # an alley between houses
    ((7.0, 8.5), (2.5, 4.0), (3.0, 8.0), (3.0, 10.0), (0.3, 0.8), (0.3, 0.6)),  # a divided avenue with front gardens
)


def make_style(rng: np.random.Generator, kind: int) -> Style:
    """A random style for a kind of street: 0 street, 1 alley, 2 avenue."""
    half_road, sidewalk, near, farther, parked, trees = (rng.uniform(*limits) for limits in _KINDS[kind])
    ground = str(rng.choice(["grass", "grass", "paving", "gravel"]))
    return Style(half_road, sidewalk, (near, near + farther), parked, trees, ground, divided=kind == 2)


@dataclass(frozen=True)
class Street:
    """A street before it is built: its path and style, which moving cars are planned by."""

    path: Path
    style: Style
    length: float  # metres that the rig drives
    rng: np.random.Generator
    ground_start: tuple[float, float]  # metres; every street has its own part of the asphalt and of the sky

    @property
    def lane(self) -> float:
        """The distance in metres from the path to the driving lane, which is 2 m or more beside parked cars."""
        return (0.5 if self.style.divided else 0.35) * (self.style.half_road - 1.9)


def plan_street(seed: list[int], length: float, kind: int = 0) -> Street:
    """The street of `seed` for a drive of `length` metres; `kind` is that of `make_style`."""
    rng = np.random.default_rng(seed)
    start_x, start_z = np.random.default_rng([*seed, 9]).uniform(0, 300, 2)
    return Street(make_path(rng, length), make_style(rng, kind), length, rng, (start_x, start_z))


def build_street(street: Street, atlas_seed: int, tracks: list[tuple[np.ndarray, np.ndarray]]) -> Scene:
    """Builds the scene of a planned street, once: it uses up the random numbers of the street's generator.

    Args:
        tracks: for each moving car its arc length and its lateral position in metres at every frame; a car that moves
            towards smaller s is turned round.
    """
    path, style, length = street.path, street.style, street.length
    builder = SceneBuilder(load_atlas(atlas_seed).index, street.rng, ground_start=street.ground_start)
    _ground(builder, path, style, length)
    for side in (-1, 1):
        _buildings(builder, path, style, side, length)
        _kerbside(builder, path, style, side, length)
    if style.divided:
        _dividing_strip(builder, path, length)
    _surroundings(builder, path, length)
    return Scene(builder.build(), [_mover(builder, path, *track) for track in tracks], atlas_seed)


def _ground(builder: SceneBuilder, path: Path, style: Style, length: float) -> None:
    middle, _ = path.at(length / 2)
    reach = 900.0
    corner = np.array([middle[0] - reach, 0.0, middle[1] - reach])
    edges = (2 * reach, 0, 0), (0, 0, 2 * reach)
    builder.quad(corner, *edges, (0, -1, 0), style.ground, (3.6, 3.6), level=True)
    sky = corner - [0, 70.0, 0]
    builder.quad(sky, *edges, (0, 1, 0), "clouds", (190.0, 190.0), level=True, light=1.1, macro_tile=1e6)
    step = 4.0
    for number, s in enumerate(np.arange(-_BEHIND, length + _AHEAD - step, step)):
        _road_segment(builder, *path.at(s + step / 2), style, step + 0.4, dash=number % 2 == 1)


def _road_segment(
    builder: SceneBuilder, point: np.ndarray, heading: float, style: Style, length: float, dash: bool
) -> None:
    """Adds road, sidewalks, kerbs and maybe a dash; neighbours overlap, without a seam since their textures agree."""
    right, forward = heading_axes(heading)
    foot, along, half, walk = np.array([point[0], 0.0, point[1]]), forward * length, style.half_road, style.sidewalk
    strips = [  # lateral start, width, height, texture, tile, tone
        (-half, 2 * half, 0.005, "asphalt", 5.0, 1.0),
        (half, walk, 0.13, "paving", 2.6, 1.0),
        (-half - walk, walk, 0.13, "paving", 2.6, 1.0),
    ]
    if dash:
        strips.append((-0.07, 0.14, 0.008, "plain", 2.0, 1.7))
    for lateral, width, height, texture, tile, tone in strips:
        corner = foot + right * lateral - along / 2 - [0, height, 0]
        color = (tone, tone, tone)
        builder.quad(corner, right * width, along, (0, -1, 0), texture, (tile, tile), color, level=True)
    for side in (-1, 1):
        kerb = foot + right * half * side - [0, 0.13, 0] - side * along / 2
        builder.quad(kerb, side * along, (0, 0.13, 0), -side * right, "concrete", (1.5, 1.5), (1.2, 1.2, 1.2))


def _buildings(builder: SceneBuilder, path: Path, style: Style, side: int, length: float) -> None:
    rng = builder.rng
    edge = style.half_road + style.sidewalk
    s = -_BEHIND + rng.uniform(0, 6)
    while s < length + _AHEAD - 12:
        front, depth = rng.uniform(6, 17), rng.uniform(7, 12)
        setback = rng.uniform(*style.setback)
        if rng.random() < 0.22:  # a side street or a yard, with something further back
            front = rng.uniform(5, 11)
            setback, depth = rng.uniform(14, 32), 8.0
            _yard(builder, path, s, front, edge, side)
        size = (depth, rng.uniform(3.5, 11.0), front)
        turn = rng.normal(0, 0.05)
        point, heading = path.beside(s + front / 2, side * (edge + setback + depth / 2 + 0.05 * front))
        if path.clearance(point) > edge + np.hypot(depth, front) / 2 - 1.5 or setback < 12:
            objects.add_building(builder, point, heading + turn, size)
        if setback > 2.5 and setback < 12 and rng.random() < 0.7:
            start, end = (path.beside(t, side * (edge + 0.5))[0] for t in (s + 0.5, s + front - 0.5))
            objects.add_wall(builder, start, end, str(rng.choice(["wall", "fence", "hedge"])))
        s += front + (rng.uniform(1.0, 5.0) if rng.random() < 0.35 else 0.0)


def _yard(builder: SceneBuilder, path: Path, s: float, front: float, edge: float, side: int) -> None:
    rng = builder.rng
    for _ in range(rng.integers(1, 4)):
        point, heading = path.beside(s + rng.uniform(1, front - 1), side * (edge + rng.uniform(2.5, 11)))
        if path.clearance(point) < edge + 2:
            continue
        kind = rng.integers(3)
        if kind == 0:
            objects.add_car(builder, point, heading + rng.choice([0.0, np.pi / 2]))
        elif kind == 1:
            objects.add_tree(builder, point)
        else:
            objects.add_crate(builder, point, heading)


def _kerbside(builder: SceneBuilder, path: Path, style: Style, side: int, length: float) -> None:
    """Adds parked cars at the kerb, and trees, poles and other objects on the sidewalk."""
    rng = builder.rng
    end = length + _AHEAD - 30
    for s in np.arange(-_BEHIND, end, 5.9):
        if rng.random() < style.parked:
            lateral = side * (style.half_road - rng.uniform(0.85, 1.0))
            point, heading = path.beside(s + rng.uniform(-0.3, 0.3), lateral)
            objects.add_car(builder, point, heading + (np.pi if side < 0 else 0) + rng.normal(0, 0.02))
    for s in np.arange(-_BEHIND, end, 4.0):
        chance = rng.random()
        if chance > 0.25 + style.trees:
            continue
        lateral = side * (style.half_road + rng.uniform(0.4, style.sidewalk - 0.4))
        point, heading = path.beside(s + rng.uniform(-1.5, 1.5), lateral)
        if chance < style.trees:
            objects.add_tree(builder, point)
        elif chance < style.trees + 0.12:
            objects.add_pole(builder, point, heading)
        elif chance < style.trees + 0.18:
            objects.add_billboard(builder, point, heading)
        else:
            objects.add_crate(builder, point, heading)


def _dividing_strip(builder: SceneBuilder, path: Path, length: float) -> None:
    """Adds hedges, walls, fences and trees in the middle of the road, with gaps."""
    rng = builder.rng
    s = -_BEHIND
    while s < length + _AHEAD - 30:
        span = rng.uniform(5, 13)
        if rng.random() < 0.6:
            start, end = (path.beside(t, 0.0)[0] for t in (s, s + span))
            objects.add_wall(builder, start, end, str(rng.choice(["hedge", "hedge", "wall", "fence"])))
        elif rng.random() < 0.6:
            objects.add_tree(builder, path.beside(s + span / 2, 0.0)[0])
        s += span + rng.uniform(0.5, 3)


def _surroundings(builder: SceneBuilder, path: Path, length: float) -> None:
    """Adds a block at the end of the street and a ring of far woods, so that every depth is bounded."""
    rng = builder.rng
    point, heading = path.at(length + _AHEAD - 6)
    objects.add_building(builder, point, heading, (40.0, rng.uniform(8, 14), 8.0))
    middle, _ = path.at((length + _AHEAD - _BEHIND) / 2)
    radius, count = (length + _AHEAD + _BEHIND) / 2 + 70, 40
    for k in range(count):
        angle = 2 * np.pi * k / count
        right, forward = heading_axes(angle)
        width = 2 * np.pi * radius / count * 1.05
        height = rng.uniform(7, 17)
        corner = np.array([middle[0], -height, middle[1]]) + forward * (radius + rng.uniform(0, 8)) - right * width / 2
        color = rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3)
        builder.quad(corner, right * width, (0, height, 0), -forward, "treeline", (26.0, 26.0), color)


def _mover(builder: SceneBuilder, path: Path, s: np.ndarray, lateral: np.ndarray) -> tuple[Snapshot, np.ndarray]:
    """A car and its poses (x, z, heading) at every frame, (F, 3)."""
    body = SceneBuilder(builder.texture_index, builder.rng, moving=True)
    objects.add_car(body, np.zeros(2), 0.0)
    oncoming = s[-1] < s[0]
    poses = np.empty((len(s), 3))
    for frame, (along, beside) in enumerate(zip(s, lateral, strict=True)):
        point, heading = path.beside(along, beside)
        poses[frame] = *point, heading + (np.pi if oncoming else 0.0)
    return body.build(), poses
