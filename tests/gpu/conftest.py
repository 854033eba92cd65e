"""What must be seen on a GPU. Skipped without one; MDTK_TEST_DEVICE=cpu tries the same tests on a CPU."""

from __future__ import annotations

import os

import pytest
import torch
from torch import distributed


@pytest.fixture(scope="session")
def device() -> torch.device:
    asked = os.environ.get("MDTK_TEST_DEVICE", "")
    if asked == "cpu":
        return torch.device("cpu")
    if asked != "cuda":
        pytest.skip("GPUs are hidden from this run; MDTK_TEST_DEVICE=cuda shows them")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU here")
    return torch.device("cuda", 0)


@pytest.fixture
def one_process(device, tmp_path):
    """A process group of this process alone: nccl on the GPU."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()
