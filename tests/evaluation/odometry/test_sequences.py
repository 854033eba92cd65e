"""Odometry from images: pairs in order, ground truth of the same frames, wrong lists, a checkpoint through the tool."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mdtk.config import dump, load_config
from mdtk.core.errors import MdtkError
from mdtk.core.weights import write_weights
from mdtk.datasets.prepare.contamination import TrainList
from mdtk.datasets.readers.kitti import KittiOdom
from mdtk.datasets.splits import text_sha256
from mdtk.evaluation.odometry.sequences import MODEL, STRAIGHT, MotionPredictor, ground_truth_poses, run
from mdtk.models.system import build_model

FRAMES = 9
LINES = [f"9 {i} l" for i in range(FRAMES - 1)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Sequence 09: frame i has brightness 10 i, and its camera is i metres ahead, 0.1 i² to the right."""
    root = tmp_path_factory.mktemp("odometry")
    images = root / "sequences" / "09" / "image_2"
    images.mkdir(parents=True)
    (root / "poses").mkdir()
    (root / "splits" / "odom").mkdir(parents=True)
    (root / "splits" / "odom" / "test_files_09.txt").write_text("\n".join(LINES))
    rows = []
    for i in range(FRAMES):
        Image.new("RGB", (40, 20), (10 * i,) * 3).save(images / f"{i:06d}.png")
        rows.append(f"1 0 0 {0.1 * i * i} 0 1 0 0 0 0 1 {i}")
    (root / "poses" / "09.txt").write_text("\n".join(rows))
    return root


def test_pairs_are_this_frame_and_the_next(root):
    reader = KittiOdom(root, LINES)

    def model(first, second):
        motion = torch.eye(4).repeat(len(first), 1, 1)
        motion[:, 0, 3], motion[:, 1, 3] = first.mean((1, 2, 3)), second.mean((1, 2, 3))
        return motion

    found = MotionPredictor(model, 8, 16).motions(reader, [[4, 5], [0]])
    assert [index for index, _ in found] == [4, 5, 0]
    brightness = {index: motion[:2, 3] * 255 for index, motion in found}
    for index in (0, 4, 5):
        np.testing.assert_allclose(brightness[index], [10 * index, 10 * (index + 1)], atol=1e-4)


def test_ground_truth_is_of_the_listed_frames(root):
    poses = ground_truth_poses(KittiOdom(root, LINES[2:5]))
    assert poses[:, 2, 3].tolist() == [2, 3, 4, 5]
    with pytest.raises(MdtkError, match="9 4 l: odometry takes one sequence whose frames follow each other"):
        ground_truth_poses(KittiOdom(root, [LINES[2], LINES[4]]))
    with pytest.raises(MdtkError, match="sequence 09: 9 poses for 9 pairs of frames"):
        ground_truth_poses(KittiOdom(root, [*LINES, "9 8 l"]))


