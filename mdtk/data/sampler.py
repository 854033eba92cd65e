"""Which samples a process takes: a resumable training stream, and an exact share for inference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mdtk.core.errors import MdtkError


def share(count: int, rank: int, world_size: int) -> range:
    """The indices of one process: every index belongs to exactly one process, none is repeated."""
    return range(rank, count, world_size)


class TrainSampler:
    """Batches of (epoch, position, index) keys for one process, over all epochs from `start_step` to `stop_step`.

    An epoch is a permutation drawn from (seed, epoch); its last incomplete batch is left out. Step k of an epoch
    takes the k-th run of `batch_size` samples and each process its share of that run, so the same samples make a
    step whatever the number of processes; shares differ by one where they must. `weights`: of each set,
    round(weight × size) samples an epoch.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size < world_size:
            raise MdtkError(
                f"SOLVER.BATCH_SIZE {batch_size} is fewer samples than the {world_size} processes; raise it, or start "
                f"{batch_size} processes at most"
            )
        self.sizes, self.weights, self.seed = list(sizes), list(weights), seed
        self.batch_size, self.world_size = batch_size, world_size
        self.own = range(rank * batch_size // world_size, (rank + 1) * batch_size // world_size)  # of each batch
        self.counts = [round(weight * size) for weight, size in zip(weights, sizes, strict=True)]
        self.steps_per_epoch = sum(self.counts) // batch_size
        if not self.steps_per_epoch:
            raise MdtkError(
                f"the training split has {sum(self.counts)} samples, fewer than SOLVER.BATCH_SIZE {batch_size}; "
                "lower it or give a larger split"
            )
        self.start_step, self.stop_step = 0, self.steps_per_epoch

    @property
    def least(self) -> int:
        """The smallest share of a process; none is larger by more than one."""
        return self.batch_size // self.world_size

    def parts_like(self, samples: int) -> float:
        """How many parts of `samples` samples make a batch if each process has as many: a mean over these samples,
        divided by it, is what they bring to the mean of all processes, when that is the mean over the batch."""
        return self.batch_size / (self.world_size * samples)

    def __len__(self) -> int:
        return self.stop_step - self.start_step

    def epoch_order(self, epoch: int) -> np.ndarray:
        """All sample indices of an epoch in order."""
        generator = np.random.default_rng((self.seed, epoch))
        picks, start = [], 0
        for size, count in zip(self.sizes, self.counts, strict=True):
            rounds = [generator.permutation(size) for _ in range(-(-count // size) if size else 0)]
            picks.append(start + np.concatenate([*rounds, np.empty(0, int)])[:count])
            start += size
        return generator.permutation(np.concatenate(picks).astype(int))

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        epoch, order = -1, np.empty(0, int)
        for step in range(self.start_step, self.stop_step):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = self.epoch_order(epoch)
            first = (step % self.steps_per_epoch) * self.batch_size
            yield [(epoch, first + place, int(order[first + place])) for place in self.own]
