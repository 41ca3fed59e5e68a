#!/usr/bin/env bash
# A few minutes of one card on a bare machine: checks, speed, training, lvsm bench; in one call that ends before its limit.
#
#     VIEWS=data/views/train VALIDATION=data/views/val MANIFEST=data/manifest.jsonl training/on_a_card.sh pack    # here
#     OUT=results training/on_a_card.sh MINUTES [WORDS OF training.train]                                        # there
#
# The machine has python3 with torch, numpy, safetensors, pillow, opencv, tensorboard and tqdm, and no network. The code and
# the folder PACK travel there, 60 MiB together. What comes back in OUT, from the first minute on: at most 8 files of under
# 16 MiB. To go on from there on a later card: put the results' weights.* into PACK/weights, pack again, and run again.
set -euo pipefail
BEGAN=$EPOCHREALTIME
cd "$(dirname "$0")/.."

PACK=${PACK:-data/on_a_card}
WORD=${1:?is pack, or how many minutes the whole call may take}
shift

if [ "$WORD" = pack ]; then
    PYTHON=${PYTHON:-.venv/bin/python}
    THERE=(--python-version "${PYTHON_THERE:-3.12}" --implementation cp)
    for glibc in 17 24 27 28 31 34 35; do THERE+=(--platform "manylinux_2_${glibc}_x86_64"); done
    THERE+=(--platform manylinux2014_x86_64)
    rm -rf "$PACK/wheels"
    mkdir -p "$PACK"
    # The versions that are used here.
    "$PYTHON" -m pip list --format freeze | grep -v "^pip==" >"$PACK/versions.txt"
    "$PYTHON" -m pip download --quiet --no-deps --only-binary :all: "${THERE[@]}" \
        --requirement training/card/requirements.txt --constraint "$PACK/versions.txt" --dest "$PACK/wheels"
    rm "$PACK/versions.txt"
    exec "$PYTHON" -m training.card.pack "$@" --out "$PACK" \
        --views "${VIEWS:?is the folder of views to train on}" \
        --validation "${VALIDATION:?is the folder of views to validate on}" \
        --manifest "${MANIFEST:?tells whose the objects are}"
fi

PYTHON=${PYTHON:-python3}
OUT=${OUT:-runs/on_a_card}
WORK=$(mktemp -d)                                       # the run and what was packed as wheels: gone when all is done
trap 'rm -rf "$WORK"' EXIT
for wheel in "$PACK"/wheels/*.whl; do "$PYTHON" -m zipfile -e "$wheel" "$WORK/packages"; done
mkdir -p "$OUT"
export PYTHONPATH=$PWD:$WORK/packages PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
"$PYTHON" -m training.card.session --minutes "$WORD" --began "$BEGAN" --pack "$PACK" --out "$OUT" --run "$WORK/run" \
    -- "$@" 2>&1 | tee "$OUT/log.txt"
