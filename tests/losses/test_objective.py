"""What the losses must hold, and that the newer switches do what they say."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mdtk.data.views import FULL, PERMUTED, View, roll
from mdtk.geometry.depth import scaled_disparity
from mdtk.losses import terms
from mdtk.losses.objective import LossOptions, Prediction, compute_losses
from mdtk.models.intrinsics import IntrinsicsHead

RANGE = torch.tensor([[0.1, 100.0]])
H, W = 32, 48
TRUE_K = torch.tensor([[[40.0, 0, 23.5], [0, 40.0, 15.5], [0, 0, 1]]])


def texture(seed: int = 0) -> torch.Tensor:
    image = torch.rand(1, 3, H, W, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(torch.nn.functional.pad(image, (2, 2, 2, 2), mode="reflect"), 5, stride=1)


def sigmoid_of(depth: torch.Tensor) -> torch.Tensor:
    least, most = scaled_disparity(torch.zeros(()), 0.1, 100.0), scaled_disparity(torch.ones(()), 0.1, 100.0)
    return (1 / depth - least) / (most - least)


def moved(x: float = 0.0, z: float = 0.0) -> torch.Tensor:
    T = torch.eye(4)[None].clone()
    T[:, 0, 3], T[:, 2, 3] = x, z
    return T


def plain_view(target: torch.Tensor, source: torch.Tensor, K: torch.Tensor = TRUE_K) -> View:
    return View(FULL, target, target, source[:, None], K)


def test_ssim_of_equal_images_is_zero():
    image = texture()
    assert terms.photometric_error(image, terms.Target(image)).abs().max() < 1e-5
    assert terms.photometric_error(1 - image, terms.Target(image)).mean() > 0.1


def test_smoothness_is_blind_to_scale_and_zero_for_a_plane():
    image = texture()
    assert sum(m.sum() for m in terms.smoothness(torch.full((1, 1, H, W), 0.3), image)) == 0
    disparity = torch.rand(1, 1, H, W)
    one, two = (terms.smoothness(factor * disparity, image)[0].mean() for factor in (1, 5))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=0)


def test_scale_invariant_error():
    difference = torch.full((2, 50), 0.3)
    torch.testing.assert_close(terms.scale_invariant_error(difference), torch.full((2,), 0.045))
    torch.testing.assert_close(terms.scale_invariant_error(difference, share=1.0), torch.zeros(2), atol=1e-7, rtol=0)


def test_true_depth_explains_the_target_best():
    """A wall 4 away, the camera moves by 0.4: 4 px of disparity. The loss is least at the true depth."""
    scene = texture(1)
    target, source = scene, torch.roll(scene, 4, dims=-1)  # u_source = u + 40 * 0.4 / 4
    losses = {}
    for depth in (2.0, 3.0, 4.0, 6.0, 12.0):
        disparity = {0: sigmoid_of(torch.full((1, 1, H, W), depth))}
        prediction = Prediction([disparity], moved(x=0.4)[:, None])
        losses[depth] = compute_losses([plain_view(target, source)], prediction, RANGE, LossOptions()).total.item()
    assert min(losses, key=losses.get) == 4.0


def test_the_unwarped_error_is_reported_beside_any_loss():
    """Without the automask it is reported on request and changes nothing; with it, it is the same number."""
    views = [plain_view(texture(1), torch.roll(texture(1), 4, dims=-1))]
    prediction = Prediction([{0: torch.full((1, 1, H, W), 0.05)}], moved(x=0.4)[:, None])
    masked = compute_losses(views, prediction, RANGE, LossOptions(tie_noise=0.0))
    plain = compute_losses(views, prediction, RANGE, LossOptions(automask=False))
    told = compute_losses(views, prediction, RANGE, LossOptions(automask=False, report_identity=True))
    assert "full/identity" not in plain.scalars
    assert told.scalars["full/identity"] == masked.scalars["full/identity"] > 0.05
    assert told.total == plain.total != masked.total


def test_automask_leaves_out_what_does_not_move():
    image = texture()
    prediction = Prediction([{0: torch.full((1, 1, H, W), 0.05)}], moved(x=0.4)[:, None])
    result = compute_losses([plain_view(image, image)], prediction, RANGE, LossOptions(), pictures=True)
    assert result.pictures["automask"].mean() < 0.02
    assert result.total < 1e-4


def test_permuted_view_is_restored():
    split = torch.tensor([[17, 9], [5, 30]])
    image = torch.rand(2, 3, H, W)
    view = View(PERMUTED, image, image, image[:, None], TRUE_K, split_b2=split)
    torch.testing.assert_close(view.restore(roll(image, split)), image)
    assert (view.restore(image) - image).abs().max() > 0.1


def test_geometry_consistency_is_zero_for_one_world_and_counts_otherwise():
    """The camera moves 1 ahead towards a wall: source depth = target depth - 1."""
    image, depth = texture(), torch.full((1, 1, H, W), 5.0)
    options = LossOptions(geometry_consistency=0.5, tie_noise=0.0)
    view, disparity = plain_view(image, texture(2)), {0: sigmoid_of(depth)}
    totals = {}
    for name, source_depth in (("same", 4.0), ("other", 8.0)):
        prediction = Prediction(
            [disparity], moved(z=-1.0)[:, None], source_depths=[torch.full((1, 1, H, W), source_depth)]
        )
        result = compute_losses([view], prediction, RANGE, options)
        totals[name] = result.scalars["full/geometry"].item()
    assert totals["same"] == pytest.approx(0, abs=1e-4)
    assert totals["other"] == pytest.approx((8 - 4) / (8 + 4), abs=1e-3)


@pytest.mark.parametrize("motion", [{"z": -5.2}, {"x": 40.0}])
def test_geometry_consistency_leaves_out_what_the_source_cannot_see(motion):
    """All points behind the source camera, or out of its image: nothing to compare, and no negative error."""
    prediction = Prediction(
        [{0: sigmoid_of(torch.full((1, 1, H, W), 5.0))}],
        moved(**motion)[:, None],
        source_depths=[torch.full((1, 1, H, W), 0.2)],
    )
    options = LossOptions(geometry_consistency=0.5, smoothness=0.0, automask=False)
    result = compute_losses([plain_view(texture(), texture(2))], prediction, RANGE, options)
    assert result.scalars["full/geometry"] == 0
    assert 0 <= result.total < 1


def test_geometry_difference_stays_between_zero_and_one():
    z, depth = torch.tensor([-4.0, -0.2, 0.0, 0.1, 3.0]), torch.tensor([0.2, 0.2, 0.2, 0.1, 1.0])
    torch.testing.assert_close(terms.geometry_difference(z, depth), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.5]))


def test_geometry_consistency_has_a_gradient_for_both_depths():
    disparity = sigmoid_of(torch.full((1, 1, H, W), 5.0)).requires_grad_()
    source = torch.full((1, 1, H, W), 8.0, requires_grad=True)
    options = LossOptions(geometry_consistency=0.5, smoothness=0.0)
    prediction = Prediction([{0: disparity}], moved(z=-1.0)[:, None], source_depths=[source])
    image = torch.zeros(1, 3, H, W)  # nothing photometric to learn from
    compute_losses([plain_view(image, image)], prediction, RANGE, options).total.backward()
    assert source.grad.mean() > 0, "a smaller source depth agrees better"
    assert disparity.grad.mean() > 0, "the target should be farther: a smaller sigmoid"


def test_learned_intrinsics_find_the_focal_length():
    """Depth and motion are known, K is not: descending the photometric loss leads to the true focal length."""
    head = IntrinsicsHead(4)
    scene = texture(3)
    target, source = scene, torch.roll(scene, 4, dims=-1)
    disparity = {0: sigmoid_of(torch.full((1, 1, H, W), 4.0))}
    optimizer = torch.optim.Adam(head.parameters(), 2e-2)
    features = [torch.ones(1, 4, 2, 2)]
    first = head(features, H, W)[0, 0, 0].item()
    assert first == pytest.approx(0.6931 * W, rel=1e-3)
    options = dataclasses.replace(LossOptions(), automask=False, ssim=0.0)
    for _ in range(80):
        K = head(features, H, W)
        prediction = Prediction([disparity], moved(x=0.4)[:, None], K_b33=K)
        loss = compute_losses([plain_view(target, source, K.detach() * 9)], prediction, RANGE, options).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert head(features, H, W)[0, 0, 0].item() == pytest.approx(40.0, rel=0.03)


def test_views_are_averaged():
    image, other = texture(), texture(4)
    view = plain_view(image, other)
    again = dataclasses.replace(view, name="again")
    disparity = {0: torch.full((1, 1, H, W), 0.1)}
    options = LossOptions(tie_noise=0.0, consistency=0.0)
    one = compute_losses([view], Prediction([disparity], moved(x=0.1)[:, None]), RANGE, options).total
    two = compute_losses([view, again], Prediction([disparity] * 2, moved(x=0.1)[:, None]), RANGE, options).total
    torch.testing.assert_close(one, two)
