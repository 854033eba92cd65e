"""Rectangles of a depth map that a protocol speaks of: its crop, and the part that the network's image shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdtk.core.errors import MdtkError


@dataclass(frozen=True)
class Box:
    """A rectangle of rows and columns, last ones excluded; `unit` "pixels" or "fraction" of the height and width."""

    rows: tuple[float, float | None]
    columns: tuple[float, float | None]
    unit: str = "pixels"

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """The rectangle in an image of (height, width); fractions are truncated, as published."""
        return self._span(self.rows, height), self._span(self.columns, width)

    def _span(self, axis: tuple[float, float | None], length: int) -> slice:
        factor = length if self.unit == "fraction" else 1
        low, high = axis
        return slice(int(low * factor), length if high is None else int(high * factor))

    def describe(self) -> str:
        """For example "rows 256 to the end, columns 192 to 1856"."""

        def span(axis: str, low: float, high: float | None) -> str:
            if self.unit == "fraction":
                return f"{axis} int({low}·n) to int({high}·n)"
            return f"{axis} {low} to {'the end' if high is None else high}"

        return f"{span('rows', *self.rows)}, {span('columns', *self.columns)} (last excluded)"


@dataclass(frozen=True)
class Frame:
    """Which part of a full-size ground truth the network's image shows; one that is cut already is taken as it is."""

    full: tuple[int, int]
    box: Box

    def cut(self, depth: np.ndarray, name: str) -> np.ndarray:
        """`depth` (H, W) within the frame; another size is an error that names the image and both sizes."""
        rows, columns = self.box.slices(*self.full)
        if depth.shape == self.full:
            return depth[rows, columns]
        inner = (rows.stop - rows.start, columns.stop - columns.start)
        if depth.shape != inner:
            raise MdtkError(
                f"{name}: ground truth of {depth.shape[1]}x{depth.shape[0]} pixels; this protocol takes "
                f"{self.full[1]}x{self.full[0]} or its part {inner[1]}x{inner[0]}"
            )
        return depth


@dataclass(frozen=True)
class Window:
    """A part of fixed size at the bottom of an image, in the middle of its width: the "KB crop", 352x1216 of KITTI."""

    height: int
    width: int

    def cut(self, depth: np.ndarray, name: str) -> np.ndarray:
        """A map (H, W) within the window; one of the window's size is taken as it is, a smaller one is an error."""
        height, width = depth.shape
        if height < self.height or width < self.width:
            raise MdtkError(
                f"{name}: ground truth of {width}x{height} pixels; this protocol takes a part of "
                f"{self.width}x{self.height} out of it"
            )
        top, left = height - self.height, (width - self.width) // 2
        return depth[top:, left : left + self.width]

    def describe(self) -> str:
        """For example "the bottom 352 rows and the middle 1216 columns"."""
        return f"the bottom {self.height} rows and the middle {self.width} columns"
