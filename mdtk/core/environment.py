"""The software and the hardware that a result depends on."""

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


def hardware(device: torch.device | str) -> dict[str, object]:
    """What computes on `device`: the GPU, CUDA and cuDNN with their switches, or the CPU's threads."""
    if torch.device(device).type != "cuda":
        return {"processor": platform.machine(), "threads": torch.get_num_threads()}
    return {
        "gpu": torch.cuda.get_device_name(device),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "tf32_cudnn": torch.backends.cudnn.allow_tf32,
    }
