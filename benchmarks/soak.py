"""Kills a training again and again at random moments, and compares what it ends with to an undisturbed one.

  python benchmarks/soak.py [--kills 20] [--processes 2] [--seed 0] [--steps 60] [--limit SECONDS]

Every process of the run is ended by SIGKILL; every second kill waits for a checkpoint that is just being written. The
same command goes on each time. The last line says whether the weights and the optimiser are equal to the last bit.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout's benchmarks/ and tests/

from benchmarks.switches import kill_tree
from mdtk.core.files import ROOT
from tests.helpers.tiny import write_clip


def write_recipe(folder: Path, steps: int) -> Path:
    """A recipe that takes seconds, with an average of weights and parts, and saves every second step."""
    clip = write_clip(folder / "clip")
    sequence = {"PATHS": [str(clip / "color")], "K": [100.0, 100.0, 63.5, 47.5], "K_SIZE": [128, 96]}
    size = {"HEIGHT": 32, "WIDTH": 64, "WORKERS": 1, "TRAIN_SPLIT": "train", "VAL_SPLIT": "val"}
    recipe = {
        "DATA": {"NAME": "sequence", **size, "SEQUENCE": {**sequence, "VAL_FRACTION": 0.3}},
        "MODEL": dict.fromkeys(("ENCODER", "POSE_ENCODER"), "mobilenetv3_small_050"),
        "SOLVER": {"BATCH_SIZE": 4, "EPOCHS": 1000, "MAX_STEPS": steps, "ACCUMULATE": 2, "EMA": 0.9},
        "LOG": {"PERIOD": 5, "TENSORBOARD": False, "IMAGES": 0},
        "CHECKPOINT": {"PERIOD": 2},
    }
    path = folder / "soak.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def start(recipe: Path, out_dir: Path, processes: int) -> subprocess.Popen:
    """The training in the background; its console goes to a file beside OUT_DIR."""
    command = [sys.executable, str(ROOT / "tools" / "train.py"), "--config", str(recipe), "OUT_DIR", str(out_dir)]
    command += ["--nproc", str(processes)] if processes > 1 else []
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(f"{out_dir}.log", "a") as log:
        return subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)


def wait_for_a_moment(process: subprocess.Popen, out_dir: Path, generator: random.Random, writing: bool) -> bool:
    """Waits for the moment of a kill; whether a checkpoint was being written then."""
    known = {path.name for path in out_dir.glob(".*.tmp.pth")}  # what earlier kills left
    before = newest(out_dir)
    while process.poll() is None and newest(out_dir) == before:  # it must get on, or the soak never ends
        time.sleep(0.02)
    end = time.monotonic() + generator.uniform(0, 3)
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    end = time.monotonic() + 30
    while writing and process.poll() is None and time.monotonic() < end:
        if {path.name for path in out_dir.glob(".*.tmp.pth")} - known:
            return True
        time.sleep(0.0005)
    return False


def newest(out_dir: Path) -> int:
    """The time of last.pth in nanoseconds, 0 without one."""
    path = out_dir / "last.pth"
    return path.stat().st_mtime_ns if path.is_file() else 0


def different(left: Path, right: Path) -> list[str]:
    """The tensors of two checkpoints that are not equal to the last bit."""
    contents = [torch.load(path, weights_only=True) for path in (left, right)]
    found = []
    for part in ("model", "raw_model", "optimizer"):
        trees = [content["model"] if part == "model" else content["training"][part] for content in contents]
        if part == "optimizer":
            trees = [
                {f"{index} {name}": tensor for index, state in tree["state"].items() for name, tensor in state.items()}
                for tree in trees
            ]
        found += [f"{part} {name}" for name in trees[0] if not torch.equal(trees[0][name], trees[1][name])]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("kills", 20), ("processes", 2), ("seed", 0), ("steps", 60), ("limit", 3600)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    generator, began = random.Random(args.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe, whole, cut = write_recipe(folder, args.steps), folder / "whole", folder / "cut"
        if start(recipe, whole, args.processes).wait():
            raise SystemExit((folder / "whole.log").read_text()[-2000:])
        kills = writing = 0
        while kills < args.kills and time.monotonic() - began < args.limit:
            process = start(recipe, cut, args.processes)
            hit = wait_for_a_moment(process, cut, generator, writing=kills % 2 == 1)
            if process.poll() is not None:
                break  # it is done
            kill_tree(process)
            kills, writing = kills + 1, writing + hit
        if start(recipe, cut, args.processes).wait():
            raise SystemExit((folder / "cut.log").read_text()[-2000:])
        found = different(whole / "last.pth", cut / "last.pth")
    print(
        f"{kills} kills of {args.processes} processes, {writing} of them while a checkpoint was being written, "
        f"{args.steps} steps, seed {args.seed}, {time.monotonic() - began:.0f} s: "
        + (f"{len(found)} tensors differ, {found[:3]}" if found else "equal to the last bit")
    )
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
