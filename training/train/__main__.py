"""Train a model.

    python -m training.train --preset cpu --out runs/cpu                                 # minutes, one process
    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m training.train --preset default     # two CPU cores
    torchrun --nproc-per-node 8 -m training.train --preset decoder_only_256              # one node's GPUs
    torchrun --nnodes 8 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m training.train ...
    python -m training.train --preset one_gpu --accumulate 8 --checkpoint-blocks --compile-blocks
    python -m training.train --preset default --data my/views=3 other/views --model.width 384 --steps 20000
    python -m training.train --preset decoder_only_512 --init runs/decoder_only_256/model.safetensors

The same command again resumes where the run was stopped, by SIGTERM (which saves first), a crash or the end of power.
Any field of the preset can be given; the resolved configuration is written beside the run. A step's scenes do not depend
on the number of processes or micro-batches. A CPU does best with one thread a process: two processes that average their
gradients wait for each other once a step, two threads at every operation.
"""

import sys

from .run import main, parse

if __name__ == "__main__":
    try:
        options = parse(sys.argv[1:])
    except ValueError as error:
        raise SystemExit(f"The run's configuration cannot be: {error}") from error
    main(options)
