"""Differences between results: found where they are, not seen where there are none, tables with published numbers."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from mdtk.config import dump, load_config
from mdtk.core.errors import MdtkError
from mdtk.core.weights import write_weights
from mdtk.evaluation.comparison import (
    check_comparable,
    compare,
    latex,
    markdown,
    own_line,
    published_lines,
    read_result,
    shared_protocols,
)
from mdtk.evaluation.scoring.bootstrap import compare_paired
from mdtk.evaluation.scoring.metrics import METRICS
from mdtk.evaluation.scoring.protocols import PROTOCOLS
from mdtk.models import build_model
from tests.helpers.tools import call_tool


def pairs(generator, drives, images, shift=0.0):
    """Values of two models on the images of drives; what they differ by is partly the drive's."""
    a = generator.normal(0.11, 0.03, (drives, images))
    own = generator.normal(0, 0.01, (drives, 1))
    b = a + own + generator.normal(0, 0.01, (drives, images)) + shift
    return a.ravel(), b.ravel(), np.repeat(np.arange(drives).astype(str), images)


@pytest.mark.parametrize("drives", [28, 8])
def test_false_alarms_over_200_pairs(drives):
    generator = np.random.default_rng(17)
    found = [compare_paired(*pairs(generator, drives, 24), resamples=1000, seed=seed) for seed in range(200)]
    clustered = sum(one.verdict == "differs" for one in found) / 200
    naive = sum(one.naive_low > 0 or one.naive_high < 0 for one in found) / 200
    assert clustered <= 0.08
    assert naive > 0.3  # what the interval over single images would have said


def test_a_real_difference_is_found():
    generator = np.random.default_rng(3)
    found = compare_paired(*pairs(generator, 28, 24, shift=0.01))
    assert found.verdict == "differs"
    assert found.low < 0.01 < found.high
    assert found == compare_paired(*pairs(np.random.default_rng(3), 28, 24, shift=0.01))
    assert (found.images, found.recordings) == (672, 28)


def test_nothing_and_too_little():
    a, b, names = pairs(np.random.default_rng(1), 5, 4)
    same = compare_paired(a, a, names)
    assert (same.mean, same.low, same.high, same.verdict) == (0, 0, 0, "does not differ")
    assert compare_paired(a, b, ["one"] * a.size).verdict == "one recording: not enough to say"


def test_interval_is_that_of_all_resamples_of_a_small_set():
    values, names = np.array([1.0, 2.0, 4.0, 9.0]), ["a", "a", "b", "c"]
    sums, counts = np.array([3.0, 4.0, 9.0]), np.array([2, 1, 1])
    places = np.indices((3, 3, 3)).reshape(3, -1).T
    means = sums[places].sum(1) / counts[places].sum(1)
    low, high = np.quantile(np.repeat(means, 400), [0.025, 0.975])
    wider = 4.302653 / 1.959964 * np.sqrt(1.5)  # the 97.5 % points of t with two degrees of freedom and of the normal
    found = compare_paired(np.zeros(4), values, names, resamples=20_000)
    assert found.low == pytest.approx(4 + (low - 4) * wider, abs=0.02)
    assert found.high == pytest.approx(4 + (high - 4) * wider, abs=0.02)


