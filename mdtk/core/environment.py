"""The software and hardware that a result depends on, beside the configuration."""

from __future__ import annotations

import platform

import numpy as np
import timm
import torch
import torchvision

import mdtk


def versions() -> dict[str, str]:
    """Name → version of the software."""
    modules = {"mdtk": mdtk, "torch": torch, "torchvision": torchvision, "timm": timm, "numpy": np}
    return {"python": platform.python_version(), **{name: str(it.__version__) for name, it in modules.items()}}
