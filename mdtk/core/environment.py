"""The versions of the software that a result depends on."""

from __future__ import annotations

import os
import platform

import numpy as np
import timm
import torch
import torchvision

import mdtk


def set_float_settings(cudnn_benchmark: bool, tf32: bool, deterministic: bool) -> None:
    """How GPUs compute with float32, for the whole process."""
    # The environment is read when cuBLAS starts, which is later than this.
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = cudnn_benchmark
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = False


def float_settings() -> dict[str, bool]:
    """What torch was told, as it stands."""
    return {
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "tf32": torch.backends.cudnn.allow_tf32,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def versions() -> dict[str, str]:
    """The versions of Python, of this project and of the packages that computed numbers depend on, by name."""
    modules = {"mdtk": mdtk, "torch": torch, "torchvision": torchvision, "timm": timm, "numpy": np}
    return {"python": platform.python_version(), **{name: str(it.__version__) for name, it in modules.items()}}
