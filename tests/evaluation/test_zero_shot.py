"""Every protocol over sets that models are not trained on, on the rendered world in their layouts; SYNS-Patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mdtk.config import default_config
from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import build_eval_reader
from mdtk.evaluation.benchmark import evaluate_protocols
from mdtk.evaluation.eval_config import build_eval_config
from mdtk.evaluation.predictors import DepthPredictor
from mdtk.evaluation.scoring.protocols import PROTOCOLS, SUBMISSIONS
from mdtk.synthetic.zero_shot_layouts import LAYOUTS
from tests.helpers.tools import call_tool

ROWS = [key for key, row in PROTOCOLS.items() if key == row.key and row.dataset in LAYOUTS]
WITH_POSES = ("sintel", "scannet", "tum_rgbd", "ddad")


@pytest.fixture(scope="module")
def cfg(tiny_world):
    cfg = default_config()
    cfg.defrost()
    for name in LAYOUTS:
        cfg.ROOTS[name.upper()] = str(tiny_world / name)
    return cfg


@dataclass(frozen=True)
class Oracle(DepthPredictor):
    """The ground truth times a factor, which flickers from frame to frame by `flicker`."""

    factor: float
    flicker: float = 0.0
    gives = "depth"

    def predictions(self, protocol, reader, batches):
        found = {}
        for index in (index for batch in batches for index in batch):
            depth = np.minimum(reader.ground_truth(index), 1e4)
            found[reader.name(index)] = np.where(depth > 0, depth, 5) * self.factor * (1 + self.flicker * (index % 2))
        return found


def evaluate(cfg, key, predictor, **choices):
    return evaluate_protocols(build_eval_config(cfg, baselines=False, **choices), predictor, [key])[0]


def test_there_are_rows_of_every_set():
    assert {PROTOCOLS[key].dataset for key in ROWS} == set(LAYOUTS) - {"syns_patches"}


@pytest.mark.parametrize("key", ROWS)
def test_every_protocol_over_its_layout(cfg, key):
    row = PROTOCOLS[key]
    names = ("tae",) if row.dataset in WITH_POSES else ()
    exact = evaluate(cfg, key, Oracle(2.0), map_metrics=names)
    assert len(exact.rows) == (4 if key.startswith("diode/") else 2 if row.dataset == "diode" else 3)
    assert exact.scale.alignment == (row.alignment or "median")
    assert exact.means["abs_rel"] < 1e-3  # the alignment takes the factor away
    assert all(one.valid_pixels > 500 for one in exact.rows)
    worst = max(one.metrics["abs_rel"] for one in evaluate(cfg, key, Oracle(2.0, 0.5)).rows)
    assert (worst > 0.05) == (exact.scale.row.scope == "sequence")  # one scale for a recording cannot follow
    if names and row.dataset != "ddad":  # whose points are few; K, poses and depth agree where they are dense
        assert exact.means["tae"] < 4
        assert np.isnan(exact.rows[-1].metrics["tae"])


def test_poses_and_points_of_ddad_agree(cfg):
    reader = build_eval_reader("ddad", cfg, "ddad/val")
    step = np.linalg.inv(reader.pose(1)) @ reader.pose(0)
    assert 0.4 < np.linalg.norm(step[:3, 3]) < 1.5  # metres of a street in a frame
    depth = reader.ground_truth(0)
    assert 0.04 < (depth > 0).mean() < 0.07  # every fourth row and column, without the sky


def test_published_forms_of_lists(tmp_path, cfg, tiny_world):
    lines = {
        "scannet": "scene0000_00/color/000100.jpg scene0000_00/depth/000100.png",
        "sintel": "street_1 frame_0002",
        "tum_rgbd": "rgbd_dataset_freiburg3_room rgb/1311870427.100000.png depth/1311870427.110000.png",
    }
    for name, line in lines.items():
        path = tmp_path / f"{name}.txt"
        path.write_text(f"{line}\n")
        reader = build_eval_reader(name, cfg, str(path))
        assert reader.lines[0] in build_eval_reader(name, cfg, f"{name}/all").lines
        assert reader.ground_truth(0).max() > 1


def test_syns_patches_file_for_its_server(cfg, tiny_world, tmp_path, capsys):
    path = tmp_path / "near.py"
    path.write_text(
        "class Near:\n    input_size = (48, 64)\n    def predict(self, images): return 0.05 + images.mean(-1) / 255\n"
    )
    root = ("ROOTS.SYNS_PATCHES", tiny_world / "syns_patches")
    call_tool("evaluate", "--predictor", f"{path}:Near", "--output", tmp_path, "--datasets", "syns_patches", *root)
    stored = np.load(tmp_path / "syns_patches_pred.npz")["pred"]
    reader = build_eval_reader("syns_patches", cfg, "test")
    assert reader.lines == ["01 01.png", "01 00.png"]
    assert (stored.shape, stored.dtype) == ((2, 48, 64), np.float32)
    for index, values in enumerate(stored):  # in the order of the list
        image = np.asarray(reader.images(index, [0])[0].resize((64, 48)), float)
        assert abs(values.mean() - 0.05 - image.mean() / 255) < 0.01
    assert abs(stored[0] - stored[1]).max() > 0.1
    assert "wrote 2 predictions" in capsys.readouterr().out
    K = reader.intrinsics(0, (1242, 376))
    assert np.degrees(2 * np.arctan(621 / K[0, 0])) == pytest.approx(84.10)
    assert np.degrees(2 * np.arctan(188 / K[1, 1])) == pytest.approx(25.46)
    assert SUBMISSIONS["syns_patches_val"].protocol.images == 400
    with pytest.raises(MdtkError, match=r"other_files\.txt not found"):
        build_eval_reader("syns_patches", cfg, "other")
