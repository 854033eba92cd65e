"""What neighbouring frames say: temporal alignment error and photometric error, on a clip whose motion is known."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from mdtk.config import dump, load_config
from mdtk.core.weights import write_weights
from mdtk.evaluation.scoring.temporal import TimedDepth, pair_error
from mdtk.evaluation.unsupervised import errors
from mdtk.models import build_model
from tests.helpers.device import on_cpu
from tests.helpers.tiny import run_tool, write_clip
from tests.helpers.tools import call_tool

FRAMES, STEP = 5, 0.08  # metres to the right in a frame: 2 pixels of the wall at 4 m, 4 of the box at 2 m
K = np.array([[100.0, 0, 63.5], [0, 100.0, 47.5], [0, 0, 1]])


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """The tiny clip with its poses beside the frames, and predictions of its true depth."""
    folder = write_clip(tmp_path_factory.mktemp("walk") / "walk", FRAMES)
    poses = [f"1 0 0 {STEP * i} 0 1 0 0 0 0 1 0" for i in range(FRAMES)]
    (folder / "color" / "poses.txt").write_text("\n".join(poses))
    depths = [cv2.imread(str(path), -1) / 1000 for path in sorted((folder / "depth").glob("*.png"))]
    (folder / "exact").mkdir()
    (folder / "wrong").mkdir()
    for i, depth in enumerate(depths):
        np.save(folder / "exact" / f"color_{i}.npy", depth.astype(np.float32))
        factor = 1 + 0.1 * (-1) ** i  # flickers
        np.save(folder / "wrong" / f"color_{i}.npy", (factor * depth).astype(np.float32))
    return folder


def evaluate(walk, tiny_recipe, output, *options):
    keys = ("DATA.SEQUENCE.PATHS", f"[{walk / 'color'}]", "DATA.SEQUENCE.DEPTH", f"[{walk / 'depth'}]")
    keys += ("DATA.SOURCES", "[1]", "DATA.VAL_SPLIT", "all", "EVAL.ALIGNMENT", "none")
    return call_tool("evaluate", "--config", tiny_recipe, "--output", output, "--no_baselines", *options, *keys)


def brute_force(one, other):
    """The pair's error point by point."""
    total = 0.0
    for a, b in ((one, other), (other, one)):
        b_T_a = np.linalg.inv(b.world_T_camera) @ a.world_T_camera
        moved = np.zeros(a.depth.shape)
        for y in range(a.depth.shape[0]):
            for x in range(a.depth.shape[1]):
                z = a.depth[y, x]
                point = b_T_a @ [(x - a.K[0, 2]) / a.K[0, 0] * z, (y - a.K[1, 2]) / a.K[1, 1] * z, z, 1]
                u, v = (round(a.K[i, i] * point[i] / point[2] + a.K[i, 2]) for i in (0, 1))
                if z > 0 and point[2] > 0 and 0 <= u < moved.shape[1] and 0 <= v < moved.shape[0]:
                    moved[v, u] = point[2]
        seen = (moved > 0) & (b.depth > 0)
        total += np.mean(np.abs(b.depth[seen] - moved[seen]) / b.depth[seen])
    return 100 * total / 2


def test_pair_error_is_that_of_single_points():
    generator = np.random.default_rng(2)
    frames = []
    for _ in range(2):
        pose = np.eye(4)
        pose[:3, :3] = cv2.Rodrigues(generator.normal(0, 0.05, 3))[0]
        pose[:3, 3] = generator.normal(0, 0.3, 3)
        depth = generator.uniform(2, 9, (24, 30)) * (generator.random((24, 30)) < 0.9)
        frames.append(TimedDepth(depth, pose, np.array([[30.0, 0, 14.3], [0, 28.0, 11.1], [0, 0, 1]])))
    assert pair_error(*frames) == pytest.approx(brute_force(*frames))


def test_temporal_error_on_the_command_line(walk, tiny_recipe, tmp_path):
    found = {}
    for name in ("exact", "wrong"):
        options = ("--predictions", walk / name, "--predictions_are", "depth", "--map_metrics", "tae")
        evaluate(walk, tiny_recipe, tmp_path / name, *options)
        rows = list(csv.DictReader((tmp_path / name / "sequence.csv").open()))
        found[name] = [float(row["tae"]) for row in rows]
        assert np.isnan(found[name][-1])  # the last frame has no next one
        mean = json.loads((tmp_path / name / "sequence.json").read_text())["results"]["model"]["metrics"]["tae"]
        assert mean == pytest.approx(np.mean(found[name][:-1]))
    truth = [np.load(walk / "wrong" / f"color_{i}.npy").astype(float) for i in range(FRAMES)]
    frames = [TimedDepth(depth, np.eye(4), K) for depth in truth]
    for i, frame in enumerate(frames):
        frame.world_T_camera[0, 3] = STEP * i
    expected = [brute_force(*frames[i : i + 2]) for i in range(len(found["wrong"]) - 1)]
    np.testing.assert_allclose(found["wrong"][:-1], expected, rtol=1e-5)
    assert max(found["exact"][:-1]) < 3 < 15 < min(found["wrong"][:-1])


