"""What is written for one picture: coloured disparity, arrays, 16-bit depth, a point cloud, and a note on the scale."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mdtk import __version__
from mdtk.core.files import atomic_write, write_text
from mdtk.datasets.sequence.clips import Camera
from mdtk.inference.scale import DepthScale
from mdtk.viz import colour_disparity, save_picture

KITTI_SCALE, PNG_MAXIMUM = 256.0, 65535


@dataclass(frozen=True)
class Saves:
    """What to write beside the coloured picture."""

    npy: bool = False  # full-resolution disparity and depth, float32
    png16: bool = False  # depth × png_scale in 16 bits
    ply: bool = False  # point cloud
    png_scale: float = 0.0  # PNG value of one unit of depth; 0: 256 (KITTI's) for metres, else as large as fits
    max_depth: float = float("inf")  # points farther than this are left out of the cloud

    @property
    def depth(self) -> bool:
        """Whether any file holds depth, so that its scale must be noted."""
        return self.npy or self.png16 or self.ply


def write_outputs(
    stem: Path,
    image: Image.Image,
    disparity: np.ndarray,
    scale: DepthScale,
    saves: Saves,
    camera: Camera | None,
    note: dict,
) -> list[Path]:
    """Writes `stem`_disp.png and what `saves` names; returns the paths.

    `disparity` (H, W) is 1 / the model's depth; a point cloud needs `camera`. Depth files are named _depth_metric or
    _depth_relative, and `stem`_depth.json says the scale, its source and the unit.
    """

    def path(ending: str) -> Path:
        return stem.with_name(stem.name + ending)

    written = [path("_disp.png")]
    save_picture(written[0], colour_disparity(disparity))
    if not saves.depth:
        return written
    depth = (scale.factor / disparity).astype(np.float32)
    note = {**note, **_describe(depth, scale)}
    if saves.npy:
        written += [path("_disp.npy"), path(f"_depth_{scale.kind}.npy")]
        for target, values in zip(written[-2:], (disparity.astype(np.float32), depth), strict=True):
            _save_array(target, values)
    if saves.png16:
        written.append(path(f"_depth_{scale.kind}.png"))
        png_scale = saves.png_scale or choose_png_scale(depth, scale)
        clipped = save_depth_png(written[-1], depth, png_scale, scale)
        note |= {"png_value_of_one_unit": png_scale, "png_pixels_beyond_its_range": clipped}
    if saves.ply and camera is not None:
        written.append(path(f"_points_{scale.kind}.ply"))
        K = camera.matrix(image.size)
        save_ply(written[-1], depth, K, np.asarray(image), f"unit: {scale.unit}", saves.max_depth)
        note |= {"K_in_pixels": K.tolist()}
    written.append(path("_depth.json"))
    write_text(written[-1], json.dumps(note, indent=2) + "\n")
    return written


def _describe(depth: np.ndarray, scale: DepthScale) -> dict:
    minimum, median, maximum = (float(f"{value:.5g}") for value in np.percentile(depth, (0, 50, 100)))
    return {
        "depth_unit": scale.unit,
        "scale_source": scale.source,
        "scale_factor": scale.factor,
        "depth_minimum_median_maximum": [minimum, median, maximum],
        "mdtk": __version__,
    }


def choose_png_scale(depth: np.ndarray, scale: DepthScale) -> float:
    """The PNG value of one unit: KITTI's 256 for metres; else what brings the picture's maximum to the PNG's.

    A relative depth may lie in 0.1 … 0.2, of which 256 would keep two dozen grey levels.
    """
    return KITTI_SCALE if scale.metric else float(f"{0.999 * PNG_MAXIMUM / float(depth.max()):.4g}")


def _save_array(path: Path, values: np.ndarray) -> None:
    with atomic_write(path) as temporary:
        np.save(temporary, values, allow_pickle=False)


def save_depth_png(path: Path, depth: np.ndarray, png_scale: float, scale: DepthScale) -> int:
    """16-bit PNG of round(depth × png_scale), at least 1 (0 means unknown); its text chunks say scale and unit.

    Returns how many pixels lay beyond 65535 and were set to it.
    """
    values = np.round(depth.astype(np.float64) * png_scale)
    info = PngInfo()
    info.add_text("depth_unit", scale.unit)
    info.add_text("png_value_of_one_unit", f"{png_scale:g}")
    info.add_text("scale_source", scale.source)
    with atomic_write(path) as temporary:
        Image.fromarray(np.clip(values, 1, PNG_MAXIMUM).astype(np.uint16)).save(temporary, pnginfo=info)
    return int((values > PNG_MAXIMUM).sum())


def save_ply(
    path: Path, depth: np.ndarray, K: np.ndarray, colours: np.ndarray, comment: str, max_depth: float = float("inf")
) -> int:
    """Binary PLY of the pixels at most `max_depth` away; x right, y down, z forward. Returns the number of points.

    depth (H, W); K (3, 3) in pixels of that size, pixel centres at integers; colours (H, W, 3) uint8.
    """
    v, u = np.nonzero(np.isfinite(depth) & (depth > 0) & (depth <= max_depth))
    z = depth[v, u].astype(np.float64)
    points = np.empty(len(z), dtype=[(axis, "<f4") for axis in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")])
    points["x"] = (u - K[0, 2]) / K[0, 0] * z
    points["y"] = (v - K[1, 2]) / K[1, 1] * z
    points["z"] = z
    for channel, name in enumerate(("red", "green", "blue")):
        points[name] = colours[v, u, channel]
    fields = [f"property float {axis}" for axis in "xyz"] + [f"property uchar {c}" for c in ("red", "green", "blue")]
    header = ["ply", "format binary_little_endian 1.0", f"comment {comment}", f"element vertex {len(z)}", *fields]
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(("\n".join([*header, "end_header"]) + "\n").encode("ascii"))
        file.write(points.tobytes())
    return len(z)
