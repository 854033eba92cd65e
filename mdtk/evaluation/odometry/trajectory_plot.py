"""Trajectories from above, drawn with OpenCV: x to the right, z (forward) up, in metres, with a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

Pixel = Callable[[np.ndarray], np.ndarray]  # x and z in metres (…, 2) → place in the picture (…, 2)
SIZE, MARGIN, LEGEND = 760, 60, 26
_PAPER, _INK, _GRID = (255, 255, 255), (60, 60, 60), (225, 225, 225)
_COLOURS = ((170, 170, 170), (200, 60, 40), (40, 110, 190), (60, 150, 80))  # RGB; the first is for the ground truth


def grid_step(extent: float) -> float:
    """A round distance (1, 2 or 5 × 10^n) that divides `extent` metres into 4 to 10 parts."""
    power = 10.0 ** np.floor(np.log10(extent / 4))
    return float(next(factor * power for factor in (5, 2, 1) if extent / (factor * power) >= 4))


def plot_trajectories(trajectories: Mapping[str, np.ndarray], title: str) -> np.ndarray:
    """Camera poses (N, 4, 4) by label → a picture (h, w, 3) uint8 RGB; the first is drawn as the ground truth."""
    paths = {label: poses[:, [0, 2], 3] for label, poses in trajectories.items()}
    points = np.concatenate(list(paths.values()))
    centre, extent = (points.max(0) + points.min(0)) / 2, max(float(np.ptp(points, axis=0).max()) * 1.05, 1e-3)
    scale = (SIZE - 2 * MARGIN) / extent

    def pixel(xz: np.ndarray) -> np.ndarray:
        return np.array([SIZE / 2, SIZE / 2]) + (xz - centre) * scale * [1, -1]

    picture = np.full((SIZE + LEGEND * (len(paths) + 1), SIZE, 3), _PAPER, np.uint8)
    _draw_grid(picture, centre, extent, pixel)
    for place, (label, path) in enumerate(paths.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        line = np.round(pixel(path) * 16).astype(np.int32)
        cv2.polylines(picture, [line], False, colour, 2 if place else 5, cv2.LINE_AA, shift=4)
        y = SIZE + LEGEND * place + 8
        cv2.line(picture, (MARGIN, y), (MARGIN + 40, y), colour, 3, cv2.LINE_AA)
        _text(picture, label, (MARGIN + 52, y + 5))
    start = np.round(pixel(next(iter(paths.values()))[0])).astype(int)
    cv2.circle(picture, tuple(int(v) for v in start), 6, _INK, 2, cv2.LINE_AA)
    _text(picture, "circle: start", (MARGIN, SIZE + LEGEND * len(paths) + 13))
    _text(picture, title, (MARGIN, 30), 0.6)
    return picture


def _draw_grid(picture: np.ndarray, centre: np.ndarray, extent: float, pixel: Pixel) -> None:
    step, half = grid_step(extent), extent / 2
    for axis in (0, 1):
        first = np.ceil((centre[axis] - half) / step) * step
        for value in np.arange(first, centre[axis] + half, step):
            ends = np.stack([centre - half, centre + half])
            ends[:, axis] = value
            (x0, y0), (x1, y1) = np.round(pixel(ends)).astype(int).tolist()
            cv2.line(picture, (x0, y0), (x1, y1), _GRID, 1, cv2.LINE_AA)
            place = (x0 - 12, SIZE - MARGIN + 18) if axis == 0 else (8, y0 + 5)
            _text(picture, f"{round(value / step) * step:g}", place, 0.42)
    _text(picture, "x, m", (SIZE - MARGIN - 10, SIZE - MARGIN + 36), 0.45)
    _text(picture, "z, m", (8, MARGIN - 12), 0.45)


def _text(picture: np.ndarray, text: str, place: tuple[int, int], size: float = 0.5) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