@on_cpu
def test_temporal_error_of_two_processes_is_that_of_one(walk, tiny_recipe, tmp_path):
    path = tmp_path / "near.py"  # not files, of which every process has all
    path.write_text(
        "class Near:\n    input_size = (48, 64)\n    def predict(self, images): return 0.1 + images.mean(-1) / 255\n"
    )
    options = ("--config", tiny_recipe, "--no_baselines", "--map_metrics", "tae", "--predictor", f"{path}:Near")
    keys = ("DATA.SEQUENCE.PATHS", f"[{walk / 'color'}]", "DATA.SEQUENCE.DEPTH", f"[{walk / 'depth'}]")
    keys += ("DATA.SOURCES", "[1]", "DATA.VAL_SPLIT", "all", "EVAL.BATCH_SIZE", "1")
    call_tool("evaluate", *options, "--output", tmp_path / "one", *keys)
    run_tool("evaluate", *options, "--output", tmp_path / "two", *keys, processes=2)
    for name in ("sequence.csv", "sequence.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    content = json.loads((tmp_path / "one" / "sequence.json").read_text())
    assert content["results"]["model"]["metrics"]["tae"] > 0.1
    assert "its flicker is not in tae" in content["tae"]  # by median scaling, each image


def test_temporal_error_without_poses(walk, clip, tiny_recipe, tmp_path, capsys):
    options = ("--config", tiny_recipe, "--predictions", walk / "exact", "--map_metrics", "tae")
    assert call_tool("evaluate", *options, "--output", tmp_path) == 1
    assert "color has no poses; name a file in DATA.SEQUENCE.POSES" in capsys.readouterr().err


def test_photometric_error_without_ground_truth(walk, tiny_recipe, tmp_path, capsys):
    ratio = {}
    for name in ("exact", "wrong"):
        options = ("--predictions", walk / name, "--predictions_are", "depth", "--datasets", "photometric")
        evaluate(walk, tiny_recipe, tmp_path / name, *options, "DATA.SEQUENCE.DEPTH", "[]")
        content = json.loads((tmp_path / name / "photometric.json").read_text())
        ratio[name] = content["results"]["model"]["metrics"]["photometric_ratio"]
        assert content["motions"] == "poses of the data set"
        assert content["images_evaluated"] == FRAMES - 1
    assert ratio["exact"] < 0.5 * ratio["wrong"] < 0.1
    assert "photometric_unwarped" in capsys.readouterr().out


def test_photometric_error_of_a_checkpoint_with_a_pose_network(walk, tiny_recipe, tmp_path):
    cfg = load_config(tiny_recipe)
    torch.manual_seed(0)
    write_weights(tmp_path / "model.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    keys = ("DATA.SEQUENCE.PATHS", f"[{walk / 'color'}]", "DATA.SEQUENCE.DEPTH", "[]", "DATA.VAL_SPLIT", "all")
    call_tool("evaluate", "--checkpoint", tmp_path / "model.pth", "--datasets", "photometric", *keys)
    content = json.loads((tmp_path / "evaluation" / "model" / "photometric.json").read_text())
    assert content["motions"] == "the checkpoint's pose network"
    assert content["results"]["model"]["metrics"]["photometric_ratio"] == pytest.approx(1, abs=0.2)  # it knows nothing


def test_errors_are_ssim_and_l1():
    generator = np.random.default_rng(5)
    images = [cv2.GaussianBlur(generator.random((20, 26, 3)), (0, 0), 1.5) for _ in range(3)]
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].float() for image in images]
    still = [torch.eye(4)[None]] * 2
    depth = torch.ones(1, 1, 20, 26)
    found = errors(tensors[0], torch.stack(tensors[1:]), depth, torch.from_numpy(K)[None].float(), still)
    maps = []
    for image in images[1:]:
        options = {"win_size": 3, "gaussian_weights": False, "use_sample_covariance": False, "data_range": 1.0}
        _, ssim = structural_similarity(images[0], image, channel_axis=2, full=True, **options)
        maps.append(0.85 * ((1 - ssim) / 2).mean(-1) + 0.15 * np.abs(images[0] - image).mean(-1))
    inner = np.minimum(*maps)[1:-1, 1:-1]  # at the border, scikit-image repeats other pixels
    expected = np.minimum(*maps).mean()
    assert abs(expected - inner.mean()) < 0.02
    assert found["photometric_unwarped"] == pytest.approx(expected, rel=0.02)
    assert found["photometric"] == pytest.approx(found["photometric_unwarped"], rel=1e-3)  # without motion no change


def test_affine_predictions_have_no_points(walk, tiny_recipe, tmp_path, capsys):
    options = ("--predictions", walk / "exact", "--predictions_are", "affine_disparity", "--datasets", "photometric")
    assert evaluate(walk, tiny_recipe, tmp_path, *options) == 1
    assert "known up to scale and shift have no points" in capsys.readouterr().err


def test_photometric_results_are_not_replaced_unasked(walk, tiny_recipe, tmp_path, capsys):
    options = ("--predictions", walk / "exact", "--predictions_are", "depth", "--datasets", "photometric")
    for _ in range(2):  # the same again is the same result
        assert not evaluate(walk, tiny_recipe, tmp_path, *options)
    content = json.loads((tmp_path / "photometric.json").read_text())
    assert content["contamination"]["text"] == "the training list is not known"
    assert content["configuration"]["alignment"] == "none"
    assert evaluate(walk, tiny_recipe, tmp_path, *options, "--scale_factor", "2") == 1
    assert (
        "photometric.json holds the result of another configuration (factor: 1.0, now 2.0)" in capsys.readouterr().err
    )
