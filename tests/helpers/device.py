"""Which device the tests use: MDTK_TEST_DEVICE, or the CPU. Imported before torch looks for GPUs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


def choose_device() -> str:
    """`cuda` where MDTK_TEST_DEVICE or a command line that names only tests/gpu asks for it; else GPUs are hidden.

    Bit-equality, and two processes anywhere, are promised for CPUs.
    """
    named = [Path(word.split("::")[0]) for word in sys.argv[1:] if not word.startswith("-")]
    named = [path for path in named if path.exists()]
    if named and all("tests/gpu" in path.resolve().as_posix() for path in named):
        os.environ.setdefault("MDTK_TEST_DEVICE", "cuda")  # workers of pytest-xdist see it too
    device = os.environ.get("MDTK_TEST_DEVICE", "")
    assert device in ("", "cpu", "cuda"), f"MDTK_TEST_DEVICE is {device!r}; it takes cpu or cuda"
    if device != "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return device


on_cpu = pytest.mark.skipif(
    os.environ.get("MDTK_TEST_DEVICE") == "cuda",
    reason="bit-equality and several processes on one machine are promised for CPUs; unset MDTK_TEST_DEVICE",
)
