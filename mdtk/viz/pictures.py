"""Pictures: colour maps for disparity, depth and errors, captions, contact sheets. Films are in `mdtk.viz.film`.

Pictures are (H, W, 3) uint8 RGB. Nothing here knows a dataset or a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write

UNKNOWN = (0, 0, 0)  # the colour of pixels without a value
_PAPER, _INK = (255, 255, 255), (20, 20, 20)
_OPENCV_MAPS = {
    "magma": cv2.COLORMAP_MAGMA,
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "turbo": cv2.COLORMAP_TURBO,
}
# Small errors blue, large ones red, pale in the middle: no entry looks like UNKNOWN.
_ERROR_ANCHORS = np.array([[49, 54, 149], [116, 173, 209], [240, 240, 220], [253, 174, 97], [165, 0, 38]], np.float64)


def colour_table(name: str) -> np.ndarray:
    """The 256 RGB colours, (256, 3) uint8, of a map: magma, inferno, viridis, turbo, error or grey.

    Raises `MdtkError` for another name.
    """
    ramp = np.arange(256, dtype=np.uint8)
    if name == "grey":
        return np.repeat(ramp[:, None], 3, axis=1)
    if name == "error":
        places = np.linspace(0, 255, len(_ERROR_ANCHORS))
        return (
            np.stack([np.interp(ramp, places, _ERROR_ANCHORS[:, c]) for c in range(3)], axis=1).round().astype(np.uint8)
        )
    if name not in _OPENCV_MAPS:
        raise MdtkError(f"colour map '{name}' is none of {', '.join([*_OPENCV_MAPS, 'error', 'grey'])}")
    return cv2.applyColorMap(ramp[:, None], _OPENCV_MAPS[name])[:, 0, ::-1].copy()


def colour_map(values_hw: np.ndarray, lo: float, hi: float, name: str = "magma") -> np.ndarray:
    """A picture of `values_hw` in the colours of a map, which `lo` and `hi` have the ends of; NaN is black."""
    known = ~np.isnan(values_hw)
    place = (np.where(known, values_hw, lo).astype(np.float64) - lo) / max(hi - lo, 1e-12)
    picture = colour_table(name)[(np.clip(place, 0.0, 1.0) * 255).round().astype(np.uint8)]
    picture[~known] = UNKNOWN
    return picture


def disparity_range(disparity: np.ndarray, percentile: float = 95.0) -> tuple[float, float]:
    """The minimum and the `percentile` of the finite values: the few nearest pixels do not darken the others."""
    finite = disparity[np.isfinite(disparity)]
    if finite.size == 0:
        return 0.0, 1.0
    return float(finite.min()), float(np.percentile(finite, percentile))


def colour_disparity(disparity_hw: np.ndarray, lo: float | None = None, hi: float | None = None) -> np.ndarray:
    """A picture of disparity in magma colours, near is bright; `lo` and `hi` default to `disparity_range`."""
    minimum, maximum = disparity_range(disparity_hw) if lo is None or hi is None else (lo, hi)
    return colour_map(disparity_hw, minimum if lo is None else lo, maximum if hi is None else hi)


def colour_depth(depth_hw: np.ndarray, lo: float | None = None, hi: float | None = None) -> np.ndarray:
    """A picture of depth in the colours of its disparity; `lo` and `hi` are depths, and depth 0 is unknown."""
    with np.errstate(divide="ignore"):
        disparity = np.where(depth_hw > 0, 1.0 / depth_hw, np.nan)
    return colour_disparity(disparity, None if hi is None else 1.0 / hi, None if lo is None else 1.0 / lo)


def error_map(
    prediction_hw: np.ndarray,
    truth_hw: np.ndarray,
    limit: float = 0.3,
    valid_hw: np.ndarray | None = None,
    grow: int = 0,
) -> np.ndarray:
    """A picture of the relative error |prediction - truth| / truth, from 0 (blue) to `limit` and more (red).

    It is black where truth is 0 or not valid. `grow` widens sparse LiDAR points to squares of 2 × grow + 1 pixels, in
    which the maximum error shows.
    """
    valid = truth_hw > 0 if valid_hw is None else valid_hw & (truth_hw > 0)
    error = np.abs(prediction_hw - truth_hw) / np.where(valid, truth_hw, 1.0)
    error = np.where(valid, error, -1.0).astype(np.float32)
    if grow:
        error = cv2.dilate(error, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8))
    return colour_map(np.where(error < 0, np.nan, error), 0.0, limit, "error")


def resize_picture(picture: np.ndarray, width: int, height: int | None = None) -> np.ndarray:
    """The picture resized to `width` and `height` (None keeps the aspect), by area averaging when it shrinks."""
    height = height or max(1, round(picture.shape[0] * width / picture.shape[1]))
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = width < picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def caption(picture: np.ndarray, text: str, height: int = 18) -> np.ndarray:
    """The picture below a line of text, which ends with … where it is too long."""
    return np.concatenate([text_line(text, picture.shape[1], height), picture])


def text_line(text: str, width: int, height: int = 18, centre: bool = False) -> np.ndarray:
    """A white strip (height, width, 3) uint8 with a line of text, which ends with … where it is too long."""
    strip = Image.new("RGB", (width, height), _PAPER)
    font = ImageFont.load_default(size=max(8, round(height * 0.68)))
    room = width - 6
    if font.getlength(text) > room:
        while text and font.getlength(f"{text}…") > room:
            text = text[:-1]
        text = f"{text}…"
    left = (width - font.getlength(text)) / 2 if centre else 3
    ImageDraw.Draw(strip).text((left, height / 2), text, fill=_INK, font=font, anchor="lm")
    return np.asarray(strip)


def colour_bar(width: int, height: int, left: str, right: str, name: str = "magma") -> np.ndarray:
    """A white strip (height, width, 3) uint8 with all colours of a map, and what its two ends mean beside it.

    The texts take at most a third of the width each.
    """
    font = ImageFont.load_default(size=max(8, round(height * 0.5)))
    sides = [min(round(font.getlength(text)) + 12, width // 3) for text in (left, right)]
    middle = width - sum(sides)
    ramp = np.linspace(0, 1, middle, dtype=np.float32)[None].repeat(max(1, height // 2), 0)
    strip = _paper(height, width)
    top = (height - ramp.shape[0]) // 2
    strip[top : top + ramp.shape[0], sides[0] : sides[0] + middle] = colour_map(ramp, 0.0, 1.0, name)
    image = Image.fromarray(strip)
    draw = ImageDraw.Draw(image)
    draw.text((sides[0] - 6, height / 2), left, fill=_INK, font=font, anchor="rm")
    draw.text((sides[0] + middle + 6, height / 2), right, fill=_INK, font=font, anchor="lm")
    return np.asarray(image)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray | None]],
    columns: Sequence[str] = (),
    captions: Sequence[str] = (),
    width: int = 320,
    gap: int = 4,
) -> np.ndarray:
    """A grid of pictures, each `width` wide, with titles above the columns and a caption above each row.

    None leaves a blank. A row is as high as its highest picture. Raises `MdtkError` if there is no picture at all.
    """
    if not any(picture is not None for row in rows for picture in row):
        raise MdtkError("a contact sheet needs at least one picture")
    count = max(len(row) for row in rows)
    total = count * width + (count + 1) * gap
    strips = [_row([text_line(title, width, centre=True) for title in columns], count, width, gap)] if columns else []
    for index, row in enumerate(rows):
        if index < len(captions):
            strips.append(text_line(captions[index], total))
        cells = [None if picture is None else resize_picture(picture, width) for picture in row]
        strips += [_row(cells, count, width, gap), _paper(gap, total)]
    return np.concatenate([_paper(gap, total), *strips])


def _row(cells: Sequence[np.ndarray | None], count: int, width: int, gap: int) -> np.ndarray:
    height = max((cell.shape[0] for cell in cells if cell is not None), default=1)
    strip = _paper(height, count * width + (count + 1) * gap)
    for place, cell in enumerate(cells):
        if cell is not None:
            left = gap + place * (width + gap)
            strip[: cell.shape[0], left : left + width] = cell
    return strip


def _paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), _PAPER, dtype=np.uint8)


def save_picture(path: str | Path, picture: np.ndarray) -> None:
    """Writes a picture (H, W, 3) uint8 as PNG or JPEG, as the suffix says, atomically."""
    with atomic_write(path) as temporary:  # level 4 takes 0.4 of the time of zlib's 6, for a tenth more bytes
        Image.fromarray(picture).save(temporary, compress_level=4)
