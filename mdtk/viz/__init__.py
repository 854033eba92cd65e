"""Pictures with colour maps, captions and contact sheets; films are in `mdtk.viz.film`."""

from mdtk.viz.pictures import (
    UNKNOWN,
    caption,
    colour_bar,
    colour_depth,
    colour_disparity,
    colour_map,
    colour_table,
    contact_sheet,
    disparity_range,
    error_map,
    resize_picture,
    save_picture,
    text_line,
)

__all__ = [
    "UNKNOWN",
    "caption",
    "colour_bar",
    "colour_depth",
    "colour_disparity",
    "colour_map",
    "colour_table",
    "contact_sheet",
    "disparity_range",
    "error_map",
    "resize_picture",
    "save_picture",
    "text_line",
]
