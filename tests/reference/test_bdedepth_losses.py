"""BDEdepth's views and losses, from native images and the published draws to every term."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mdtk.core.structures import Prediction
from mdtk.data.batch import Sample, collate
from mdtk.data.preparation import Preparation
from mdtk.data.views.magnified_crop import MagnifiedCrop
from mdtk.data.views.permuted import Permuted, roll
from mdtk.data.views.whole import WholeImage
from mdtk.datasets.image_files import magnified_crop, resize_frames
from mdtk.geometry.camera import backproject, fraction_intrinsics, magnified_box
from mdtk.geometry.depth import sigmoid_to_depth
from mdtk.geometry.warp import project, warp
from mdtk.losses.objective import Objective
from mdtk.losses.photometric import PhotometricOptions
from mdtk.losses.terms.smoothness import Smoothness
from mdtk.losses.terms.view_consistency import ViewConsistency

WIDTH, HEIGHT = 96, 64
ITEMS = {5: (5, 4, 6), 9: (9, 8, 10)}  # target, earlier, later


@pytest.fixture(scope="module")
def data(reference):
    return reference.npz("bdedepth_losses")


@pytest.fixture(scope="module")
def batch(data):
    samples = []
    for item, numbers in ITEMS.items():
        images = native_images(data, numbers)
        _, _, ratio, left, top, cut_x, cut_y = data[f"draws_{item}"]
        box = magnified_box((WIDTH, HEIGHT), 1.2 + 0.8 * ratio, left, top)
        crops, frames = magnified_crop(images, (WIDTH, HEIGHT), box), resize_frames(images, (WIDTH, HEIGHT))
        if f"input/image_{item}" not in data:
            crops, frames = (published_frames(data, view, len(samples)) for view in ("_local", ""))
        swapped = [int(size * (0.1 + 0.8 * cut)) for size, cut in ((WIDTH, cut_x), (HEIGHT, cut_y))]
        samples.append(
            Sample(
                name=str(item),
                frames_n3hw=frames,
                K_33=fraction_intrinsics(0.58, 1.92, 0.5, 0.5, (WIDTH, HEIGHT)).astype(np.float32),
                known_T_k44=np.eye(4, dtype=np.float32),
                depth_range_2=np.array([0.1, 100], np.float32),
                parameters={
                    "crop/box": box,
                    "crop/frames": crops,
                    "permuted/split": np.array([WIDTH - swapped[0], HEIGHT - swapped[1]]),
                },
            )
        )
    return collate(samples)


def native_images(data, numbers):
    """The native images; blank ones, for their size, where the thinned vectors leave an item's out."""
    blank = np.zeros_like(data["input/image_5"])
    return [Image.fromarray(data.get(f"input/image_{number}", blank)) for number in numbers]


