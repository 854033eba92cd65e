"""Geometry and per-pixel loss terms give the published values."""

from __future__ import annotations

import pytest
import torch

from mdtk.geometry.camera import backproject
from mdtk.geometry.depth import sigmoid_to_depth
from mdtk.geometry.pose import pose_matrix
from mdtk.geometry.warp import project, sample_pixels, sampling_grid, warp
from mdtk.losses.per_pixel import Target, smoothness, ssim_error


@pytest.fixture(scope="module")
def g(reference):
    return reference.npz("geometry").tensors()


def close(ours, published, tolerance=1e-5):
    torch.testing.assert_close(ours, published, atol=tolerance, rtol=1e-5)


def test_pose_matrices(g):
    vectors = g["axisangle"][:, 0], g["translation"][:, 0]
    close(pose_matrix(*vectors), g["T"])
    close(pose_matrix(*vectors, invert=True), g["T_inverted"])


def K_of(g):
    return g["K"][None, :3, :3].expand(4, 3, 3)


def test_depth_and_points(g):
    depth = sigmoid_to_depth(g["sigmoid_disp"], torch.tensor([[0.1, 100.0]]).expand(4, 2))
    close(g.at("depth", depth), g["depth"])
    close(backproject(depth, K_of(g)).flatten(2), g["points"][:, :3])


def test_projection(g):
    # Each stage starts from the stored output of the one before it: where z is near 0, a last-bit difference
    # of the points moves the pixel by far more than the tolerance.
    pixels, _ = project(g["points"][:, :3].unflatten(2, (24, 40)), K_of(g), g["T"])
    close(sampling_grid(pixels, 24, 40), g["grid"])


@pytest.mark.parametrize("align_corners", [True, False])
def test_sampling(g, align_corners):
    pixels = (g["grid"].double() + 1) / 2 * torch.tensor([39, 23])
    ours = sample_pixels(g["source"].double(), pixels, align_corners)
    close(ours.float(), g[f"warped_align_corners_{str(align_corners).lower()}"])


@pytest.mark.parametrize("align_corners", [True, False])
def test_whole_warp(g, align_corners):
    # From depth to image in one go, where the projection is well conditioned (z at least half the depth).
    depth = sigmoid_to_depth(g["sigmoid_disp"], torch.tensor([[0.1, 100.0]]).expand(4, 2))
    ours = warp(g["source"], depth, K_of(g), g["T"], align_corners)
    _, z = project(g["points"][:, :3].unflatten(2, (24, 40)), K_of(g), g["T"])
    mask = (z > 0.5 * depth).expand_as(ours)
    assert mask.float().mean() > 0.3
    close(ours[mask], g[f"warped_align_corners_{str(align_corners).lower()}"][mask])


def test_ssim_and_smoothness(g):
    close(g.at("ssim_map", ssim_error(g["source"], Target(g["target"]))), g["ssim_map"])
    along_x, along_y = smoothness(g["sigmoid_disp"], g["target"])
    close(along_x.mean() + along_y.mean(), g["smooth"])
