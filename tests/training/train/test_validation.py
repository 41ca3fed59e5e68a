"""Scenes to validate on: each process reads its own, no more views than it needs, and keeps codes."""

import numpy as np
import pytest
import torch

from lvsm_engine.errors import LvsmError
from tests.synthetic import write_ball_scenes
from tests.training.train.runs import ALONE, options, run
from training.configs import Stage, changed
from training.train.parallel import Processes
from training.train.preparation import prepare
from training.train.state import LATEST
from training.train.validation import ValidationScenes, validate
from training.views.sources import open_source
from training.views.stored import ViewsError


def test_validation_scenes_are_looked_for_before_the_first_step(config, data, tmp_path):
    with pytest.raises(LvsmError, match="gone has no views"):
        run(changed(config, validation=str(data / "gone")), tmp_path / "run")
    write_ball_scenes(tmp_path / "few", 2, views=4)
    with pytest.raises(LvsmError, match="few: 000/0 has 4 views, and validation takes 4 as inputs"):
        run(changed(config, validation=str(tmp_path / "few")), tmp_path / "run")
    assert not (tmp_path / "run" / LATEST).exists()


def test_validation_shows_the_share_that_the_engine_will_show(config, tmp_path):
    """It is the last stage's, in all stages."""
    stages = (Stage(until=0.5, size=16), Stage(until=1.0, size=16, input_keep_ratio=0.5))
    one = prepare(options(changed(config, stages=stages, steps=4), tmp_path / "run"), ALONE)
    shown = []
    one.trainer.model.register_forward_pre_hook(lambda _, of: shown.append(of[3]))
    validate(one.trainer.model, one.trainer.config, one.validation, 16, torch.float32, ALONE)
    assert shown and all(seen.shape == (1, 4, 2) for seen in shown)  # of 4 patches


class CountingSource:
    """A folder's scenes, and which views of which scenes were read."""

    def __init__(self, path, size):
        self._source = open_source(path, size)
        self.names, self.views = self._source.names, self._source.views
        self.needs_memory, self.load = self._source.needs_memory, self._source.load
        self.read_views = {}

    def read(self, scene, views):
        self.read_views[scene] = views.tolist()
        return self._source.read(scene, views)


def validation_scenes(folder, rank=0, count=1, memory=2**30):
    """A process's scenes, and the sources that it opens."""
    opened = []

    def opener(path, size):
        opened.append(CountingSource(path, size))
        return opened[-1]

    return ValidationScenes(str(folder), Processes(rank, count, torch.device("cpu")), memory, opener), opened


def test_each_process_reads_its_own_scenes_once_a_size_and_keeps_codes_of_what_it_needs(tmp_path):
    folder = write_ball_scenes(tmp_path / "val", 5, views=20, size=16)
    read = []
    for rank in range(2):
        scenes, opened = validation_scenes(folder, rank, count=2)
        kept = scenes.at_size(8)
        assert scenes.at_size(8) is kept and len(opened) == 1 and scenes.total == 5
        assert all(views == list(range(14)) for views in opened[0].read_views.values())  # of 20
        read += opened[0].read_views
        arrays = [array for scene in kept for array in (scene.images, scene.alpha)]
        assert all(array.dtype == np.uint8 and array.base is None for array in arrays)
        assert sum(array.nbytes for array in arrays) == len(kept) * 14 * 8 * 8 * 4 == scenes.check([8])
        assert len(scenes.at_size(16)) == len(kept) and len(opened) == 3
    assert sorted(read) == [0, 1, 2, 3, 4]


def test_a_process_without_a_scene_of_its_own_has_one_to_pass_time_with(tmp_path):
    scenes, _ = validation_scenes(write_ball_scenes(tmp_path / "val", 2), rank=2, count=3)
    assert [scene.name for scene in scenes.at_size(16)] == ["000/0"] and scenes.total == 2


def test_more_than_memory_is_refused_before_it_is_read(tmp_path):
    folder = write_ball_scenes(tmp_path / "val", 5, views=20, size=16)
    needed = 5 * 14 * 16 * 16 * 4
    scenes, opened = validation_scenes(folder, memory=needed - 1)
    with pytest.raises(ViewsError, match="validate on fewer scenes, or allow more .--memory-gb"):
        scenes.check([8, 16])
    assert not any(source.read_views for source in opened)
    assert validation_scenes(folder, memory=needed)[0].check([8, 16]) == needed
