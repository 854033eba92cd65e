"""Whole trainings on the GPU: resumed, under DDP with nccl, with synchronised batch norms, averaged, evaluated."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from mdtk.config import load_config
from mdtk.models import load_model
from mdtk.training.train import set_up
from tests.helpers.tiny import run_tool
from tests.helpers.training import checkpoint, differing, distance, records, train_here, train_killed_at, weights

ONE_EPOCH = ("SOLVER.EPOCHS", "1", "LOSS.TIE_NOISE", "0.0")


@pytest.fixture(scope="module")
def whole(device, tiny_recipe, tmp_path_factory) -> Path:
    """An uninterrupted epoch with an average."""
    return train_here(tmp_path_factory.mktemp("whole"), tiny_recipe, keys(device))


def keys(device: torch.device, *further: str) -> tuple[str, ...]:
    return (*ONE_EPOCH, "DEVICE", device.type, "SOLVER.EMA", "0.9", *further)


def test_resumes(device, tiny_recipe, whole, tmp_path):
    """Sums on a GPU may come in another order: as near as another run of the same training, not bit for bit."""
    train_killed_at(3, tmp_path, tiny_recipe, keys(device, "CHECKPOINT.PERIOD", "2"))
    assert checkpoint(tmp_path)["training"]["step"] == 2
    train_here(tmp_path, tiny_recipe, keys(device))
    assert close(weights(tmp_path), whole)
    assert [record["step"] for record in records(tmp_path, "train")] == [
        record["step"] for record in records(whole, "train")
    ]


def close(ours: dict[str, torch.Tensor], whole: Path) -> bool:
    """Far nearer to the uninterrupted run than two of its steps are to each other."""
    content = checkpoint(whole)
    moved = distance(content["model"], content["training"]["raw_model"])
    return moved > 0 and distance(ours, content["model"]) < 0.05 * moved


def test_checkpoint_opens_on_both(device, whole):
    image = torch.rand(1, 3, 32, 64)
    here, there = load_model(whole / "last.pth", device), load_model(whole / "last.pth", "cpu")
    assert next(here.system.parameters()).device.type == device.type
    torch.testing.assert_close(here.disparity(image).cpu(), there.disparity(image), rtol=1e-2, atol=1e-3)


def test_average_is_one(whole):
    content = checkpoint(whole)
    assert differing(content["model"], content["training"]["raw_model"])
    assert content["training"]["averaged"] == content["training"]["step"]


def test_ddp(device, tiny_recipe, whole, tmp_path, one_process):
    """One process under DDP ends where one without it does."""
    train_here(tmp_path / "out", tiny_recipe, keys(device))
    assert close(weights(tmp_path / "out"), whole)


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenetv3_small_050"])
def test_sync_bn(device, tiny_recipe, tmp_path, one_process, encoder):
    """Its layers are in the networks that train, which train; the checkpoint opens without a process group."""
    pairs = keys(device, "MODEL.SYNC_BN", "true", "MODEL.ENCODER", encoder)
    run, _ = set_up(load_config(tiny_recipe, [*pairs, "OUT_DIR", str(tmp_path / "out")]), device)
    found = any(isinstance(module, nn.SyncBatchNorm) for module in run.wrapped.modules())
    assert found == (device.type == "cuda")
    run.logger.close()
    out_dir = train_here(tmp_path / "out", tiny_recipe, pairs)
    assert all(math.isfinite(record["total"]) for record in records(out_dir, "train"))
    assert load_model(out_dir / "last.pth").disparity(torch.rand(1, 3, 32, 64)).isfinite().all()


def test_bfloat16_trains(device, tiny_recipe, tmp_path):
    out_dir = train_here(
        tmp_path, tiny_recipe, keys(device, "SOLVER.PRECISION", "bf16", "SOLVER.CHANNELS_LAST", "true")
    )
    assert all(math.isfinite(record["total"]) for record in records(out_dir, "train"))
    assert math.isfinite(records(out_dir, "epoch")[-1]["val_loss"])


def test_evaluation_equals_the_cpus(device, whole, tmp_path):
    """Every number of every image, to a part in a thousand."""
    tables = []
    for name in (device.type, "cpu"):
        folder = tmp_path / name
        run_tool("evaluate", "--checkpoint", whole / "last.pth", "--output", folder, "DEVICE", name)
        (path,) = [path for path in folder.glob("sequence*.csv")]
        with path.open(encoding="utf-8") as file:
            tables.append(list(csv.DictReader(file)))
    here, there = tables
    assert len(here) == len(there) > 2
    for ours, theirs in zip(here, there, strict=True):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            number = as_number(value)
            assert ours[key] == value if number is None else as_number(ours[key]) == pytest.approx(number, rel=1e-3)


def as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