@pytest.fixture(scope="module")
def results(tiny_recipe, tmp_path_factory):
    """Folders of two checkpoints with different weights on the clip."""
    root, cfg = tmp_path_factory.mktemp("compared"), load_config(tiny_recipe)
    for seed in (0, 1):
        torch.manual_seed(seed)
        write_weights(root / f"{seed}.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
        options = ("--output", root / str(seed), "--no_baselines")
        call_tool("evaluate", "--checkpoint", root / f"{seed}.pth", *options)
    return root


def test_tool(results, tmp_path, capsys, tiny_recipe):
    capsys.readouterr()
    options = ("--protocol", "sequence", "--metrics", "abs_rel", "a1")
    call_tool("compare", results / "0", results / "1", *options, "--output", tmp_path / "table", "--changed", 2)
    printed = capsys.readouterr().out
    assert re.search(r"abs_rel +\S+/1 +0\.\d{4} +0\.\d{4} +[-+]0\.\d{4} .*one recording: not enough to say", printed)
    assert len(re.findall(r"^  [-+]\d\.\d{4}  ", printed, re.M)) == 2
    assert (tmp_path / "table.md").read_text().startswith("|  | abs_rel | a1 |")
    assert "\\begin{tabular}{lrr}" in (tmp_path / "table.tex").read_text()
    call_tool("compare", results / "0", results / "0", *options)
    printed = capsys.readouterr().out
    assert printed.count("does not differ") == 2
    assert " differs" not in printed


def test_several_drives_are_told_apart(tmp_path, capsys):
    for folder, shift in (("a", 0.0), ("b", 0.05)):
        write_result(tmp_path / folder, "kitti_eigen_monodepth2", shift)
    call_tool("compare", tmp_path / "a", tmp_path / "b", "--metrics", "abs_rel")
    assert "differs, worse" in capsys.readouterr().out


def write_result(folder, protocol, shift, columns=("abs_rel",)):
    """A result of 60 images of ten drives, all of whose metrics are 0.1 and some noise, and `shift`."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    lines = [f"predictor,index,name,recording,{','.join(columns)},valid_pixels,scale,shift,height,width"]
    for index in range(60):
        values = ",".join(str(generator.normal(0.1, 0.01) + shift) for _ in columns)
        lines.append(f"model,{index},image {index},drive {index // 6},{values},9,1,0,3,3")
    (folder / f"{protocol}.csv").write_text("\n".join(lines) + "\n")


def test_without_a_protocol_all_that_they_share_are_compared(tmp_path, capsys):
    make3d = "abs_rel", "sq_rel", "rmse", "rmse_log10"
    for folder, shift in (("a", 0.0), ("b", 0.05)):
        write_result(tmp_path / folder, "kitti_eigen_monodepth2_0.001-50m", shift, ("abs_rel", "a1"))
        write_result(tmp_path / folder, "make3d_monodepth2", shift, make3d)
        write_result(tmp_path / folder, "summary", shift)
    order = {"results": {"model": {"published_order": list(make3d)}}}
    (tmp_path / "a" / "make3d_monodepth2.json").write_text(json.dumps(order))
    write_result(tmp_path / "b", "kitti_eigen_monodepth2", 0.0)
    words = "compare", tmp_path / "a", tmp_path / "b", "--changed", 1, "--published", "--output", tmp_path / "table"
    call_tool(*words)
    printed = capsys.readouterr().out
    first, second = printed.split("\nmake3d_monodepth2\n")
    assert first.startswith("\nkitti_eigen_monodepth2_0.001-50m\n")
    assert (first.count("differs, worse"), second.count("differs, worse")) == (1, 4)  # a higher a1 is better
    assert "†" not in first  # the published numbers have another depth range
    assert "|  | abs_rel | sq_rel | rmse | rmse_log10 |" in second
    assert "Monodepth2 M 640x192 †" in second
    text = (tmp_path / "table.md").read_text()
    assert text.startswith("kitti_eigen_monodepth2_0.001-50m\n\n|  | abs_rel | a1 |")
    assert "\nmake3d_monodepth2\n\n|  | abs_rel | sq_rel" in text
    assert "% make3d_monodepth2\n\n\\begin{tabular}{lrrrr}" in (tmp_path / "table.tex").read_text()
    call_tool("compare", tmp_path / "a" / "make3d_monodepth2.csv", tmp_path / "b")  # a file chooses its protocol
    printed = capsys.readouterr().out
    assert "rmse_log10" in printed
    assert "kitti_eigen" not in printed


def test_labels_and_the_mean_over_seeds_are_what_is_compared(tmp_path, capsys):
    for folder, shift in (("low", 0.0), ("high", 0.1), ("middle", 0.05)):
        write_result(tmp_path / folder, "kitti_eigen_monodepth2", shift)
    seeds, middle = f"{tmp_path / 'low'},{tmp_path / 'high'}", tmp_path / "middle"
    call_tool("compare", seeds, middle, "--metrics", "abs_rel", "--labels", "Two seeds", "One")
    printed = capsys.readouterr().out
    assert "A = Two seeds (2 runs), 60 images" in printed
    assert re.search(r"abs_rel +One +0\.15\d+ +0\.15\d+ +[-+]0\.0000 .*does not differ", printed)
    assert "changed most, abs_rel, One:" in printed
    assert "| Two seeds (2 runs) | 0.151 ± 0.071 |" in printed
    assert str(tmp_path) not in printed


def test_published_numbers_of_another_list_are_told(tmp_path, capsys):
    write_result(tmp_path / "a", "kitti_eigen_monodepth2", 0.0)
    facts = {"images_of_list": 60, "images_of_published_list": 697}
    for count, told in ((60, True), (697, False)):
        (tmp_path / "a" / "kitti_eigen_monodepth2.json").write_text(json.dumps(facts | {"images_of_list": count}))
        call_tool("compare", tmp_path / "a", "--published", "--output", tmp_path / "table")
        said = "careful: published numbers are of 697 images, the results of another list of 60"
        texts = [capsys.readouterr().out, *((tmp_path / f"table.{end}").read_text() for end in ("md", "tex"))]
        assert all((said in text) == told for text in texts)
        assert texts[2].splitlines()[-1].startswith("% careful" if told else "% dagger")
    call_tool("compare", tmp_path / "a")
    assert "careful" not in capsys.readouterr().out


def test_a_trainings_folder_is_answered_with_that_of_its_results(tmp_path):
    (tmp_path / "run" / "evaluation").mkdir(parents=True)
    write_result(tmp_path / "run" / "evaluation" / "last", "kitti_eigen_monodepth2", 0.0)
    place = tmp_path / "run" / "evaluation" / "last"
    for attempt in (lambda run: shared_protocols([run]), lambda run: read_result(run, "kitti_eigen/monodepth2")):
        with pytest.raises(MdtkError, match=f"no result; give {place}"):
            attempt(tmp_path / "run")


def test_results_that_share_nothing_say_what_they_hold(tmp_path):
    write_result(tmp_path / "a", "nyuv2_monodepth2", 0.0)
    write_result(tmp_path / "b", "make3d_monodepth2", 0.0)
    with pytest.raises(MdtkError, match=r"no protocol is in all .*/a holds nyuv2_mono\S+; .*/b holds make3d_mono"):
        shared_protocols([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(MdtkError, match=r"absent holds nothing"):
        shared_protocols([tmp_path / "a", tmp_path / "absent"])


def test_seeds_and_published_numbers(results):
    runs = [read_result(results / seed, "sequence") for seed in ("0", "1")]
    line = own_line("tiny", runs, ["abs_rel"])
    means = [run.mean("abs_rel") for run in runs]
    assert line.spread["abs_rel"] == pytest.approx(np.std(means, ddof=1))
    published = published_lines("kitti_eigen/monodepth2")
    table = markdown([line, published[0]], ["abs_rel", "rmse"])
    assert f"| tiny (2 runs) | {np.mean(means):.3f} ± {line.spread['abs_rel']:.3f} |" in table
    assert "| Monodepth2 M 640x192 † | 0.115 |  |" in table  # a column that is not stored stays empty
    assert "† published: Monodepth2 M 640x192: README of nianticlabs/monodepth2" in table
    assert r"Monodepth2 M 640x192$^\dagger$ & 0.115 & 0.877 \\" in latex([line, published[0]], ["abs_rel", "a1"])


def test_published_file_names_rows_and_metrics():
    for key, row in PROTOCOLS.items():
        for line in published_lines(key):
            assert set(line.values) <= set(METRICS)
            assert line.source
            assert key == row.key


def test_what_cannot_be_compared(results, tmp_path):
    with pytest.raises(MdtkError, match=r"kitti_eigen_monodepth2\.csv not found; .*it holds sequence"):
        read_result(results / "0", "kitti_eigen/monodepth2")
    first = read_result(results / "0", "sequence")
    lines = (results / "1" / "sequence.csv").read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(MdtkError, match="they are not the same ones"):
        check_comparable([first, read_result(tmp_path / "short.csv", "sequence")])
    content = json.loads((results / "1" / "sequence.json").read_text())
    content["results"]["model"]["alignment"] = "none"
    (tmp_path / "whole.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "whole.json").write_text(json.dumps(content))
    doubts = check_comparable([first, read_result(tmp_path / "whole.csv", "sequence")])
    assert len(doubts) == 1
    assert "different alignments" in doubts[0]
    content["results"]["model"]["alignment"] = first.facts["results"]["model"]["alignment"]
    for key, value, said in (
        ("protocol", "kitti_eigen/bdedepth", "different protocols: "),
        ("depth_min", 1.0, "different depth ranges: .* 0.001, 80.0, .* 1.0, 80.0"),
        ("ground_truth", "gt_depths.npz", "different ground truths"),
    ):
        (tmp_path / "whole.json").write_text(json.dumps(content | {key: value}))
        (doubt,) = check_comparable([first, read_result(tmp_path / "whole.csv", "sequence")])
        assert re.search(said, doubt)
    second = read_result(results / "1", "sequence")
    values = second.metrics["abs_rel"].copy()
    values[1] = np.inf
    endless = dataclasses.replace(second, metrics={**second.metrics, "abs_rel": values})
    with pytest.raises(MdtkError, match=rf"abs_rel of {second.names[1]} is infinite, .*--alignment"):
        compare(first, endless, "abs_rel")
