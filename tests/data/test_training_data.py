"""Samples, draws, sampler and augmentation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from PIL import Image

from mdtk.config import load_config
from mdtk.core.errors import MdtkError, sentence
from mdtk.data.augmentation import OPERATIONS, augment, color_jitter
from mdtk.data.batch import Batch, collate
from mdtk.data.loader import build_draw_options, build_loader, build_train_data, synthetic_batch
from mdtk.data.sampler import TrainSampler, share
from mdtk.data.samples import DrawOptions, MonoDataset
from mdtk.data.views import build_views
from mdtk.datasets.image_files import magnified_crop, resize

ALL = DrawOptions(local_crop=True, split_permute=True)


@pytest.fixture(scope="module")
def dataset(tiny_recipe):
    cfg = load_config(tiny_recipe, ["VIEWS.LOCAL_CROP", "true", "VIEWS.SPLIT_PERMUTE", "true"])
    return build_train_data(cfg, 0, 1)[0]


def same(left, right) -> bool:
    pairs = zip(dataclasses.astuple(left), dataclasses.astuple(right), strict=True)
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def test_a_sample_follows_from_epoch_position_and_index(dataset):
    assert same(dataset[3, 7, 2], dataset[3, 7, 2])
    assert not same(dataset[3, 7, 2], dataset[4, 7, 2])
    frames = dataset[0, 0, 0].frames_n3hw
    assert (frames.dtype, frames.shape) == (np.uint8, (3, 3, 32, 64))


def test_a_repeated_image_is_augmented_anew(dataset):
    """With DATA.WEIGHT 2 an epoch holds an image twice; two sets have equal indices: neither shares its parameters."""
    first, second = dataset[0, 3, 2], dataset[0, 9, 2]
    assert first.name == second.name
    assert not np.array_equal(first.jitter_n5, second.jitter_n5)


def test_one_option_does_not_change_anothers_draws(dataset):
    part = dataset.sets[0]
    plain = MonoDataset(part.reader, [-1, 1], False, (64, 32), options=DrawOptions(), seed=part.seed)
    for key in ((0, 0, 0), (2, 5, 1)):
        assert plain[key].flip == part[key].flip
        np.testing.assert_array_equal(plain[key].jitter_n5, part[key].jitter_n5)


def test_workers_give_the_same_batches(dataset):
    keys = [[(0, 0, 0), (0, 1, 3)], [(1, 0, 2), (1, 1, 1)]]
    alone = list(build_loader(dataset, keys, 0, torch.device("cpu")))
    workers = list(build_loader(dataset, keys, 2, torch.device("cpu")))
    for left, right in zip(alone, workers, strict=True):
        assert left.names == right.names
        assert torch.equal(left.frames_bn3hw, right.frames_bn3hw)
        assert torch.equal(left.jitter_bn5, right.jitter_bn5)


def test_a_workers_error_is_one_sentence(tiny_recipe, dataset, tmp_path):
    class Broken(type(dataset.sets[0].reader)):
        def images(self, index, offsets):
            raise MdtkError("image not found: x.png; fetch it")

    broken = MonoDataset(dataset.sets[0].reader, [-1, 1], False, (64, 32))
    reader = broken.reader.__class__.__new__(Broken)
    reader.__dict__.update(broken.reader.__dict__)
    broken.reader = reader
    with pytest.raises(MdtkError) as caught:
        list(build_loader(broken, [[(0, 0, 0)]], 1, torch.device("cpu")))
    assert sentence(caught.value) == "image not found: x.png; fetch it"


def test_sampler_takes_each_sample_once_an_epoch_whatever_the_ranks():
    one = list(TrainSampler([10], [1.0], 4, seed=7))
    parts = [list(TrainSampler([10], [1.0], 4, seed=7, rank=rank, world_size=2)) for rank in (0, 1)]
    assert len(one) == 2
    assert [sorted(a + b) for a, b in zip(*parts, strict=True)] == [sorted(batch) for batch in one]
    taken = [index for batch in one for _, _, index in batch]
    assert len(set(taken)) == len(taken) == 8


def test_sampler_resumes_in_mid_epoch():
    def steps(start: int) -> list:
        sampler = TrainSampler([10, 6], [1.0, 1.0], 4, seed=7)
        sampler.start_step, sampler.stop_step = start, 9
        return list(sampler)

    assert steps(5) == steps(0)[5:]
    assert {epoch for epoch, _, _ in steps(0)[4]} == {1}


def test_sampler_weights():
    sampler = TrainSampler([10, 4], [0.5, 2.0], 1, seed=0)
    order = sampler.epoch_order(0)
    assert len(order) == 5 + 8
    assert np.bincount(order[order >= 10] - 10).tolist() == [2, 2, 2, 2]
    assert len(set(order[order < 10])) == 5


def test_sampler_refuses_what_cannot_work():
    with pytest.raises(MdtkError, match="not a multiple of the 3 processes"):
        TrainSampler([10], [1.0], 4, 0, 0, 3)
    with pytest.raises(MdtkError, match=r"fewer than SOLVER\.BATCH_SIZE 12"):
        TrainSampler([10], [1.0], 12, 0)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_inference_share_is_exact(world):
    taken = [index for rank in range(world) for index in share(11, rank, world)]
    assert sorted(taken) == list(range(11))


def still(batch: Batch) -> Batch:
    return dataclasses.replace(batch, jitter_bn5=batch.jitter_bn5 * 0, flip_b=torch.zeros_like(batch.flip_b))


def test_without_draws_only_the_type_changes():
    batch = still(synthetic_batch(load_config(), 2))
    out = augment(batch)
    torch.testing.assert_close(out.clean_bn3hw, batch.frames_bn3hw / 255)
    torch.testing.assert_close(out.jittered_bn3hw, out.clean_bn3hw)
    torch.testing.assert_close(out.K_b33, batch.K_b33)


def test_flip_moves_K_and_the_other_camera():
    batch = synthetic_batch(load_config(), 2)  # the first item is flipped
    out, before = augment(batch), augment(still(batch))
    width = batch.frames_bn3hw.shape[-1]
    torch.testing.assert_close(out.clean_bn3hw[0], before.clean_bn3hw[0].flip(-1))
    torch.testing.assert_close(out.clean_bn3hw[1], before.clean_bn3hw[1])
    assert out.K_b33[0, 0, 2] == width - 1 - before.K_b33[0, 0, 2]
    assert out.stereo_T_b44[0, 0, 3] == -before.stereo_T_b44[0, 0, 3]
    assert out.stereo_T_b44[1, 0, 3] == before.stereo_T_b44[1, 0, 3]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 0, 1]])
def test_jitter_is_torchvisions(order):
    images = torch.rand(2, 3, 3, 8, 9)
    factors = torch.tensor([[1.0, 1.15, 0.85, 1.2, 0.07], [1.0, 0.8, 1.1, 0.9, -0.1]])[:, None]
    ours = color_jitter(images, factors, torch.tensor([[order]] * 2), slice(0, 3))
    functions = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue)
    for item in range(2):
        for frame in range(3):
            expected = images[item, frame]
            for operation in order:
                expected = functions[operation](expected, factors[item, 0, 1 + operation].item())
            torch.testing.assert_close(ours[item, frame], expected, atol=2e-5, rtol=0)
    assert len(OPERATIONS) == 4


def test_jitter_is_shared_by_the_frames_or_drawn_for_each():
    image = torch.rand(1, 1, 3, 8, 8).expand(1, 3, 3, 8, 8)
    from mdtk.data.samples import Draws

    for per_frame in (False, True):
        draws = Draws.draw(DrawOptions(jitter=1.0, per_frame=per_frame), (0, 0, 0), 3)
        jitter, order = torch.from_numpy(draws.jitter_n5)[None], torch.from_numpy(draws.order_n4)[None]
        out = color_jitter(image, jitter, order, slice(0, 3))
        assert torch.equal(out[:, 0], out[:, 1]) != per_frame


def test_crop_is_the_part_of_the_magnified_image():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    crops, box = magnified_crop([image], (64, 32), 1.5, 20, 10)
    whole = resize(image, (96, 48))
    difference = np.abs(crops[0].astype(int) - whole[:, 10:42, 20:84])
    assert difference.max() <= 1
    assert (difference > 0).mean() < 5e-3
    np.testing.assert_allclose(box, [1.5, 1.5, 20, 10])


def test_flipped_crop_is_the_crop_of_the_flipped_image(dataset):
    """Image, crop and K agree after the flip: the crop's pixels are found in the flipped whole image."""
    part = dataset.sets[0]
    key = next((epoch, index, index) for epoch in range(9) for index in range(4) if part[epoch, index, index].flip)
    batch = collate([part[key]])
    batch = dataclasses.replace(batch, jitter_bn5=batch.jitter_bn5 * 0)
    full, crop, _ = build_views(augment(batch), batch)
    from mdtk.geometry.warp import magnified_crop_pixels, sample_pixels

    found = sample_pixels(full.target_b3hw, magnified_crop_pixels(crop.box_b4, 32, 64))
    error = (found - crop.target_b3hw).abs().mean()
    mirrored = (found - crop.target_b3hw.flip(-1)).abs().mean()
    assert error < 0.3 * mirrored


def test_batch_part_and_draw_options():
    batch = synthetic_batch(load_config(None, ["VIEWS.LOCAL_CROP", "true"]), 4)
    part = batch.part(1, 3)
    assert len(part) == len(part.frames_bn3hw) == len(part.crop_bn3hw) == 2
    assert part.names == batch.names[1:3]
    assert build_draw_options(load_config(None, ["AUGMENT.FLIP", "0.25"])).flip == 0.25
