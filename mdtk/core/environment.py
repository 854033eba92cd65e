"""The versions of the software that a result depends on."""

from __future__ import annotations

import platform

import numpy as np
import timm
import torch
import torchvision

import mdtk


def versions() -> dict[str, str]:
    """The versions of Python, of this project and of the packages that computed numbers depend on, by name."""
    modules = {"mdtk": mdtk, "torch": torch, "torchvision": torchvision, "timm": timm, "numpy": np}
    return {"python": platform.python_version(), **{name: str(it.__version__) for name, it in modules.items()}}
