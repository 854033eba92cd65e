"""What the losses must hold, and that the newer switches do what they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.core.structures import Inputs, Prediction, View, ViewKind
from mdtk.geometry.depth import scaled_disparity
from mdtk.losses import per_pixel
from mdtk.losses.objective import Losses, Objective, build_objective
from mdtk.losses.photometric import PhotometricOptions
from mdtk.losses.terms import LOSS_TERMS, Contribution, LossTerm
from mdtk.losses.terms.geometry_consistency import GeometryConsistency
from mdtk.losses.terms.smoothness import Smoothness
from mdtk.losses.terms.view_consistency import ViewConsistency
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


class Whole(ViewKind):
    name = "full"


def plain_view(target: torch.Tensor, source: torch.Tensor, K: torch.Tensor = TRUE_K) -> View:
    return View(Whole(), target, target, source[:, None], K, RANGE, {})


def losses_of(
    views: list[View],
    prediction: Prediction,
    *terms: LossTerm,
    pictures: bool = False,
    **options: object,
) -> Losses:
    """Smoothness and `terms` beside the photometric error with `options`."""
    inputs = Inputs(views, torch.cat([views[0].target_b3hw[:, None], views[0].sources_bs3hw], 1), torch.eye(4)[None])
    return Objective(PhotometricOptions(**options), (Smoothness(), *terms))(inputs, prediction, pictures)


def test_ssim_of_equal_images_is_zero():
    image = texture()
    assert per_pixel.photometric_error(image, per_pixel.Target(image)).abs().max() < 1e-5
    assert per_pixel.photometric_error(1 - image, per_pixel.Target(image)).mean() > 0.1


def test_smoothness_is_blind_to_scale_and_zero_for_a_plane():
    image = texture()
    assert sum(m.sum() for m in per_pixel.smoothness(torch.full((1, 1, H, W), 0.3), image)) == 0
    disparity = torch.rand(1, 1, H, W)
    one, two = (per_pixel.smoothness(factor * disparity, image)[0].mean() for factor in (1, 5))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=0)


def test_scale_invariant_error():
    difference, zeros = torch.full((2, 50), 0.3), torch.zeros(2)
    torch.testing.assert_close(per_pixel.scale_invariant_error(difference), torch.full((2,), 0.045))
    torch.testing.assert_close(per_pixel.scale_invariant_error(difference, share=1.0), zeros, atol=1e-7, rtol=0)


def test_true_depth_explains_the_target_best():
    """A wall 4 away, the camera moves by 0.4: 4 px of disparity. The loss is least at the true depth."""
    scene = texture(1)
    target, source = scene, torch.roll(scene, 4, dims=-1)  # u_source = u + 40 * 0.4 / 4
    losses = {}
    for depth in (2.0, 3.0, 4.0, 6.0, 12.0):
        disparity = {0: sigmoid_of(torch.full((1, 1, H, W), depth))}
        prediction = Prediction([disparity], moved(x=0.4)[:, None])
        losses[depth] = losses_of([plain_view(target, source)], prediction).total.item()
    assert min(losses, key=losses.get) == 4.0


def test_the_unwarped_error_is_reported_beside_any_loss():
    """Without the automask it is reported on request and changes nothing; with it, it is the same number."""
    views = [plain_view(texture(1), torch.roll(texture(1), 4, dims=-1))]
    prediction = Prediction([{0: torch.full((1, 1, H, W), 0.05)}], moved(x=0.4)[:, None])
    masked = losses_of(views, prediction, tie_noise=0.0)
    plain = losses_of(views, prediction, automask=False)
    told = losses_of(views, prediction, automask=False, report_identity=True)
    assert "full/identity" not in plain.scalars
    assert told.scalars["full/identity"] == masked.scalars["full/identity"] > 0.05
    assert told.total == plain.total != masked.total


def test_automask_leaves_out_what_does_not_move():
    image = texture()
    prediction = Prediction([{0: torch.full((1, 1, H, W), 0.05)}], moved(x=0.4)[:, None])
    result = losses_of([plain_view(image, image)], prediction, pictures=True)
    assert result.pictures["automask"].mean() < 0.02
    assert result.total < 1e-4


def test_geometry_consistency_is_zero_for_one_world_and_counts_otherwise():
    """The camera moves 1 ahead towards a wall: source depth = target depth - 1."""
    image, depth = texture(), torch.full((1, 1, H, W), 5.0)
    view, disparity = plain_view(image, texture(2)), {0: sigmoid_of(depth)}
    totals = {}
    for name, source_depth in (("same", 4.0), ("other", 8.0)):
        prediction = Prediction(
            [disparity], moved(z=-1.0)[:, None], source_depths=[torch.full((1, 1, H, W), source_depth)]
        )
        result = losses_of([view], prediction, GeometryConsistency(), tie_noise=0.0)
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
    result = losses_of([plain_view(texture(), texture(2))], prediction, GeometryConsistency(), automask=False)
    assert result.scalars["full/geometry"] == 0
    assert 0 <= result.total < 1


def test_geometry_difference_stays_between_zero_and_one():
    z, depth = torch.tensor([-4.0, -0.2, 0.0, 0.1, 3.0]), torch.tensor([0.2, 0.2, 0.2, 0.1, 1.0])
    torch.testing.assert_close(per_pixel.geometry_difference(z, depth), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.5]))


def test_geometry_consistency_has_a_gradient_for_both_depths():
    disparity = sigmoid_of(torch.full((1, 1, H, W), 5.0)).requires_grad_()
    source = torch.full((1, 1, H, W), 8.0, requires_grad=True)
    prediction = Prediction([{0: disparity}], moved(z=-1.0)[:, None], source_depths=[source])
    image = torch.zeros(1, 3, H, W)  # nothing photometric to learn from
    losses_of([plain_view(image, image)], prediction, GeometryConsistency()).total.backward()
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
    for _ in range(80):
        K = head(features, H, W)
        prediction = Prediction([disparity], moved(x=0.4)[:, None], K_b33=K)
        loss = losses_of([plain_view(target, source, K.detach() * 9)], prediction, automask=False, ssim=0.0).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert head(features, H, W)[0, 0, 0].item() == pytest.approx(40.0, rel=0.03)


class Again(ViewKind):
    name = "again"


def test_views_are_averaged():
    image, other = texture(), texture(4)
    view = plain_view(image, other)
    again = dataclasses.replace(view, kind=Again())
    sigmoids = {0: torch.full((1, 1, H, W), 0.1)}
    one = losses_of([view], Prediction([sigmoids], moved(x=0.1)[:, None]), tie_noise=0.0).total
    two = losses_of([view, again], Prediction([sigmoids] * 2, moved(x=0.1)[:, None]), tie_noise=0.0).total
    torch.testing.assert_close(one, two)


class Everywhere(LossTerm):
    """Adds one at each place that a term can add to."""

    def of_scale(self, scale):
        return [Contribution(0.5, torch.tensor(2.0), "one/scale")]

    def of_view(self, scales):
        return [Contribution(1.0, torch.tensor(1.0))]

    def of_batch(self, comparisons):
        return [Contribution(1.0, torch.tensor(1.0), f"one/{len(comparisons)}")]


def test_a_term_adds_what_it_returns():
    """Once a view and once a batch, however many scales and views are averaged; the label's value is not weighed."""
    view = plain_view(texture(), texture(4))
    sigmoids = {scale: torch.full((1, 1, H >> scale, W >> scale), 0.1) for scale in (0, 1, 2)}
    prediction = Prediction([sigmoids] * 2, moved(x=0.1)[:, None])
    plain = losses_of([view, dataclasses.replace(view, kind=Again())], prediction, tie_noise=0.0)
    more = losses_of([view, dataclasses.replace(view, kind=Again())], prediction, Everywhere(), tie_noise=0.0)
    torch.testing.assert_close(more.total, plain.total + 3)
    assert (more.scalars["one/scale"], more.scalars["one/2"]) == (2, 1)
    more.scalars.clear()
    assert torch.isfinite(more.total)


