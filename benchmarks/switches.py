#!/usr/bin/env python3
"""Every switch of the methods: trains on the sample with two processes, is killed, resumes, and the loss falls.

  python benchmarks/switches.py [--output FILE.md] [--steps 20] [NAME ...]

For each: `torchrun --nproc_per_node=2 tools/train.py`, killed at its first checkpoint, the same command again to the
end. It passes when the second run resumes, every loss is finite and the last quarter's mean is below the first's.
Needs the sample world (tools/make_sample_data.py) in $MDTK_DATASETS or ./datasets.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mdtk.config import load_config
from mdtk.core.errors import MdtkError, run_tool
from mdtk.core.files import ROOT, write_text
from mdtk.core.weights import write_weights
from mdtk.models import build_model

RECIPE = ROOT / "configs" / "sample" / "monodepth2.yaml"
BDE = "MODEL.DECODER grid MODEL.CONTEXT_STEM true MODEL.SCALES [0] SOLVER.OPTIMIZER adamw SOLVER.WEIGHT_DECAY 0.01"
VIEWS = f"{BDE} VIEWS.LOCAL_CROP true VIEWS.SPLIT_PERMUTE true AUGMENT.JITTER_PER_FRAME true"
SWITCHES = {
    "mono": "",
    "stereo": "DATA.SOURCES [] DATA.STEREO true MODEL.POSE none",
    "mono + stereo": "DATA.STEREO true",
    "stereo, baseline in metres": "DATA.SOURCES [] DATA.STEREO true MODEL.POSE none DATA.BASELINE 0.0",
    "four sources": "DATA.SOURCES [-2,-1,1,2] DATA.TRAIN_SPLIT benchmark/train DATA.VAL_SPLIT benchmark/val",
    "calibrated intrinsics": "DATA.INTRINSICS calibrated",
    "two data sets": "DATA.SETS '[{},{NAME: kitti_odom, TRAIN_SPLIT: odom/train, VAL_SPLIT: odom/val, WEIGHT: 0.5}]'",
    "Monodepth v1 multi-scale": "LOSS.MULTISCALE native",
    "average reprojection": "LOSS.REPROJECTION mean",
    "no automask": "LOSS.AUTOMASK false",
    "no SSIM": "LOSS.SSIM 0.0",
    "predictive mask": "MODEL.PREDICTIVE_MASK true LOSS.AUTOMASK false",
    "published corners": "LOSS.ALIGN_CORNERS false",
    "pose: shared encoder": "MODEL.POSE shared",
    "pose: PoseCNN": "MODEL.POSE posecnn",
    "pose: all frames": "MODEL.POSE_INPUT all",
    "pose: shared, all frames": "MODEL.POSE shared MODEL.POSE_INPUT all",
    "pose: PoseCNN, all frames": "MODEL.POSE posecnn MODEL.POSE_INPUT all",
    "frozen batch norm": "MODEL.FREEZE_BN true",
    "single scale": "MODEL.SCALES [0]",
    "ResNet-50": "MODEL.ENCODER resnet50",
    "HRNet-18": "MODEL.ENCODER hrnet_w18",
    "ConvNeXt": "MODEL.ENCODER convnext_atto",
    "MobileNet": "MODEL.ENCODER mobilenetv3_small_100",
    "BDEdepth ResNet-18, no views": BDE,
    "BDEdepth local crop": f"{BDE} VIEWS.LOCAL_CROP true",
    "BDEdepth split-permute": f"{BDE} VIEWS.SPLIT_PERMUTE true",
    "BDEdepth HRNet-18, both views": f"{VIEWS} MODEL.ENCODER hrnet_w18 MODEL.HRNET_FUSE bilinear",
    "geometry consistency": "LOSS.GEOMETRY_CONSISTENCY 0.5",
    "learned intrinsics": "MODEL.LEARN_INTRINSICS true",
    "EMA weights": "SOLVER.EMA 0.9",
    "bf16": "SOLVER.PRECISION bf16",
    "accumulation, clipping": "SOLVER.ACCUMULATE 2 SOLVER.CLIP_GRAD 1.0",
    "SGD, warm-up": "SOLVER.OPTIMIZER sgd SOLVER.LR 1e-2 SOLVER.WARMUP_STEPS 5",
    "cosine schedule": "SOLVER.SCHEDULE cosine",
    "depth network from a file": "MODEL.WEIGHTS {weights} MODEL.WEIGHTS_PARTS [depth]",
}
SMALL = """DATA.HEIGHT 64 DATA.WIDTH 96 DATA.WORKERS 0 DATA.VAL_LIMIT 8 SOLVER.BATCH_SIZE 8 SOLVER.LR 3e-4
    SOLVER.SCHEDULE step EVAL.PROTOCOLS [] LOG.PERIOD 1 LOG.IMAGES 0 LOG.TENSORBOARD false"""


@dataclass(frozen=True)
class Row:
    name: str
    passed: bool
    first: float
    last: float
    seconds: float
    note: str


def kill_tree(process: subprocess.Popen) -> None:
    """kill -9 for a process and all that it started (torchrun's workers have sessions of their own)."""
    found = [process.pid] if process.poll() is None else []
    for pid in found:  # grows as children are found
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may end while it is looked at
            for path in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, path.read_text().split())
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def run_switch(name: str, steps: int, folder: Path) -> Row:
    start = time.perf_counter()
    switch = SWITCHES[name]
    if "{weights}" in switch:
        weights = folder.with_name("weights.pth")
        write_weights(weights, {"model": build_model(load_config(RECIPE)).state_dict()})
        switch = switch.format(weights=weights)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(ROOT / "tools" / "train.py"), "--config", str(RECIPE)]
    command += [*shlex.split(f"{SMALL} {switch}"), "OUT_DIR", str(folder), "SOLVER.MAX_STEPS", str(steps)]
    command += ["CHECKPOINT.PERIOD", str(steps // 2)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=env, start_new_session=True, **quiet)
    while process.poll() is None and not (folder / "last.pth").is_file():
        time.sleep(0.02)
    kill_tree(process)
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        error = re.search("error: .*", done.stderr)
        return Row(name, False, math.nan, math.nan, seconds, error[0] if error else done.stderr.strip()[-200:])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["total"] for line in lines if line["kind"] == "train"]
    quarter = max(1, steps // 4)
    first, last = sum(losses[:quarter]) / quarter, sum(losses[-quarter:]) / quarter
    resumed = f"resuming from step {steps // 2}" in done.stdout
    passed = resumed and len(losses) == steps and all(map(math.isfinite, losses)) and last < first
    return Row(name, passed, first, last, seconds, "" if resumed else "did not resume")


def table(rows: list[Row], steps: int) -> str:
    lines = [
        "# Every switch trains",
        "",
        f"`python benchmarks/switches.py --steps {steps} --output FILE.md`: two processes on the sample at 96x64,",
        f"batch 8, from scratch; killed (-9) at step {steps // 2}, the same command again to the end. Mean losses of",
        "the first and the last steps; losses of different switches do not compare.",
        "",
        f"| switch | first {steps // 4} steps | last {steps // 4} steps | killed, resumed, finite, lower |",
        "|---|---|---|---|",
    ]
    lines += [f"| {r.name} | {r.first:.4f} | {r.last:.4f} | {'yes' if r.passed else 'NO ' + r.note} |" for r in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    rows = []
    for name in args.names or SWITCHES:
        if name not in SWITCHES:
            raise MdtkError(f"no switch {name!r}; there are {', '.join(SWITCHES)}")
        with tempfile.TemporaryDirectory() as folder:
            rows.append(run_switch(name, args.steps, Path(folder) / "run"))
        row = rows[-1]
        result = "ok" if row.passed else "FAILED"
        print(f"{row.name:32} {row.first:8.4f} {row.last:8.4f} {result:7} {row.seconds:5.0f} s {row.note}", flush=True)
    if args.output:
        write_text(args.output, table(rows, args.steps))
    if not all(row.passed for row in rows):
        raise MdtkError(f"failed: {', '.join(row.name for row in rows if not row.passed)}")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
