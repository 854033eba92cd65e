"""The fused photometric errors against the plain ones: values, gradients, NaN, memory."""

from __future__ import annotations

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mdtk.geometry.camera import backproject
from mdtk.geometry.pose import pose_matrix
from mdtk.geometry.warp import project, sample_pixels
from mdtk.losses import reprojection
from mdtk.losses.per_pixel import Target, pad, photometric_error, window_mean
from mdtk.losses.reprojection import reprojection_errors, unwarped_errors

SIZE = (6, 7)


def plain_errors(
    depth: Tensor, K: Tensor, T: Tensor, sources: Tensor, target: Target, ssim: float, aligned: bool
) -> Tensor:
    """What `reprojection_errors` must say, step by step."""
    points, errors = backproject(depth, K), []
    for source, motion in zip(sources.unbind(1), T.unbind(1), strict=True):
        pixels, _ = project(points, K, motion)
        errors.append(photometric_error(sample_pixels(source, pixels, aligned), target, ssim))
    return torch.cat(errors, 1)


def scene(dtype: torch.dtype = torch.float64, size: tuple[int, int] = SIZE) -> tuple[Tensor, ...]:
    """Depth, vectors of two motions, K (all with gradients), two sources and the target, for a batch of 2."""
    generator = torch.Generator().manual_seed(0)
    height, width = size
    depth = torch.rand(2, 1, height, width, generator=generator) + 2
    vectors = torch.randn(2, 2, 3, generator=generator) * 0.05
    K = torch.tensor([[0.8 * width, 0, width / 2 - 0.4], [0, 0.8 * width, height / 2 - 0.3], [0, 0, 1]]).repeat(2, 1, 1)
    inner = [value.to(dtype).requires_grad_() for value in (depth, vectors, K)]
    images = [torch.rand(2, count, 3, height, width, generator=generator).to(dtype) for count in (2, 1)]
    return *inner, images[0], images[1][:, 0]


def motions(vectors: Tensor) -> Tensor:
    return torch.stack([pose_matrix(v, v, bool(index)) for index, v in enumerate(vectors.unbind(1))], 1)


@pytest.mark.parametrize("ssim", [0.85, 0.0])
@pytest.mark.parametrize("aligned", [True, False])
def test_the_plain_errors_and_gradients(ssim, aligned):
    depth, vectors, K, sources, image = scene()
    found = []
    for function in (plain_errors, reprojection_errors):
        errors = function(depth, K, motions(vectors), sources, Target(image), ssim, aligned)
        weights = torch.linspace(0.1, 1, errors.numel(), dtype=errors.dtype).view(errors.shape)
        found.append((errors, *torch.autograd.grad((errors * weights).sum(), (depth, vectors, K))))
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-10, atol=1e-12)


def test_float32_errors_are_the_plain_ones():
    depth, vectors, K, sources, image = scene(torch.float32, (24, 40))
    found = [
        f(depth, K, motions(vectors), sources, Target(image), 0.85, True) for f in (plain_errors, reprojection_errors)
    ]
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-4)


def test_gradcheck():
    depth, vectors, K, sources, image = scene()
    target = Target(image)
    assert torch.autograd.gradcheck(
        lambda d, v, k: reprojection_errors(d, k, motions(v), sources, target), (depth, vectors, K)
    )


def test_one_chunk_says_what_many_say(monkeypatch):
    """A GPU takes the whole batch at once."""
    found = []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr(reprojection, "_chunks", lambda sources: [(slice(0, 2), 0), (slice(0, 2), 1)])
        depth, vectors, K, sources, image = scene()
        errors = reprojection_errors(depth, K, motions(vectors), sources, Target(image))
        found.append((errors, *torch.autograd.grad(errors.sum(), (depth, vectors, K))))
    for many, one in zip(*found, strict=True):
        torch.testing.assert_close(one, many)


def test_unwarped_errors_are_the_plain_ones_to_the_last_bit():
    *_, sources, image = scene(torch.float32, (24, 40))
    target = Target(image)
    plain = torch.cat([photometric_error(source, target) for source in sources.unbind(1)], 1)
    torch.testing.assert_close(unwarped_errors(sources, target), plain, rtol=0, atol=0)


def test_window_means_are_those_of_avg_pool_to_the_last_bit():
    image = scene(torch.float32, (24, 40))[-1]
    pooled = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    torch.testing.assert_close(window_mean(pad(image)), pooled, rtol=0, atol=0)


def test_nan_depth_gives_nan_and_leaves_memory_alone():
    depth, vectors, K, sources, image = scene(torch.float32)
    with torch.no_grad():
        depth[0, 0, 2, 3] = torch.nan
    errors = reprojection_errors(depth, K, motions(vectors), sources, Target(image))
    assert torch.isnan(errors[0, :, 2, 3]).all()
    assert torch.isfinite(errors[1]).all()
    errors.sum().backward()
    assert torch.isnan(depth.grad[0]).any()
    assert torch.isfinite(depth.grad[1]).all()


def test_no_image_is_kept_for_the_backward():
    depth, vectors, K, sources, image = scene(torch.float32, (64, 96))
    target, T = Target(image), motions(vectors)
    kept = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.untyped_storage().data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        errors = reprojection_errors(depth, K, T, sources, target)
    gc.collect()
    own = {depth.untyped_storage().data_ptr(), sources.untyped_storage().data_ptr()}
    large = [node for node in errors.grad_fn.saved_tensors if node.numel() > 1000]
    assert {tensor.untyped_storage().data_ptr() for tensor in large} == own
    assert own <= set(kept)
