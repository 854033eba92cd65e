"""Fixtures shared by the tests. Nothing here needs a network or ../shared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import yaml

from mdtk.synthetic import LAYOUTS, make_sample
from tests.helpers.device import choose_device
from tests.helpers.tiny import write_clip

choose_device()
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("data") / "clip")


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory) -> Path:
    """The sample world at its tiny scale: every dataset's layout, a few frames each."""
    root = tmp_path_factory.mktemp("world") / "sample"
    make_sample(root, "tiny", 0, LAYOUTS, jobs=2)
    return root


@pytest.fixture(scope="session")
def tiny_recipe(clip, tmp_path_factory) -> Path:
    """A recipe that trains in seconds on the clip."""
    recipe = {
        "DATA": {
            "NAME": "sequence",
            "HEIGHT": 32,
            "WIDTH": 64,
            "WORKERS": 0,
            "TRAIN_SPLIT": "train",
            "VAL_SPLIT": "val",
            "SEQUENCE": {
                "PATHS": [str(clip / "color")],
                "K": [100.0, 100.0, 63.5, 47.5],
                "K_SIZE": [128, 96],
                "DEPTH": [str(clip / "depth")],
                "VAL_FRACTION": 0.3,
            },
        },
        # Small encoders: a checkpoint with Adam's moments is 50 MB instead of 320, and most of a tiny run is writing.
        "MODEL": dict.fromkeys(("ENCODER", "POSE_ENCODER"), "mobilenetv3_small_050"),
        "SOLVER": {"BATCH_SIZE": 2, "EPOCHS": 2},
        "LOG": {"PERIOD": 1, "TENSORBOARD": False, "IMAGES": 0},
        "CHECKPOINT": {"PERIOD": 1},
    }
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path
