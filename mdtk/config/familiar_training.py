"""A training command of Monodepth2 or BDEdepth as a recipe of this project."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mdtk.config.familiar import Met, translate
from mdtk.config.familiar_words import TRAIN
from mdtk.config.load import load_config
from mdtk.core.errors import MdtkError

MONODEPTH2 = "kitti/monodepth2_mono_640x192.yaml"
BDEDEPTH = {
    "kitti": "kitti/bdedepth_resnet18_640x192.yaml",
    "cityscapes": "cityscapes/bdedepth_resnet18_512x192.yaml",
    "nyu": "nyuv2/bdedepth_hrnet18_384x288.yaml",
    "nyuv2": "nyuv2/bdedepth_hrnet18_384x288.yaml",
}
# Options that only BDEdepth's training has.
_CROP, _RESHUFFLE = ("--use_local_crop", "--local_crop"), ("--use_patch_reshuffle", "--patch_reshuffle")
_ITS_OWN = ("--backbone", "--num_scales", "--exp_name", "--pretrained_path", "--lr_sche_type", *_CROP, *_RESHUFFLE)
_ROOTS = {"kitti": "KITTI_RAW", "kitti_odom": "KITTI_ODOM", "cityscapes": "CITYSCAPES_PREPARED"}
_ROOTS |= dict.fromkeys(("nyu", "nyuv2"), "NYUV2")
_PARTS = {"encoder": "depth.encoder", "depth": "depth.decoder", "pose_encoder": "pose.encoder", "pose": "pose.decoder"}


@dataclass(frozen=True)
class Translation:
    """The words that the tool reads, and the recipe under `configs` that they start from (empty: none was needed)."""

    words: list[str]
    base: str = ""
    notes: tuple[str, ...] = ()


def translate_training(words: Sequence[str], configs: Path, own: Container[str] = ()) -> Translation:
    """Replaces familiar training options by keys.

    Without familiar options the words stay as they are. With them, and without --config, the recipe of the published
    code comes first. `configs` is the folder of the recipes. Raises `MdtkError` for what has no meaning here.
    """
    kept, met = translate(words, TRAIN, own)
    if not met:
        return Translation(list(words))
    given = {one.word.name: one.values for one in met}
    base = "" if "--config" in words else _base(given)
    config = words[list(words).index("--config") + 1] if "--config" in words else configs / base
    pairs = _joint_pairs(given, base, config)
    front = ["--config", str(configs / base)] if base else []
    return Translation([*front, *pairs, *kept], base, tuple(_notes(met)))


def _base(given: dict[str, tuple[str, ...]]) -> str:
    dataset = given.get("--dataset", ("kitti",))[0]
    own = any(name in given for name in _ITS_OWN) or dataset in ("cityscapes", "nyu", "nyuv2")
    return BDEDEPTH[dataset] if own and dataset in BDEDEPTH else MONODEPTH2


def _notes(met: Sequence[Met]) -> list[str]:
    silent = {"--frame_ids", "--num_layers", "--backbone", "--num_scales", "--models_to_load", "--scheduler_step_size"}
    silent |= {"--log_dir", "--model_name", "--exp_name", "--data_path", "--kitti_path", "--save_frequency"}
    return [f"{one.word.name}: {one.word.note}" for one in met if one.word.note and one.word.name not in silent]


def _joint_pairs(given: dict[str, tuple[str, ...]], base: str, config: str | Path) -> list[str]:
    """The keys of options whose meaning depends on one another; keys that follow on the line may change them."""
    bdedepth = base in BDEDEPTH.values()
    pairs = _networks(given, bdedepth) + _frames(given) + _places(given)
    if base and bdedepth:  # its options switch the views on; its recipes here have them on
        views = {"VIEWS.LOCAL_CROP": _CROP, "VIEWS.SPLIT_PERMUTE": _RESHUFFLE}
        pairs += [word for key, names in views.items() if not given.keys() & set(names) for word in (key, "false")]
    if "--dataset" in given and given["--dataset"][0] == "kitti_odom" and "--split" not in given:
        pairs += ["DATA.TRAIN_SPLIT", "odom/train", "DATA.VAL_SPLIT", "odom/val"]
    if "--scheduler_step_size" in given:
        epochs = int(given["--num_epochs"][0]) if "--num_epochs" in given else load_config(config).SOLVER.EPOCHS
        step = _number("--scheduler_step_size", given)
        pairs += ["SOLVER.STEP_EPOCHS", str(list(range(step, max(epochs, step + 1), step)))]
    if "--models_to_load" in given:
        pairs += ["MODEL.WEIGHTS_PARTS", f"[{', '.join(_parts(given['--models_to_load']))}]"]
    if "--save_frequency" in given:
        period = _number("--save_frequency", given)
        pairs += ["CHECKPOINT.PERIOD", str(period)] if bdedepth else ["CHECKPOINT.KEEP_EPOCHS", "true"]
    return pairs


def _networks(given: dict[str, tuple[str, ...]], bdedepth: bool) -> list[str]:
    pairs: list[str] = []
    word = given.get("--backbone", ("resnet",))[0]
    backbone = word.rstrip("0123456789")  # hrnet18 says --num_layers too
    layers = word.removeprefix(backbone) or given.get("--num_layers", ("18",))[0]
    if backbone not in ("resnet", "hrnet"):
        raise MdtkError(f"--backbone {word} is not known; it takes resnet or hrnet, or set MODEL.ENCODER")
    if backbone == "hrnet":
        pairs += ["MODEL.ENCODER", f"hrnet_w{layers}", "MODEL.HRNET_FUSE", "bilinear"]
    elif "--num_layers" in given or "--backbone" in given:
        pairs += ["MODEL.ENCODER", f"resnet{layers}"]
        pairs += [] if bdedepth else ["MODEL.POSE_ENCODER", f"resnet{layers}"]
    if "--num_scales" in given:
        pairs += ["MODEL.SCALES", str(list(range(_number("--num_scales", given))))]
    return pairs


def _frames(given: dict[str, tuple[str, ...]]) -> list[str]:
    frames = given.get("--frame_ids")
    if frames is None:
        return []
    if frames[0] != "0":
        raise MdtkError(f"--frame_ids {' '.join(frames)} must begin with 0, the target; set DATA.SOURCES for others")
    pairs = ["DATA.SOURCES", f"[{', '.join(frame for frame in frames[1:] if frame != 's')}]"]
    return pairs if len(frames) > 1 else [*pairs, "MODEL.POSE", "none"]


def _places(given: dict[str, tuple[str, ...]]) -> list[str]:
    pairs: list[str] = []
    names = ("--model_name", "--exp_name")
    if any(name in given for name in (*names, "--log_dir")):
        name = next((given[name][0] for name in names if name in given), "mdp")
        pairs += ["OUT_DIR", str(Path(given.get("--log_dir", ("runs",))[0]).expanduser() / name)]
    dataset = given.get("--dataset", ("kitti",))[0]
    for option in ("--data_path", "--kitti_path"):
        if option in given:
            pairs += [f"ROOTS.{_ROOTS.get(dataset, 'KITTI_RAW')}", given[option][0]]
    return pairs


def _parts(models: Sequence[str]) -> list[str]:
    unknown = [name for name in models if name not in (*_PARTS, "adam")]
    if unknown:
        raise MdtkError(f"--models_to_load {unknown[0]} is not known; it takes {', '.join(_PARTS)}")
    return [_PARTS[name] for name in models if name != "adam"]


def _number(option: str, given: dict[str, tuple[str, ...]]) -> int:
    text = given[option][0]
    if not text.isdigit() or int(text) < 1:
        raise MdtkError(f"{option} {text} must be a whole number of at least 1")
    return int(text)


def recipe_text(base: str | Path, overrides: Sequence[str]) -> str:
    """A recipe as YAML text: `_BASE_` and the keys of the pairs over it, ready to be saved and given to --config."""
    tree: dict[str, Any] = {"_BASE_": str(base)} if base else {}
    for key, value in zip(overrides[::2], overrides[1::2], strict=True):
        *parents, leaf = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = yaml.safe_load(value)
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=110)
