"""Prediction loop and sharding: every image once, the same mates whatever the processes, errors in one sentence."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from PIL import Image

from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.sharding import shard_batches, together
from mdtk.inference.post_process import blend_flipped
from mdtk.inference.predict import predict, predict_batch, read_in_order


class Pictures(DatasetReader):
    """Images whose brightness is their number."""

    key = "pictures"

    def __init__(self, root, count, broken=()):
        super().__init__(root, [f"picture {i}" for i in range(count)])
        self.broken = broken

    def images(self, index, offsets):
        if index in self.broken:
            raise MdtkError(f"image not found: picture {index}")
        return [Image.new("RGB", (30, 20), (index, 2 * index, 3 * index)) for _ in offsets]

    def intrinsics(self, index, size):
        return np.eye(3)

    def files(self, index, offsets):
        return [self.root / f"{index}.png" for _ in offsets]


def brightness(images):
    return images[:, :1] * 255 + 1


@pytest.mark.parametrize("workers", [0, 2])
def test_every_image_once_and_resized(tmp_path, workers):
    found = predict(brightness, Pictures(tmp_path, 5), [[0, 1], [2, 3], [4]], 8, 12, workers=workers)
    assert list(found) == [f"picture {i}" for i in range(5)]
    for index, disparity in enumerate(found.values()):
        assert disparity.dtype == np.float32
        np.testing.assert_allclose(disparity, np.full((8, 12), index + 1), rtol=1e-6)


@pytest.mark.parametrize("workers", [0, 2])
def test_error_in_a_worker_stays_a_sentence(tmp_path, workers):
    with pytest.raises(MdtkError) as caught:
        predict(brightness, Pictures(tmp_path, 5, broken=[3]), [[0, 1], [2, 3]], 8, 12, workers=workers)
    assert str(caught.value) == "image not found: picture 3"


def test_lanczos_on_the_whole_image(tmp_path):
    class One(Pictures):
        def images(self, index, offsets):
            return [picture]

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (37, 53, 3), np.uint8))
    seen = []
    predict(lambda x: seen.append(x) or x[:, :1] + 1, One(tmp_path, 1), [[0]], 16, 24)
    expected = np.asarray(picture.resize((24, 16), Image.Resampling.LANCZOS)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(seen[0][0].numpy(), expected, atol=1e-7)


def test_post_process_mirrors_back():
    images = torch.rand(2, 3, 6, 40)
    plain = predict_batch(brightness, images, post_process=False)
    np.testing.assert_allclose(predict_batch(brightness, images, post_process=True), plain, rtol=1e-6)

    def ramp(x):
        return torch.linspace(1, 2, x.shape[-1]).expand(x.shape[0], 1, *x.shape[2:])

    row = predict_batch(ramp, images, post_process=True)[0, 0]
    column = np.linspace(1, 2, 40)
    np.testing.assert_allclose(row[4:-4], 1.5, atol=1e-6)
    assert row[0] == pytest.approx(column[::-1][0])  # the left edge is the mirrored prediction's
    assert row[-1] == pytest.approx(column[-1])


def test_blend_is_a_mean_inside_and_one_of_both_at_the_edges():
    left, right = np.full((1, 2, 100), 2.0), np.full((1, 2, 100), 4.0)
    out = blend_flipped(left, right)[0, 0]
    np.testing.assert_allclose(out[11:-11], 3.0)
    assert (out[0], out[-1]) == (4.0, 2.0)
    assert np.all(np.diff(out[:11]) <= 0)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 16, 17, 50])
def test_shards_are_exact_and_keep_batches(monkeypatch, world, count):
    alone = shard_batches(range(count), 16)
    monkeypatch.setattr(distributed, "world_size", lambda: world)
    shards = []
    for rank in range(world):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shards.append(shard_batches(range(count), 16))
    batches = sorted(batch for shard in shards for batch in shard)
    assert batches == alone
    assert [index for batch in batches for index in batch] == list(range(count))


def test_an_error_of_any_process_is_raised_on_all(monkeypatch):
    assert together(lambda: [1, 2]) == [1, 2]

    def gather(mine):
        return [*mine, ([], ["image not found: a.png"]), ([3], [])]

    monkeypatch.setattr(distributed, "gather_objects", gather)
    with pytest.raises(MdtkError, match=r"^image not found: a\.png$"):
        together(lambda: [1, 2])
    monkeypatch.setattr(distributed, "gather_objects", lambda mine: [*mine, ([3], [])])
    assert together(lambda: [1, 2]) == [1, 2, 3]


def test_reading_keeps_the_order_of_batches():
    assert list(read_in_order(lambda index: index * index, [[3, 1], [2]], 0)) == [[9, 1], [4]]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_with_a_title_is_for_terminals(monkeypatch, capsys, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    for title in ("", "reading"):
        list(read_in_order(lambda index: time.sleep(0.4), [[0], [1], [2], [3]], 0, title=title))
        assert ("reading" in capsys.readouterr().err) == (bool(title) and terminal)
