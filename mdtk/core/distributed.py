"""Processes: torchrun's environment or none, ranks, sums and gathers. The only module that knows ranks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mdtk.core.errors import MdtkError


def rank() -> int:
    """This process's number; 0 when it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """The number of processes; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this process writes files and speaks."""
    return rank() == 0


def pick_device(name: str) -> torch.device:
    """`auto`: this process's GPU when there is one, else the CPU."""
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
    """Joins the processes that torchrun started (gloo on CPUs, nccl on GPUs); alone without it. Yields the device."""
    device = pick_device(device_name)
    joined = int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized()
    if joined:
        cuda = device.type == "cuda"  # bound to its device, or the first barrier guesses one from the rank
        dist.init_process_group(
            "nccl" if cuda else "gloo", timeout=timedelta(minutes=60), device_id=device if cuda else None
        )
    try:
        yield device
    finally:
        if joined:
            dist.destroy_process_group()


def barrier() -> None:
    """Waits until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def gather_objects(items: list) -> list:
    """The items of all processes, in rank order, on every process."""
    if not dist.is_initialized():
        return list(items)
    parts: list[Any] = [None] * world_size()
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def all_sum(tensor: Tensor) -> Tensor:
    """The sum over the processes."""
    if dist.is_initialized():
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


@contextmanager
def main_first() -> Iterator[None]:
    """Rank 0 goes through the block first, the others after it."""
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()


def broadcast_buffers(module: nn.Module) -> None:
    """Rank 0's buffers everywhere: batch-norm statistics differ by the last step's batches until this."""
    if dist.is_initialized():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def wrap(module: nn.Module, device: torch.device) -> nn.Module:
    """The module under DDP when there are several processes."""
    if not dist.is_initialized():
        return module
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(module, device_ids=ids, gradient_as_bucket_view=True)
