"""MODEL.POSE given: the motion comes from the data, there is no pose network, and depth is in metres."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.data.loader import build_train_data
from mdtk.inference.scale import depth_scale
from mdtk.models import load_model
from mdtk.models.system import build_model
from tests.helpers.tools import call_tool
from tests.helpers.training import records, train_here, weights

TINY = """MODEL.ENCODER mobilenetv3_small_050 MODEL.POSE_ENCODER mobilenetv3_small_050 MODEL.PRETRAINED false
    MODEL.POSE given DATA.HEIGHT 32 DATA.WIDTH 64 DATA.WORKERS 0 SOLVER.BATCH_SIZE 2 LOG.TENSORBOARD false"""


@pytest.fixture(scope="module")
def keys(tiny_world) -> list[str]:
    """A drive of the tiny world as a user's own frames, with its poses in KITTI's form."""
    odometry = tiny_world / "kitti_odom"
    calibration = (odometry / "sequences" / "00" / "calib.txt").read_text().split()
    fx, cx, fy, cy = (calibration[1 + place] for place in (0, 2, 5, 6))
    return [
        *shlex.split(TINY),
        *("DATA.NAME", "sequence", "DATA.TRAIN_SPLIT", "train", "DATA.VAL_SPLIT", "val"),
        *("DATA.SEQUENCE.PATHS", f"[{odometry / 'sequences' / '00' / 'image_2'}]"),
        *("DATA.SEQUENCE.POSES", f"[{odometry / 'poses' / '00.txt'}]"),
        *("DATA.SEQUENCE.K", f"[{fx}, {fy}, {cx}, {cy}]", "DATA.SEQUENCE.K_SIZE", "[1242, 375]"),
    ]


def test_samples_carry_the_motion_of_the_file(keys, tiny_world):
    cfg = load_config(None, [*keys, "DATA.SOURCES", "[-1, 1]", "AUGMENT.FLIP", "0.0"])
    sample = build_train_data(cfg, 0, 1)[0][0, 0, 0]
    frame = int(sample.name.split()[-1])
    lines = np.loadtxt(tiny_world / "kitti_odom" / "poses" / "00.txt").reshape(-1, 3, 4)
    world = [np.vstack([lines[frame + offset], [0, 0, 0, 1]]) for offset in (0, -1, 1)]
    wanted = [np.linalg.inv(source) @ world[0] for source in world[1:]]
    np.testing.assert_allclose(sample.known_T_k44, wanted, atol=1e-5)
    assert np.abs(sample.known_T_k44[:, :3, 3]).max() > 0.1  # metres of a drive


def test_trains_without_a_pose_network_and_predicts_metres(keys, tmp_path):
    out = train_here(tmp_path, None, [*keys, "SOLVER.MAX_STEPS", 2])
    assert not [name for name in weights(out) if name.startswith("pose.")]
    assert np.isfinite([record["total"] for record in records(out, "train")]).all()
    scale = depth_scale(load_model(out / "last.pth").cfg)
    assert (scale.factor, scale.kind) == (1.0, "metric")
    assert "poses" in scale.source


def test_an_evaluation_aligns_nothing(keys, tiny_world, tmp_path):
    out = train_here(tmp_path, None, [*keys, "SOLVER.MAX_STEPS", 1])
    common = ("--checkpoint", out / "last.pth", "--datasets", "make3d", "--no_baselines", "--output", tmp_path / "r")
    call_tool("evaluate", *common, "ROOTS.MAKE3D", tiny_world / "make3d")
    result = json.loads((tmp_path / "r" / "make3d_monodepth2.json").read_text())
    assert result["results"]["model"]["alignment"] == "none"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["DATA.SOURCES", "[]", "DATA.STEREO", "true"], "MODEL.POSE none"),
        (["DATA.STEREO", "true", "DATA.BASELINE", "0.1"], "DATA.BASELINE 0"),
        (["MODEL.LEARN_INTRINSICS", "true"], "MODEL.POSE separate"),
    ],
)
def test_contradictions_are_refused(keys, changes, message):
    with pytest.raises(MdtkError, match=message):
        load_config(None, [*keys, *changes])


def test_a_frame_without_a_pose_is_named(keys, tiny_world, tmp_path, capsys):
    lines = (tiny_world / "kitti_odom" / "poses" / "00.txt").read_text().splitlines()
    poses = np.array([line.split() for line in lines], float).reshape(-1, 3, 4)
    frames = sorted((tiny_world / "kitti_odom" / "sequences" / "00" / "image_2").iterdir())
    clip = tmp_path / "clip"
    clip.mkdir()
    for place, frame in enumerate(frames):  # the names are times, as TUM's trajectories need
        (clip / f"{100 + place / 10:.6f}{frame.suffix}").write_bytes(frame.read_bytes())
    rows = [[100 + place / 10, *pose[:, 3], 0, 0, 0, 1] for place, pose in enumerate(poses) if place != 3]
    np.savetxt(tmp_path / "poses.txt", rows)
    more = ["DATA.SEQUENCE.PATHS", f"[{clip}]", "DATA.SEQUENCE.POSES", f"[{tmp_path / 'poses.txt'}]"]
    assert call_tool("check_data", "--quick", *keys, *more, "EVAL.PROTOCOLS", "[]") == 1
    assert "no pose of frame 3 of clip" in capsys.readouterr().out
    with pytest.raises(MdtkError, match="no poses"):
        build_train_data(load_config(None, [*keys, "DATA.SEQUENCE.POSES", "[]"]), 0, 1)[0][0, 0, 0]


def test_a_checkpoint_of_it_has_no_odometry(keys):
    with pytest.raises(MdtkError, match="none or given"):
        build_model(load_config(None, keys)).relative_pose(None, None)
