#!/usr/bin/env bash
# Trains on NYU Depth v2 and evaluates on its 654 test images after each epoch:  bash run_nyu.sh [KEY VALUE ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tools/run_recipe.sh"

# ---- settings; each can come from the environment ----
NYUV2="$(from_start "${NYUV2:-${MDTK_DATASETS:-$root/datasets}/nyuv2}")"
CONFIG="${CONFIG:-configs/nyuv2/bdedepth_hrnet18_384x288.yaml}"

need_folder "NYU Depth v2" "$NYUV2" NYUV2
[ -f "$NYUV2/splits/nyuv2/train_files.txt" ] || python tools/make_nyu_split.py --data_path "$NYUV2"
run_recipe NYUV2 "$NYUV2" "$CONFIG" "$@"
