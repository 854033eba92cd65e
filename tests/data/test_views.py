"""Views and augmentations: the published ones, and ones that another package registers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.core.structures import ViewKind
from mdtk.data.augmentation import AUGMENTATIONS, Augmentation
from mdtk.data.loader import build_synthetic_batch
from mdtk.data.preparation import build_preparation
from mdtk.data.views import VIEWS
from mdtk.data.views.magnified_crop import MagnifiedCrop
from mdtk.data.views.permuted import Permuted, roll
from mdtk.losses.objective import build_objective
from mdtk.models import build_model

SMALL = ["DATA.HEIGHT", "32", "DATA.WIDTH", "64", "MODEL.SCALES", "[0]"]


def test_permuted_view_is_restored():
    split = torch.tensor([[17, 9], [5, 30]])
    image = torch.rand(2, 3, 32, 48)
    kind, parameters = Permuted(), {"split": split}
    torch.testing.assert_close(kind.restore(kind.arrange(image, parameters), parameters, 0), image)
    assert (kind.restore(image, parameters, 0) - image).abs().max() > 0.1
    assert torch.equal(roll(image, torch.zeros(2, 2, dtype=torch.long)), image)


def test_a_crop_sees_nearer_things_with_its_own_camera():
    kind = MagnifiedCrop((1.5, 1.5))
    parameters = {"box": torch.from_numpy(kind.draw(np.random.default_rng(0), (64, 32))["box"])[None]}
    ones, K = torch.ones(1, 1, 32, 64), torch.tensor([[[30.0, 0, 31.5], [0, 30.0, 15.5], [0, 0, 1]]])
    torch.testing.assert_close(kind.depth(ones, parameters), 1.5 * ones)
    torch.testing.assert_close(kind.intrinsics(K, parameters)[:, 0, 0], torch.tensor([45.0]))
    torch.testing.assert_close(kind.from_whole(ones, parameters), ones)


@dataclass(frozen=True)
class Mirror(ViewKind):
    """The network sees the target mirrored, darker by `factor`."""

    factor: float

    def draw(self, generator, size):
        return {"on": np.array(generator.random() < 2)}

    def arrange(self, input_bchw, parameters):
        return self.factor * input_bchw.flip(-1)

    def restore(self, map_bchw, parameters, scale):
        assert parameters["on"].all()
        return map_bchw.flip(-1)


@dataclass(frozen=True)
class Noise(Augmentation):
    """Adds `sigma` × one number a sample to what networks see."""

    sigma: float = 0.1

    def draw(self, generator, looks):
        return {"level": np.float32(generator.normal() * self.sigma) * np.ones((), np.float32)}

    def recolour(self, images_bn3hw, parameters, first):
        return images_bn3hw + parameters["level"].view(-1, 1, 1, 1, 1)


@pytest.fixture
def others() -> Iterator[None]:
    """Registered as another package registers its own, and forgotten after the test."""
    VIEWS.register("mirror")(Mirror)
    AUGMENTATIONS.register("noise")(Noise)
    yield
    del VIEWS._entries["mirror"], AUGMENTATIONS._entries["noise"]


RECIPE = ["AUGMENT.OTHERS", "[{NAME: noise, SIGMA: 0.5}]", "VIEWS.OTHERS", "[{NAME: mirror, FACTOR: 0.5}]"]


@pytest.mark.usefixtures("others")
def test_another_packages_view_and_augmentation_train():
    cfg = load_config(None, [*SMALL, *RECIPE, "AUGMENT.JITTER", "0.0"])
    batch, prepare = build_synthetic_batch(cfg, 2), build_preparation(cfg)
    assert prepare.views[1:] == (Mirror(0.5),)
    inputs = prepare(batch)
    full, mirror = inputs.views
    torch.testing.assert_close(full.input_bchw - batch.parameters["noise/level"].view(-1, 1, 1, 1), full.target_b3hw)
    torch.testing.assert_close(mirror.input_bchw, 0.5 * full.input_bchw.flip(-1))
    losses = build_objective(cfg)(inputs, build_model(cfg)(inputs))
    assert {"mirror/0", "consistency/mirror", "mirror/warped"} <= losses.scalars.keys()
    losses.total.backward()


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("VIEWS.OTHERS", "[{NAME: mirror}]", r"VIEWS\.OTHERS: the view mirror needs FACTOR; it takes FACTOR"),
        ("VIEWS.OTHERS", "[{NAME: mirror, ANGLE: 3}]", r"the view mirror has no ANGLE; it takes FACTOR"),
        ("AUGMENT.OTHERS", "[{NAME: nois}]", r"AUGMENT\.OTHERS names the augmentation 'nois'.*nearest is noise"),
        ("AUGMENT.OTHERS", "[{NAME: flip}]", "name 'flip' more than once"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(key, value, message):
    with pytest.raises(MdtkError, match=message):
        build_preparation(load_config(None, [*SMALL, key, value]))
