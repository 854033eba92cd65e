"""Scenes of textured quads, upright cylinders and spheres, some of which move.

World axes follow the camera convention: x right, y down, z forward, metres; the ground is y = 0, up is −y.
A heading ψ turns z towards x: forward = (sin ψ, 0, cos ψ), right = (cos ψ, 0, −sin ψ).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

# Of one primitive: texture, tile, color, macro_start, macro_tile and moving, as in `Looks`.
_Look = tuple[int, tuple[float, ...], np.ndarray, np.ndarray, float, bool]
_SUN = np.array([0.45, -0.75, -0.48]) / np.linalg.norm([0.45, -0.75, -0.48])


def heading_axes(heading: float) -> tuple[np.ndarray, np.ndarray]:
    """The unit vectors to the right and forward for a heading in radians."""
    sin, cos = np.sin(heading), np.cos(heading)
    return np.array([cos, 0.0, -sin]), np.array([sin, 0.0, cos])


@dataclass(frozen=True)
class Quads:
    """N parallelograms `origin + a edge_u + b edge_v`, 0 ≤ a, b ≤ 1, visible from the side that `normal` points to.

    Texture coordinates in metres are `axis_u · X + start_u` and `axis_v · X + start_v`.
    """

    origin: np.ndarray  # (N, 3)
    edge_u: np.ndarray  # (N, 3)
    edge_v: np.ndarray  # (N, 3)
    normal: np.ndarray  # (N, 3)
    axis_u: np.ndarray  # (N, 3)
    axis_v: np.ndarray  # (N, 3)
    start: np.ndarray  # (N, 2)

    def transformed(self, rotation: np.ndarray, translation: np.ndarray) -> Quads:
        """The quads, with their textures, in the coordinates `X' = rotation X + translation`."""
        axis_u, axis_v = self.axis_u @ rotation.T, self.axis_v @ rotation.T
        start = self.start - np.stack([axis_u @ translation, axis_v @ translation], axis=1)
        return Quads(
            self.origin @ rotation.T + translation,
            self.edge_u @ rotation.T,
            self.edge_v @ rotation.T,
            self.normal @ rotation.T,
            axis_u,
            axis_v,
            start,
        )


@dataclass(frozen=True)
class Rounds:
    """M spheres (where `sphere` is true) and upright cylinders (whose `center` is that of the foot)."""

    center: np.ndarray  # (M, 3)
    radius: np.ndarray  # (M,)
    height: np.ndarray  # (M,) height of a cylinder above its foot
    sphere: np.ndarray  # (M,) bool


@dataclass(frozen=True)
class Looks:
    """The appearance of each of P primitives, in the order quads, rounds."""

    texture: np.ndarray  # (P,) number in the atlas
    tile: np.ndarray  # (P, 2) metres that one tile covers
    color: np.ndarray  # (P, 3) factor on the texture, which includes the light
    macro_start: np.ndarray  # (P, 2) metres: where the large-scale variation starts
    macro_tile: np.ndarray  # (P,) metres that one tile of it covers
    moving: np.ndarray  # (P,) bool


@dataclass(frozen=True)
class Snapshot:
    """A scene at one moment."""

    quads: Quads
    rounds: Rounds
    looks: Looks


@dataclass(frozen=True)
class Scene:
    """Static primitives, and rigid moving objects with a pose (x, z, heading) at every frame."""

    static: Snapshot
    movers: list[tuple[Snapshot, np.ndarray]]  # objects made of quads only, and their poses (F, 3)
    atlas_seed: int

    def at(self, frame: int) -> Snapshot:
        """All primitives as they are at `frame`."""
        parts = [self.static]
        for body, poses in self.movers:
            x, z, heading = poses[frame]
            right, forward = heading_axes(heading)
            rotation = np.stack([right, [0.0, 1.0, 0.0], forward], axis=1)
            quads = body.quads.transformed(rotation, np.array([x, 0.0, z]))
            parts.append(Snapshot(quads, body.rounds, body.looks))
        return _merged(parts)


def _merged(parts: list[Snapshot]) -> Snapshot:
    if len(parts) == 1:
        return parts[0]
    quads = Quads(*(np.concatenate([getattr(p.quads, name) for p in parts]) for name in Quads.__annotations__))
    rounds = parts[0].rounds  # movers have none
    count = len(parts[0].quads.origin)

    def join(name: str) -> np.ndarray:
        first = getattr(parts[0].looks, name)
        return np.concatenate([first[:count], *(getattr(p.looks, name) for p in parts[1:]), first[count:]])

    return Snapshot(quads, rounds, Looks(*(join(name) for name in Looks.__annotations__)))


@dataclass
class SceneBuilder:
    """Collects primitives, which `build` puts together."""

    texture_index: dict[str, int]
    rng: np.random.Generator
    moving: bool = False
    ground_start: tuple[float, float] = (0.0, 0.0)  # metres; where the textures of level surfaces start
    _quads: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    _rounds: list[tuple[np.ndarray, float, float, bool]] = field(default_factory=list)
    _quad_looks: list[_Look] = field(default_factory=list)
    _round_looks: list[_Look] = field(default_factory=list)

    def quad(
        self,
        origin: ArrayLike,
        edge_u: ArrayLike,
        edge_v: ArrayLike,
        normal: ArrayLike,
        texture: str,
        tile: tuple[float, float] | None = None,
        color: ArrayLike = (1.0, 1.0, 1.0),
        level: bool = False,
        light: float | None = None,
        macro_tile: float = 23.0,
    ) -> None:
        """Adds a parallelogram.

        Args:
            origin, edge_u, edge_v, normal: see `Quads`.
            texture: name of the texture.
            tile: size of a texture tile along u and v in metres; None stretches one tile over the quad.
            color: factor on the texture.
            level: whether texture coordinates are the world's x and z, so that surfaces join without a seam.
            light: brightness; None computes it from the normal and the direction of the sun.
            macro_tile: size of a tile of the large-scale variation in metres.
        """
        origin, edge_u, edge_v, normal = (np.asarray(a, float) for a in (origin, edge_u, edge_v, normal))
        size = np.array([np.linalg.norm(edge_u), np.linalg.norm(edge_v)])
        macro = np.zeros(2) if level else self.rng.uniform(0, 80, 2)
        if level:
            axis_u, axis_v, start = np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.array(self.ground_start)
        else:
            axis_u, axis_v = edge_u / size[0], edge_v / size[1]
            start = -np.array([axis_u @ origin, axis_v @ origin])
        if tile is None:
            tile = float(size[0]), float(size[1])
        elif not level:
            start = start + np.array([self.rng.uniform(0, 2 * tile[0]), tile[1] - size[1]])  # a tile ends at the foot
        if light is None:
            light = 0.72 + 0.38 * max(0.0, float(normal @ _SUN))
        self._quads.append((origin, edge_u, edge_v, normal, axis_u, axis_v, start))
        look = (self.texture_index[texture], tile, np.asarray(color) * light, macro, macro_tile, self.moving)
        self._quad_looks.append(look)

    def round(
        self,
        center: ArrayLike,
        radius: float,
        height: float,
        texture: str,
        tile: float,
        color: ArrayLike,
        sphere: bool,
    ) -> None:
        """Adds a sphere, or an upright cylinder whose foot is at `center`; a texture tile covers `tile` metres."""
        self._rounds.append((np.asarray(center, float), radius, height, sphere))
        macro = self.rng.uniform(0, 80, 2)
        look = (self.texture_index[texture], (tile, tile), np.asarray(color, float), macro, 23.0, False)
        self._round_looks.append(look)

    def box(
        self,
        center: ArrayLike,
        size: ArrayLike,
        heading: float,
        textures: Sequence[str | None],
        tile: tuple[float, float] | None = None,
        color: ArrayLike = (1.0, 1.0, 1.0),
    ) -> None:
        """Adds an upright box without a floor.

        Args:
            center: x, y of the bottom, and z, in metres.
            size: width across the heading, height, and length along the heading, in metres.
            heading: direction of the front, in radians.
            textures: names for the sides, the front, the back and the top; None leaves a face out.
            tile, color: see `quad`.
        """
        right, forward = heading_axes(heading)
        width, height, length = np.asarray(size, float)
        center = np.asarray(center, float)
        down = np.array([0.0, height, 0.0])
        sides, front, back, lid = textures
        faces = [  # seen from outside, u runs to the right and v down
            (sides, right * width / 2, forward * length, right),
            (sides, -right * width / 2, -forward * length, -right),
            (front, forward * length / 2, -right * width, forward),
            (back, -forward * length / 2, right * width, -forward),
        ]
        for texture, offset, edge, normal in faces:
            if texture is not None:
                self.quad(center + offset - edge / 2 - down, edge, down, normal, texture, tile, color)
        if lid is not None:
            corner = center - down - right * width / 2 - forward * length / 2
            self.quad(corner, right * width, forward * length, (0, -1, 0), lid, tile, color)

    def build(self) -> Snapshot:
        """The primitives that were added, as arrays."""
        quads = [np.stack([q[k] for q in self._quads]).astype(np.float64) for k in range(7)]
        rounds = self._rounds
        centers = np.stack([r[0] for r in rounds]) if rounds else np.zeros((0, 3))
        looks = self._quad_looks + self._round_looks
        return Snapshot(
            Quads(*quads),
            Rounds(
                centers,
                np.array([r[1] for r in rounds], float),
                np.array([r[2] for r in rounds], float),
                np.array([r[3] for r in rounds], bool),
            ),
            Looks(
                np.array([look[0] for look in looks], np.int32),
                np.array([look[1] for look in looks], np.float32),
                np.array([look[2] for look in looks], np.float32),
                np.array([look[3] for look in looks], np.float32),
                np.array([look[4] for look in looks], np.float32),
                np.array([look[5] for look in looks], bool),
            ),
        )
