"""What geometry must hold, whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mdtk.geometry.camera import (
    backproject,
    flip_box,
    flip_K,
    fraction_intrinsics,
    intrinsics,
    inverse_K,
    magnified_box,
    magnified_crop_K,
    magnified_size,
    resize_K,
)
from mdtk.geometry.depth import scaled_disparity, sigmoid_to_depth
from mdtk.geometry.pose import pose_matrix, rotation_matrix
from mdtk.geometry.warp import magnified_crop_pixels, project, sample_pixels, warp

K = torch.tensor([[[50.0, 0, 30.0], [0, 60.0, 20.0], [0, 0, 1]], [[45.0, 0, 33.0], [0, 44.0, 25.0], [0, 0, 1]]])


def random_pose(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return pose_matrix(torch.randn(2, 3, generator=generator) * 0.1, torch.randn(2, 3, generator=generator) * 0.2)


def test_inverse_K():
    torch.testing.assert_close(inverse_K(K) @ K, torch.eye(3).expand(2, 3, 3))


def test_project_undoes_backproject():
    depth = torch.rand(2, 1, 40, 60) + 1
    pixels, z = project(backproject(depth, K), K, torch.eye(4).expand(2, 4, 4))
    v, u = torch.meshgrid(torch.arange(40.0), torch.arange(60.0), indexing="ij")
    torch.testing.assert_close(pixels, torch.stack([u, v], -1).expand(2, -1, -1, -1), atol=1e-3, rtol=0)
    torch.testing.assert_close(z, depth)


def test_identity_warp_is_the_image():
    image = torch.rand(2, 3, 40, 60)
    warped = warp(image, torch.rand(2, 1, 40, 60) + 1, K, torch.eye(4).expand(2, 4, 4))
    torch.testing.assert_close(warped, image, atol=1e-4, rtol=0)


def test_each_item_has_its_own_K():
    depth, T = torch.rand(2, 1, 8, 8) + 1, random_pose()
    together, _ = project(backproject(depth, K), K, T)
    for i in range(2):
        alone, _ = project(backproject(depth[i : i + 1], K[i : i + 1]), K[i : i + 1], T[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


@pytest.mark.parametrize("seed", range(3))
def test_rotations_are_rotations(seed):
    rotation = rotation_matrix(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)))
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(4, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(4))


def test_inverted_pose_is_the_inverse():
    vectors = torch.randn(2, 3), torch.randn(2, 3)
    torch.testing.assert_close(
        pose_matrix(*vectors) @ pose_matrix(*vectors, invert=True), torch.eye(4).expand(2, 4, 4), atol=1e-5, rtol=0
    )


def test_gradients_are_finite_at_rest():
    vector = torch.zeros(1, 3, requires_grad=True)
    pose_matrix(vector, vector).sum().backward()
    assert torch.isfinite(vector.grad).all()


def test_gradcheck_of_the_warp():
    generator = torch.Generator().manual_seed(1)
    depth = (torch.rand(2, 1, 4, 5, generator=generator) + 2).double().requires_grad_()
    vectors = (torch.randn(2, 3, generator=generator) * 0.05).double().requires_grad_()
    image = torch.rand(2, 1, 4, 5, generator=generator).double()
    small = torch.tensor([[4.0, 0, 2.1], [0, 4.0, 1.6], [0, 0, 1]]).double().expand(2, 3, 3)
    assert torch.autograd.gradcheck(lambda d, v: warp(image, d, small, pose_matrix(v, v)), (depth, vectors))


def test_resize_K_follows_the_pixels():
    """A point keeps its place on the image's area: u = -0.5 and u = W - 0.5 are its borders at every size."""
    whole = intrinsics(100, 100, 49.5, 29.5)  # centre of a 100 × 60 image
    half = resize_K(whole, (100, 60), (50, 30))
    assert (half[0, 2], half[1, 2], half[0, 0]) == (24.5, 14.5, 50)
    np.testing.assert_allclose(resize_K(half, (50, 30), (100, 60)), whole)


def test_flip_K_twice_is_the_same():
    flipped = flip_K(K, 60)
    assert flipped[0, 0, 2] == 59 - 30
    torch.testing.assert_close(flip_K(flipped, 60), K)


def test_flipped_world_projects_to_flipped_pixels():
    point = torch.tensor([[0.3], [0.1], [2.0]])
    u = (K[0] @ point)[0] / 2
    mirrored = (flip_K(K, 60)[0] @ (point * torch.tensor([[-1.0], [1], [1]])))[0] / 2
    torch.testing.assert_close(mirrored, 59 - u)


def test_nominal_intrinsics():
    np.testing.assert_allclose(np.diag(fraction_intrinsics(0.58, 1.92, 0.5, 0.5, (640, 192))), [371.2, 368.64, 1])


def test_magnified_crop_agrees_with_its_pixels():
    """K of the crop, and where the crop's pixels lie in the whole image, tell the same rays."""
    box = torch.tensor([[1.5, 1.5, 10.0, 5.0], [2.0, 1.9, 30.0, 12.0]])
    crop_K = magnified_crop_K(K, box)
    pixels = magnified_crop_pixels(box, 40, 60)
    homogeneous = torch.cat([pixels, torch.ones(2, 40, 60, 1)], -1)
    rays = torch.einsum("bij,bhwj->bihw", inverse_K(K), homogeneous)
    torch.testing.assert_close(rays, backproject(torch.ones(2, 1, 40, 60), crop_K), atol=1e-5, rtol=1e-5)


def test_published_corner_quirk_shifts_towards_the_border():
    image = torch.arange(10.0).expand(1, 1, 10, 10)
    v, u = torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij")
    pixels = torch.stack([u, v], -1)[None]
    torch.testing.assert_close(sample_pixels(image, pixels), image)
    shifted = sample_pixels(image, pixels, align_corners=False) - image
    assert shifted[0, 0, 5, 2] < 0 < shifted[0, 0, 5, 7]


def test_depth_range():
    sigmoid = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(2, 1, 1, 2)
    depth = sigmoid_to_depth(sigmoid, torch.tensor([[0.1, 100.0], [0.5, 10.0]]))
    torch.testing.assert_close(depth[:, 0, 0], torch.tensor([[100.0, 0.1], [10.0, 0.5]]))
    assert scaled_disparity(torch.tensor(1.0), 0.1, 100.0) == pytest.approx(10.0)


def test_nan_positions_give_nan_and_leave_memory_alone():
    image = torch.rand(1, 3, 4, 5, requires_grad=True)
    pixels = torch.zeros(1, 4, 5, 2)
    pixels[0, 1, 2, 0] = torch.nan
    pixels.requires_grad_()
    sampled = sample_pixels(image, pixels)
    assert torch.isnan(sampled[0, :, 1, 2]).all()
    assert torch.isnan(sampled).sum() == 3
    sampled.nansum().backward()


def test_a_box_in_the_flipped_image():
    """As far from the other side; the integer size of the magnified image is found again from the box."""
    size = (641, 193)
    for ratio in (1.2, 1.3777, 1.9999, 2.0):
        box = magnified_box(size, ratio, 0.3, 0.6)
        assert magnified_size(size, box) == (int(641 * ratio), int(193 * ratio))
        flipped = flip_box(box, size)
        assert box[2] + flipped[2] + 641 == int(641 * ratio)
        np.testing.assert_array_equal(flip_box(flipped, size), box)
        np.testing.assert_array_equal(np.delete(flipped, 2), np.delete(box, 2))
