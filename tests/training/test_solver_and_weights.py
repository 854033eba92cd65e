"""Schedules, averages, and weights in parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mdtk.config import load_config
from mdtk.config.sections import SolverSection
from mdtk.core.errors import MdtkError
from mdtk.core.weights import load_parts, read_weights, write_weights
from mdtk.models import build_model, load_model
from mdtk.models.encoders import build_encoder
from mdtk.models.loaded import full_disparity
from mdtk.training.solver import build_average, build_optimizer, learning_rate
from mdtk.training.step import Meter


def rates(*pairs: str, steps: int = 40, per_epoch: int = 10) -> list[float]:
    cfg = load_config(None, ["SOLVER.LR", "1.0", *pairs])
    return [learning_rate(SolverSection.of(cfg), step, per_epoch, steps) for step in range(steps)]


def test_step_schedule_drops_at_the_epochs():
    found = rates("SOLVER.STEP_EPOCHS", "[1, 3]", "SOLVER.GAMMA", "0.1")
    assert [found[i] for i in (0, 9, 10, 29)] == pytest.approx([1.0, 1.0, 0.1, 0.1])
    assert found[30] == pytest.approx(0.01)


def test_cosine_schedule():
    found = rates("SOLVER.SCHEDULE", "cosine", "SOLVER.MIN_LR", "0.2")
    assert found[0] == pytest.approx(1.0)
    assert found[20] == pytest.approx(0.6)
    assert found[-1] < 0.21
    assert found == sorted(found, reverse=True)


def test_warm_up():
    assert rates("SOLVER.WARMUP_STEPS", "4")[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimizers(name, kind):
    module = nn.Linear(2, 1)
    frozen = nn.Parameter(torch.zeros(1), requires_grad=False)
    module.frozen = frozen
    optimizer = build_optimizer(load_config(None, ["SOLVER.OPTIMIZER", name]), module)
    assert type(optimizer).__name__ == kind
    assert all(p is not frozen for group in optimizer.param_groups for p in group["params"])


def test_average_is_the_exponential_moving_average():
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 0.0)
    average = build_average(load_config(None, ["SOLVER.EMA", "0.9"]), module)
    average.update(module)  # the first update copies
    expected = 0.0
    for value in (1.0, 2.0, 5.0):
        nn.init.constant_(module.weight, value)
        average.update(module)
        expected = 0.9 * expected + 0.1 * value
    assert average.module.weight.item() == pytest.approx(expected)


def test_average_holds_statistics_and_copies_counters():
    module = nn.BatchNorm1d(1, momentum=1.0)
    average = build_average(load_config(None, ["SOLVER.EMA", "0.5"]), module)
    for value in (2.0, 4.0):
        module(torch.full((3, 1), value))
        average.update(module)
    assert average.module.running_mean.item() == pytest.approx(3.0)
    assert average.module.num_batches_tracked.item() == 2
    assert average.count == 2


def test_sync_batch_norm_keeps_fused_activations():
    """timm fuses activations with norms; torch's own conversion drops them without a word."""
    from mdtk.training.prepare import convert_sync_batchnorm

    encoder = build_encoder("mobilenetv3_small_050").eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        before = encoder(image)
        encoder = convert_sync_batchnorm(encoder)
        after = encoder(image)
    assert any(isinstance(module, nn.SyncBatchNorm) for module in encoder.modules())
    for left, right in zip(before, after, strict=True):
        torch.testing.assert_close(left, right)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.depth, self.pose = nn.Linear(2, 2), nn.Linear(2, 2)


def test_parts_are_loaded_and_nothing_else():
    source, target = Pair(), Pair()
    before = target.pose.weight.clone()
    loaded = load_parts(target, source.state_dict(), ["depth"], "x.pth")
    assert loaded == ["depth.weight", "depth.bias"]
    torch.testing.assert_close(target.depth.weight, source.depth.weight)
    torch.testing.assert_close(target.pose.weight, before)


def test_what_does_not_fit_is_listed():
    state = Pair().state_dict()
    state["extra.weight"] = state.pop("pose.bias")
    state["depth.weight"] = torch.zeros(3, 2)
    with pytest.raises(MdtkError) as caught:
        load_parts(Pair(), state, [], "x.pth")
    message = str(caught.value)
    for words in ("missing pose.bias", "unexpected extra.weight", "depth.weight is (3, 2), not (2, 2)"):
        assert words in message


def test_unknown_part():
    with pytest.raises(MdtkError, match=r"names 'poze', which the model lacks; it has depth, pose"):
        load_parts(Pair(), Pair().state_dict(), ["poze"], "x.pth")


def test_weights_of_another_program_are_refused(tmp_path):
    torch.save({"state": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(MdtkError, match=r"convert it first with tools/convert_checkpoint\.py"):
        read_weights(tmp_path / "x.pth")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x02}q", b"hello"])
def test_damaged_weights_are_one_sentence(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(MdtkError, match=r"x\.pth[: ][^\n]+$"):
        read_weights(tmp_path / "x.pth")


def test_load_model_rebuilds_from_its_own_configuration(tmp_path):
    from mdtk.config import dump

    cfg = load_config(None, ["MODEL.SCALES", "[0]", "DATA.HEIGHT", "32", "DATA.WIDTH", "64", "MODEL.MAX_DEPTH", "10"])
    system = build_model(cfg)
    write_weights(tmp_path / "x.pth", {"model": system.state_dict(), "cfg": dump(cfg), "meta": {}})
    model = load_model(tmp_path / "x.pth")
    images = torch.rand(2, 3, 32, 64)
    with torch.no_grad():
        expected = full_disparity(system.eval(), images, cfg)
    torch.testing.assert_close(model.disparity(images), expected)
    assert (model.width, model.height) == (64, 32)
    assert expected.min() >= 0.1
    assert len(model.checksum) == 64


def test_a_family_with_a_depth_range_of_its_own_is_predicted_with_it():
    small = ["MODEL.SCALES", "[0]", "DATA.HEIGHT", "32", "DATA.WIDTH", "64"]
    cfg = load_config(None, [*small, "DATA.SETS", "[{}, {NAME: nyuv2, DEPTH_RANGE: [0.1, 10]}]"])
    system, images = build_model(cfg).eval(), torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        sigmoid = system.sigmoids(system.features(images))[0]
        street, room = (full_disparity(system, images, cfg, reader) for reader in ("kitti_raw", "nyuv2"))
    torch.testing.assert_close(street, 0.01 + (10 - 0.01) * sigmoid)
    torch.testing.assert_close(room, 0.1 + (10 - 0.1) * sigmoid)


def test_first_sigmoid_sets_the_scale():
    cfg = load_config(None, ["MODEL.INIT_SIGMOID", "0.2"])
    heads = build_model(cfg).depth.decoder.heads
    assert [torch.sigmoid(head.conv.bias).item() for head in heads.values()] == pytest.approx([0.2] * 4)


def test_meter_leaves_out_refused_steps():
    meter, good, bad = Meter(), torch.tensor(0.0), torch.tensor(1.0)
    meter.add(4, {"total": torch.tensor(1.0)}, ["a", "b"], good)
    meter.add(5, {"total": torch.tensor(3.0)}, ["c"], good)
    assert meter.read().means == {"total": 2.0}
    meter.add(6, {"total": torch.tensor(1.0)}, ["a"], good)
    meter.add(7, {"total": torch.tensor(float("nan"))}, ["d", "e"], bad)
    reading = meter.read()
    assert reading.means == {"total": 1.0}
    assert [(step, names) for step, names, _ in reading.refused] == [(7, ["d", "e"])]
