#!/usr/bin/env bash
# Prepares Cityscapes' sequences once, trains, evaluates on its test images after each epoch:
#   bash run_cityscapes.sh [KEY VALUE ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tools/run_recipe.sh"

# ---- settings; each can come from the environment ----
CITYSCAPES="$(from_start "${CITYSCAPES:-${MDTK_DATASETS:-$root/datasets}/cityscapes}")" # the official tree
CITYSCAPES_PREPARED="$(from_start "${CITYSCAPES_PREPARED:-${CITYSCAPES}_prepared}")"
CONFIG="${CONFIG:-configs/cityscapes/bdedepth_resnet18_512x192.yaml}" # or bdedepth_hrnet18_512x192.yaml

need_folder "Cityscapes" "$CITYSCAPES" CITYSCAPES
python tools/prepare_cityscapes.py --dataset_dir "$CITYSCAPES" --dump_root "$CITYSCAPES_PREPARED" \
    --img_height 512 --img_width 1024 --seq_length 3 --num_threads "$(nproc)" # skips what is done
run_recipe CITYSCAPES_PREPARED "$CITYSCAPES_PREPARED" "$CONFIG" ROOTS.CITYSCAPES "$CITYSCAPES" "$@"
