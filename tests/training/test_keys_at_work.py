"""What single keys promise, seen in whole trainings on the clip."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.models import load_model
from mdtk.training import prepare as prepare_module
from tests.helpers.training import (
    NO_MOVE,
    checkpoint,
    differing,
    distance,
    records,
    train_here,
    train_killed_at,
    weights,
)

# Plain steepest descent from the same weights, without noise: a step is the gradient times the rate.
STEP = (
    *("SOLVER.OPTIMIZER", "sgd", "SOLVER.MOMENTUM", "0", "SOLVER.LR", "1.0", "SOLVER.MAX_STEPS", "1"),
    *("SOLVER.BATCH_SIZE", "4", "MODEL.FREEZE_BN", "true", "LOSS.TIE_NOISE", "0.0", "DATA.VAL_SPLIT", ""),
)


@pytest.fixture(scope="module")
def start(tiny_recipe, tmp_path_factory):
    """The weights that a training of the tiny recipe starts from."""
    return weights(train_here(tmp_path_factory.mktemp("start"), tiny_recipe, NO_MOVE))


@pytest.fixture(scope="module")
def one_step(tiny_recipe, tmp_path_factory):
    """The weights after one step of the whole batch."""
    return weights(train_here(tmp_path_factory.mktemp("step"), tiny_recipe, STEP))


def test_accumulating_equals_the_one_big_batch(tiny_recipe, start, one_step, tmp_path):
    parts = weights(train_here(tmp_path, tiny_recipe, [*STEP, "SOLVER.ACCUMULATE", 2]))
    step = distance(one_step, start)
    assert step > 1e-2
    assert distance(parts, one_step) < 1e-4 * step
    # Half of the batch alone is another step altogether.
    half = weights(train_here(tmp_path / "half", tiny_recipe, [*STEP, "SOLVER.BATCH_SIZE", 2]))
    assert distance(half, one_step) > 1e-2 * step


def test_clipping_bounds_the_step(tiny_recipe, start, one_step, tmp_path):
    """With a rate of 1 and no momentum a step is as long as the gradient."""
    bound = distance(one_step, start) / 10
    clipped = weights(train_here(tmp_path, tiny_recipe, [*STEP, "SOLVER.CLIP_GRAD", bound]))
    assert distance(clipped, start) == pytest.approx(bound, rel=1e-3)
    # The direction stays.
    for name in ("depth.decoder.heads.0.conv.bias", *list(start)[:1]):
        torch.testing.assert_close(
            10 * (clipped[name] - start[name]), one_step[name] - start[name], rtol=1e-2, atol=1e-6
        )


def test_average_survives_a_resume(tiny_recipe, tmp_path):
    keys = ["SOLVER.EMA", 0.9, "SOLVER.EPOCHS", 1, "DATA.VAL_SPLIT", ""]
    whole = checkpoint(train_here(tmp_path / "whole", tiny_recipe, keys))
    train_killed_at(3, tmp_path / "cut", tiny_recipe, [*keys, "CHECKPOINT.PERIOD", 2])
    before = checkpoint(tmp_path / "cut")["training"]
    assert before["step"] == 2 < whole["training"]["step"]
    after = checkpoint(train_here(tmp_path / "cut", tiny_recipe, keys))
    assert differing(whole["model"], whole["training"]["raw_model"]), "the average is not the network that trains"
    assert not differing(after["model"], whole["model"])
    assert not differing(after["training"]["raw_model"], whole["training"]["raw_model"])
    assert after["training"]["averaged"] == whole["training"]["averaged"] == whole["training"]["step"]


def test_default_logging(tiny_recipe, tmp_path):
    """TensorBoard's event file holds what metrics.jsonl says, and the pictures of each epoch."""
    out_dir = train_here(tmp_path, tiny_recipe, ["LOG.TENSORBOARD", "true", "LOG.IMAGES", 2])
    events = EventAccumulator(str(out_dir / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    for kind, name in (("train", "total"), ("train", "lr"), ("epoch", "val_loss")):
        seen = {event.step: event.value for event in events.Scalars(f"{kind}/{name}")}
        said = {record["step"]: record[name] for record in records(out_dir, kind)}
        assert seen.keys() == said.keys()
        assert list(seen.values()) == pytest.approx(list(said.values()), rel=1e-6)
    tags = events.Tags()["images"]
    assert tags == ["training step/sample 1", "training step/sample 2"]
    for pictures in map(events.Images, tags):
        assert [picture.step for picture in pictures] == [record["step"] for record in records(out_dir, "epoch")]
    image = np.asarray(Image.open(io.BytesIO(pictures[-1].encoded_image_string)))
    # Target, disparity (a colour bar below it), two warped sources and the automask of 64 x 32 pixels, one below the
    # other at a width of 320, each under its name.
    assert image.shape == (5 * (18 + 160) + 22, 320, 3)
    tops = [18 + place * (18 + 160) + (22 if place > 1 else 0) for place in range(5)]
    parts = [image[top : top + 160] for top in tops]
    assert all(part.std() > 5 for part in parts[:4])
    mask = parts[4][2::5, 2::5]  # the middles of its pixels, five times as large
    assert (np.minimum(mask, 255 - mask) == 0).all()


def test_the_defaults_log(tmp_path):
    """The keys of the test above are the defaults."""
    log = load_config(None, []).LOG
    assert log.TENSORBOARD
    assert log.IMAGES > 0


def test_weights_of_every_epoch_are_kept(tiny_recipe, tmp_path):
    out_dir = train_here(tmp_path, tiny_recipe, ["CHECKPOINT.KEEP_EPOCHS", "true"])
    kept = sorted(out_dir.glob("weights_*.pth"))
    assert [path.name for path in kept] == ["weights_001.pth", "weights_002.pth"]
    assert differing(weights(kept[0]), weights(kept[1]))
    assert not differing(weights(kept[1]), weights(out_dir))
    assert [checkpoint(path)["meta"]["epoch"] for path in kept] == [1, 2]
    image = torch.rand(1, 3, 32, 64)
    first, second = (load_model(path).disparity(image) for path in kept)
    assert not torch.equal(first, second)


def test_nothing_is_kept_unasked(tiny_recipe, tmp_path):
    assert not list(train_here(tmp_path, tiny_recipe, NO_MOVE).glob("weights_*.pth"))


@pytest.mark.parametrize("parts", ["[]", "[depth]", "[depth.encoder, pose.decoder]"])
def test_weights_to_start_from(tiny_recipe, start, one_step, tmp_path, parts):
    """What WEIGHTS_PARTS names is the file's, the rest is this training's own."""
    path = tmp_path / "file.pth"
    torch.save({"format": "mdtk", "version": 1, "model": one_step}, path)
    pairs = [*NO_MOVE, "MODEL.WEIGHTS", path, "MODEL.WEIGHTS_PARTS", parts]
    trained = weights(train_here(tmp_path / "out", tiny_recipe, pairs))
    names = parts.strip("[]").replace(" ", "").split(",")
    from_file = {name for name in start if any(name.startswith(part) for part in names)}
    assert from_file
    assert not set(differing(trained, one_step)) & from_file
    assert set(differing(trained, start)) <= from_file
    assert len(differing(trained, start)) > 5


def test_imagenet_weights_that_nobody_would_see_are_not_fetched(tiny_recipe, one_step, tmp_path, monkeypatch):
    def asked(tag: str) -> None:
        raise MdtkError(f"asked for {tag}")

    monkeypatch.setattr("mdtk.models.encoders.check_server", asked)
    path = tmp_path / "file.pth"
    torch.save({"format": "mdtk", "version": 1, "model": one_step}, path)

    def build(parts: str):
        pairs = ["MODEL.PRETRAINED", "true", "MODEL.WEIGHTS", str(path), "MODEL.WEIGHTS_PARTS", parts]
        return prepare_module.build_networks(load_config(tiny_recipe, pairs), False, Path)

    for parts in ("[]", "[depth, pose]", "[depth.encoder, pose.encoder]"):
        assert not differing(build(parts).depth.encoder.state_dict(), parts_of(one_step, "depth.encoder."))
    for parts in ("[depth]", "[depth.encoder.backbone, pose]", "[pose.encoder]"):
        with pytest.raises(MdtkError, match="asked for"):
            build(parts)


def parts_of(state: dict, prefix: str) -> dict:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def norms(module: nn.Module) -> set[type]:
    """The kinds of batch norm in the networks."""
    return {type(part) for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)}


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_sync_bn_wraps_on_gpus(tiny_recipe, tmp_path, monkeypatch, asked, device):
    """The set-up's own decision; networks and batches stay where they are, there is no GPU here."""
    monkeypatch.setattr(nn.Module, "to", lambda self, *args, **kwargs: self)
    keys = ["MODEL.SYNC_BN", asked, "MODEL.ENCODER", "mobilenetv3_small_050", "SOLVER.EMA", 0.9]
    cfg = load_config(tiny_recipe, [*map(str, keys), "OUT_DIR", str(tmp_path)])
    plain = {name: tensor.shape for name, tensor in prepare_module.build_model(cfg).state_dict().items()}
    _, state = prepare_module.set_up(cfg, torch.device(device))
    wrapped = asked and device == "cuda"
    for system in (state.system, state.average.module):
        kinds = norms(system)
        assert (nn.SyncBatchNorm in kinds) == wrapped
        # timm fuses activations with norms; none may be lost, and no plain norm may be left.
        assert not wrapped or all(issubclass(kind, nn.SyncBatchNorm) for kind in kinds)
        assert {name: tensor.shape for name, tensor in system.state_dict().items()} == plain
    assert sum(p.numel() for group in state.optimizer.param_groups for p in group["params"]) == sum(
        parameter.numel() for parameter in state.system.parameters()
    )
