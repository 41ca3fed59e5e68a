"""SceneSampler: batches of scenes from weighted sources: .npz views, shards, posed captures (training/views/sources.py).

Batch `number` is a function of the folders, the seed and `number` alone, whichever process makes it: a run that is
resumed at any step sees the same bytes. Knows nothing of the model.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ..views.sources import SceneSource, ShardSource, memory_of, open_source
from ..views.stored import ViewsError
from .scene_batch import SceneBatch, StackedScenes, as_tensors, stacked

# 490 objects of 24 views and 6000 scenes of 12 are 5.1 GiB at 128 px; a machine has this for each of a few processes.
DEFAULT_MEMORY = 8 * 2**30
# Batches that loading processes keep ready. Where a training step takes many, it should be as many.
BATCHES_AHEAD = 4


class SceneSampler:
    """Random batches from weighted folders at one image size.

    sources: (path, weight) pairs; each scene of a batch comes from a path with odds in proportion to its weight.
    memory: bytes of views that a process may keep. Views of .npz files and captures are kept; those of shards are if
    all of them fit into what is left, else decoded whenever they are drawn.
    Raises ViewsError for a path without views, one whose images are not a multiple of `size`, and for more .npz files
    and photos than fit into memory.
    """

    def __init__(
        self, sources: Sequence[tuple[str | Path, float]], size: int, seed: int, memory: int = DEFAULT_MEMORY
    ) -> None:
        self.size = size
        self._seed = seed
        self._sources = [open_source(Path(path), size) for path, _ in sources]
        weights = np.array([weight for _, weight in sources], dtype=np.float64)
        self._odds = weights / weights.sum()
        self._memory = memory
        self._share_memory(1)
        self._loaded = False

    def batch(self, number: int, scenes: int, views: int) -> SceneBatch:
        """Batch `number`: scenes with different views each. Raises ViewsError for a scene with too few of them."""
        return as_tensors(self._draw(number, scenes, views))

    def stream(
        self, numbers: range, scenes: int, views: int, workers: int = 0, ahead: int = BATCHES_AHEAD
    ) -> Iterator[SceneBatch]:
        """The batches with these numbers, in their order, each the same whatever the number of workers.

        workers: loading processes, which share this object's memory, keep `ahead` batches ready in all (at least one
        each), and end with the iterator; 0 loads in this process. Raises ViewsError before the first batch where a
        scene has fewer views than are asked for, or memory does not suffice.
        """
        self._check_view_counts(views)
        if workers == 0:
            return (self.batch(number, scenes, views) for number in numbers)
        self._share_memory(workers)
        return _from_workers(_Draw(self, scenes, views), numbers, workers, -(-ahead // workers))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": False}

    def _draw(self, number: int, scenes: int, views: int) -> StackedScenes:
        """A batch before it is torch's."""
        if not self._loaded:
            for source in self._sources:
                source.load()
            self._loaded = True
        rng = np.random.default_rng((self._seed, number))
        chosen = []
        for source_number in rng.choice(len(self._sources), size=scenes, p=self._odds):
            source = self._sources[source_number]
            scene = int(rng.integers(len(source.names)))
            held = int(source.views[scene])
            if views > held:
                raise _too_few(source, scene, views)
            chosen.append(source.read(scene, rng.choice(held, size=views, replace=False)))
        return stacked(chosen)

    def _check_view_counts(self, views: int) -> None:
        for source in self._sources:
            fewest = int(source.views.argmin())
            if source.views[fewest] < views:
                raise _too_few(source, fewest, views)

    def _share_memory(self, processes: int) -> None:
        """Decide which shards are kept in memory, of which each of the processes has its share."""
        left = self._memory // processes - sum(memory_of(one, self.size) for one in self._sources if one.needs_memory)
        if left < 0:
            raise ViewsError(
                f"The views of {', '.join(one.names[0] for one in self._sources if one.needs_memory)} and others take"
                f" {(self._memory // processes - left) / 2**30:.1f} GiB at {self.size} px and a process may keep"
                f" {self._memory / processes / 2**30:.1f}: pack them with training.views.shards, or"
                " allow more (--memory-gb of training.train)."
            )
        of_shards = [one for one in self._sources if isinstance(one, ShardSource)]
        fits = sum(memory_of(one, self.size) for one in of_shards) <= left
        for source in of_shards:
            source.keep = fits


def _too_few(source: SceneSource, scene: int, views: int) -> ViewsError:
    return ViewsError(
        f"{source.names[scene]} has {source.views[scene]} views, {views} are asked for: ask for fewer, or leave it out."
    )


# --- Loading processes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draw:
    """What a loading process does with a batch's number."""

    source: SceneSampler
    scenes: int
    views: int

    def __call__(self, number: int) -> StackedScenes:
        return self.source._draw(int(number), self.scenes, self.views)


def _from_workers(draw: _Draw, numbers: range, workers: int, ahead_each: int) -> Iterator[SceneBatch]:
    """The batches in the order of their numbers, drawn by processes of Grain's; they end when the iterator does."""
    import grain  # Here, since it takes a second to import, and nothing else needs it.

    batches = grain.MapDataset.range(numbers.start, numbers.stop, numbers.step).map(draw)
    here = batches.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
    # Through pipes: /dev/shm is 64 MB in many containers, and a training step takes longer than a batch's way.
    by_pipe = grain.experimental.WithOptionsIterDataset(
        here, grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
    )
    processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=ahead_each)
    dataset = by_pipe.mp_prefetch(processes, worker_init_fn=_start_worker)
    iterator = iter(dataset)
    try:
        yield from map(as_tensors, iterator)
    except RuntimeError as error:
        raise ViewsError(f"A loading process ended ({error}): use fewer of them, or allow them less memory.") from error
    finally:
        iterator.close()


def _start_worker(_number: int, _workers: int) -> None:
    """One thread a process, and none that outlives a trainer that was killed.

    torchrun ends a trainer by a signal to its whole group: loading goes on, so that the step under way can be finished.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
