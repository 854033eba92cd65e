"""The work of `mdtk weights`."""

from __future__ import annotations

import argparse

from mdtk.config import load_config
from mdtk.models.encoders import build_encoder


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    model = load_config(args.config, args.overrides).MODEL
    if not model.PRETRAINED:
        print("MODEL.PRETRAINED is false: nothing to fetch")
        return
    encoders = {model.ENCODER: "MODEL.ENCODER"}
    if model.POSE == "separate":
        encoders.setdefault(model.POSE_ENCODER, "MODEL.POSE_ENCODER")
    for name, key in sorted(encoders.items()):
        build_encoder(name, key=key, pretrained=True)
        print(f"ImageNet weights of {name} are in the cache")
