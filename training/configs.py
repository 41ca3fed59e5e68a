"""What a training run is: values alone, each checked at birth. The named runs are in presets.py. No torch.

The command line has the same options without their groups: config.schedule.steps is --steps. So has `changed`, and so has
a run's config.json, by `resolved`.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Annotated, Any, Literal

import tyro

from lvsm_engine.model.config import SIZE_MULTIPLE, ModelConfig, model_size
from lvsm_engine.scene.frame import SceneFrame

from .batches.augment import Augmentations
from .batches.target_crops import crop_size
from .limits import SHARE, SOME_SHARE, ConfigError, Limits, check_number, check_numbers

MAX_COUNT = 2**31 - 1
LEARNING_RATE = Limits(0, 10)
# The least and the most of each number, whichever group it is in.
LIMITS = {
    "views": Limits(2, 2**10, whole=True),
    "batch": Limits(1, 2**20, whole=True),
    "input_views": Limits(1, 2**10, whole=True),
    "steps": Limits(1, MAX_COUNT, whole=True),
    "warmup": Limits(0, MAX_COUNT, whole=True),
    "decay": SHARE,
    "adamw_lr": dataclasses.replace(LEARNING_RATE, above=True),
    "muon_lr": LEARNING_RATE,
    "muon_tokenizer_head_lr": LEARNING_RATE,
    "weight_decay": LEARNING_RATE,
    "average": Limits(0, MAX_COUNT, whole=True),
    "clip": Limits(0, 1e9, above=True),
    "skip_above": Limits(0, 1e9, above=True),
    "stop_after_skips": Limits(1, MAX_COUNT, whole=True),
    "log_mse_threshold": SHARE,
    "seed": Limits(0, 2**63 - 1, whole=True),
    "save_every": Limits(1, MAX_COUNT, whole=True),
    "validate_every": Limits(1, MAX_COUNT, whole=True),
}
PERCEPTUAL_LIMITS = {"weight": Limits(0, 1e6), "begins": SHARE}
SOURCE_WEIGHT = Limits(0, 1e9, above=True)
STAGE_LIMITS = {
    "size": Limits(SIZE_MULTIPLE, 2**14, whole=True),
    "until": SOME_SHARE,
    "target_crop": SOME_SHARE,
    "input_keep_ratio": SOME_SHARE,
}
# Pixels a side that VGG19's four poolings leave something of.
MIN_PERCEPTUAL_SIDE = 16
SOURCE_WORDS = "FOLDER[=WEIGHT]"
STAGE_WORDS = "SIZE[:UNTIL[:TARGET_CROP[:INPUT_KEEP_RATIO]]]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A folder of posed views, and how often a scene is drawn from it."""

    folder: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_number(f"--data: the weight of {self.folder}", self.weight, SOURCE_WEIGHT)

    @property
    def name(self) -> str:
        """What it is called where the places of this machine are nobody's business."""
        made, _, kind_and_textures = self.folder.partition("procedural:")
        if made or not kind_and_textures:
            return PurePath(self.folder).name
        kind, _, textures = kind_and_textures.partition(":")
        return f"procedural:{kind}{' with textures' if textures else ''}"

    @classmethod
    def parsed(cls, words: list[str]) -> "Source":
        """FOLDER or FOLDER=WEIGHT, as on the command line; a last part that is no number belongs to the folder."""
        folder, equals, weight = words[0].rpartition("=")
        if not equals or not _is_number(weight):
            return cls(folder=words[0])
        return cls(folder=folder, weight=float(weight))

    def words(self) -> list[str]:
        """The inverse of parsed."""
        return [f"{self.folder}={self.weight:g}"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A stretch of training at one image size: until this fraction of all steps. Raises ConfigError."""

    until: float
    size: int
    target_crop: float = 1.0
    """Targets are crops of this share of the image's side, mostly around their subject: cheaper steps. 1: all of it."""
    input_keep_ratio: float = 1.0
    """The model is shown this share of each input's patches, those of the subject first: cheaper steps. 1: all."""

    def __post_init__(self) -> None:
        for name, limits in STAGE_LIMITS.items():
            check_number(f"--stages: {name} of a stage", getattr(self, name), limits)

    @classmethod
    def parsed(cls, words: list[str]) -> "Stage":
        """SIZE[:UNTIL[:TARGET_CROP[:INPUT_KEEP_RATIO]]], as on the command line."""
        size, *shares = words[0].split(":")
        if not size.isdecimal() or len(shares) > 3 or not all(map(_is_number, shares)):
            raise ConfigError(f"--stages: '{words[0]}' is no stage: it must be {STAGE_WORDS}, a size and shares.")
        until, target_crop, input_keep_ratio = [*map(float, shares), 1.0, 1.0, 1.0][:3]
        return cls(until=until, size=int(size), target_crop=target_crop, input_keep_ratio=input_keep_ratio)

    def words(self) -> list[str]:
        """The inverse of parsed."""
        return [f"{self.size}:{self.until:g}:{self.target_crop:g}:{self.input_keep_ratio:g}"]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _in_one_word(kind: type, metavar: str) -> tyro.constructors.PrimitiveConstructorSpec:
    """How the command line reads and shows a Source or a Stage."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=kind.parsed,  # type: ignore[attr-defined]
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: value.words(),
    )


Sources = tuple[Annotated[Source, _in_one_word(Source, SOURCE_WORDS)], ...]
Stages = tuple[Annotated[Stage, _in_one_word(Stage, STAGE_WORDS)], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which scenes a step sees, and how many views of them. Raises ConfigError."""

    sources: Annotated[Sources, tyro.conf.arg(name="data")]
    """Where scenes come from: folders of views or shards, posed captures, procedural:KIND[:FOLDER_OF_TEXTURES]."""
    validation: str | None
    """Folder of views whose first 4 are the inputs and the others the targets."""
    batch: int = 10
    """Scenes of a step, in all processes together."""
    views: int = 12
    """Views of each scene: the inputs, and the others are the targets."""
    input_views: tuple[int, ...] = (1, 2, 3, 4, 4, 4, 4, 6, 8)
    """Each step draws its number of input views from these."""

    def __post_init__(self) -> None:
        check_numbers(self, LIMITS)
        if not self.sources:
            raise ConfigError("--data is empty: give at least one source of scenes.")
        if not self.input_views or max(self.input_views) >= self.views:
            raise ConfigError(f"--input-views {self.input_views} must leave a target among {self.views} views.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig:
    """How long a run is, in which image sizes, and how the learning rate rises and falls. Raises ConfigError."""

    stages: Stages = (Stage(until=1.0, size=64),)
    """Image sizes, in pixels a side, each until a fraction of the steps; with the targets' crops and the inputs' patches."""
    steps: int = 7_000
    """Updates in all. A longer run goes on from before the decay, where it has begun."""
    warmup: int = 100
    """Steps of linear warm-up, at the start of each stage."""
    decay: float = 0.3
    """The last part of the steps, in which the learning rate falls to 0; before it, it is constant."""
    decay_shape: Literal["linear", "cosine"] = "linear"
    """linear, or half a cosine (published, over all steps after the warm-up: --decay 1)."""

    def __post_init__(self) -> None:
        check_numbers(self, LIMITS)
        ends = [stage.until for stage in self.stages]
        if ends[-1:] != [1.0] or any(end >= later for end, later in zip(ends, ends[1:], strict=False)):
            raise ConfigError("--stages: stages must follow each other and end with until = 1.0.")

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage of a step, and the stage's first step."""
        first = 0
        for stage in self.stages[:-1]:
            end = round(stage.until * self.steps)
            if step < end:
                return stage, first
            first = end
        return self.stages[-1], first

    @property
    def last_stage(self) -> Stage:
        """The stage that training ends with."""
        return self.stages[-1]

    @property
    def decay_begins(self) -> int:
        """The step from which the learning rate falls."""
        return max(min(self.warmup, self.steps), round((1 - self.decay) * self.steps))


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """What an update is. Raises ConfigError."""

    adamw_lr: float = 2e-3
    """For norms and all that Muon does not train: tokenizers and head too, unless muon_tokenizer_head_lr is set."""
    muon_lr: float = 0.02
    """For the blocks' matrices; 0 trains them by AdamW."""
    muon_tokenizer_head_lr: float = 0.0
    """For the matrices of the tokenizers and the head, where muon_lr is set; 0 trains them by AdamW."""
    weight_decay: float = 0.05
    """Of all that is not one-dimensional."""
    clip: float = 1.0
    """Gradients are scaled down to this norm."""
    skip_above: float = 5.0
    """A step whose gradient norm exceeds this is skipped."""
    stop_after_skips: int = 100
    """So many skipped steps in a row stop the run."""
    average: int = 0
    """Also keep weights averaged over about so many steps, for validation and export; 0: none (published)."""

    def __post_init__(self) -> None:
        check_numbers(self, LIMITS)
        if self.muon_lr == 0 < self.muon_tokenizer_head_lr:
            raise ConfigError(
                f"--muon-tokenizer-head-lr is {self.muon_tokenizer_head_lr:g}, and --muon-lr 0 trains all by AdamW: give"
                " --muon-tokenizer-head-lr 0 too."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceptualLoss:
    """The published term beside the mean squared error: how far two pictures are apart in VGG19's features.

    Raises ConfigError.
    """

    weight: float = 0.0
    """0 switches the term off."""
    file: str | None = None
    """VGG19's weights; without, torchvision fetches them."""
    begins: float = 0.0
    """The term joins after this fraction of the steps."""

    def __post_init__(self) -> None:
        check_numbers(self, PERCEPTUAL_LIMITS, "perceptual.")

    def weight_at(self, step: int, steps: int) -> float:
        """Its weight in a step of so many."""
        return self.weight if step >= round(self.begins * steps) else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """What is minimised. Raises ConfigError."""

    log_mse_threshold: float = 0.0
    """Squared errors of images count by their logarithm above about this, as PSNR has them; 0: as they are (published)."""
    perceptual: PerceptualLoss = field(default_factory=PerceptualLoss)

    def __post_init__(self) -> None:
        check_numbers(self, LIMITS)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """A whole run: all that decides its weights. Raises ConfigError for one that cannot be run."""

    name: tyro.conf.Suppress[str]
    model: ModelConfig
    data: Annotated[DataConfig, tyro.conf.arg(name="")]
    init: str | None = None
    """A model's file to start from (of the same model options, but for the strides). A run that has a state goes on from that."""
    scene_frame: SceneFrame = field(default_factory=SceneFrame)
    schedule: Annotated[ScheduleConfig, tyro.conf.arg(name="")] = field(default_factory=ScheduleConfig)
    optimizer: Annotated[OptimizerConfig, tyro.conf.arg(name="")] = field(default_factory=OptimizerConfig)
    augmentations: Annotated[Augmentations, tyro.conf.arg(name="")] = field(default_factory=Augmentations)
    loss: Annotated[LossConfig, tyro.conf.arg(name="")] = field(default_factory=LossConfig)
    seed: int = 0
    save_every: int = 250
    validate_every: int = 500

    def __post_init__(self) -> None:
        check_numbers(self, LIMITS)
        if self.scene_frame.kind == "subject_size":
            raise ConfigError(
                "--scene-frame.kind subject_size carves subjects from photos, which takes longer than a step: choose identity"
                " for subjects that are of one size already, or subject."
            )
        for stage in self.schedule.stages:
            self._check_size(stage)
            self._check_parts(stage)
            self._check_perceptual(stage)

    def _check_size(self, stage: Stage) -> None:
        multiple = self.model.size_multiple
        if stage.size % multiple:
            raise ConfigError(
                f"--stages: a stage's size is {stage.size}: with these strides it must be a multiple of {multiple}."
            )

    def _check_parts(self, stage: Stage) -> None:
        """A stage that shows parts of images needs a model that can be shown parts."""
        encoding = self.model.camera_encoding
        if stage.target_crop < 1 and encoding == "prope":
            raise ConfigError(
                "PRoPE tells a patch's place in its whole image: leave the stages' target_crop at 1, or choose another"
                " --model.camera-encoding."
            )
        shows_parts = stage.target_crop < 1 or stage.input_keep_ratio < 1
        if shows_parts and encoding != "none" and not self.model.inputs_first:
            raise ConfigError(
                "joint attention with a camera encoding needs as many patches of inputs as of targets: leave the stages'"
                " target_crop and input_keep_ratio at 1, or choose --model.inputs-first."
            )

    def _check_perceptual(self, stage: Stage) -> None:
        """The perceptual term needs targets that its network can shrink."""
        term, side = self.loss.perceptual, self._min_target_side(stage)
        if term.weight > 0 and stage.until > term.begins and side < MIN_PERCEPTUAL_SIDE:
            raise ConfigError(
                f"the perceptual term needs targets of {MIN_PERCEPTUAL_SIDE} px, and those of the stage of {stage.size} px"
                f" may be {side}: let it begin after that (--perceptual.begins {stage.until:g}), or give larger crops."
            )

    def _min_target_side(self, stage: Stage) -> int:
        """Pixels of the shortest side that a stage's targets may have."""
        multiple = self.model.size_multiple
        sizes = [model_size(stage.size, multiple, aspect) for aspect in self.augmentations.crops.aspect]
        return min(min(crop_size(size, stage.target_crop, multiple)) for size in sizes)


GROUPS = ("data", "schedule", "optimizer", "augmentations", "loss")
"""The fields of TrainingConfig whose own fields are options by themselves."""


def changed(config: TrainingConfig, **options: Any) -> TrainingConfig:
    """The configuration with other options, called as on the command line: changed(config, steps=40, model=...).

    Raises ConfigError for one that cannot be run, TypeError for an option that is not there.
    """
    groups = {}
    for name in GROUPS:
        group = getattr(config, name)
        own = options.keys() & _names(group)
        if own:
            groups[name] = dataclasses.replace(group, **{option: options.pop(option) for option in own})
    return dataclasses.replace(config, **groups, **options)


def resolved(config: TrainingConfig) -> dict[str, Any]:
    """All options by their names on the command line, as a run's config.json holds them."""
    told = dataclasses.asdict(config)
    for name in GROUPS:
        told |= told.pop(name)
    return told


def _names(values: Any) -> Iterable[str]:
    return {entry.name for entry in dataclasses.fields(values)}
