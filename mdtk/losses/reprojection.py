"""The photometric errors of warped sources in few passes over memory, with a backward that recomputes.

Projection, sampling, SSIM and L1 as in `mdtk.geometry.warp` and `mdtk.losses.per_pixel`, which stay the reference: the
tests hold this module against them. Nothing of an image's size is kept for the backward but depth, sources and target,
which exist anyhow; on a CPU one item and one source at a time keep the work in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mdtk.geometry.camera import inverse_K, pixel_rays
from mdtk.losses.per_pixel import C1, C2, Target, pad, window_mean


def reprojection_errors(
    depth_b1hw: Tensor,
    K_b33: Tensor,
    source_T_target_bs44: Tensor,
    sources_bs3hw: Tensor,
    target: Target,
    ssim_weight: float = 0.85,
    align_corners: bool = True,
) -> Tensor:
    """The photometric error (B, S, h, w) of every source seen from the target through `depth_b1hw`.

    K_b33: of target and sources, in their pixels. Differentiable once, in depth, K and the motions; images are data.
    """
    K = K_b33[:, None]
    rotation, translation = source_T_target_bs44[:, :, :3, :3], source_T_target_bs44[:, :, :3, 3:]
    u, v, z = torch.cat([K @ rotation @ inverse_K(K), K @ translation], -1).unbind(2)
    # One map from (u, v, 1) × depth to the grid's coordinates times z: they span 2 where pixels span size - 1.
    height, width = depth_b1hw.shape[-2:]
    projection = torch.stack([u * (2 / (width - 1)), v * (2 / (height - 1)), z], 2)
    matrix, shift = projection[..., :3], projection[..., 3]
    errors: Tensor = _Errors.apply(depth_b1hw, matrix, shift, sources_bs3hw, target, ssim_weight, align_corners)
    return errors


@torch.no_grad()
def unwarped_errors(sources_bs3hw: Tensor, target: Target, ssim_weight: float = 0.85) -> Tensor:
    """The photometric error (B, S, h, w) of every source as it is, without a gradient."""
    errors = sources_bs3hw.new_empty(*sources_bs3hw.shape[:2], *sources_bs3hw.shape[-2:])
    for items, index in _chunks(sources_bs3hw):
        errors[items, index] = _error(sources_bs3hw[items, index], _part(target, items), ssim_weight)
    return errors


class _Errors(torch.autograd.Function):
    """depth (B, 1, h, w), matrices (B, S, 3, 3) and shifts (B, S, 3) of the projection → errors (B, S, h, w)."""

    @staticmethod
    def forward(ctx: Any, depth: Tensor, matrix: Tensor, shift: Tensor, sources: Tensor, *rest: Any) -> Tensor:
        ctx.save_for_backward(depth, matrix, shift, sources)
        ctx.target, ctx.ssim_weight, ctx.align_corners = rest
        errors = depth.new_empty(*sources.shape[:2], *depth.shape[-2:])
        for items, index in _chunks(sources):
            grid = _project(depth[items], matrix[items, index], shift[items, index]).grid
            image = _sample(sources[items, index], grid, ctx.align_corners)
            errors[items, index] = _error(image, _part(ctx.target, items), ctx.ssim_weight)
        return errors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_errors: Tensor) -> tuple[Tensor | None, ...]:
        depth, matrix, shift, sources = ctx.saved_tensors
        grads = torch.zeros_like(depth), torch.zeros_like(matrix), torch.zeros_like(shift)
        for items, index in _chunks(sources):
            there = _project(depth[items], matrix[items, index], shift[items, index])
            source, grid = sources[items, index], there.grid
            image = _sample(source, grid, ctx.align_corners)
            grad = _error_gradient(image, _part(ctx.target, items), ctx.ssim_weight, grad_errors[items, index, None])
            grad_grid = _grid_gradient(grad, source, grid, ctx.align_corners)
            found = _project_gradient(grad_grid, there, depth[items], matrix[items, index])
            grads[0][items] += found[0]
            grads[1][items, index], grads[2][items, index] = found[1:]
        return *grads, None, None, None, None


def _chunks(sources_bs3hw: Tensor) -> Iterator[tuple[slice, int]]:
    """Items and source of each piece of work: a CPU's cache holds one image; a GPU takes all of them at once."""
    batch, count = sources_bs3hw.shape[:2]
    size = 1 if sources_bs3hw.device.type == "cpu" else batch
    for first in range(0, batch, size):
        for index in range(count):
            yield slice(first, first + size), index