def published_frames(data, view, index):
    """The frames (3, 3, H, W) uint8 of one item as the published batch has them."""
    frames = np.stack([data[f"batch/color{view}_{offset}_0"][index] for offset in (0, -1, 1)])
    return np.round(frames * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def inputs(batch):
    return Preparation((WholeImage(), MagnifiedCrop(), Permuted()))(batch)


def test_batch_is_the_published_one(data, batch, inputs):
    full, crop, permuted = inputs.views
    for index, offset in enumerate((0, -1, 1)):
        images = [torch.cat([view.target_b3hw[:, None], view.sources_bs3hw], 1)[:, index] for view in (full, crop)]
        close(images[0], data[f"batch/color_{offset}_0"], 1e-6)
        # Resampling only the crop's part of the native image rounds a value in ten thousand to the next grey level.
        difference = (images[1] - torch.from_numpy(data[f"batch/color_local_{offset}_0"])).abs()
        assert difference.max() < 1.01 / 255
        assert (difference > 1e-6).float().mean() < 1e-3
    name = "batch/color_reshuffle_0_0"
    close(data.at(name, permuted.input_bchw), data[name], 1e-6)
    np.testing.assert_array_equal(batch.parameters["permuted/split"], data["batch/split_xy"])


def prediction(data):
    motions = torch.stack([torch.from_numpy(data[f"outputs/cam_T_cam_0_{offset}"]) for offset in (-1, 1)], 1)
    full, crop, restored = (
        torch.from_numpy(data[f"outputs/{name}"]) for name in ("disp_0", "disp_local_0", "disp_reshuffle_0")
    )
    # The published output is stored after it was put back together; the network gave it in the permuted order.
    permuted = roll(restored, torch.from_numpy(data["batch/split_xy"]))
    return Prediction([{0: full}, {0: crop}, {0: permuted}], motions)


def test_crop_warps_like_the_published_one(data, batch, inputs):
    """The crop through its own intrinsics lands within 0.1 px of the published change of pose."""
    views, published = inputs.views, prediction(data)
    view, sigmoid = views[1], published.sigmoids[1][0]
    depth = sigmoid_to_depth(sigmoid, batch.depth_range_b2)
    for index, offset in enumerate((-1, 1)):
        T = published.source_T_target_bs44[:, index]
        ours, _ = project(backproject(view.depth(sigmoid), view.K_b33), view.K_b33, T)
        theirs, _ = project(backproject(depth, views[0].K_b33), views[0].K_b33, published_crop_pose(data, views, T))
        assert (ours - theirs).norm(dim=-1).max() < 0.1
        warped = warp(view.sources_bs3hw[:, index], view.depth(sigmoid), view.K_b33, T)
        name = f"outputs/color_local_{offset}_0"
        close(data.at(name, warped), data[name], 5e-3)


def published_crop_pose(data, views, T):
    """Field facts 3.3: the camera is left alone and the pose is changed, P' = Rc P."""
    grid, K = torch.from_numpy(data["batch/grid_local"]), views[0].K_b33
    f = (grid[:, 0, 0, -1] - grid[:, 0, 0, 0]) / 2
    centre = (grid[:, :, -1, -1] + grid[:, :, 0, 0]) / 2
    Rc = torch.eye(3).repeat(len(T), 1, 1)
    Rc[:, 0, 2] = -centre[:, 0] / (2 * K[:, 0, 0] / WIDTH)
    Rc[:, 1, 2] = -centre[:, 1] / (2 * K[:, 1, 1] / HEIGHT)
    Rc[:, 2, 2] = f
    changed = torch.eye(4).repeat(len(T), 1, 1)
    changed[:, :3, :3] = Rc @ T[:, :3, :3] @ torch.linalg.inv(Rc)
    changed[:, :3, 3:] = Rc @ T[:, :3, 3:]
    return changed


def test_base_losses(data, inputs):
    """Whole image and permuted target to 1e-4; the crop, expressed through its intrinsics, within 2 %."""
    result = Objective(PhotometricOptions(tie_noise=0.0), (Smoothness(),))(inputs, prediction(data))
    ours = {name: value.item() for name, value in result.scalars.items()}
    assert ours["full/0"] == pytest.approx(data["loss/loss_base_ori"], abs=1e-4)
    assert ours["permuted/0"] == pytest.approx(data["loss/loss_base_reshuffle"], abs=1e-4)
    assert ours["crop/0"] == pytest.approx(data["loss/loss_base_local"], rel=2e-2)
    assert result.total.item() == pytest.approx(data["loss/loss_base"], rel=1e-2)


def test_consistency(data, inputs):
    result = Objective(PhotometricOptions(tie_noise=0.0), (Smoothness(), ViewConsistency()))(inputs, prediction(data))
    ours = {name: value.item() for name, value in result.scalars.items()}
    assert ours["consistency/permuted"] == pytest.approx(data["loss/loss_dc_reshuffle"], abs=1e-4)
    assert ours["consistency/crop"] == pytest.approx(data["loss/loss_dc_local"], rel=2e-2)
    assert result.total.item() == pytest.approx(data["loss/loss"], rel=1e-2)


def close(ours, published, tolerance):
    torch.testing.assert_close(ours, torch.from_numpy(published), atol=tolerance, rtol=0)
