"""An evaluation over several processes: exact shards, no image twice, and errors that all processes raise together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from mdtk.core import distributed
from mdtk.core.errors import MdtkError

T = TypeVar("T")


def shard_batches(indices: Sequence[int], batch_size: int) -> list[list[int]]:
    """This process's batches of `indices`: every world-size-th of the batches that one process alone would make.

    An image keeps its batch mates whatever the number of processes, so its prediction is the same to the last bit.
    """
    batches = [list(indices[start : start + batch_size]) for start in range(0, len(indices), batch_size)]
    return batches[distributed.rank() :: distributed.world_size()]


def together(make: Callable[[], list[T]]) -> list[T]:
    """Items that `make` gives on this process → items of all processes, on every one.

    An `MdtkError` on any process is raised on all of them, so that none waits for one that has given up.
    """
    try:
        items, errors = make(), []
    except MdtkError as error:
        items, errors = [], [str(error)]
    gathered = distributed.gather_objects([(items, errors)])
    if failed := [message for _, messages in gathered for message in messages]:
        raise MdtkError(failed[0])
    return [item for shard, _ in gathered for item in shard]
