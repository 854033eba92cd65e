"""The report: what it says is what was measured, strangers' texts stay texts, and a browser can use it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mdtk.config import dump, load_config
from mdtk.core.errors import MdtkError
from mdtk.core.weights import write_weights
from mdtk.evaluation.report import image_rows
from mdtk.evaluation.report.entries import read_curves, read_entries, short_labels
from mdtk.evaluation.report.sources import FromDisk
from mdtk.models import build_model
from tests.helpers.browser import chromium, open_page
from tests.helpers.tools import call_tool

HOSTILE = "<img src=x onerror=alert(1)>&\"'</script><script>alert(2)</script>"


@pytest.fixture(scope="module")
def results(tiny_recipe, tmp_path_factory) -> list[Path]:
    """Results of two checkpoints on the clip: the first keeps its predictions, the second its training's log."""
    root, cfg, folders = tmp_path_factory.mktemp("reported"), load_config(tiny_recipe), []
    for seed, options in ((0, ("--save_predictions", "--map_metrics", "regions")), (1, ())):
        run = root / f"run{seed}"
        run.mkdir()
        torch.manual_seed(seed)
        write_weights(run / "last.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
        call_tool("evaluate", "--checkpoint", run / "last.pth", "--datasets", "sequence", *options)
        folders.append(run / "evaluation" / "last")
    lines = [
        {"kind": kind, "step": step, **values}
        for step in (1, 2, 3)
        for kind, values in (
            ("train", {"total": 0.3 / step}),
            ("epoch", {"sequence/abs_rel": 0.5 / step, "epoch": step}),
        )
    ]
    (root / "run1" / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"kind": "tra')
    return folders


def copied(results: list[Path], target: Path) -> list[Path]:
    return [Path(shutil.copytree(folder, target / folder.parts[-3] / "evaluation" / "last")) for folder in results]


def cells(page: str) -> dict[str, dict[str, str]]:
    """Row label → column → text of the page's first table with metrics."""
    table = page[page.index('data-label="abs_rel"') - 2000 : page.index("Means over images")]
    found = {}
    for row in re.findall(r'<th scope="row">(.*?)</tr>', table, re.S):
        label = re.sub("<.*?>", "", row[: row.index("</th>")])
        found[label] = dict(re.findall(r'data-label="(.*?)" .*?>(.*?)</td>', row))
    return found


def test_the_page_shows_what_was_measured(results, tmp_path, capsys):
    call_tool("report", *results, "--output", tmp_path / "page.html", "--labels", "first", "second", "--images", 1)
    assert re.search(r"wrote \S+page\.html \(\d", capsys.readouterr().out)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = cells(page)
    assert list(shown) == ["first", "second", "constant depth", "median map"]
    for folder, label in zip(results, ("first", "second"), strict=True):
        stored = json.loads((folder / "sequence.json").read_text())["results"]["model"]["metrics"]
        assert shown[label]["abs_rel"] == f"{stored['abs_rel']:.3f}"
        assert shown[label]["a1"] == f"{stored['a1']:.3f}"
    # one worst, one median, one best, three that changed most; input, truth, and two pictures of each model
    assert page.count('<article class="image">') == 3 + min(3, 4)
    assert page.count("data:image/webp;base64,") == 6 * page.count('<article class="image">')
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "url(http" not in page
    assert page.count("<svg") == 2 + 2 + 2  # distributions, regions of the first model, learning curves of the second
    assert "Training loss" in page
    assert "sequence, at epochs' ends" in page.replace("&#39;", "'")
    assert r"\begin{tabular}{lrrrrrrr}" in page


def test_published_numbers_are_marked(results, tmp_path, monkeypatch):
    row = {"protocol": "sequence", "model": "Paper <b>", "values": [0.1] * 7, "source": "Somebody, table 1"}
    (tmp_path / "published.yaml").write_text(
        json.dumps(
            {"columns": {"seven": ["abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3"]}, "results": [row]}
        )
    )
    monkeypatch.setattr("mdtk.evaluation.comparison.published_lines.__defaults__", (tmp_path / "published.yaml",))
    call_tool("report", results[0], "--output", tmp_path / "page.html", "--images", 0)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<tr class="published">' in page
    assert "† as published, not computed here: Paper &lt;b&gt;, Somebody, table 1" in page
    assert 'class="best">0.100' not in page  # bold is for what was computed here


def test_strangers_texts_stay_texts(results, tmp_path):
    folder = copied(results[:1], tmp_path)[0]
    facts = json.loads((folder / "sequence.json").read_text())
    facts["protocol_description"]["protocol"] = HOSTILE
    facts["data_root"] = HOSTILE
    (folder / "sequence.json").write_text(json.dumps(facts))
    text = (folder / "sequence.csv").read_text().replace("clip", HOSTILE.replace('"', '""').replace(",", ""))
    (folder / "sequence.csv").write_text(text)
    call_tool("report", folder, "--output", tmp_path / "page.html", "--labels", HOSTILE)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "onerror" in page
    assert "<img src=x" not in page
    assert page.count("<script>") == page.count("</script>") == 1


@pytest.mark.parametrize("saved", [True, False])
def test_pictures_show_the_depth_that_was_scored(results, saved, tmp_path):
    """The errors of the shown depth are the CSV's, from saved predictions and from the checkpoint."""
    entry = read_entries([results[0] if saved else results[1]])[0]
    source = FromDisk()(entry)
    assert type(source.predictor).__name__ == ("FilePredictor" if saved else "ModelPredictor")
    whole = image_rows.read_truths(source, entry, entry.result.indices)
    for row, place in enumerate(entry.result.indices):
        truth = image_rows.shown_truth(source.protocol, whole[place], "x")
        depth = image_rows.model_depth(entry, source, place, whole[place])
        known = truth > 0
        error = np.mean(np.abs(depth - truth)[known] / truth[known])
        assert error == pytest.approx(entry.result.metrics["abs_rel"][row], rel=1e-5)


def test_a_shared_alignment_is_that_of_the_result(tiny_recipe, results, tmp_path):
    checkpoint = results[1].parents[1] / "last.pth"
    alignment = ("--alignment", "video_depth_anything", "--no_baselines")
    call_tool("evaluate", "--checkpoint", checkpoint, "--datasets", "sequence", "--output", tmp_path, *alignment)
    test_pictures_show_the_depth_that_was_scored([tmp_path, tmp_path], False, tmp_path)


def test_without_predictions_it_says_why_there_are_no_pictures(results, tmp_path, capsys):
    folder = copied(results[1:], tmp_path)[0]
    facts = json.loads((folder / "sequence.json").read_text())
    facts["checkpoint"] = str(tmp_path / "gone.pth")
    (folder / "sequence.json").write_text(json.dumps(facts))
    call_tool("report", folder, "--output", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "no saved predictions (--save_predictions), and its checkpoint is not there" in page
    assert "no pictures" in capsys.readouterr().out
    assert "<img " not in page


def test_a_run_that_moved_has_its_checkpoint_beside_its_results(results, tmp_path):
    """The result names it by a path of another working directory; another file of its name is not taken for it."""
    folder = copied(results[1:], tmp_path)[0]
    facts = json.loads((folder / "sequence.json").read_text())
    beside = folder.parents[1] / "last.pth"
    shutil.copy(facts["checkpoint"], beside)
    facts["checkpoint"] = "runs/elsewhere/last.pth"
    (folder / "sequence.json").write_text(json.dumps(facts))
    assert type(FromDisk()(read_entries([folder])[0]).predictor).__name__ == "ModelPredictor"
    shutil.copy(results[0].parents[1] / "last.pth", beside)
    with pytest.raises(MdtkError, match="is another checkpoint by now"):
        FromDisk()(read_entries([folder])[0])


def test_a_folder_holds_the_pictures_as_files(results, tmp_path):
    call_tool("report", results[0], "--output", tmp_path / "page", "--images", 1)
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'src="(pictures/\d+\.webp)"', page)
    assert len(named) == 3 * 4
    assert sorted(named) == [f"pictures/{one.name}" for one in sorted((tmp_path / "page" / "pictures").iterdir())]


def test_names_of_models(tmp_path):
    def of(*names: str) -> list[str]:
        return short_labels([tmp_path / name for name in names])

    assert of("runs/a/evaluation/last", "runs/b/evaluation/last") == ["a", "b"]
    assert of("runs/a/evaluation/last", "runs/a/evaluation/best") == ["last", "best"]
    assert of("runs/a/evaluation/last", "other") == ["runs/a/last", "other"]
    assert of("runs/a/evaluation/last") == ["a/last"]
    assert len(set(of("x", "x"))) == 2


def test_choice_of_images():
    values = np.array([0.3, 0.1, 0.9, 0.5, 0.2, 0.8, 0.4])
    assert image_rows.choose(values, 2) == {"Worst images": [2, 5], "Median images": [0, 6], "Best images": [1, 4]}
    assert image_rows.choose(values[:1], 2) == {"Worst images": [], "Median images": [], "Best images": [0]}
    assert image_rows.choose(values[:2], 3) == {"Worst images": [0], "Median images": [], "Best images": [1]}


def test_wrong_results_are_one_sentence(results, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MdtkError, match=r"empty holds no results"):
        call_tool("report", tmp_path / "empty", "--output", tmp_path / "page.html")
    with pytest.raises(MdtkError, match="--labels has 1 names for 2 results"):
        call_tool("report", *results, "--labels", "one", "--output", tmp_path / "page.html")
    folder = copied(results[:1], tmp_path)[0]
    (folder / "sequence.csv").write_text((folder / "sequence.csv").read_text().replace("0.", "zero"))
    with pytest.raises(MdtkError, match=r"result cannot be read: \S*sequence\.csv"):
        call_tool("report", folder, "--output", tmp_path / "page.html")
    whole = json.loads((results[0] / "sequence.json").read_text())
    for changes in ({"protocol_description": 3}, {"results": {}}, {"results": {"model": {"factor": "much"}}}):
        (folder / "sequence.json").write_text(json.dumps(whole | changes))
        with pytest.raises(MdtkError, match=r"sequence\.json"):
            call_tool("report", folder, "--output", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_browser_can_use_it(results, tmp_path):
    call_tool("report", *results, "--output", tmp_path / "page.html", "--images", 1)
    with (results[0] / "sequence.csv").open() as file:
        assert len({row["predictor"] for row in csv.DictReader(file)}) == 3
    with chromium() as browser:
        for width in (390, 1400):
            open_page(browser, tmp_path / "page.html", width)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            cut = "return [...document.querySelectorAll('table, svg, img')].filter(e => e.offsetParent"
            assert browser.execute_script(cut + " && e.getBoundingClientRect().right > innerWidth + 1).length") == 0
        column = (
            "return [...document.querySelector('table').tBodies[0].rows].map(r => parseFloat(r.cells[1].dataset.value))"
        )
        button = browser.find_element("css selector", "thead button")
        button.click()
        rising = browser.execute_script(column)
        button.click()
        assert rising == sorted(rising)
        assert browser.execute_script(column) == rising[::-1]
        slider = browser.find_element("css selector", ".slider")
        pictures = slider.find_elements("tag name", "img")
        sources = [one.get_attribute("src") for one in pictures]
        assert sources[0] != sources[1]
        assert all(browser.execute_script("return arguments[0].naturalWidth", one) > 0 for one in pictures)
        move = "const r = arguments[0].querySelector('input'); r.value = 20; r.dispatchEvent(new Event('input'));"
        browser.execute_script(move, slider)
        shown = browser.execute_script("return getComputedStyle(arguments[0]).clipPath", pictures[1])
        assert "20%" in shown
        select = browser.find_element("css selector", ".choices select")
        browser.execute_script("arguments[0].value = 0; arguments[0].dispatchEvent(new Event('change'))", select)
        assert pictures[0].get_attribute("alt").startswith("input of")
        assert pictures[0].get_attribute("src") not in sources
        browser.find_element("css selector", ".latex button").click()
        assert "tabular" in browser.find_element("css selector", ".latex pre").text
        assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_curves_without_a_training(results):
    first, second = read_entries(results)
    assert read_curves(first) == {}
    assert read_curves(second)["train/total"] == [(1, 0.3), (2, 0.15), (3, pytest.approx(0.1))]
