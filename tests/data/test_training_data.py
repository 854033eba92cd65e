"""Samples, their augmentation parameters, views, sampler."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from PIL import Image

from mdtk.config import load_config
from mdtk.core.errors import MdtkError, sentence
from mdtk.data.augmentation.color_jitter import OPERATIONS, ColorJitter, color_jitter
from mdtk.data.augmentation.flip import Flip
from mdtk.data.batch import Batch, collate
from mdtk.data.loader import build_loader, build_synthetic_batch, build_train_data
from mdtk.data.preparation import Preparation, build_preparation
from mdtk.data.sampler import TrainSampler, share
from mdtk.data.samples import MonoDataset
from mdtk.data.views.magnified_crop import MagnifiedCrop
from mdtk.data.views.permuted import Permuted
from mdtk.data.views.whole import WholeImage
from mdtk.datasets.image_files import magnified_crop, resize
from mdtk.geometry.camera import magnified_box
from mdtk.geometry.pose import pose_matrix

PLAIN = Preparation(augmentations=(Flip(), ColorJitter()))
VIEWS = ["VIEWS.LOCAL_CROP", "true", "VIEWS.SPLIT_PERMUTE", "true"]


@pytest.fixture(scope="module")
def dataset(tiny_recipe):
    cfg = load_config(tiny_recipe, VIEWS)
    return build_train_data(cfg, 0, 1)[0]


def same(left, right) -> bool:
    equal = [np.array_equal(left.parameters[key], right.parameters[key]) for key in left.parameters]
    return left.name == right.name and np.array_equal(left.frames_n3hw, right.frames_n3hw) and all(equal)


def test_a_sample_follows_from_epoch_position_and_index(dataset):
    assert same(dataset[3, 7, 2], dataset[3, 7, 2])
    assert not same(dataset[3, 7, 2], dataset[4, 7, 2])
    frames = dataset[0, 0, 0].frames_n3hw
    assert (frames.dtype, frames.shape) == (np.uint8, (3, 3, 32, 64))


def test_a_repeated_image_is_augmented_anew(dataset):
    """With DATA.WEIGHT 2 an epoch holds an image twice; two sets have equal indices: neither shares its parameters."""
    first, second = dataset[0, 3, 2], dataset[0, 9, 2]
    assert first.name == second.name
    assert not np.array_equal(first.parameters["jitter/factors"], second.parameters["jitter/factors"])


def test_one_option_does_not_change_anothers_draws(dataset):
    part = dataset.sets[0]
    plain = MonoDataset(part.reader, [-1, 1], False, (64, 32), prepare=PLAIN, seed=part.seed)
    for key in ((0, 0, 0), (2, 5, 1)):
        for name in ("flip/on", "jitter/on", "jitter/factors", "jitter/order"):
            np.testing.assert_array_equal(plain[key].parameters[name], part[key].parameters[name])


def test_workers_give_the_same_batches(dataset):
    keys = [[(0, 0, 0), (0, 1, 3)], [(1, 0, 2), (1, 1, 1)]]
    alone = list(build_loader(dataset, keys, 0, torch.device("cpu")))
    workers = list(build_loader(dataset, keys, 2, torch.device("cpu")))
    for left, right in zip(alone, workers, strict=True):
        assert left.names == right.names
        assert torch.equal(left.frames_bn3hw, right.frames_bn3hw)
        assert left.parameters.keys() == right.parameters.keys()
        assert all(torch.equal(value, right.parameters[key]) for key, value in left.parameters.items())


def test_a_workers_error_is_one_sentence(tiny_recipe, dataset, tmp_path):
    class Broken(type(dataset.sets[0].reader)):
        def images(self, index, offsets):
            raise MdtkError("image not found: x.png; fetch it")

    broken = MonoDataset(dataset.sets[0].reader, [-1, 1], False, (64, 32), prepare=PLAIN)
    reader = broken.reader.__class__.__new__(Broken)
    reader.__dict__.update(broken.reader.__dict__)
    broken.reader = reader
    with pytest.raises(MdtkError) as caught:
        list(build_loader(broken, [[(0, 0, 0)]], 1, torch.device("cpu")))
    assert sentence(caught.value) == "image not found: x.png; fetch it"


def test_a_loader_in_a_traceback_does_not_keep_the_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\nfrom mdtk.config import default_config\nfrom mdtk.data import loader\n"
        "dataset = loader.MonoDataset(loader.NoiseReader((64, 32), 0), [1], False, (64, 32), "
        "prepare=loader.build_preparation(default_config()))\n"
        "batches = iter(loader.build_loader(dataset, [[(0, 0, 0)]] * 9, 1, torch.device('cpu')))\n"
        "next(batches)\nheld = [batches]\nheld.append(held)\nraise SystemExit(3)\n"
    )
    done = subprocess.run([sys.executable, script], timeout=60, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")


def test_sampler_takes_each_sample_once_an_epoch_whatever_the_ranks():
    one = list(TrainSampler([10], [1.0], 4, seed=7))
    parts = [list(TrainSampler([10], [1.0], 4, seed=7, rank=rank, world_size=2)) for rank in (0, 1)]
    assert len(one) == 2
    assert [sorted(a + b) for a, b in zip(*parts, strict=True)] == [sorted(batch) for batch in one]
    taken = [index for batch in one for _, _, index in batch]
    assert len(set(taken)) == len(taken) == 8


@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
def test_shares_differ_by_one_at_most_and_make_the_batch(world):
    """Every sample counts alike: what the processes' means are divided by undoes that they are of other counts."""
    batches = [list(TrainSampler([40], [1.0], 12, 7, rank, world)) for rank in range(world)]
    whole = [list(itertools.chain(*step)) for step in zip(*batches, strict=True)]
    assert whole == list(TrainSampler([40], [1.0], 12, 7))
    counts = [len(steps[0]) for steps in batches]
    assert max(counts) - min(counts) == (12 % world > 0)
    sampler = TrainSampler([40], [1.0], 12, 7, 0, world)
    assert sampler.least == min(counts)
    assert [1 / sampler.parts_like(count) / world for count in counts] == pytest.approx([n / 12 for n in counts])


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
    with pytest.raises(MdtkError, match="BATCH_SIZE 2 is fewer samples than the 3 processes; raise it, or start 2"):
        TrainSampler([10], [1.0], 2, 0, 0, 3)
    with pytest.raises(MdtkError, match=r"fewer than SOLVER\.BATCH_SIZE 12"):
        TrainSampler([10], [1.0], 12, 0)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_inference_share_is_exact(world):
    taken = [index for rank in range(world) for index in share(11, rank, world)]
    assert sorted(taken) == list(range(11))


