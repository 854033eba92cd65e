"""mdtk: a benchmark toolkit for self-supervised monocular depth estimation."""

import importlib
import os

# OpenCV reads this when it is loaded: its own bound, 2^30 pixels, is 4 GB of a picture that a small file claims.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "178956970")

__version__ = "0.1.0"

_LATE = {"load_model": "mdtk.cli.notebook", "DepthModel": "mdtk.cli.notebook", "MdtkError": "mdtk.core.errors"}


def __getattr__(name: str) -> object:
    """Imports `load_model` and its torch at first use, so that the command line answers at once."""
    if name not in _LATE:
        raise AttributeError(f"module 'mdtk' has no attribute {name!r}")
    return getattr(importlib.import_module(_LATE[name]), name)
