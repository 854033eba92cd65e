#!/usr/bin/env python3
"""Downloads the ImageNet weights that a recipe starts from into timm's cache, before several processes need them.

python tools/fetch_weights.py --config FILE [KEY VALUE ...]
"""

from __future__ import annotations

from mdtk.config import load_config
from mdtk.config.command_line import ToolParser
from mdtk.core.errors import run_tool
from mdtk.models.encoders import build_encoder


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--config", required=True)
    args = parser.parse_tool_args()
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


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
