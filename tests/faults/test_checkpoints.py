"""Damaged checkpoints are noticed, and what a machine does to a training loses nothing."""

from __future__ import annotations

import errno
import random
import shutil

import pytest
import torch

from mdtk.core.errors import MdtkError
from mdtk.core.lock import locked
from mdtk.core.weights import read_weights
from mdtk.training import checkpoint as checkpoint_module
from mdtk.training import epoch as epoch_module
from tests.helpers.training import checkpoint, differing, records, train_here, weights

KEYS = ["CHECKPOINT.PERIOD", 1, "SOLVER.MAX_STEPS", 4, "DATA.VAL_SPLIT", ""]


@pytest.fixture(scope="module")
def trained(tiny_recipe, tmp_path_factory):
    return train_here(tmp_path_factory.mktemp("trained"), tiny_recipe, KEYS)


def flip(path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << (place % 8)
    path.write_bytes(data)


def test_every_flipped_bit_of_the_content_is_noticed(trained, tmp_path):
    """A flip that is not noticed is in what no reader looks at: the tensors are the same to the last bit."""
    generator, whole = random.Random(0), weights(trained)
    size = (trained / "last.pth").stat().st_size
    noticed = 0
    for _ in range(30):
        damaged = tmp_path / "last.pth"
        shutil.copy(trained / "last.pth", damaged)
        flip(damaged, generator.randrange(size))
        try:
            content = read_weights(damaged)
        except MdtkError:
            noticed += 1
        else:
            assert not differing(content["model"], whole)
    assert noticed >= 28


@pytest.mark.parametrize("damage", ["flip", "zeros", "cut", "empty"])
def test_the_newest_whole_checkpoint_is_taken(tiny_recipe, trained, tmp_path, capsys, damage):
    for name in ("last.pth", "prev.pth"):
        shutil.copy(trained / name, tmp_path / name)
    last = tmp_path / "last.pth"
    data = bytearray(last.read_bytes())
    half = len(data) // 2
    if damage == "flip":
        flip(last, half)
    else:
        data[half : half + 4096] = bytes(4096)
        last.write_bytes({"zeros": data, "cut": data[:half], "empty": b""}[damage])
    before = checkpoint(tmp_path / "prev.pth")["training"]["step"]
    train_here(tmp_path, tiny_recipe, KEYS)
    said = capsys.readouterr().out
    assert f"going on from {tmp_path / 'prev.pth'}" in said
    assert f"resuming from step {before}" in said
    assert not differing(weights(tmp_path), weights(trained))


def test_best_is_better_than_nothing_and_damage_never_starts_afresh(tiny_recipe, tmp_path, capsys):
    keys = ["SOLVER.EPOCHS", 1, "CHECKPOINT.PERIOD", 1]
    train_here(tmp_path, tiny_recipe, keys)
    for name in ("last.pth", "prev.pth"):
        (tmp_path / name).write_bytes(b"damaged")
    train_here(tmp_path, tiny_recipe, keys)
    assert "best.pth; it has no state of the optimiser" in capsys.readouterr().out
    for path in tmp_path.glob("*.pth"):
        path.write_bytes(b"damaged")
    with pytest.raises(MdtkError, match=r"no checkpoint of .* is whole"):
        train_here(tmp_path, tiny_recipe, keys)


def test_a_full_disk_is_one_sentence_and_loses_nothing(tiny_recipe, trained, tmp_path, monkeypatch):
    sound, calls = checkpoint_module.write_weights, []

    def full(path, content):
        calls.append(path)
        if len(calls) == 3:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        sound(path, content)

    monkeypatch.setattr(checkpoint_module, "write_weights", full)
    with pytest.raises(MdtkError, match=r"last.pth cannot be written \(No space left on device\)"):
        train_here(tmp_path, tiny_recipe, KEYS)
    assert checkpoint(tmp_path)["training"]["step"] == 2
    assert not list(tmp_path.glob(".fresh*"))
    monkeypatch.setattr(checkpoint_module, "write_weights", sound)
    train_here(tmp_path, tiny_recipe, KEYS)
    assert not differing(weights(tmp_path), weights(trained))


def test_a_disk_that_is_full_from_the_start_has_no_checkpoint_before(tiny_recipe, tmp_path, monkeypatch):
    def full(path, content):
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(checkpoint_module, "write_weights", full)
    with pytest.raises(MdtkError, match=r"last.pth cannot be written .*; none was written before: free or repair"):
        train_here(tmp_path, tiny_recipe, KEYS)


def test_a_deleted_folder_is_made_again(tiny_recipe, trained, tmp_path, monkeypatch):
    out_dir, sound = tmp_path / "out", checkpoint_module.write_weights

    def deleted(path, content):
        if content["training"]["step"] == 3:
            shutil.rmtree(out_dir)
        sound(path, content)

    monkeypatch.setattr(checkpoint_module, "write_weights", deleted)
    train_here(out_dir, tiny_recipe, KEYS)
    assert not differing(weights(out_dir), weights(trained))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), torch.OutOfMemoryError("out of memory")])
