"""The training list of NYU Depth v2: its rule on a small raw folder."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.datasets.prepare.nyu_split import Options, make_split, nearest, neighbours, test_scenes
from mdtk.datasets.readers.nyuv2 import LABELED
from mdtk.datasets.splits import load_split

test_scenes.__test__ = False  # a function of the package, not a test
PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def data_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path / "home"))


WIDE = np.random.default_rng(0).integers(0, 256, (48, 320), dtype=np.uint8).repeat(10, 0).repeat(10, 1)


def write_scene(root, name, times, still_from=1e9):
    """PPMs of a texture that moves with time until `still_from`."""
    folder = root / "nyu_depth_v2" / name
    folder.mkdir(parents=True)
    for time in times:
        start = int(300 * max(0.0, min(time, still_from)))
        pixels = np.repeat(WIDE[:, start : start + 640, None], 3, 2)
        (folder / f"r-{1000 + time:.6f}-77.ppm").write_bytes(b"P6\n640 480\n255\n" + pixels.tobytes())
        (folder / f"d-{1000 + time:.6f}-77.pgm").write_bytes(b"depth")
    return folder


def raw_times(count, start=0.0):
    jitter = np.random.default_rng(1).uniform(-2e-3, 2e-3, count)
    return start + np.arange(count) / 30 + jitter


def collect(root, **options):
    return make_split(root, Options(**options))


def stamps(line):
    return [float(path.split("/r-")[1].split("-")[0]) - 1000 for path in line.split()]


def test_columns_are_a_third_of_a_second_apart(tmp_path):
    write_scene(tmp_path, "kitchen_0001", raw_times(105))
    lines, summary = collect(tmp_path)
    assert len(lines["train"]) == 3  # 105 frames: 11 targets, four at each end lack a neighbour
    assert summary.incomplete == 8
    for line in lines["train"]:
        times = np.array(stamps(line))
        np.testing.assert_allclose((times - times[0]) * 30, np.multiply([0, -4, -3, -2, -1, 1, 2, 3, 4], 10), atol=0.2)
    assert np.diff([stamps(line)[0] for line in lines["train"]]) == pytest.approx(1 / 3, abs=0.01)


def test_gaps_static_frames_and_cut_off_files(tmp_path):
    whole = raw_times(135)
    write_scene(tmp_path, "gap", [time for time in whole if not 2.0 < time < 2.3])
    write_scene(tmp_path, "still", whole, still_from=2.0)
    lines, summary = collect(tmp_path)
    still = [line for line in lines["train"] if "/still/" in line]
    assert max(stamps(line)[0] for line in still) < 2.1
    assert summary.static > 0
    for line in lines["train"]:
        times = np.array(stamps(line))
        np.testing.assert_allclose(np.diff(np.sort(times)), 1 / 3, atol=0.17)
    for path in sorted((tmp_path / "nyu_depth_v2" / "still").glob("r-*"))[60:]:
        path.write_bytes(path.read_bytes()[:1000])
    again, summary = collect(tmp_path)
    assert not [line for line in again["train"] if "/still/" in line]
    assert len(summary.truncated) == 75
    assert collect(tmp_path, min_motion=0.0)[1].static == 0


def test_every_and_thinned_recordings(tmp_path):
    write_scene(tmp_path, "thin", raw_times(130)[::5])
    assert len(collect(tmp_path)[0]["train"]) == 5  # of 26 stored frames, 8 … 17 have all neighbours
    assert len(collect(tmp_path, every=5)[0]["train"]) == 10


def test_scenes_of_the_test_images_are_left_out(tmp_path):
    for scene in ("office_0001", "study_0002a", "study_0002b"):
        write_scene(tmp_path, scene, raw_times(105)[::5])
    assert not collect(tmp_path)[1].test_scenes_known
    test_numbers = {int(line[9:14]) for line in load_split("nyuv2/test").lines}
    with h5py.File(tmp_path / LABELED, "w") as file:
        names = file.create_dataset("scenes", (1, 1449), dtype=h5py.ref_dtype)
        for number in range(1, 1450):
            text = "study_0002" if number in test_numbers else "office_0001"
            if f"n/{text}" not in file:
                file[f"n/{text}"] = np.array([[ord(letter)] for letter in text], np.uint16)
            names[0, number - 1] = file[f"n/{text}"].ref
    assert test_scenes(tmp_path / LABELED) == {"study_0002"}
    lines, summary = collect(tmp_path)
    assert summary.test_scenes == ["study_0002a", "study_0002b"]
    assert all("/office_0001/" in line for line in lines["train"])


def test_nearest_and_neighbours():
    times = np.array([0.0, 1.0, 1.1, 4.0])
    assert nearest(times, np.array([-5, 0.5, 1.06, 3.9, 9])).tolist() == [0, 0, 2, 3, 3]
    rows = neighbours(np.arange(9) / 3, Options())
    assert rows[4].tolist() == [4, 0, 1, 2, 3, 5, 6, 7, 8]
    assert (rows[[0, 1, 2, 3, 5, 6, 7, 8]] == -1).any(1).all()


def test_tool(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["make_nyu_split.py", "--data_path", str(tmp_path), *arguments])
        runpy.run_path(str(PROJECT / "tools" / "make_nyu_split.py"))["main"]()

    with pytest.raises(MdtkError, match="raw scenes not found"):
        run()
    for number in range(2):
        write_scene(tmp_path, f"office_{number:04d}", raw_times(105)[::5])
    run("--val_every", "2")
    assert len(load_split("nyuv2/train", tmp_path)) == len(load_split("nyuv2/val", tmp_path)) == 3
    assert "2 scenes with 42 raw frames" in capsys.readouterr().out
    with pytest.raises(MdtkError, match="is there already; give --overwrite"):
        run()
    with pytest.raises(MdtkError, match="no target is left"):
        run("--min_motion", "255", "--overwrite")
    with pytest.raises(SystemExit):
        run("--help")
    assert "quarter of a step" in capsys.readouterr().out