def changed(batch: Batch, **parameters: torch.Tensor) -> Batch:
    """The batch with other parameters: flip_on is "flip/on"."""
    named = {key.replace("_", "/", 1): value for key, value in parameters.items()}
    assert named.keys() <= batch.parameters.keys()
    return dataclasses.replace(batch, parameters={**batch.parameters, **named})


def still(batch: Batch) -> Batch:
    off = torch.zeros(len(batch), dtype=torch.bool)
    return changed(batch, flip_on=off, jitter_on=off)


def test_without_augmentation_only_the_type_changes():
    cfg = load_config()
    batch = still(build_synthetic_batch(cfg, 2))
    for prepare in (build_preparation(cfg), build_preparation(cfg, augmented=False)):
        inputs = prepare(batch)
        torch.testing.assert_close(inputs.frames_bn3hw, batch.frames_bn3hw / 255)
        (view,) = inputs.views
        torch.testing.assert_close(view.input_bchw, batch.frames_bn3hw[:, 0] / 255)
        torch.testing.assert_close(view.target_b3hw, view.input_bchw)
        torch.testing.assert_close(view.K_b33, batch.K_b33)


def test_flip_moves_K_and_the_other_camera():
    cfg = load_config(None, ["DATA.STEREO", "true"])
    batch = still(build_synthetic_batch(cfg, 2))
    prepare = build_preparation(cfg)
    before, out = prepare(batch), prepare(changed(batch, flip_on=torch.tensor([True, False])))
    (old,), (new,) = before.views, out.views
    torch.testing.assert_close(new.target_b3hw[0], old.target_b3hw[0].flip(-1))
    torch.testing.assert_close(out.frames_bn3hw[0], before.frames_bn3hw[0].flip(-1))
    torch.testing.assert_close(new.target_b3hw[1], old.target_b3hw[1])
    assert new.K_b33[0, 0, 2] == batch.frames_bn3hw.shape[-1] - 1 - old.K_b33[0, 0, 2]
    assert out.known_T_bk44[0, 0, 0, 3] == -before.known_T_bk44[0, 0, 0, 3] == pytest.approx(0.1)
    assert out.known_T_bk44[1, 0, 0, 3] == before.known_T_bk44[1, 0, 0, 3]


