"""What the scripts of this folder share: interleaved timing, a figure's ratio to its floor, and how it is reported."""

from __future__ import annotations

import dataclasses
import json
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Times = dict[str, tuple[float, float]]  # name → CPU seconds and wall seconds, medians


def measure(
    parts: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.process_time
) -> Times:
    """Every part once in each of `repeats` rounds, after a round to warm up; `clock` gives CPU seconds."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
    for _ in range(repeats + 1):
        for name, part in parts.items():
            start = clock(), time.perf_counter()
            part()
            found[name].append((clock() - start[0], time.perf_counter() - start[1]))
    return {
        name: (statistics.median(cpu for cpu, _ in times[1:]), statistics.median(wall for _, wall in times[1:]))
        for name, times in found.items()
    }


def cpu_of_all() -> float:
    """User and system seconds of this process and of its children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


@dataclass(frozen=True)
class Figure:
    """One ratio of CPU seconds, and the bar that it should reach."""

    ratio: float
    bar: float
    better: str = "lower"

    @classmethod
    def of(cls, times: Times, part: str, floor: str, bar: float) -> Figure:
        return cls(times[part][0] / times[floor][0], bar)

    def reached(self) -> bool:
        return self.ratio <= self.bar if self.better == "lower" else self.ratio >= self.bar


def report(figures: Mapping[str, Figure], times: Times, path: Path | None) -> None:
    """Prints times and figures; `path`: also writes them there as JSON, by the figure's name."""
    for name, (cpu, wall) in times.items():
        print(f"  {name:24} CPU {1e3 * cpu:9.2f} ms   wall {1e3 * wall:9.2f} ms")
    for name, one in figures.items():
        sign = "<=" if one.better == "lower" else ">="
        print(f"{name}: {one.ratio:.3f}   bar {sign} {one.bar:g}   {'reached' if one.reached() else 'MISSED'}")
    if path:
        parts = {name: {"cpu_s": cpu, "wall_s": wall} for name, (cpu, wall) in times.items()}
        content = {name: {**dataclasses.asdict(one), "parts": parts} for name, one in figures.items()}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
