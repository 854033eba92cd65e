"""What a training says while it runs, without a terminal."""

from __future__ import annotations

import csv
import json
import re

import pytest

from mdtk.training.epoch import compared, describe
from mdtk.training.logger import Logger, duration
from tests.helpers.tools import call_tool


def test_a_log_file_gets_a_line_a_period_and_no_bars(tiny_recipe, tmp_path, capsys):
    out = tmp_path / "run"
    call_tool("train", "--config", tiny_recipe, "OUT_DIR", out, "LOG.PERIOD", 2, "LOG.CSV", "true", "SOLVER.EPOCHS", 2)
    printed = capsys.readouterr()
    assert "%|" not in printed.err + printed.out, "a progress bar"
    log = (out / "train.log").read_text(encoding="utf-8")
    assert "\r" not in log
    line = (
        r"epoch 1/2, step 2/(\d+), loss \d\.\d{4}, lr 0\.0001, [\d.]+ samples/s, \d+:\d\d:\d\d left, "
        r"memory \d+\.\d GiB"
    )
    total = int(re.search(line, log)[1])
    assert re.search(line, printed.out)
    steps = [int(step) for step in re.findall(r", step (\d+)/\d+, loss", log)]
    assert steps == sorted({*range(2, total + 1, 2), total // 2, total})
    assert re.search(r"epoch 2/2, step \d+, val loss [\d.]+ \((better|worse) than [\d.]+\)", log)
    assert re.search(r"photometric [\d.]+ \((better|worse) than unwarped [\d.]+\)", log)
    records = [json.loads(text) for text in (out / "metrics.jsonl").read_text().splitlines()]
    for kind in ("train", "epoch"):
        with (out / f"{kind}.csv").open() as file:
            rows = list(csv.DictReader(file))
        wanted = [record for record in records if record["kind"] == kind]
        assert [int(row["step"]) for row in rows] == [record["step"] for record in wanted]
        assert all(float(row[name]) == pytest.approx(value) for row, record in zip(rows, wanted, strict=True)
                   for name, value in record.items() if name != "kind")  # fmt: skip


def test_rate_and_time_left(tmp_path, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("mdtk.training.logger.time.monotonic", lambda: now[0])
    logger = Logger(tmp_path, True, False, 50)
    logger.start_epoch("epoch 2/3", 50, 0, 12)
    now[0] += 20
    logger.progress(60, 150, 12, {"total": 0.5, "lr": 1e-4}, 3 << 30)
    assert "epoch 2/3, step 60/150, loss 0.5000, lr 0.0001, 6.0 samples/s, 0:03:00 left, memory 3.0 GiB" in (
        capsys.readouterr().out
    )
    assert duration(3725.2) == "1:02:05"


def test_better_or_worse():
    before = {"val_loss": 0.2, "p/abs_rel": 0.3, "p/a1": 0.8}
    assert compared("val_loss", {"val_loss": 0.1}, before) == " (better than 0.2000)"
    assert compared("p/abs_rel", {"p/abs_rel": 0.4}, before) == " (worse than 0.3000)"
    assert compared("p/a1", {"p/a1": 0.9}, before) == " (better than 0.8000)"
    assert compared("p/rmse", {"p/rmse": 1.0}, before) == ""
    record = {"epoch": 1, "step": 9, "val_loss": 0.1, "val_warped": 0.2, "val_identity": 0.1, "p/a1": 0.7}
    text = describe(record, 3, True, {})
    assert text.startswith(
        "epoch 1/3, step 9, val loss 0.1000 (best), photometric 0.2000 (worse than unwarped 0.1000), p a1 0.7000"
    )
