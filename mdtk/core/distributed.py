"""The processes of a run: ranks, sums and gathers, with torchrun or alone. The only module that knows ranks."""

from __future__ import annotations

import atexit
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mdtk.core.errors import MdtkError, OthersFailed
from mdtk.core.watch import Watch

T = TypeVar("T")
_OPTIONS = inspect.signature(nn.parallel.DistributedDataParallel.__init__).parameters
_BUFFERS_AT_EACH_STEP = "forward_sync_buffers" if "forward_sync_buffers" in _OPTIONS else "broadcast_buffers"
_watch: Watch | None = None


def rank() -> int:
    """The rank of this process; 0 when it runs alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """The number of processes of the run; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is rank 0, the only process that writes files and prints."""
    return rank() == 0


def launched() -> bool:
    """Whether torchrun, or this project's launcher, started this process."""
    return "RANK" in os.environ


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
def process_group(device_name: str, timeout: float = 0.0) -> Iterator[torch.device]:
    """Joins the process group that torchrun started, if any, and yields this process's device (see `pick_device`).

    The backend is nccl on GPUs and gloo on CPUs. The group is left again when the block ends. Of several processes
    that fail, the first one's error is raised as it is and the others' become `OthersFailed`. `timeout`: see `Watch`.
    """
    global _watch
    device = pick_device(device_name)
    joined = int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized()
    if joined:
        cuda = device.type == "cuda"  # without device_id the first barrier would guess a device from the rank
        store, own, size = _store()
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            timeout=timedelta(minutes=60),
            device_id=device if cuda else None,
            store=store,
            rank=own,
            world_size=size,
        )
        _watch = Watch(rank(), world_size(), timeout)
        _watch.start()
        # A thread that comes back from the store's C++ while the interpreter ends aborts the process.
        atexit.register(_watch.stop)
    try:
        yield device
    except Exception as error:
        if joined:
            _fail(error)
        raise
    else:
        if joined:
            barrier()  # the store may be in process 0: nobody leaves while another still looks at it
            assert _watch is not None
            _watch.stop()
            dist.destroy_process_group()
    finally:
        if joined:
            _watch = None


def _store() -> tuple[dist.Store, int, int]:
    """The key-value store that the launcher's variables name, this process's rank, and the number of processes.

    torchrun's agent keeps one store over its restarts (--max-restarts), in which the addresses of processes that are
    gone would be found; so every attempt has keys of its own. Several agents count their attempts differently: there
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 makes torchrun open a new store (docs/cluster.md).
    """
    store, own, size = next(dist.rendezvous("env://", timeout=timedelta(minutes=60)))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if os.environ.get("GROUP_WORLD_SIZE") == "1" else "0"
    return dist.PrefixStore(f"mdtk/attempt/{attempt}", store), own, size


def _fail(error: Exception) -> None:
    """Raises what this process shows of its failure, unless it is `error` itself."""
    assert _watch is not None
    try:
        own = isinstance(error, MdtkError) or not _of_a_peer(error)
        first = _watch.fail() if own else not _watch.others_failed(5) and _watch.fail()
    except RuntimeError:  # the store ended with its process
        raise OthersFailed from error
    if not first:
        raise OthersFailed from error
    if not own:
        raise MdtkError(
            "another process of the run ended without a message (killed, or out of memory?); "
            "the system's log may say why; run the same command again"
        ) from error


def _of_a_peer(error: Exception) -> bool:
    """Whether `error` is what a collective raises when another process is gone."""
    text = str(error)
    signs = ("gloo", "Connection closed by peer", "Connection reset by peer", "NCCL", "Broken pipe", "TCPStore")
    return isinstance(error, (dist.DistError, RuntimeError)) and any(sign in text for sign in signs)


def beat(what: str) -> None:
    """Tells the watch of several processes what this one has come to; empty: something that may last."""
    if _watch is not None:
        _watch.beat(what)


def worker_environment(rank: int, size: int, port: int) -> dict[str, str]:
    """The variables that tell a process its place, as torchrun sets them, for a store at `port` of this machine."""
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }


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


def seed(value: int, device: torch.device) -> None:
    """Seeds the host and this process's device: `torch.manual_seed` would seed every GPU that it sees."""
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.manual_seed(value)


def broadcast_buffers(module: nn.Module) -> None:
    """Copies the buffers of rank 0 to all processes, whose batch-norm statistics have seen different batches."""
    if dist.is_initialized():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def wrap(module: nn.Module, device: torch.device) -> nn.Module:
    """`module` wrapped in DistributedDataParallel when there are several processes, else `module` itself.

    Buffers are not sent around at every step: no norm in training mode reads its statistics. Rank 0's are saved, and
    `broadcast_buffers` gives them to all before they validate. The graph is not declared static: without a search for
    unused parameters that saves nothing, and DDP, which does not look into a `Prediction`, would then leave out the
    average of the first step's gradients.
    """
    if not dist.is_initialized():
        return module
    ids = [device.index] if device.type == "cuda" else None
    options: dict[str, bool] = {"gradient_as_bucket_view": True, _BUFFERS_AT_EACH_STEP: False}
    return nn.parallel.DistributedDataParallel(module, device_ids=ids, **options)  # type: ignore[arg-type]
