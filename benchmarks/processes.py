#!/usr/bin/env python3
"""Samples a second of several processes (gloo, one thread each) against one process with as many threads, on a CPU.

  python benchmarks/processes.py [--config FILE] [--processes N] [--batch N] [--steps N] [--repeats N] [--json FILE]
                                 [KEY VALUE ...]

Whole training steps on one global batch of noise: augmentation, networks, loss, backward, the gradients' average,
optimiser. Both stand ready and take turns, so they have the same cores; who waits does nothing. Walls are of the
slowest process, CPU seconds of all together. It needs as many idle cores as processes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import statistics
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from ratios import Figure, report

from mdtk.config import load_config
from mdtk.core import distributed
from mdtk.core.errors import MdtkError, run_tool
from mdtk.data.loader import build_synthetic_batch
from mdtk.data.preparation import build_preparation
from mdtk.losses.objective import build_objective
from mdtk.models import build_model
from mdtk.training.solver import build_optimizer
from mdtk.training.step import forward

BAR = 0.9
Place = dict[str, str]  # the variables that torchrun would set


def work(orders: Connection, place: Place, threads: int, config: str | None, overrides: list[str], batch: int) -> None:
    """A process: makes as many steps as it is told, says how long they took, and ends at 0."""
    os.environ.update(place)
    torch.set_num_threads(threads)
    cfg = load_config(config, overrides)
    with distributed.process_group("cpu") as device:
        torch.manual_seed(0)
        system = build_model(cfg).train()
        wrapped, optimizer = distributed.wrap(system, device), build_optimizer(cfg, system)
        prepare, objective = build_preparation(cfg), build_objective(cfg)
        samples = build_synthetic_batch(cfg, batch, seed=distributed.rank())
        while steps := orders.recv():
            start = time.process_time(), time.perf_counter()
            for _ in range(steps):
                forward(wrapped, samples, prepare, objective).total.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            orders.send((time.process_time() - start[0], time.perf_counter() - start[1]))


class Team:
    """Processes that train together."""

    def __init__(self, size: int, threads: int, config: str | None, overrides: list[str], batch: int) -> None:
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe() for _ in range(size)]
        self.orders = [ours for ours, _ in pipes]
        self.workers = [
            context.Process(target=work, args=(theirs, place, threads, config, overrides, batch), daemon=True)
            for (_, theirs), place in zip(pipes, places(size), strict=True)
        ]
        for worker, (_, theirs) in zip(self.workers, pipes, strict=True):
            worker.start()
            theirs.close()

    def run(self, steps: int) -> tuple[float, float]:
        """CPU seconds of all processes and the wall seconds of the slowest, for so many steps."""
        try:
            for pipe in self.orders:
                pipe.send(steps)
            times = [pipe.recv() for pipe in self.orders]
        except (EOFError, BrokenPipeError) as error:
            raise MdtkError("a process ended before it had made its steps; what it said stands above") from error
        return sum(cpu for cpu, _ in times), max(wall for _, wall in times)

    def end(self) -> None:
        for pipe in self.orders:
            pipe.send(0)
        for worker in self.workers:
            worker.join()


def places(size: int) -> list[Place]:
    if size == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        {**distributed.worker_environment(rank, size, port), "TORCHELASTIC_USE_AGENT_STORE": "False"}
        for rank in range(size)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4, help="of all processes together")
    parser.add_argument("--steps", type=int, default=3, help="in a turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    if args.processes < 2 or args.batch % args.processes:
        raise MdtkError(f"--batch {args.batch} is not shared evenly by --processes {args.processes} (2 or more)")
    keys = ["DEVICE", "cpu", "MODEL.PRETRAINED", "false", *args.overrides]
    many, one = f"{args.processes} processes", f"1 process, {args.processes} threads"
    teams = {
        one: Team(1, args.processes, args.config, keys, args.batch),
        many: Team(args.processes, 1, args.config, keys, args.batch // args.processes),
    }
    for team in teams.values():
        team.run(1)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in teams}
    for _ in range(args.repeats):
        for name, team in teams.items():
            found[name].append(team.run(args.steps))
    for team in teams.values():
        team.end()
    samples = args.batch * args.steps
    times = {
        name: (statistics.median(cpu for cpu, _ in runs), statistics.median(wall for _, wall in runs))
        for name, runs in found.items()
    }
    for name, (cpu, wall) in times.items():
        print(f"  {name:24} {samples / wall:.2f} samples/s; {samples / cpu:.2f} samples for a CPU second")
    report({"processes": Figure(times[one][1] / times[many][1], BAR, "higher")}, times, args.json)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
