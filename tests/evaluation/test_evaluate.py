"""The one entry, on a clip with depth: trivial predictors, options, results on disk, report, one and two processes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re

import numpy as np
import pytest
import torch

from mdtk.config import dump, load_config
from mdtk.core.errors import MdtkError
from mdtk.core.weights import write_weights
from mdtk.evaluation.baselines import CONSTANT, MEDIAN_MAP
from mdtk.evaluation.benchmark import build_run_options, build_scale, evaluate_protocols
from mdtk.evaluation.command import Request, _distinct, merged_config, request_of, run
from mdtk.evaluation.io.results import latex_row, summary_table
from mdtk.evaluation.scoring.score import ScaleMode
from mdtk.models import build_model, load_model
from tests.helpers.tiny import run_tool


def near_is_bright(images, reader):
    """A stand-in for a model, not constant."""
    return 0.05 + 0.2 * images.mean(1, keepdim=True)


@pytest.fixture(scope="module")
def cfg(tiny_recipe):
    return load_config(tiny_recipe, ["EVAL.MAX_DEPTH", "10", "EVAL.BATCH_SIZE", "2"])


@pytest.fixture(scope="module")
def evaluations(cfg):
    return evaluate_protocols(near_is_bright, cfg, ["sequence"])


@pytest.fixture(scope="module")
def checkpoint(cfg, tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "model.pth"
    write_weights(path, {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    return path


def test_model_and_trivial_predictors(evaluations):
    model, constant, median = evaluations
    assert [one.predictor for one in evaluations] == ["model", CONSTANT, MEDIAN_MAP]
    assert len(model.rows) == len(constant.rows) == model.facts["images"] > 2
    assert constant.means["abs_rel"] == pytest.approx(40 * 30 / (96 * 128))  # a wall, and a box at half its distance
    assert median.means["abs_rel"] != constant.means["abs_rel"]
    assert all(row.valid_pixels == 128 * 96 for row in model.rows)
    assert model.facts["image_format"] == "png"
    assert re.fullmatch("[0-9a-f]{64}", model.facts["list_sha256"])
    assert "ground truths of sequence, list train" in model.facts["trivial_predictors"]
    assert model.protocol.label == "sequence (0.001 … 10 m)"


def test_limit_and_no_trivial(cfg):
    limited = load_config(None, [])  # options alone decide
    options = build_run_options(cfg, trivial=False)
    options = type(options)(**{**options.__dict__, "limit": 2})
    (model,) = evaluate_protocols(near_is_bright, cfg, ["sequence"], options)
    assert len(model.rows) == 2
    assert limited.EVAL.LIMIT == 0


def test_trainings_limit_does_not_cut_an_evaluation(cfg, tmp_path):
    limited = cfg.clone()
    limited.defrost()
    limited.EVAL.LIMIT = 1
    write_weights(tmp_path / "m.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(limited)})
    for overrides, count in (
        ([], len(evaluate_protocols(near_is_bright, cfg, ["sequence"])[0].rows)),
        (["EVAL.LIMIT", "2"], 2),
    ):
        run(Request(str(tmp_path / "m.pth"), output=str(tmp_path), no_trivial=True, overrides=overrides))
        assert json.loads((tmp_path / "sequence.json").read_text())["images"] == count


def test_median_map_is_left_out_with_its_reason(tiny_recipe):
    cfg = load_config(tiny_recipe, ["EVAL.BASELINE_FRAMES", "0"])
    evaluations = evaluate_protocols(near_is_bright, cfg, ["sequence"])
    assert [one.predictor for one in evaluations] == ["model", CONSTANT]
    assert evaluations[0].facts["trivial_predictors"] == "left out: EVAL.BASELINE_FRAMES is 0"


@pytest.mark.parametrize(
    ("pairs", "stereo", "expected"),
    [
        ([], None, ("median", 1.0)),
        (["DATA.STEREO", "true"], None, ("none", 5.4)),
        (["DATA.STEREO", "true", "DATA.BASELINE", "0.2"], None, ("none", 2.7)),
        (["DATA.STEREO", "true", "DATA.BASELINE", "0"], None, ("none", 1.0)),
        (["DATA.STEREO", "true", "EVAL.ALIGNMENT", "median"], None, ("median", 1.0)),
        (["EVAL.ALIGNMENT", "none", "EVAL.SCALE_FACTOR", "2"], None, ("none", 2.0)),
        (["EVAL.ALIGNMENT", "none"], True, ("none", 5.4)),
        (["DATA.STEREO", "true"], False, ("median", 1.0)),
    ],
)
def test_scale_follows_training_and_keys(pairs, stereo, expected):
    scale = build_scale(load_config(None, pairs), stereo)
    assert (scale.alignment, scale.factor) == (expected[0], pytest.approx(expected[1]))
    assert (scale.factor == 1.0) == (scale.factor_origin == "")


def test_flags_become_keys():
    base = dict.fromkeys(("eval_mono", "eval_stereo", "no_median_scaling", "post_process"), False)
    args = {**base, "alignment": None, "scale_factor": "2", "overrides": ["DEVICE", "cpu"], "post_process": True}
    request = request_of({**args, "datasets": ["make3d", "EVAL.MAX_DEPTH", "50"]})
    assert request.datasets == ["make3d"]
    assert request.overrides == [
        *("EVAL.POST_PROCESS", "true", "EVAL.SCALE_FACTOR", "2", "EVAL.MAX_DEPTH", "50", "DEVICE", "cpu")
    ]
    assert request.stereo is None
    assert request_of({**args, "eval_stereo": True, "datasets": []}).stereo is True


@pytest.fixture(scope="module")
def written(checkpoint, tmp_path_factory):
    """The folder of one process's results, and what it printed."""
    folder, printed = tmp_path_factory.mktemp("written"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        run(Request(checkpoint=str(checkpoint), output=str(folder), report=True, save_predictions=True))
    return folder, printed.getvalue()


def test_results_on_disk(checkpoint, written):
    tmp_path, printed = written
    assert "sequence (0.001 … 10 m): your own frames" in printed
    assert "Summary" in printed
    content = json.loads((tmp_path / "sequence.json").read_text())
    assert content["protocol_in_words"]["clamp"].startswith("after alignment, predictions below 0.001 m")
    assert content["checkpoint_sha256"] == load_model(checkpoint).checksum
    assert set(content["results"]) == {"model", CONSTANT, MEDIAN_MAP}
    with (tmp_path / "sequence.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["predictor"] == "model"]
    mean = np.mean([float(row["abs_rel"]) for row in rows])
    assert mean == pytest.approx(content["results"]["model"]["metrics"]["abs_rel"], rel=1e-12)
    assert json.loads((tmp_path / "summary.json").read_text())["benchmarks"]["sequence"] == content
    stack = np.load(tmp_path / "predictions" / "sequence.npy")
    names = (tmp_path / "predictions" / "sequence.txt").read_text().splitlines()
    assert (len(stack), names) == (len(rows), [row["name"] for row in rows])
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_saved_predictions_score_the_same(checkpoint, written, tiny_recipe, tmp_path, capsys):
    run(Request(checkpoint=str(checkpoint), output=str(tmp_path), save_predictions=True, no_eval=True))
    assert not list(tmp_path.glob("*.json"))
    overrides = ["EVAL.MAX_DEPTH", "10"]
    for form, out in ((tmp_path / "predictions" / "sequence.npy", "a"), (tmp_path / "predictions", "b")):
        files = Request(predictions=str(form), config=str(tiny_recipe), overrides=overrides, output=str(tmp_path / out))
        run(files)
    folders = (tmp_path / "a", tmp_path / "b", written[0])
    results = [json.loads((folder / "sequence.json").read_text())["results"] for folder in folders]
    assert results[0] == results[1] == results[2]


def test_report_is_self_contained(written):
    page = (written[0] / "sequence.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "url(" not in page
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]{200,})", page)
    rows = len(re.findall("<figcaption>", page))
    assert rows == 3  # four images: one best, one middle, one worst
    assert len(pictures) == 4 * rows
    assert "median map" in page
    assert "checkpoint sha256" in page


def test_two_processes_write_the_same_rows(checkpoint, written, tmp_path):
    run_tool("evaluate", "--checkpoint", checkpoint, "--output", tmp_path, "--save_predictions", processes=2)
    for name in ("sequence.csv", "sequence.json", "summary.csv", "predictions/sequence.npy"):
        assert (written[0] / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_what_is_not_there_is_named(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path))
    run(Request(checkpoint=str(checkpoint), datasets=["make3d", "sequence"], output=str(tmp_path / "out")))
    printed = capsys.readouterr().out
    assert re.search(r"not there: make3d: data root not found: \S*make3d; set ROOTS.MAKE3D", printed)
    assert "no result: make3d" in printed
    assert list(json.loads((tmp_path / "out" / "summary.json").read_text())["missing"]) == ["make3d"]
    with pytest.raises(MdtkError, match="none of the benchmarks asked for is there"):
        run(Request(checkpoint=str(checkpoint), datasets=["make3d"], output=str(tmp_path / "out")))


def test_a_broken_benchmark_does_not_stop_the_others(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path))
    (tmp_path / "make3d").mkdir()
    names = ["make3d", "sequence"]
    with pytest.raises(SystemExit) as ended:
        run(Request(checkpoint=str(checkpoint), output=str(tmp_path / "out"), datasets=names, no_trivial=True))
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert re.fullmatch(r"error: .*Test134.*\n", printed.err)
    assert "sequence (0.001 … 10 m)" in printed.out


def test_wrong_requests(checkpoint, tmp_path):
    with pytest.raises(MdtkError, match="give --checkpoint, or --predictions"):
        run(Request())
    assert _distinct(["kitti_eigen", "kitti_eigen/monodepth2", "kitti_eigen/bdedepth"], "") == [
        *("kitti_eigen", "kitti_eigen/bdedepth")
    ]
    assert _distinct(["kitti_eigen", "kitti_eigen/bdedepth"], "bdedepth") == ["kitti_eigen"]
    with pytest.raises(MdtkError, match="unknown protocol kitty"):
        run(Request(checkpoint=str(checkpoint), datasets=["kitty"]))
    model = load_model(checkpoint)
    with pytest.raises(MdtkError, match=r"trained with another model \(MODEL.ENCODER: 'resnet18' != 'resnet50'\)"):
        merged_config(model, "", ["MODEL.ENCODER", "resnet50"])
    assert merged_config(model, "", ["MODEL.MAX_DEPTH", "80"]).MODEL.MAX_DEPTH == 80.0


def test_tables(evaluations):
    table = summary_table(evaluations)
    assert len({len(line.rstrip()) for line in table.splitlines()[1:]}) == 1
    values = [f"{evaluations[0].means[name]:.3f}" for name in evaluations[0].protocol.metrics]
    assert latex_row(evaluations[0]) == "& " + " & ".join(values) + r" \\"
    assert evaluations[0].scale == ScaleMode("median")