def test_a_checkpoint_through_the_tool(root, tmp_path, capsys):
    cfg = load_config(None, ["DATA.HEIGHT", "32", "DATA.WIDTH", "64", "DATA.WORKERS", "0", "EVAL.BATCH_SIZE", "3"])
    torch.manual_seed(0)
    write_weights(tmp_path / "model.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    run(str(tmp_path / "model.pth"), ["09"], "", ["ROOTS.KITTI_ODOM", str(root)], "")
    assert "straight ahead" in capsys.readouterr().out
    folder = tmp_path / "odometry" / "model"
    model, straight = json.loads((folder / "odometry.json").read_text())["sequences"]["09"]
    assert (model["predictor"], straight["predictor"]) == (MODEL, STRAIGHT)
    assert model["t_err"] is None  # nine metres hold no segment of 100
    assert straight["ate"] > 0.1
    assert np.load(folder / "09_motions.npy").shape == (FRAMES - 1, 4, 4)


def test_a_result_says_what_made_it_and_is_not_replaced_unasked(root, tmp_path):
    cfg = load_config(None, ["DATA.HEIGHT", "32", "DATA.WIDTH", "64", "DATA.WORKERS", "0"])
    for seed in (0, 1):
        torch.manual_seed(seed)
        content = {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)}
        if seed == 0:  # trained on four of the pairs
            lines = tuple(LINES[:4])
            one = TrainList("kitti_odom", "odom/train", text_sha256(lines), lines, (0, 1))
            content["meta"] = {"train_lists": [one.pack()]}
        write_weights(tmp_path / f"{seed}.pth", content)
    keys, out = ["ROOTS.KITTI_ODOM", str(root)], tmp_path / "out"
    run(str(tmp_path / "0.pth"), ["09"], "", keys, str(out))
    result = json.loads((out / "odometry.json").read_text())
    made = result["lists"]["09"]
    assert (made["pairs"], made["list_sha256"]) == (len(LINES), text_sha256(LINES))
    assert made["contamination"]["test_frames"] == 4
    assert result["hardware"]
    run(str(tmp_path / "0.pth"), ["09"], "", keys, str(out))  # the same again
    with pytest.raises(MdtkError, match=r"odometry\.json holds .* another configuration \(checkpoint_sha256"):
        run(str(tmp_path / "1.pth"), ["09"], "", keys, str(out))
    assert json.loads((out / "odometry.json").read_text()) == result
    run(str(tmp_path / "1.pth"), ["09"], "", keys, str(out), overwrite=True)
    assert json.loads((out / "odometry.json").read_text()) != result


def test_own_clips_with_poses(root, tmp_path, capsys):
    """The same sequence as a folder of one's own: the same errors, by KITTI's and by TUM's form of poses."""
    cfg = load_config(None, ["DATA.HEIGHT", "32", "DATA.WIDTH", "64", "DATA.WORKERS", "0"])
    torch.manual_seed(0)
    write_weights(tmp_path / "model.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    run(str(tmp_path / "model.pth"), ["9"], "", ["ROOTS.KITTI_ODOM", str(root)], str(tmp_path / "kitti"))
    expected = json.loads((tmp_path / "kitti" / "odometry.json").read_text())["sequences"]["09"]
    rows = [f"{i / 10} {0.1 * i * i} 0 {i} 0 0 0 1" for i in range(FRAMES)]
    (tmp_path / "tum.txt").write_text("# time tx ty tz qx qy qz qw\n" + "\n".join(rows))
    images = root / "sequences" / "09" / "image_2"
    for poses in (root / "poses" / "09.txt", tmp_path / "tum.txt"):
        keys = ["DATA.SEQUENCE.PATHS", f"[{images}]", "DATA.SEQUENCE.POSES", f"[{poses}]"]
        run(str(tmp_path / "model.pth"), [], "", keys, str(tmp_path / poses.stem), own=True)
        found = json.loads((tmp_path / poses.stem / "odometry.json").read_text())["sequences"]["image_2"]
        for one, other in zip(found, expected, strict=True):
            for measure in ("snippet_mean", "snippet_std", "ate", "scale"):
                assert one[measure] == pytest.approx(other[measure], rel=1e-6)
    with pytest.raises(MdtkError, match=r"there is no clip other in DATA\.SEQUENCE\.PATHS; there are image_2"):
        run(str(tmp_path / "model.pth"), ["other"], "", keys, "", own=True)
    with pytest.raises(MdtkError, match=r"image_2 has no poses; name a file in DATA\.SEQUENCE\.POSES"):
        run(str(tmp_path / "model.pth"), [], "", keys[:2], "", own=True)


def test_a_stereo_model_has_no_motion(root, tmp_path):
    cfg = load_config(None, ["DATA.SOURCES", "[]", "DATA.STEREO", "true", "MODEL.POSE", "none", "DATA.WORKERS", "0"])
    write_weights(tmp_path / "stereo.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    with pytest.raises(MdtkError, match="no pose network"):
        run(str(tmp_path / "stereo.pth"), ["09"], "", ["ROOTS.KITTI_ODOM", str(root)], "")
