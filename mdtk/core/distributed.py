"""The processes of a run: ranks, sums and gathers, with torchrun or alone. The only module that knows ranks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mdtk.core.errors import MdtkError

T = TypeVar("T")


def rank() -> int:
    """The rank of this process; 0 when it runs alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """The number of processes of the run; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is rank 0, the only process that writes files and prints."""
    return rank() == 0


def launched_as_main() -> bool:
    """Whether torchrun started this process as rank 0, or nobody did: `is_main` before the group is made."""
    return os.environ.get("RANK", "0") == "0"


def pick_device(name: str) -> torch.device:
    """The device of this process for DEVICE `auto` (its GPU when there is one, else the CPU), `cpu` or `cuda`.

    Raises `MdtkError` when there is no GPU for `cuda`, or fewer GPUs than processes.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise MdtkError("DEVICE cuda: torch sees no GPU here; set DEVICE cpu or auto")
    local = int(os.environ.get("LOCAL_RANK", 0))
    if local >= torch.cuda.device_count():
        raise MdtkError(
            f"{local + 1} processes on a machine with {torch.cuda.device_count()} GPUs; lower --nproc_per_node"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


@contextmanager
def process_group(device_name: str) -> Iterator[torch.device]:
    """Joins the process group that torchrun started, if any, and yields this process's device (see `pick_device`).

    The backend is nccl on GPUs and gloo on CPUs. The group is left again when the block ends.
    """
    device = pick_device(device_name)
    joined = int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized()
    if joined:
        cuda = device.type == "cuda"  # without device_id the first barrier would guess a device from the rank
        dist.init_process_group(
            "nccl" if cuda else "gloo", timeout=timedelta(minutes=60), device_id=device if cuda else None
        )
    try:
        yield device
    finally:
        if joined:
            dist.destroy_process_group()


def barrier() -> None:
    """Waits until every process has come to this call."""
    if dist.is_initialized():
        dist.barrier()


def gather_objects(items: list[T]) -> list[T]:
    """The items of all processes as one list, in rank order; every process gets it. The items must be picklable."""
    if not dist.is_initialized():
        return list(items)
    parts: list[list[T]] = [[] for _ in range(world_size())]
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def all_sum(tensor: Tensor) -> Tensor:
    """The elementwise sum of `tensor` over all processes, as a new tensor; with one process `tensor` itself."""
    if dist.is_initialized():
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


@contextmanager
def main_first() -> Iterator[None]:
    """Runs the block on rank 0 first, and on the other processes after that (they may find what rank 0 prepared)."""
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()


def broadcast_buffers(module: nn.Module) -> None:
    """Copies the buffers of rank 0 to all processes, whose batch-norm statistics have seen different batches."""
    if dist.is_initialized():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def wrap(module: nn.Module, device: torch.device) -> nn.Module:
    """`module` wrapped in DistributedDataParallel when there are several processes, else `module` itself."""
    if not dist.is_initialized():
        return module
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(module, device_ids=ids, gradient_as_bucket_view=True)
