#!/usr/bin/env bash
# The bundled weights, from nothing: views of objects, training of the model and of the detail, evaluation, card. Stopped or
# killed, it goes on where it was.
#
#     SOURCE=my/objects training/default_weights.sh              # a folder with train/ and val/, GLB files, and manifest.json
#     SOURCE=... CAPTURES="a/transforms.json b" LPIPS=alexnet.safetensors training/default_weights.sh  # also scored on photos
#     SOURCE=... PRESET=smoke VIEWS=6 SIZE=32 SAMPLES=1 COMPARED=32 training/default_weights.sh       # all of it in a minute
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-.venv/bin/python}
BPY_PYTHON=${BPY_PYTHON:-.venv-bpy/5.0/bin/python}      # a Python with bpy; make test sets it up

SOURCE=${SOURCE:?is the folder of objects}
CAPTURES=${CAPTURES:-}                                  # posed photos to score on, several with spaces between
LPIPS=${LPIPS:-}                                        # AlexNet's features, where they cannot be downloaded

PRESET=${PRESET:-default}
PROCESSES=${PROCESSES:-2}                               # CPU cores, or cards
VIEWS=${VIEWS:-20}                                      # of an object to train on; their size in pixels; samples a pixel
SIZE=${SIZE:-256}
SAMPLES=${SAMPLES:-16}
SCENES=${SCENES:-200}                                   # scenes that the detail learns from, and its updates
DETAIL_STEPS=${DETAIL_STEPS:-8000}
TEXTURES=${TEXTURES:-}                                  # a folder of pictures for the procedural scenes of the detail
JUDGED=${JUDGED:-8}                                      # validation objects on which pictures are compared
ABOUT="Made for single objects, photographed from all around. Alone it shows places, outlines and colours; what is sharp in a
picture comes from the photos, by the detail stage behind it."
COMPARED=${COMPARED:-64 128 $SIZE}                      # sizes at which pictures are compared, that of the views the last

DATA=${DATA:-data/$PRESET}
RUN=${RUN:-runs/$PRESET}
MODEL=${MODEL:-$RUN/model.safetensors}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}            # more processes instead: training/README.md
# A quarter of a step's time on a CPU is new memory: glibc is told to keep it.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 GLIBC_TUNABLES=glibc.malloc.hugetlb=1

RENDER=("$PYTHON" -m training.render --python "$BPY_PYTHON" --size "$SIZE")
"${RENDER[@]}" --source "$SOURCE/val" --out "$DATA/views/val" --sampling protocol --samples "$((4 * SAMPLES))"
"${RENDER[@]}" --source "$SOURCE/train" --out "$DATA/views/train" --views "$VIEWS" --samples "$SAMPLES"

"$(dirname "$PYTHON")/torchrun" --nproc-per-node "$PROCESSES" -m training.train --preset "$PRESET" --out "$RUN" \
    --data "$DATA/views/train=3" procedural:mixed --validation "$DATA/views/val"

EXPORT=("$PYTHON" -m training.export --run "$RUN" --out "$MODEL" --name "LVSM $PRESET" --manifest "$SOURCE/manifest.json"
    --precision float16 --about "$ABOUT")
"${EXPORT[@]}"

DETAIL=("$PYTHON" -m training.detail --model "$MODEL" --out "$RUN/detail" --size "$SIZE" --views "$VIEWS"
    --scenes "$SCENES" --steps "$DETAIL_STEPS"
    --data "$DATA/views/train" "procedural:scenes${TEXTURES:+:$TEXTURES}")
if ((PROCESSES > 1)); then
    for ((part = 0; part < PROCESSES; part++)); do
        "${DETAIL[@]}" --part "$part/$PROCESSES" &
    done
    wait
fi
"${DETAIL[@]}"

EVALUATE=("$PYTHON" -m training.evaluate --model "$MODEL" --detail-weights "$RUN/detail/detail.safetensors"
    ${LPIPS:+--lpips-backbone "$LPIPS"})
evaluate_at() {
    "${EVALUATE[@]}" --views "$DATA/views/val" --limit "$JUDGED" --size "$1" --inputs 4 --out "$RUN/evaluation/objects_$1"
    "${EVALUATE[@]}" --views "$DATA/views/val" --limit "$JUDGED" --size "$1" --choice nearest --inputs 8 \
        --out "$RUN/evaluation/objects_nearest_$1"
    if [ -n "$CAPTURES" ]; then
        # shellcheck disable=SC2086  # CAPTURES is several words
        "${EVALUATE[@]}" --capture $CAPTURES --every 8 --limit 5 --size "$1" --out "$RUN/evaluation/captures_$1"
    fi
}
evaluations=()
for side in $COMPARED; do
    if ((PROCESSES > 1)); then
        evaluate_at "$side" &
        evaluations+=($!)
    else
        evaluate_at "$side"
    fi
done
for evaluation in "${evaluations[@]}"; do
    wait "$evaluation"
done
"${EXPORT[@]}" --evaluation "$RUN/evaluation/objects_$SIZE"

echo "To bundle them, copy $MODEL to lvsm_engine/weights/default.safetensors and $RUN/detail/detail.safetensors beside it."
