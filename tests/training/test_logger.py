"""What a training says while it runs, without a terminal."""

from __future__ import annotations

import csv
import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.training.epoch import beside_baselines, compared, describe
from mdtk.training.logger import Logger, duration
from mdtk.training.step_pictures import render
from mdtk.training.trackers import MLflow, build_trackers
from mdtk.viz import colour_table
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
    logger = Logger(tmp_path, True, 50)
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


def test_against_the_baseline_predictors():
    baselines = {"constant depth": {"p/abs_rel": 0.5, "p/a1": 0.3}, "median map": {"p/abs_rel": 0.3, "p/a1": 0.6}}
    assert beside_baselines("p/abs_rel", 0.2, baselines) == " [better than median map 0.3000]"
    assert beside_baselines("p/abs_rel", 0.4, baselines) == " [worse than median map 0.3000]"
    assert beside_baselines("p/a1", 0.5, baselines) == " [worse than median map 0.6000]"
    assert beside_baselines("p/rmse", 0.5, baselines) == ""


def test_an_epoch_is_told_beside_the_baselines_which_are_scored_once(tiny_recipe, tmp_path, monkeypatch):
    scored = []
    real = sys.modules["mdtk.training.epoch"].evaluate_protocols

    def evaluate_protocols(config, *rest):
        scored.append(config.baselines is not None)
        return real(config, *rest)

    monkeypatch.setattr("mdtk.training.epoch.evaluate_protocols", evaluate_protocols)
    call_tool("train", "--config", tiny_recipe, "OUT_DIR", tmp_path, "EVAL.PROTOCOLS", "[sequence]")
    lines = [line for line in (tmp_path / "train.log").read_text().splitlines() if "abs_rel" in line]
    pattern = r"sequence abs_rel [\d.]+( \((better|worse) than [\d.]+\))? \[(better|worse) than \w+ \w+ [\d.]+\]"
    assert [bool(re.search(pattern, line)) for line in lines] == [True, True]
    assert scored == [True, False]
    records = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all("sequence/abs_rel" in record for record in records if record["kind"] == "epoch")


class Wandb(SimpleNamespace):
    """The part of Weights & Biases' interface that is used, as its documentation has it."""

    def __init__(self):
        super().__init__(runs=[], Image=lambda picture: ("image", picture.shape))

    def init(self, **options):
        run = SimpleNamespace(options=options, lines=[], defined=[], finished=False)
        run.log = lambda values: run.lines.append(values)
        run.define_metric = lambda name, step_metric: run.defined.append((name, step_metric))
        run.finish = lambda: setattr(run, "finished", True)
        self.runs.append(run)
        return run


def test_weights_and_biases_goes_on_in_the_same_run(tmp_path, monkeypatch):
    wandb = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    cfg = load_config(None, ["LOG.WANDB", "true", "LOG.TENSORBOARD", "false", "SOLVER.LR", "0.5"])
    for step in (0, 7, 0):
        logger = Logger(tmp_path, True, step, build_trackers(cfg, tmp_path, step))
        logger.record("train", step + 1, {"total": 0.5, "note": "text"})
        logger.pictures(step + 1, {"training step/sample 1": np.zeros((4, 6, 3), np.uint8)})
        logger.close()
    first, resumed, other = wandb.runs
    assert first.lines == [{"step": 1, "train/total": 0.5}, {"step": 1, "training step/sample 1": ("image", (4, 6, 3))}]
    assert first.options["config"]["SOLVER.LR"] == 0.5
    assert first.options["project"] == "mdtk"
    assert first.options["id"] == resumed.options["id"] != other.options["id"]
    assert first.defined == [("*", "step")]
    assert first.finished
    assert resumed.finished


