#!/usr/bin/env python3
"""Mutated copies of real files through every reader: each must be read, or refused in one sentence of our own.

  python benchmarks/fuzz.py [--mutations 5000] [--seed 1] [READER …]

A reader's mutations run in one process of its own, which is watched: it is ended when one file takes more than 5 s of
a processor, whatever else the machine does, or a minute by the clock, and the run goes on with the next. Needs the
sample world (MDTK_DATASETS) and MDTK_REFERENCE; the rest is made here. What did not end as it should is printed with
the seed that makes it again. The exit status is 1 if anything did not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout's benchmarks/ and tests/

from benchmarks.fuzz_readers import Read, readers
from mdtk.core.errors import LONGEST, MdtkError
from mdtk.core.files import dataset_home

WORDS = (b"-1", b"1e400", b"nan", b"99999999999999999999", b"[", b"{", b"\n", b"=", b"../", b"\0")
HANG, ASLEEP, MEMORY = 5, 60.0, 2e9  # CPU seconds of one file, seconds of one that waits, bytes of a process


def mutate(data: bytes, seed: int) -> bytes:
    """A copy of `data` with one to four changes: bits, blocks, lengths, pieces of itself, numbers."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        size = len(changed)
        place, length = chance.randrange(size + 1), chance.choice((1, 2, 4, 8, 64, 512))
        kind = chance.randrange(8)
        if kind == 0 and size:
            changed[min(place, size - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[place : place + length] = chance.randbytes(min(length, size - place))
        elif kind == 2:
            changed[place : place + length] = bytes(min(length, size - place))
        elif kind == 3:
            del changed[place:]
        elif kind == 4:
            del changed[place : place + length]
        elif kind == 5:
            start = chance.randrange(size + 1)
            changed[place:place] = changed[start : start + length]
        elif kind == 6:
            changed[place : place + length] = b"\xff" * min(length, size - place)
        else:  # a number, or a bracket, of a text
            word = chance.choice(WORDS)
            changed[place : place + len(word)] = word
    return bytes(changed)


def attempt(read: Read, path: Path, data: bytes) -> str:
    """What became of one file: "read", "refused", or the end of a traceback."""
    path.write_bytes(data)
    try:
        read(path)
    except MdtkError as error:
        bad = len(str(error)) > LONGEST or "\n" in str(error)
        return f"a message of {len(str(error))} characters" if bad else "refused"
    except BaseException:
        return " | ".join(traceback.format_exc().strip().splitlines()[-3:])[-300:]
    return "read"


def work(name: str, seeds: range, folder: Path, pipe: Connection) -> None:
    """Runs the mutations of one reader; says each seed before, and what became of it after."""
    warnings.simplefilter("ignore")
    file, data, read = readers(folder)[name]
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)  # libraries' own words, thousands of them
    for seed in seeds:
        pipe.send((seed, None, 0))
        used = int(time.process_time()) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used + HANG, resource.RLIM_INFINITY))  # ends in SIGXCPU
        result = attempt(read, path, mutate(data, seed))
        pipe.send((seed, result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
    pipe.send((None, None, 0))


def watch(name: str, seeds: range, counts: Counter[str], folder: Path) -> int | None:
    """Runs `seeds` in a process until its end, a crash or a hang; the seed to go on with, None at the end."""
    mine, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=work, args=(name, seeds, folder, theirs))
    process.start()
    theirs.close()
    current, what = seeds.start, "hang"
    try:
        while mine.poll(ASLEEP):
            seed, result, memory = mine.recv()
            if seed is None:
                return None
            current = seed
            counts["memory"] = max(counts["memory"], memory)
            if result is not None:
                counts[result if result in ("read", "refused") else "stray"] += 1
                if result not in ("read", "refused"):
                    print(f"  {name}, seed {seed}: {result}", flush=True)
    except EOFError:
        process.join()
        what = "hang" if process.exitcode == -signal.SIGXCPU else "crash"
    finally:
        process.kill()
        process.join()
    counts[what] += 1
    print(f"  {name}, seed {current}: {what}", flush=True)
    return current + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=5000, help="of each reader's file")
    parser.add_argument("--seed", type=int, default=1, help="of the first mutation; the others follow it")
    parser.add_argument("readers", nargs="*", help="default: all")
    args = parser.parse_args()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as work_folder:
        os.environ["MDTK_DATASETS"] = str(dataset_home().resolve())
        names = args.readers or list(readers(Path(work_folder)))
        for name in names:
            counts: Counter[str] = Counter()
            start, begun = args.seed, time.time()
            end = args.seed + args.mutations
            next_seed: int | None = start
            while next_seed is not None and next_seed < end:
                next_seed = watch(name, range(next_seed, end), counts, Path(work_folder))
            memory = counts.pop("memory")
            counts["over 2 GB"] += memory > MEMORY
            total += counts
            shown = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            print(f"{name}: seeds {start} to {end - 1}: {shown}; {memory / 1e6:.0f} MB, {time.time() - begun:.0f} s")
    print("all: " + ", ".join(f"{count} {what}" for what, count in total.items()))
    return int(any(total[what] for what in ("stray", "crash", "hang", "over 2 GB")))


if __name__ == "__main__":
    sys.exit(main())
