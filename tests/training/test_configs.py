"""Configurations: what cannot run is refused at birth, with the flag, the value and the rule."""

import math
import re
import subprocess
import sys

import pytest

from lvsm_engine.model.config import ModelConfig
from lvsm_engine.scene.frame import SceneFrame
from tests.shared_data import ROOT
from tests.synthetic import tiny_training_config
from training.batches.augment import ChannelPermutation, Crops, Flip, FrameJitter
from training.configs import PerceptualLoss, Source, Stage, changed, resolved
from training.limits import ConfigError

NAN = math.nan


@pytest.fixture
def config(tmp_path):
    return tiny_training_config(tmp_path)


def test_configurations_and_presets_load_without_torch():
    script = "import sys, training.presets; print(sorted({'torch', 'cv2', 'bpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("save_every", (0, -1, 2.5)),
        ("validate_every", (0, -1)),
        ("batch", (0, -2, 1.5, True)),
        ("views", (1, 0)),
        ("steps", (0, -1)),
        ("warmup", (-1,)),
        ("decay", (2, -0.1, NAN)),
        ("adamw_lr", (0, -1e-3, NAN, math.inf)),
        ("muon_lr", (-1e-3, NAN, math.inf)),
        ("muon_tokenizer_head_lr", (-1e-3, NAN)),
        ("weight_decay", (-0.1, NAN)),
        ("clip", (0, -1, NAN)),
        ("skip_above", (0, -1, NAN)),
        ("stop_after_skips", (0, -1)),
        ("average", (-3, 1.5)),
        ("log_mse_threshold", (-1, NAN, 2)),
        ("seed", (-1, 0.5)),
    ],
)
def test_a_number_out_of_its_range_is_refused_with_its_flag(config, option, values):
    for value in values:
        words = f"--{option.replace('_', '-')} is {value}: it must be a"
        with pytest.raises(ConfigError, match=re.escape(words)):
            changed(config, **{option: value})


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Source(folder="a", weight=-1), "--data: the weight of a is -1: it must be a number above 0"),
        (lambda: Source(folder="a", weight=NAN), "--data: the weight of a is nan"),
        (lambda: Stage(until=0, size=16), "--stages: until of a stage is 0: it must be a number above 0 up to 1."),
        (lambda: Stage(until=1, size=16, target_crop=0.0), "target_crop of a stage is 0.0"),
        (lambda: Stage(until=1, size=16, target_crop=NAN), "target_crop of a stage is nan"),
        (lambda: Stage(until=1, size=16, input_keep_ratio=1.5), "input_keep_ratio of a stage is 1.5"),
        (lambda: PerceptualLoss(weight=-1), "--perceptual.weight is -1"),
        (lambda: PerceptualLoss(begins=2), "--perceptual.begins is 2"),
        (lambda: Flip(share=1.5), "--flip is 1.5: it must be a number from 0 to 1."),
        (lambda: ChannelPermutation(share=-1), "--channel-permutation is -1"),
        (lambda: Crops(zoom=(0.5, 1)), "--crops.zoom is 0.5: it must be a number from 1 to 100."),
        (lambda: Crops(aspect=(2, 1)), "--crops.aspect is 2 to 1: the larger number comes second."),
        (lambda: Crops(offset=2), "--crops.offset is 2"),
        (lambda: Crops(oversample=0), "--crops.oversample is 0"),
        (lambda: FrameJitter(scale=0.9), "--frame-jitter.scale is 0.9"),
        (lambda: FrameJitter(anisotropic_scale=NAN), "--frame-jitter.anisotropic-scale is nan"),
        (lambda: FrameJitter(turn=-1), "--frame-jitter.turn is -1"),
    ],
)
def test_a_part_that_cannot_be_is_refused_with_its_flag(make, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        make()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": ()}, "--data is empty: give at least one source of scenes."),
        ({"input_views": ()}, "--input-views () must leave a target among 4 views"),
        ({"input_views": (4,)}, "--input-views (4,) must leave a target among 4 views"),
        ({"input_views": (0, 2)}, "--input-views is 0: it must be a whole number from 1"),
        ({"stages": ()}, "end with until = 1.0"),
        ({"scene_frame": SceneFrame("subject_size", 0.9)}, "subject_size carves subjects from photos"),
        ({"stages": (Stage(until=0.5, size=16),)}, "end with until = 1.0"),
        ({"stages": (Stage(until=1.0, size=16), Stage(until=1.0, size=16))}, "must follow each other"),
        (
            {"stages": (Stage(until=1.0, size=20),)},
            "a stage's size is 20: with these strides it must be a multiple of 8",
        ),
        (
            {"muon_lr": 0.0, "muon_tokenizer_head_lr": 0.06},
            "--muon-tokenizer-head-lr is 0.06, and --muon-lr 0 trains all",
        ),
        (
            {"model": ModelConfig(camera_encoding="prope"), "stages": (Stage(until=1.0, size=16, target_crop=0.5),)},
            "PRoPE tells a patch's place in its whole image",
        ),
        (
            {
                "model": ModelConfig(camera_encoding="proxy_point"),
                "stages": (Stage(until=1.0, size=16, input_keep_ratio=0.5),),
            },
            "joint attention with a camera encoding needs as many patches",
        ),
    ],
)
def test_a_configuration_that_cannot_run_is_refused(config, change, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        changed(config, **change)


def test_a_perceptual_term_that_needs_larger_images_is_refused_before_the_run(config):
    stages = (Stage(until=0.5, size=8), Stage(until=1.0, size=64))
    config = changed(config, stages=stages, steps=20, perceptual=PerceptualLoss(weight=0.5, begins=0.5))
    assert [config.loss.perceptual.weight_at(step, 20) for step in (9, 10)] == [0, 0.5]
    with pytest.raises(ConfigError, match="needs targets of 16 px"):
        changed(config, perceptual=PerceptualLoss(weight=0.5, begins=0.4))


def test_options_are_changed_and_told_by_their_names_alone(config):
    other = changed(config, steps=7, muon_lr=0.5, seed=3, crops=Crops(offset=0.5))
    assert (other.schedule.steps, other.optimizer.muon_lr, other.seed) == (7, 0.5, 3)
    assert other.data == config.data and other.schedule.stages == config.schedule.stages
    told = resolved(other)
    assert (told["steps"], told["muon_lr"], told["seed"], told["crops"]["offset"]) == (7, 0.5, 3, 0.5)
    with pytest.raises(TypeError, match="step"):
        changed(config, step=3)


def test_a_word_for_a_source_or_a_stage_is_read_as_it_is_shown():
    for word in ("views=2.5", "a=b=2", "a=b=1"):
        assert Source.parsed([word]).words() == [word]
    assert Source.parsed(["a=b"]).folder == "a=b"
    assert Stage.parsed(["32:0.5"]) == Stage(until=0.5, size=32)
    assert Stage.parsed(["32:0.5:1:0.25"]).words() == ["32:0.5:1:0.25"]