def _part(target: Target, items: slice) -> Target:
    return target if items == slice(0, len(target.image)) else target.part(items)


class _Projected(NamedTuple):
    places: Tensor  # (n, 2, h, w), x and y in the source: 0 and 2 are the centres of the corner pixels
    grid: Tensor  # (n, h, w, 2), the same minus 1, as `grid_sample` takes them
    inverse_z: Tensor  # (n, 1, h, w)


def _project(depth_n1hw: Tensor, matrix_n33: Tensor, shift_n3: Tensor) -> _Projected:
    points = pixel_rays(matrix_n33, *depth_n1hw.shape[-2:]).mul_(depth_n1hw).add_(shift_n3[:, :, None, None])
    inverse_z = points[:, 2:].add_(1e-7).reciprocal_()
    places = points[:, :2].mul_(inverse_z)
    grid = torch.empty_like(places.permute(0, 2, 3, 1), memory_format=torch.contiguous_format)
    torch.sub(places.permute(0, 2, 3, 1), 1, out=grid)
    return _Projected(places, grid, inverse_z)


def _project_gradient(
    grad_grid: Tensor, there: _Projected, depth_n1hw: Tensor, matrix_n33: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of depth, matrix and shift."""
    height, width = depth_n1hw.shape[-2:]
    points = torch.empty_like(depth_n1hw.expand(-1, 3, -1, -1), memory_format=torch.contiguous_format)
    torch.mul(grad_grid.permute(0, 3, 1, 2), there.inverse_z, out=points[:, :2])
    torch.mul(points[:, 0], there.places[:, 0], out=points[:, 2])
    points[:, 2].addcmul_(points[:, 1], there.places[:, 1]).neg_()
    rays = pixel_rays(matrix_n33, height, width).mul_(points)
    depth = rays[:, :1].add_(rays[:, 1:2]).add_(rays[:, 2:])
    shift = points.sum((2, 3))
    points.mul_(depth_n1hw)
    u = torch.arange(width, device=points.device, dtype=points.dtype)
    v = torch.arange(height, device=points.device, dtype=points.dtype)
    columns, rows = points.sum(2), points.sum(3)
    return depth, torch.stack([columns @ u, rows @ v, rows.sum(-1)], -1), shift


def _sample(source_n3hw: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
    if grid.device.type == "cpu" and torch.isnan(grid.sum()):
        # torch's CPU kernel writes out of bounds for NaN: there the samples are NaN, so that the loss shows it.
        missing = torch.isnan(grid).any(-1)
        grid.masked_fill_(missing[..., None], 0.0)
        return _sample(source_n3hw, grid, align_corners).masked_fill_(missing[:, None], torch.nan)
    return F.grid_sample(source_n3hw, grid, mode="bilinear", padding_mode="border", align_corners=align_corners)


def _grid_gradient(grad_n3hw: Tensor, source_n3hw: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
    bilinear, border, of_grid_alone = 0, 1, [False, True]
    _, gradient = torch.ops.aten.grid_sampler_2d_backward(
        grad_n3hw, source_n3hw, grid, bilinear, border, align_corners, of_grid_alone
    )
    return gradient  # type: ignore[no-any-return]


class _Fraction(NamedTuple):
    """SSIM = above[0] × above[1] / (below[0] × below[1])."""

    padded: Tensor  # the image, its border reflected
    mean: Tensor  # of its 3×3 windows
    above: tuple[Tensor, Tensor]
    below: tuple[Tensor, Tensor]


def _fraction(image_n3hw: Tensor, target: Target, means: Callable[[Tensor], Tensor]) -> _Fraction:
    padded = pad(image_n3hw)
    mean, square, product = (means(moment) for moment in (padded, padded.square(), padded * target.padded))
    mean_product, mean_square = mean * target.mean, mean.square()
    above = product.sub_(mean_product).mul_(2).add_(C2)
    below = square.sub_(mean_square).add_(target.variance).add_(C2)
    return _Fraction(
        padded,
        mean,
        (mean_product.mul_(2).add_(C1), above),
        (mean_square.add_(target.mean_square).add_(C1), below),
    )


def _quick_mean(padded_nchw: Tensor) -> Tensor:
    """`window_mean` by rows and columns, in half the time; the last bits differ, which a gradient may."""
    rows = padded_nchw[..., :-2, :] + padded_nchw[..., 1:-1, :]
    rows += padded_nchw[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1]
    total += rows[..., 2:]
    return total.div_(9)


def _error(image_n3hw: Tensor, target: Target, ssim_weight: float) -> Tensor:
    """`per_pixel.photometric_error`, (n, h, w)."""
    l1 = (image_n3hw - target.image).abs_().mean(1)
    if ssim_weight == 0:
        return l1
    fraction = _fraction(image_n3hw, target, window_mean)
    ssim = fraction.above[0].mul_(fraction.above[1]).div_(fraction.below[0].mul_(fraction.below[1]))
    error = ssim.neg_().add_(1).mul_(0.5).clamp_(0, 1).mean(1)
    return error.mul_(ssim_weight).add_(l1.mul_(1 - ssim_weight))


def _error_gradient(image_n3hw: Tensor, target: Target, ssim_weight: float, grad_n1hw: Tensor) -> Tensor:
    """The gradient of the image (n, 3, h, w) for that of the error."""
    l1 = (image_n3hw - target.image).sgn_().mul_(grad_n1hw * ((1 - ssim_weight) / 3))
    if ssim_weight == 0:
        return l1
    padded, mean, (luminance, covariance), (means, variance) = _fraction(image_n3hw, target, _quick_mean)
    below = (means * variance).reciprocal_()
    ssim = (luminance * covariance).mul_(below)
    # The error's gradient times 2 / (9 × below), 9 for the mean of a window; none where SSIM is clamped to -1 … 1.
    share = below.mul_(grad_n1hw * (-ssim_weight / 27))
    share = torch.ops.aten.hardtanh_backward(share, ssim, -1.0, 1.0)
    # Gradients of the means of the image, of its square, and of its product with the target.
    of_mean = (means - variance).mul_(ssim).mul_(mean).addcmul_(covariance.sub_(luminance), target.mean).mul_(share)
    of_square = ssim.mul_(means).mul_(share).neg_()  # the square's derivative by the image is left out: 2 × image / 2
    of_product = luminance.mul_(share)
    grad = spread(of_mean).addcmul_(padded, spread(of_square)).addcmul_(target.padded, spread(of_product))
    return l1.add_(_fold(grad))


def spread(map_nchw: Tensor) -> Tensor:
    """Each value added to the 3×3 places of its window, (…, h + 2, w + 2): 9 × the adjoint of `window_mean`."""
    height, width = map_nchw.shape[-2:]
    rows = F.pad(map_nchw, (0, 0, 0, 2))
    for offset in (1, 2):
        rows[..., offset : offset + height, :] += map_nchw
    places = F.pad(rows, (0, 2))
    for offset in (1, 2):
        places[..., offset : offset + width] += rows
    return places


def _fold(padded_nchw: Tensor) -> Tensor:
    """The adjoint of reflecting the border, in place: what the border got belongs to the pixels that it repeats."""
    for near, border in ((2, 0), (-3, -1)):
        padded_nchw[..., near, :] += padded_nchw[..., border, :]
    for near, border in ((2, 0), (-3, -1)):
        padded_nchw[..., near] += padded_nchw[..., border]
    return padded_nchw[..., 1:-1, 1:-1]