class Half(LossTerm):
    def error_weight(self, scale):
        return torch.full((1, 1, 1, 1), 0.5)


def test_a_term_may_weigh_the_errors():
    views = [plain_view(texture(), texture(4))]
    prediction = Prediction([{0: torch.full((1, 1, H, W), 0.1)}], moved(x=0.1)[:, None])
    plain, half = (losses_of(views, prediction, *terms, automask=False) for terms in ((), (Half(),)))
    torch.testing.assert_close(half.scalars["full/warped"], plain.scalars["full/warped"] / 2)


@dataclasses.dataclass(frozen=True)
class Nearness(LossTerm):
    """A term of another package: the mean sigmoid of the finest scale."""

    weight: float

    def of_view(self, scales):
        return [Contribution(self.weight, scales[0].sigmoid_b1hw.mean(), "nearness")]


@pytest.fixture
def nearness() -> Iterator[None]:
    """Registered as another package registers its own, and forgotten after the test."""
    LOSS_TERMS.register("nearness")(Nearness)
    yield
    del LOSS_TERMS._entries["nearness"]


@pytest.mark.usefixtures("nearness")
def test_another_packages_term_joins_the_loss():
    view = plain_view(texture(), texture(4))
    prediction = Prediction([{0: torch.full((1, 1, H, W), 0.25)}], moved(x=0.1)[:, None])
    inputs = Inputs([view], torch.stack([view.target_b3hw] * 2, 1), torch.eye(4)[None])
    totals = []
    for others in ("[]", "[{NAME: nearness, WEIGHT: 2.0}]"):
        cfg = load_config(None, ["LOSS.OTHERS", others, "LOSS.TIE_NOISE", "0.0"])
        totals.append(build_objective(cfg)(inputs, prediction))
    torch.testing.assert_close(totals[1].total, totals[0].total + 0.5)
    assert totals[1].scalars["nearness"] == 0.25
    with pytest.raises(MdtkError, match=r"^LOSS\.OTHERS: the loss term nearness needs WEIGHT"):
        build_objective(load_config(None, ["LOSS.OTHERS", "[{NAME: nearness}]"]))


def test_the_keys_make_the_terms():
    cfg = load_config(None, ["LOSS.SMOOTHNESS", "0.0", "LOSS.CONSISTENCY", "0.5", "LOSS.GEOMETRY_CONSISTENCY", "0.25"])
    assert build_objective(cfg).terms == (GeometryConsistency(0.25), ViewConsistency(0.5))
