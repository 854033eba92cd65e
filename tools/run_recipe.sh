# Sourced by run_kitti.sh, run_nyu.sh and run_cityscapes.sh: `run_recipe ROOT_KEY ROOT CONFIG [KEY VALUE ...]` trains.
# From the environment: NPROC (default: one a GPU, else 1), PRETRAINED (auto, true, false), OUT_DIR.
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

# A path that the user gave, absolute.
from_start() {
    (cd "$start" && realpath -m "$1")
}

need_folder() {
    [ -d "$2" ] || mdtk_fail "$1 not found: $2; set $3 to where it is (expected trees: datasets/README.md)"
}

run_recipe() {
    local key="$1" path="$2" config="$3" gpus options=()
    shift 3
    gpus="$(python -c 'import torch; print(torch.cuda.device_count())')"
    options+=("ROOTS.$key" "$path")
    [ -z "${OUT_DIR:-}" ] || options+=(OUT_DIR "$OUT_DIR")
    if [ "$gpus" = 0 ]; then
        echo "no GPU here: on CPUs this is only good for a try (SOLVER.MAX_STEPS 20); batches are cut in 4 parts to fit memory"
        options+=(SOLVER.ACCUMULATE 4 DATA.WORKERS 1)
        export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"
    fi
    # ImageNet weights are fetched once, before several processes ask for them.
    if [ "${PRETRAINED:-auto}" = false ]; then
        options+=(MODEL.PRETRAINED false)
    elif ! python tools/fetch_weights.py --config "$config"; then
        [ "${PRETRAINED:-auto}" = auto ] || mdtk_fail "no ImageNet weights; PRETRAINED=false trains from scratch"
        echo "NOTE: training from scratch, without ImageNet weights: the published numbers are out of reach this way"
        options+=(MODEL.PRETRAINED false)
    fi
    torchrun --standalone --nproc_per_node="${NPROC:-$((gpus > 0 ? gpus : 1))}" \
        tools/train.py --config "$config" "${options[@]}" "$@"
}