def test_a_failing_epochs_end_loses_nothing(tiny_recipe, tmp_path, monkeypatch, error):
    whole = train_here(tmp_path / "whole", tiny_recipe, ["SOLVER.EPOCHS", 1])
    sound = epoch_module.validate

    def fails(*args):
        raise error

    monkeypatch.setattr(epoch_module, "validate", fails)
    with pytest.raises(MdtkError, match="last checkpoint is whole"):
        train_here(tmp_path / "cut", tiny_recipe, ["SOLVER.EPOCHS", 1])
    assert checkpoint(tmp_path / "cut")["training"]["step"] == checkpoint(whole)["training"]["step"]
    monkeypatch.setattr(epoch_module, "validate", sound)
    train_here(tmp_path / "cut", tiny_recipe, ["SOLVER.EPOCHS", 1])
    assert not differing(weights(tmp_path / "cut"), weights(whole))
    left, right = records(whole, "epoch"), records(tmp_path / "cut", "epoch")
    assert [line["val_loss"] for line in left] == [line["val_loss"] for line in right]
    assert (tmp_path / "cut" / "best.pth").is_file()


def test_a_resume_needs_no_weights_to_start_from(tiny_recipe, trained, tmp_path):
    start = tmp_path / "start.pth"
    shutil.copy(trained / "last.pth", start)
    keys = [*KEYS, "MODEL.WEIGHTS", start]
    train_here(tmp_path / "out", tiny_recipe, [*keys[:2], "SOLVER.MAX_STEPS", 4, *keys[4:]])
    start.unlink()
    train_here(tmp_path / "out", tiny_recipe, keys)


def test_a_changed_list_is_noticed(clip, tiny_recipe, tmp_path):
    lists = tmp_path / "list.txt"
    lists.write_text("".join(f"color {frame}\n" for frame in range(1, 9)))
    keys = [*KEYS, "DATA.TRAIN_SPLIT", lists]
    train_here(tmp_path / "out", tiny_recipe, keys)
    lists.write_text("".join(f"color {frame}\n" for frame in range(2, 10)))
    with pytest.raises(MdtkError, match="has other entries"):
        train_here(tmp_path / "out", tiny_recipe, keys)


def test_another_model_is_named(tiny_recipe, trained, tmp_path):
    shutil.copy(trained / "last.pth", tmp_path / "last.pth")
    keys = [*KEYS, "MODEL.ENCODER", "mobilenetv3_small_075"]
    with pytest.raises(MdtkError, match=r"MODEL\.ENCODER: 'mobilenetv3_small_050' != 'mobilenetv3_small_075'"):
        train_here(tmp_path, tiny_recipe, keys)
    with pytest.raises(MdtkError, match=r"last\.pth does not fit the model of this configuration"):
        train_here(tmp_path, tiny_recipe, [*keys, "CHECKPOINT.RESUME_WITH_CHANGES", True])


def test_a_stale_lock_locks_nothing(tmp_path):
    (tmp_path / ".lock").write_text("process 1 on elsewhere\n")
    with locked(tmp_path):
        assert "process 1 " not in (tmp_path / ".lock").read_text()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MdtkError, match="cannot be written"), locked(tmp_path / "file"):
        pass
