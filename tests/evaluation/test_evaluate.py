"""The one entry, on a clip with depth: baseline predictors, options, results, report, one and two processes."""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import io
import json
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from mdtk.config import dump, load_config
from mdtk.core.errors import MdtkError
from mdtk.core.weights import write_weights
from mdtk.evaluation.baselines import CONSTANT, MEDIAN_MAP
from mdtk.evaluation.benchmark import evaluate_protocols
from mdtk.evaluation.command import distinct, pairs_of, parse_options
from mdtk.evaluation.eval_config import build_eval_config, build_scale, merged_config
from mdtk.evaluation.io.results import latex_row, summary_table, write_results
from mdtk.evaluation.io.submission import submission_png
from mdtk.evaluation.predictors import PREDICTORS, DepthPredictor, build_model_predictor, build_predictor
from mdtk.evaluation.scoring.protocols import KITTI_BENCHMARK
from mdtk.evaluation.scoring.score import ScaleMode
from mdtk.models import build_model, load_model
from tests.helpers.device import on_cpu
from tests.helpers.tiny import run_tool
from tests.helpers.tools import call_tool

RANGED = "sequence_0.001-10m"  # the files of the clip, whose depth range is a key's


def near_is_bright(images, reader):
    """A stand-in for a model, not constant."""
    return 0.05 + 0.2 * images.mean(1, keepdim=True)


def score(cfg, **choices):
    """The clip's evaluations of the stand-in."""
    predictor = build_model_predictor(cfg, near_is_bright, "cpu")
    return evaluate_protocols(build_eval_config(cfg, **choices), predictor, ["sequence"])


@pytest.fixture(scope="module")
def cfg(tiny_recipe):
    return load_config(tiny_recipe, ["EVAL.MAX_DEPTH", "10", "EVAL.BATCH_SIZE", "2"])


@pytest.fixture(scope="module")
def evaluations(cfg):
    return score(cfg)


