#!/usr/bin/env bash
# From nothing to weights, in order. Each line also runs alone, and again without harm: what is done is not done again.
#
#     training/pipeline.sh                                          # Objaverse, one card
#     PRESET=decoder_only_256 CAP_GB=2000 PROCESSES=8 training/pipeline.sh           # the published model; eight cards
#     SOURCE=my/objects OBJECTS=12 VALIDATION=2 VIEWS=12 SIZE=64 SAMPLES=4 PRESET=cpu training/pipeline.sh
#                                                                   # a dozen GLB files, a CPU
#     SOURCE=my/glbs LICENCES=any VALIDATION_SHARE=0.2 training/pipeline.sh          # files without a manifest
#
# What each stage costs: training/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-.venv/bin/python}
BPY_PYTHON=${BPY_PYTHON:-.venv-bpy/5.0/bin/python}      # a Python with bpy; make test sets it up

SOURCE=${SOURCE:-}                                      # a folder of GLB files; none: Objaverse 1.0 (HF_ENDPOINT: a mirror)
LICENCES=${LICENCES:-CC-BY-4.0 CC-BY-3.0 CC0-1.0 MIT-0}
OBJECTS=${OBJECTS:-None}                                # to train on, at most; None: all
VALIDATION=${VALIDATION:-100}                           # to validate on, at most
VALIDATION_SHARE=${VALIDATION_SHARE:-0.01}              # of objects whose source states no split; of few it must be more
CAP_GB=${CAP_GB:-200}                                   # what objects and views may take of the disk, on their way

VIEWS=${VIEWS:-32}                                      # an object; size in pixels; samples a pixel
SIZE=${SIZE:-512}
SAMPLES=${SAMPLES:-16}

PRESET=${PRESET:-one_gpu}                               # training/presets.py has them all
PROCESSES=${PROCESSES:-1}                               # cards, or CPU cores

DATA=${DATA:-data/$PRESET}                              # everything that is not weights
RUN=${RUN:-runs/$PRESET}
MODEL=$RUN/model.safetensors
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}            # more processes instead: training/README.md

# 1. Choose objects, by licence and, if wanted, by much else (--help): a list, a line an object.
# shellcheck disable=SC2086  # LICENCES is several words
$PYTHON -m training.objects.select --out "$DATA/selection.jsonl" ${SOURCE:+--source "$SOURCE"} \
    --licences $LICENCES --limit "$OBJECTS" --limit-val "$VALIDATION" --validation-share "$VALIDATION_SHARE"

# 2. Download, render, pack into shards, delete, chunk by chunk. The validation objects are seen from fixed places.
RENDER="$PYTHON -m training.render --source {objects} --out {views} --python $BPY_PYTHON --size $SIZE --samples $SAMPLES"
$PYTHON -m training.objects.stream --selection "$DATA/selection.jsonl" --out "$DATA/shards" --cap-gb "$CAP_GB" \
    --views-mb "$((VIEWS * SIZE * SIZE * 4 / 1000000 + 1))" \
    --render "$RENDER --views $VIEWS" --render-val "$RENDER --sampling protocol" \
    --pack "$PYTHON -m training.views.shards pack --views {views} --manifest {manifest} --out {shards}"

# The same, stage by stage, where all of it has room on the disk:
#
#   $PYTHON -m training.objects.download --selection $DATA/selection.jsonl --out $DATA/objects
#   $PYTHON -m training.render --source $DATA/objects/train --out $DATA/views/train --python $BPY_PYTHON
#   $PYTHON -m training.render --source $DATA/objects/val --out $DATA/views/val --python $BPY_PYTHON --sampling protocol
#   $PYTHON -m training.views.shards pack --views $DATA/views/train --manifest $DATA/objects/train/manifest.jsonl \
#       --out $DATA/shards/train                                   # and the same for val

# 3. Verify each record; draw a sheet of each shard: look at them before days of training.
$PYTHON -m training.views.shards verify "$DATA/shards/train"
$PYTHON -m training.views.shards verify "$DATA/shards/val"
$PYTHON -m training.views.shards sheet "$DATA/shards/train"

# 4. Train. Stopped, killed or out of power: the same line goes on where it was.
"$(dirname "$PYTHON")/torchrun" --nproc-per-node "$PROCESSES" -m training.train --preset "$PRESET" --out "$RUN" \
    --data "$DATA/shards/train" --validation "$DATA/shards/val"

# 5. Export for the engine, score on objects that training never saw, and put the scores into the model's card.
$PYTHON -m training.export --run "$RUN" --out "$MODEL" --name "LVSM $PRESET" --manifest "$DATA"/shards/chunks/train-*.jsonl
$PYTHON -m training.evaluate --model "$MODEL" --views "$DATA/shards/val" --out "$RUN/evaluation"
$PYTHON -m training.export --run "$RUN" --out "$MODEL" --name "LVSM $PRESET" --manifest "$DATA"/shards/chunks/train-*.jsonl \
    --evaluation "$RUN/evaluation"

echo "$MODEL: render with  lvsm render --model $MODEL ...,  or choose it in Blender's panel."