def test_flip_mirrors_known_motions():
    """A point seen mirrored by both cameras: mirrored in the target, moved, it is the moved point, mirrored."""
    cfg = load_config(None, ["MODEL.POSE", "given"])
    motion = pose_matrix(torch.tensor([[0.3, -0.2, 0.1]]), torch.tensor([[0.5, -1.0, 2.0]])).repeat(4, 1, 1)
    motion = motion.view(2, 2, 4, 4)
    batch = dataclasses.replace(still(build_synthetic_batch(cfg, 2)), known_T_bk44=motion)
    out = build_preparation(cfg)(changed(batch, flip_on=torch.tensor([True, False]))).known_T_bk44
    point, mirror = torch.tensor([0.7, -0.4, 5.0, 1.0]), torch.tensor([-1.0, 1.0, 1.0, 1.0])
    torch.testing.assert_close(out[0] @ (mirror * point), mirror * (motion[0] @ point))
    torch.testing.assert_close(out[1], motion[1])


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 0, 1]])
def test_jitter_is_torchvisions(order):
    images = torch.rand(2, 3, 3, 8, 9)
    factors = torch.tensor([[1.15, 0.85, 1.2, 0.07], [0.8, 1.1, 0.9, -0.1]])[:, None]
    ours = color_jitter(images, factors, torch.tensor([[order]] * 2))
    functions = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue)
    for item in range(2):
        for frame in range(3):
            expected = images[item, frame]
            for operation in order:
                expected = functions[operation](expected, factors[item, 0, operation].item())
            torch.testing.assert_close(ours[item, frame], expected, atol=2e-5, rtol=0)
    assert len(OPERATIONS) == 4


def test_jitter_leaves_samples_alone_whose_draw_is_off():
    images = torch.rand(2, 3, 3, 8, 9)
    factors, order = torch.tensor([[[1.15, 0.85, 1.2, 0.07]]] * 2), torch.tensor([[[0, 1, 2, 3]]] * 2)
    both = color_jitter(images, factors, order)
    assert torch.equal(color_jitter(images, factors, order, [False, True]), torch.stack([images[0], both[1]]))
    assert color_jitter(images, factors, order, [False, False]) is images


def test_jitter_is_shared_by_the_frames_or_drawn_for_each():
    image = torch.rand(1, 1, 3, 8, 8).expand(1, 3, 3, 8, 8)
    for per_frame in (False, True):
        jitter = ColorJitter(probability=1.0, per_frame=per_frame)
        drawn = jitter.draw(np.random.default_rng(0), 5)
        out = jitter.recolour(image, {key: torch.from_numpy(value)[None] for key, value in drawn.items()}, 0)
        assert torch.equal(out[:, 0], out[:, 1]) != per_frame


