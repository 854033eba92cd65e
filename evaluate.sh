#!/usr/bin/env bash
# Scores one checkpoint on every benchmark that is there, names those that are not, and ends with one table over all.
# Set these here or in the environment; a data root that is left empty is looked for where the checkpoint's recipe and
# MDTK_DATASETS (default ./datasets) say. Arguments go to tools/evaluate.py, for example --report EVAL.MAX_DEPTH 50.
CHECKPOINT="${CHECKPOINT:-}" # a .pth of tools/train.py or tools/convert_checkpoint.py
KITTI_RAW="${KITTI_RAW:-}"   # Eigen test and improved ground truth
NYUV2="${NYUV2:-}"
MAKE3D="${MAKE3D:-}"
CITYSCAPES="${CITYSCAPES:-}"
OUTPUT="${OUTPUT:-}"             # results; default: evaluation/ beside the checkpoint
BENCHMARKS="${BENCHMARKS:-kitti_eigen kitti_eigen_benchmark nyuv2 make3d cityscapes}"
NPROC="${NPROC:-1}" # processes (GPUs)

set -euo pipefail
start="$PWD"
source "$(dirname "${BASH_SOURCE[0]}")/tools/venv.sh"
cd "$start"

if [ -z "$CHECKPOINT" ]; then
    echo "error: no checkpoint; run CHECKPOINT=runs/NAME/best.pth bash evaluate.sh" >&2
    exit 1
fi
roots=()
for name in KITTI_RAW NYUV2 MAKE3D CITYSCAPES; do
    [ -z "${!name}" ] || roots+=("ROOTS.$name" "$(realpath -m "${!name}")")
done
launch=(python)
[ "$NPROC" = 1 ] || launch=(torchrun --standalone "--nproc_per_node=$NPROC")
read -ra benchmarks <<<"$BENCHMARKS"
exec "${launch[@]}" "$root/tools/evaluate.py" --checkpoint "$CHECKPOINT" ${OUTPUT:+--output "$OUTPUT"} \
    --datasets "${benchmarks[@]}" "${roots[@]}" "$@"
