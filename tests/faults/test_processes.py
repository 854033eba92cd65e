"""Signals, locks, and processes that hang or lose their launcher, as a user meets them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mdtk.training.stop import STOPPED
from tests.helpers.device import on_cpu
from tests.helpers.tiny import PROJECT, run_tool
from tests.helpers.training import checkpoint, differing, weights

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
LONG = ("SOLVER.EPOCHS", "400", "DATA.VAL_SPLIT", "", "CHECKPOINT.PERIOD", "5")


class Training:
    """tools/train.py in the background."""

    def __init__(
        self, recipe: Path, out_dir: Path, *more: object, processes: int = 0, launcher: Sequence[str] = ()
    ) -> None:
        command = [sys.executable, *launcher, str(PROJECT / "tools" / "train.py"), "--config", str(recipe)]
        command += ["--nproc", str(processes)] if processes else []
        command += ["OUT_DIR", str(out_dir), *map(str, more)]
        env = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
        self.out_dir, pipe = out_dir, subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env, start_new_session=True)

    def wait_for_steps(self) -> None:
        """Until it has written a checkpoint."""
        end = time.monotonic() + 120
        while not (self.out_dir / "last.pth").is_file():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)

    def children(self) -> list[int]:
        text = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)
        return [int(word) for word in text.stdout.split()]

    def finish(self, seconds: float = 90) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def sentences(err: str) -> list[str]:
    """The lines of an output that are no progress bar."""
    return [
        line for part in err.splitlines() if (line := part.rpartition("\r")[2].strip()) and "sample" not in line[-60:]
    ]


@on_cpu
@pytest.mark.parametrize(("processes", "number"), [(0, signal.SIGINT), (2, signal.SIGTERM)])
def test_a_signal_saves_and_the_same_command_goes_on(tiny_recipe, tmp_path, processes, number):
    workers = ("DATA.WORKERS", 1)
    training = Training(tiny_recipe, tmp_path / "cut", *LONG, *workers, processes=processes)
    training.wait_for_steps()
    training.process.send_signal(number)
    code, out, err = training.finish()
    assert code == STOPPED, err
    assert "Traceback" not in err
    assert out.count("stopped after step") == 1
    step = checkpoint(tmp_path / "cut")["training"]["step"]
    assert f"stopped after step {step} of" in out
    keys = (*LONG, "SOLVER.MAX_STEPS", step + 2, "CHECKPOINT.RESUME_WITH_CHANGES", True)
    again = ["--nproc", processes] if processes else []
    run_tool("train", *again, "--config", tiny_recipe, "OUT_DIR", tmp_path / "cut", *keys)
    run_tool("train", *again, "--config", tiny_recipe, "OUT_DIR", tmp_path / "whole", *keys)
    assert not differing(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


@on_cpu
def test_two_runs_in_one_folder_and_a_killed_one(tiny_recipe, tmp_path):
    first = Training(tiny_recipe, tmp_path, *LONG)
    first.wait_for_steps()
    code, _, err = Training(tiny_recipe, tmp_path, *LONG).finish()
    assert code == 1
    assert f"in use by process {first.process.pid} on " in err
    assert first.process.poll() is None
    first.process.kill()
    first.finish()
    second = Training(tiny_recipe, tmp_path, *LONG)
    time.sleep(0.1)
    done = checkpoint(tmp_path)["training"]["step"]
    end = time.monotonic() + 60
    while checkpoint(tmp_path)["training"]["step"] <= done and time.monotonic() < end:
        time.sleep(0.2)
    assert second.process.poll() is None
    second.process.kill()
    second.finish()


@on_cpu
def test_processes_end_with_their_launcher(tiny_recipe, tmp_path):
    training = Training(tiny_recipe, tmp_path, *LONG, processes=2)
    training.wait_for_steps()
    workers = training.children()
    assert len(workers) == 2
    training.process.kill()
    end = time.monotonic() + 8  # they see it within a second; that their store is gone, after PATIENCE
    while any(map(lives, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(lives, workers))


@on_cpu
def test_a_process_that_hangs_is_named(tiny_recipe, tmp_path):
    training = Training(tiny_recipe, tmp_path, *LONG, "TIMEOUT", 8, processes=2)
    training.wait_for_steps()
    hanging = max(training.children())
    os.kill(hanging, signal.SIGSTOP)
    start = time.monotonic()
    code, _, err = training.finish()
    assert code == 1
    assert time.monotonic() - start < 60
    last = sentences(err)
    assert len(last) == 1, err
    assert f"process 1 (pid {hanging} on " in last[0]
    assert "has not moved for 8 s (TIMEOUT)" in last[0]


@on_cpu
@pytest.mark.parametrize("launcher", ["own", "torchrun"])
def test_an_error_of_one_process_is_one_sentence(tiny_recipe, clip, tmp_path, launcher):
    shutil.copytree(clip / "color", tmp_path / "color")
    (tmp_path / "color" / "000005.png").write_bytes(b"no image")
    more = ("DATA.SEQUENCE.PATHS", f"[{tmp_path / 'color'}]", "DATA.SEQUENCE.DEPTH", "[]", "OUT_DIR", tmp_path / "out")
    if launcher == "own":
        done = run_tool("train", "--nproc", 2, "--config", tiny_recipe, *more, check=False)
        assert len(sentences(done.stderr)) == 1, done.stderr
    else:
        done = run_tool("train", "--config", tiny_recipe, *more, processes=2, check=False)
    assert done.returncode == 1
    assert sum("error: " in line and "000005.png" in line for line in done.stderr.splitlines()) == 1
    if launcher == "torchrun":  # whose own report ends with it
        assert re.fullmatch(r"\s*traceback : image cannot be read: .*000005\.png .*", done.stderr.splitlines()[-2])
    assert "gloo" not in done.stderr.lower()


@on_cpu
def test_the_number_of_processes_may_change(tiny_recipe, tmp_path):
    keys = ("--config", tiny_recipe, "OUT_DIR", tmp_path, "CHECKPOINT.RESUME_WITH_CHANGES", True)
    run_tool("train", *keys, "SOLVER.MAX_STEPS", 2)
    done = run_tool("train", "--nproc", 2, *keys, "SOLVER.MAX_STEPS", 4)
    assert "2 processes instead of 1" in done.stdout
    assert checkpoint(tmp_path)["training"]["step"] == 4


@on_cpu
def test_max_restarts_goes_on_from_the_checkpoint(tiny_recipe, tmp_path):
    """As docs/cluster.md starts it; the process of rank 1 is killed once."""
    keys = ("DATA.VAL_SPLIT", "", "CHECKPOINT.PERIOD", "2", "SOLVER.EPOCHS", "400", "SOLVER.MAX_STEPS", "12")
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "--max-restarts=1"]
    training = Training(tiny_recipe, tmp_path / "cut", *keys, "DATA.WORKERS", 1, launcher=launcher)
    training.wait_for_steps()
    os.kill(max(training.children()), signal.SIGKILL)
    code, out, err = training.finish(150)
    assert code == 0, err[-3000:]
    assert re.search(r"resuming from step (2|4|6|8|10) of 12", out)
    run_tool("train", "--nproc", 2, "--config", tiny_recipe, "OUT_DIR", tmp_path / "whole", *keys)
    assert not differing(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
