"""What a scene is made of: textured quads, upright cylinders, spheres; some of them move.

World axes follow the camera convention: x right, y down, z forward, metres; the ground is y = 0, up is −y.
A heading ψ turns z towards x: forward = (sin ψ, 0, cos ψ), right = (cos ψ, 0, −sin ψ).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

_SUN = np.array([0.45, -0.75, -0.48]) / np.linalg.norm([0.45, -0.75, -0.48])


def heading_axes(heading: float) -> tuple[np.ndarray, np.ndarray]:
    """(right, forward) unit vectors of a heading in radians."""
    sin, cos = np.sin(heading), np.cos(heading)
    return np.array([cos, 0.0, -sin]), np.array([sin, 0.0, cos])


@dataclass(frozen=True)
class Quads:
    """N parallelograms `origin + a edge_u + b edge_v`, 0 ≤ a, b ≤ 1, seen from the side that `normal` points to.

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
        """The quads in the frame `X' = rotation X + translation`; the textures travel with them."""
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
    """M upright cylinders (`sphere` false; `center` is the foot's) and spheres (`sphere` true)."""

    center: np.ndarray  # (M, 3)
    radius: np.ndarray  # (M,)
    height: np.ndarray  # (M,) of a cylinder, upwards from its center
    sphere: np.ndarray  # (M,) bool


@dataclass(frozen=True)
class Looks:
    """How each primitive looks: (P,) arrays in the order quads, rounds."""

    texture: np.ndarray  # (P,) number in the atlas
    tile: np.ndarray  # (P, 2) metres that one tile covers
    color: np.ndarray  # (P, 3) multiplies the texture; the light is in it
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
    """Static primitives, and rigid movers with a pose (x, z, heading) at every frame."""

    static: Snapshot
    movers: list[tuple[Snapshot, np.ndarray]]  # (quads only, (F, 3))
    atlas_seed: int

    def at(self, frame: int) -> Snapshot:
        """Everything as it stands at `frame`."""
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
    """Collects primitives; `build()` stacks them."""

    texture_index: dict[str, int]
    rng: np.random.Generator
    moving: bool = False
    ground_start: tuple[float, float] = (0.0, 0.0)  # metres: where level surfaces' textures start, the place's own
    _quads: list[tuple] = field(default_factory=list)
    _rounds: list[tuple] = field(default_factory=list)
    _quad_looks: list[tuple] = field(default_factory=list)
    _round_looks: list[tuple] = field(default_factory=list)

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
            tile: metres of one texture tile along u and v; None stretches one tile over the quad.
            level: texture coordinates are the world's x and z (surfaces that join without a seam).
            light: brightness; None takes it from the normal and the sun.
            macro_tile: metres of the large-scale variation's tile.
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
            tile = tuple(size)
        elif not level:
            start = start + np.array([self.rng.uniform(0, 2 * tile[0]), tile[1] - size[1]])  # foot on foot
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
        """Adds an upright cylinder (`center`: its foot) or a sphere; `tile`: metres of one texture tile."""
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
            center: (x, y of the bottom, z). size: (width across, height, length along the heading), metres.
            textures: (sides, front, back, top) names; None leaves a face out.
        """
        right, forward = heading_axes(heading)
        width, height, length = size
        center = np.asarray(center, float)
        down = np.array([0.0, height, 0.0])
        sides, front, back, lid = textures
        faces = [  # u runs to the right for one who looks at the face, v down
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
        """Everything that was added."""
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