@pytest.fixture(scope="module")
def checkpoint(cfg, tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "model.pth"
    write_weights(path, {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    return path


def test_model_and_baseline_predictors(evaluations):
    model, constant, median = evaluations
    assert [one.predictor for one in evaluations] == ["model", CONSTANT, MEDIAN_MAP]
    assert len(model.rows) == len(constant.rows) == model.provenance["images"] > 2
    assert constant.means["abs_rel"] == pytest.approx(40 * 30 / (96 * 128))  # a wall, and a box at half its distance
    assert median.means["abs_rel"] != constant.means["abs_rel"]
    assert all(row.valid_pixels == 128 * 96 for row in model.rows)
    assert model.provenance["image_format"] == "png"
    assert re.fullmatch("[0-9a-f]{64}", model.provenance["list_sha256"])
    assert "ground truths of sequence, list train" in model.provenance["baseline_predictors"]
    assert model.protocol.label == "sequence (0.001 … 10 m)"


def test_ground_truth_is_looked_at_before_anything_is_predicted(cfg, tmp_path):
    def never(images, reader):
        raise AssertionError("predicted")

    predictor = build_model_predictor(cfg, never, "cpu")
    config = build_eval_config(cfg, ground_truth=str(tmp_path / "absent.npz"))
    with pytest.raises(MdtkError, match=r"absent\.npz"):
        evaluate_protocols(config, predictor, ["sequence"])


def test_limit_and_no_baselines(tiny_recipe):
    (model,) = score(load_config(tiny_recipe, ["EVAL.LIMIT", "2"]), baselines=False)
    assert [row.index for row in model.rows] == [0, 3]  # the first and the last of four
    assert "baseline_predictors" not in model.provenance


def test_trainings_limit_does_not_cut_an_evaluation(cfg, tmp_path):
    limited = cfg.clone()
    limited.defrost()
    limited.EVAL.LIMIT = 1
    write_weights(tmp_path / "m.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(limited)})
    for overrides, count in (
        ([], len(score(cfg)[0].rows)),
        (["EVAL.LIMIT", "2"], 2),
    ):
        evaluate(tmp_path / "m.pth", tmp_path, "--no_baselines", "--overwrite", *overrides)
        assert json.loads((tmp_path / f"{RANGED}.json").read_text())["images"] == count


def test_median_map_is_left_out_with_its_reason(tiny_recipe):
    cfg = load_config(tiny_recipe, ["EVAL.BASELINE_FRAMES", "0"])
    evaluations = score(cfg)
    assert [one.predictor for one in evaluations] == ["model", CONSTANT]
    assert evaluations[0].provenance["baseline_predictors"] == "left out: EVAL.BASELINE_FRAMES is 0"


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
    given = {"scale_factor": "2", "alignment": None, "post_process": True, "overrides": ["DEVICE", "cpu"]}
    pairs = pairs_of(argparse.Namespace(**{**base, **given}))
    assert pairs == ["EVAL.POST_PROCESS", "true", "EVAL.SCALE_FACTOR", "2", "DEVICE", "cpu"]


def evaluate(checkpoint, folder, *options):
    """The exit status of tools/evaluate.py with this checkpoint and output folder."""
    return call_tool("evaluate", "--checkpoint", checkpoint, "--output", folder, *options)


@pytest.fixture(scope="module")
def written(checkpoint, tmp_path_factory):
    """The folder of one process's results, and what it printed."""
    folder, printed = tmp_path_factory.mktemp("written"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        evaluate(checkpoint, folder, "--report", "--save_predictions")
    return folder, printed.getvalue()


def test_results_on_disk(checkpoint, written):
    tmp_path, printed = written
    assert "sequence (0.001 … 10 m): your own frames" in printed
    assert "Summary" in printed
    content = json.loads((tmp_path / f"{RANGED}.json").read_text())
    assert content["protocol_description"]["clamp"].startswith("after alignment, predictions below 0.001 m")
    assert content["checkpoint_sha256"] == load_model(checkpoint).checksum
    assert set(content["results"]) == {"model", CONSTANT, MEDIAN_MAP}
    with (tmp_path / f"{RANGED}.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["predictor"] == "model"]
    mean = np.mean([float(row["abs_rel"]) for row in rows])
    assert mean == pytest.approx(content["results"]["model"]["metrics"]["abs_rel"], rel=1e-12)
    assert (
        json.loads((tmp_path / f"{RANGED}.json".replace("sequence", "summary")).read_text())["benchmarks"]["sequence"]
        == content
    )
    stack = np.load(tmp_path / "predictions" / "sequence.npy")
    names = (tmp_path / "predictions" / "sequence.txt").read_text().splitlines()
    assert (len(stack), names) == (len(rows), [row["name"] for row in rows])
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_saved_predictions_score_the_same(checkpoint, written, tiny_recipe, tmp_path, capsys):
    evaluate(checkpoint, tmp_path, "--save_predictions", "--no_eval")
    assert not list(tmp_path.glob("*.json"))
    for form, out in ((tmp_path / "predictions" / "sequence.npy", "a"), (tmp_path / "predictions", "b")):
        options = ("--predictions", form, "--config", tiny_recipe, "--output", tmp_path / out)
        call_tool("evaluate", *options, "--map_metrics", "regions", "EVAL.MAX_DEPTH", "10")
    folders = (tmp_path / "a", tmp_path / "b", written[0])
    results = [json.loads((folder / f"{RANGED}.json").read_text())["results"] for folder in folders]
    assert results[0] == results[1] == results[2]


def test_report_is_self_contained(written):
    page = (written[0] / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert page.count('<article class="image">') == 3  # four images: one best, one middle, one worst
    assert len(re.findall(r"data:image/webp;base64,([A-Za-z0-9+/=]{60,})", page)) == 4 * 3
    assert "median map" in page
    assert "checkpoint sha256" in page
    assert "Error by distance" in page


@on_cpu
def test_two_processes_write_the_same_rows(checkpoint, written, tmp_path):
    options = ("--save_predictions", "--map_metrics", "regions")  # the page that the one process wrote asks for these
    run_tool("evaluate", "--checkpoint", checkpoint, "--output", tmp_path, *options, processes=2)
    for name in (f"{RANGED}.csv", f"{RANGED}.json", "summary_0.001-10m.csv", "predictions/sequence.npy"):
        assert (written[0] / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_what_is_not_there_is_named(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path))
    evaluate(checkpoint, tmp_path / "out", "--datasets", "make3d", "sequence")
    printed = capsys.readouterr().out
    assert re.search(r"not there: make3d: data root of make3d not found: \S*make3d; set ROOTS.MAKE3D", printed)
    assert "no result: make3d" in printed
    assert list(json.loads((tmp_path / "out" / "summary_0.001-10m.json").read_text())["missing"]) == ["make3d"]
    with pytest.raises(MdtkError, match="none of the benchmarks asked for is there"):
        evaluate(checkpoint, tmp_path / "out", "--datasets", "make3d")


def test_a_broken_benchmark_does_not_stop_the_others(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path))
    (tmp_path / "make3d").mkdir()
    status = evaluate(checkpoint, tmp_path / "out", "--no_trivial", "--datasets", "make3d", "sequence")
    printed = capsys.readouterr()
    assert status == 1
    assert re.fullmatch(r"error: .*Test134.*\n", printed.err)
    assert "sequence (0.001 … 10 m)" in printed.out


def test_wrong_requests(checkpoint, tmp_path):
    with pytest.raises(MdtkError, match="give --checkpoint, or --predictions"):
        call_tool("evaluate")
    config = build_eval_config(load_config())
    assert distinct(["kitti_eigen", "kitti_eigen/monodepth2", "kitti_eigen/bdedepth"], config) == [
        *("kitti_eigen", "kitti_eigen/bdedepth")
    ]
    config = build_eval_config(load_config(), variant="bdedepth")
    assert distinct(["kitti_eigen", "kitti_eigen/bdedepth"], config) == ["kitti_eigen"]
    with pytest.raises(MdtkError, match=r"^--datasets names the protocol 'kitty', and there is none \(the nearest is"):
        evaluate(checkpoint, tmp_path, "--datasets", "kitty")
    model = load_model(checkpoint)
    with pytest.raises(
        MdtkError, match=r"trained with another model \(MODEL.ENCODER: 'mobilenetv3_small_050' != 'resnet50'\)"
    ):
        merged_config(model, "", ["MODEL.ENCODER", "resnet50"])
    assert merged_config(model, "", ["MODEL.MAX_DEPTH", "80"]).MODEL.MAX_DEPTH == 80.0


def test_tables(evaluations):
    table = summary_table(evaluations)
    assert len({len(line.rstrip()) for line in table.splitlines()[1:]}) == 1
    values = [f"{evaluations[0].means[name]:.3f}" for name in evaluations[0].protocol.metrics]
    assert latex_row(evaluations[0]) == "& " + " & ".join(values) + r" \\"
    assert evaluations[0].scale == ScaleMode("median")


@dataclass(frozen=True)
class Distance(DepthPredictor):
    """What a user may write: depth from two frames, one option that must be given and one that need not."""

    metres: float
    slope: float = 0.0
    frame_offsets = (-1, 0)
    gives = "depth"

    def predictions(self, protocol, reader, batches):
        found = {}
        for index in (index for batch in batches for index in batch):
            first, second = reader.images(index, self.frame_offsets)
            assert first.size == second.size
            found[reader.name(index)] = np.full((4, 6), self.metres + self.slope * index, np.float32)
        return found


def test_a_predictor_of_ones_own(tiny_recipe, tmp_path, capsys):
    PREDICTORS.register("distance")(Distance)
    try:
        command = ("evaluate", "--config", tiny_recipe, "--output", tmp_path, "EVAL.ALIGNMENT", "none")
        call_tool(*command, "--predictor", "distance", "metres=4")
        content = json.loads((tmp_path / "sequence.json").read_text())
        # a wall at four metres, and a box at two
        assert content["results"]["model"]["metrics"]["abs_rel"] == pytest.approx(40 * 30 / (96 * 128), rel=1e-6)
        assert (content["predictor"], content["input_frames"]) == ("distance", [-1, 0])
        assert content["predictions"] == "Distance(metres=4, slope=0.0)"
        for options, message in (
            ([], "--predictor distance needs the option metres; it takes metres, slope"),
            (["metres=4", "slop=1"], "--predictor distance has no option slop; it takes metres, slope"),
            (["4"], "--predictor takes a name and then option=value, not '4'"),
        ):
            with pytest.raises(MdtkError, match=re.escape(message)):
                call_tool(*command, "--predictor", "distance", *options)
        with pytest.raises(MdtkError, match="--predictor names the predictor 'distant', and there is none"):
            build_predictor("distant", {})
    finally:
        PREDICTORS._entries.pop("distance", None)
    assert parse_options(["a=[1, 2]", "b=x=y", "c=true"]) == {"a": [1, 2], "b": "x=y", "c": True}


def test_submission_pngs_and_their_predictions(tiny_world, tiny_recipe, tmp_path, capsys):
    cfg = load_config(tiny_recipe, [])
    write_weights(tmp_path / "m.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    options = ("--save_predictions", "--datasets", "kitti_benchmark", "ROOTS.KITTI_RAW", tiny_world / "kitti_raw")
    evaluate(tmp_path / "m.pth", tmp_path / "out", *options)
    names = (tmp_path / "out" / "predictions" / "kitti_benchmark.txt").read_text().splitlines()
    stack = np.load(tmp_path / "out" / "predictions" / "kitti_benchmark.npy")
    pngs = sorted((tmp_path / "out" / "benchmark_predictions").iterdir())
    assert len(names) == len(stack) == len(pngs) > 0
    np.testing.assert_array_equal(np.asarray(Image.open(pngs[-1])), submission_png(KITTI_BENCHMARK, stack[-1]))


def test_another_range_writes_other_files_and_nothing_is_replaced_unasked(checkpoint, tmp_path, capsys):
    evaluate(checkpoint, tmp_path, "--no_baselines")
    first = (tmp_path / f"{RANGED}.json").read_bytes()
    evaluate(checkpoint, tmp_path, "--no_baselines")  # the same configuration again is the same result
    evaluate(checkpoint, tmp_path, "--no_baselines", "EVAL.MAX_DEPTH", "3")
    assert {path.name for path in tmp_path.glob("sequence*.json")} == {f"{RANGED}.json", "sequence_0.001-3m.json"}
    assert {path.name for path in tmp_path.glob("summary*.txt")} == {"summary_0.001-10m.txt", "summary_0.001-3m.txt"}
    evaluate(checkpoint, tmp_path, "--no_baselines", "--map_metrics", "regions")  # nor is the same with more beside it
    with_more = (tmp_path / f"{RANGED}.json").read_bytes()
    capsys.readouterr()
    assert evaluate(checkpoint, tmp_path, "--no_baselines") == 1  # which is not replaced by one with less
    assert "map_metrics: ['regions'], now []" in capsys.readouterr().err
    first = (tmp_path / f"{RANGED}.json").read_bytes()
    assert first == with_more
    evaluate(checkpoint, tmp_path, "--no_baselines", "--alignment", "scale")
    message = "holds the result of another configuration (alignment: median, now scale); give --overwrite"
    assert message in capsys.readouterr().err
    assert (tmp_path / f"{RANGED}.json").read_bytes() == first
    evaluate(checkpoint, tmp_path, "--no_baselines", "--alignment", "scale", "--overwrite")
    assert json.loads((tmp_path / f"{RANGED}.json").read_text())["results"]["model"]["alignment"] == "scale"


def test_provenance_names_hardware_and_training_list(checkpoint, tmp_path, capsys):
    evaluate(checkpoint, tmp_path, "--no_baselines")
    content = json.loads((tmp_path / f"{RANGED}.json").read_text())
    assert content["hardware"].keys() >= ({"gpu", "tf32_cudnn"} if "gpu" in content["hardware"] else {"threads"})
    assert content["contamination"]["text"] == "not known: frames of one's own have no list to compare"
    assert content["configuration"]["list_sha256"] == content["list_sha256"]


def test_a_flat_affine_prediction_is_a_result(tiny_recipe, tmp_path, capsys):
    path = tmp_path / "flat.py"
    path.write_text(
        "import numpy as np\nclass Flat:\n    gives = 'affine_disparity'\n    input_size = (6, 8)\n"
        "    def predict(self, images): return np.full((len(images), 6, 8), 3.0)\n"
    )
    command = ("evaluate", "--config", tiny_recipe, "--predictor", f"{path}:Flat", "--no_baselines", "--report")
    for alignment, scale in (("midas", 0.0), ("slowtv", 0.0)):
        call_tool(*command, "--output", tmp_path / alignment, "--alignment", alignment)
        stored = json.loads((tmp_path / alignment / "sequence.json").read_text())["results"]["model"]
        assert (stored["scale_ratio_median"], stored["scale_ratio_spread"]) == (scale, None)
    assert capsys.readouterr().err == ""


def test_depth_without_bounds_is_no_number_in_json(cfg, tmp_path):
    (model, *_) = score(cfg, baselines=False)
    row = model.rows[0]
    endless = dataclasses.replace(row, metrics=row.metrics | {"rmse": float("inf")})
    write_results(tmp_path, [dataclasses.replace(model, rows=(endless, *model.rows[1:]))])
    stored = json.loads((tmp_path / f"{RANGED}.json").read_text())["results"]["model"]["metrics"]
    assert (stored["rmse"], stored["abs_rel"]) == (None, model.means["abs_rel"])
    assert ",inf," in (tmp_path / f"{RANGED}.csv").read_text()


def test_another_range_of_the_model_is_another_configuration(checkpoint, tmp_path, capsys):
    evaluate(checkpoint, tmp_path, "--no_baselines")
    assert evaluate(checkpoint, tmp_path, "--no_baselines", "MODEL.MAX_DEPTH", "50") == 1
    assert "another configuration (model_depth_range: " in capsys.readouterr().err


def test_maps_of_several_sizes_are_not_saved(tiny_recipe, tmp_path, capsys):
    path = tmp_path / "growing.py"
    path.write_text(
        "import numpy as np\nclass Growing:\n    count = 3\n    def predict(self, images):\n"
        "        self.count += 1\n        return np.ones((1, 4, self.count))\n"
    )
    command = ("evaluate", "--config", tiny_recipe, "--output", tmp_path / "out", "--save_predictions")
    assert call_tool(*command, "--predictor", f"{path}:Growing") == 1
    assert re.search(r"the prediction is \(4, 5\), others are \(4, 4\); .*input_size", capsys.readouterr().err)
    assert not (tmp_path / "out" / "predictions").exists()