def test_weights_and_biases_itself(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="an extra: pip install mdtk-depth[wandb]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    cfg = load_config(None, ["LOG.WANDB", "true", "LOG.TENSORBOARD", "false"])
    (tracker,) = build_trackers(cfg, tmp_path, 0)
    tracker.scalars("train", 1, {"total": 0.5})
    tracker.pictures(1, {"training step/sample 1": np.zeros((4, 6, 3), np.uint8)})
    tracker.close()
    assert list(tmp_path.rglob("*.wandb"))
    assert list(tmp_path.rglob("*sample 1*.png"))


def test_mlflow_goes_on_in_the_same_run(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="an extra: pip install mdtk-depth[mlflow]")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    out = tmp_path / "run"
    cfg = load_config(None, ["LOG.MLFLOW", "true", "LOG.TENSORBOARD", "false", "SOLVER.LR", "0.5"])
    for step in (0, 7):
        out.mkdir(exist_ok=True)
        (tracker,) = build_trackers(cfg, out, step)
        assert isinstance(tracker, MLflow)
        tracker.scalars("epoch", step + 1, {"kitti_eigen/monodepth2/abs_rel": 0.5 - step / 100, "f@1": 1.0})
        tracker.pictures(step + 1, {"training step/sample 1": np.zeros((4, 6, 3), np.uint8)})
        tracker.close()
    history = tracker.client.get_metric_history(tracker.name, "epoch/kitti_eigen/monodepth2/abs_rel")
    assert [(one.step, one.value) for one in history] == [(1, 0.5), (8, pytest.approx(0.43))]
    assert tracker.client.get_run(tracker.name).data.params["SOLVER.LR"] == "0.5"
    assert len(list((tmp_path / "store").rglob("training_step_*.png"))) == 2


@pytest.mark.parametrize(("key", "module"), [("LOG.WANDB", "wandb"), ("LOG.MLFLOW", "mlflow")])
def test_a_missing_library_is_named_with_its_cure(tmp_path, monkeypatch, key, module):
    monkeypatch.setitem(sys.modules, module, None)
    cfg = load_config(None, [key, "true", "LOG.TENSORBOARD", "false"])
    with pytest.raises(MdtkError, match=rf"{key} needs {module}, .*not installed: pip install mdtk-depth\[{module}\]"):
        build_trackers(cfg, tmp_path, 0)


def test_a_tracker_that_fails_is_given_up(tmp_path, monkeypatch, capsys):
    wandb = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    cfg = load_config(None, ["LOG.WANDB", "true", "LOG.TENSORBOARD", "false"])
    logger = Logger(tmp_path, True, 0, build_trackers(cfg, tmp_path, 0))

    def fails(values):
        raise ConnectionError("the server is gone")

    wandb.runs[0].log = fails
    for step in (1, 2):
        logger.record("train", step, {"total": 0.5})
    logger.close()
    assert capsys.readouterr().out.count("WeightsAndBiases gets nothing more from here on: the server is gone") == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2

    def refuses(**options):
        raise ValueError("no API key")

    wandb.init = refuses
    with pytest.raises(MdtkError, match=r"LOG\.WANDB: no API key; correct its settings"):
        build_trackers(cfg, tmp_path, 0)


def test_step_pictures_carry_names_and_a_colour_bar():
    ramp = torch.linspace(0.1, 0.9, 96).expand(3, 1, 64, 96)
    pictures = {
        "sigmoid": ramp,
        "target": torch.full((3, 3, 64, 96), 0.5),
        "warped": torch.full((3, 2, 3, 64, 96), 0.25),
        "automask": torch.ones(3, 64, 96),
    }
    sheets = render(pictures, 2)
    assert list(sheets) == ["training step/sample 1", "training step/sample 2"]
    sheet = sheets["training step/sample 2"]
    height = round(64 * 320 / 96)
    assert sheet.shape == (5 * (18 + height) + 22, 320, 3)
    tops = [place * (18 + height) + (22 if place > 1 else 0) for place in range(5)]
    assert all((sheet[top : top + 18, :60] < 100).any() for top in tops)  # ink
    middles = [sheet[top + 18 + height // 2, 160] for top in tops]
    assert (middles[0] == 128).all()  # the target
    assert (middles[2] == 64).all()  # a warped source
    assert (middles[4] == 255).all()  # the automask
    bar = sheet[tops[2] - 11].astype(int)
    table = colour_table("magma").astype(int)
    known = [column for column in bar if np.abs(table - column).sum(1).min() <= 3]
    assert len(known) > 100
