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

from lvsm_engine.errors import LvsmError

from .options import Options, parse
from .parallel import is_loss_of_a_process, join_processes, leave_processes
from .preparation import prepare

# What a process says that ends by SIGTERM, as shells count: 128 + 15.
TERMINATED = 143


def main(options: Options) -> None:
    """Train as the options say. Raises SystemExit with a sentence where that cannot be done, and after SIGTERM."""
    processes = join_processes()
    try:
        is_done = prepare(options, processes).train()
    except LvsmError as error:
        raise SystemExit(str(error)) from error
    except RuntimeError as error:
        if processes.count > 1 and is_loss_of_a_process(error):
            raise SystemExit(
                f"rank {processes.rank}: another process of this run was lost, so all end ({error})."
                " The same command goes on from the last saved state."
            ) from error
        raise
    leave_processes(processes)
    if not is_done:
        raise SystemExit(TERMINATED)


if __name__ == "__main__":
    try:
        options = parse(sys.argv[1:])
    except LvsmError as error:
        raise SystemExit(str(error)) from error
    main(options)