def test_the_host_keeps_what_it_decides_by():
    batch = build_synthetic_batch(load_config(), 2)
    moved = batch.to("meta")
    host = {f"jitter/{name}" for name in ("on", "factors", "order")}
    assert {moved.parameters[key].device.type for key in host} == {"cpu"}
    devices = {value.device.type for key, value in moved.parameters.items() if key not in host}
    assert devices == {moved.frames_bn3hw.device.type} == {"meta"}


def test_crop_is_the_part_of_the_magnified_image():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    box = magnified_box((64, 32), 1.5, 20.5 / 32, 10.5 / 16)
    crops = magnified_crop([image], (64, 32), box)
    whole = resize(image, (96, 48))
    difference = np.abs(crops[0].astype(int) - whole[:, 10:42, 20:84])
    assert difference.max() <= 1
    assert (difference > 0).mean() < 5e-3
    np.testing.assert_allclose(box, [1.5, 1.5, 20, 10])


def test_flipped_crop_is_the_crop_of_the_flipped_image(dataset):
    """Image, crop and K agree after the flip: the crop's pixels are found in the flipped whole image."""
    part = dataset.sets[0]
    keys = [(epoch, index, index) for epoch in range(9) for index in range(4)]
    batch = collate([next(part[key] for key in keys if part[key].parameters["flip/on"])])
    full, crop, _ = part.prepare(changed(batch, jitter_on=torch.zeros(1, dtype=torch.bool))).views
    found = crop.from_whole(full.target_b3hw)
    error = (found - crop.target_b3hw).abs().mean()
    mirrored = (found - crop.target_b3hw.flip(-1)).abs().mean()
    assert error < 0.3 * mirrored
    torch.testing.assert_close(crop.K_b33, crop.intrinsics(full.K_b33))


def test_a_batch_in_parts():
    batch = build_synthetic_batch(load_config(None, ["VIEWS.LOCAL_CROP", "true"]), 4)
    part = batch.part(1, 3)
    assert len(part) == len(part.frames_bn3hw) == len(part.parameters["crop/frames"]) == 2
    assert part.names == batch.names[1:3]


def test_the_keys_make_the_preparation():
    cfg = load_config(None, ["AUGMENT.FLIP", "0.25", "AUGMENT.JITTER", "0.0", *VIEWS, "VIEWS.CROP_RATIO", "[1.5, 1.6]"])
    prepare = build_preparation(cfg)
    assert prepare.augmentations == (Flip(0.25),)
    assert prepare.views == (WholeImage(), MagnifiedCrop((1.5, 1.6)), Permuted((0.1, 0.9)))
    assert build_preparation(cfg, augmented=False) == Preparation()


def test_the_network_may_see_several_frames():
    """In the order of MODEL.INPUT_OFFSETS, each view its own, recoloured frame by frame."""
    cfg = load_config(None, ["MODEL.INPUT_OFFSETS", "[-1, 0]", "AUGMENT.JITTER_PER_FRAME", "true", *VIEWS])
    batch, prepare = build_synthetic_batch(cfg, 2), build_preparation(cfg)
    inputs = prepare(still(batch))
    full, crop, permuted = inputs.views
    for view in (full, crop):
        expected = torch.cat([view.sources_bs3hw[:, 0], view.target_b3hw], 1)
        torch.testing.assert_close(view.input_bchw, expected)
    torch.testing.assert_close(permuted.restore(permuted.input_bchw), full.input_bchw)
    assert batch.parameters["jitter/order"].shape == (2, 3 + 2 * 2, 4)
    jittered = prepare(changed(still(batch), jitter_on=torch.ones(2, dtype=torch.bool)))
    torch.testing.assert_close(jittered.views[0].input_bchw[:, 3:], jittered.frames_bn3hw[:, 0])
    assert not torch.equal(jittered.views[2].restore(jittered.views[2].input_bchw), jittered.views[0].input_bchw)


def test_two_parts_of_one_name_are_refused():
    with pytest.raises(MdtkError, match="name 'flip' more than once"):
        Preparation(augmentations=(Flip(), Flip(0.1)))
