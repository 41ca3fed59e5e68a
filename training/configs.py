"""What a training run is: dataclasses, and the named runs as functions that return a whole one."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

from lvsm_engine.model.config import ModelConfig
from lvsm_engine.scene.frame import SceneFrame


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A folder of posed views, and how often a scene is drawn from it."""

    folder: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A stretch of training at one image size: until this fraction of all steps."""

    until: float
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """A whole run. Raises ValueError for one that cannot be run."""

    name: str
    model: ModelConfig
    sources: tuple[Source, ...]
    validation: str
    """Folder of views whose first 4 are the inputs and the others the targets."""
    scene_frame: SceneFrame = field(default_factory=SceneFrame)
    stages: tuple[Stage, ...] = (Stage(until=1.0, size=64),)
    steps: int = 7_000
    scenes: int = 5
    """Scenes a step and process."""
    views: int = 12
    """Views of each scene: the inputs, and the others are the targets."""
    input_views: tuple[int, ...] = (1, 2, 3, 4, 4, 4, 4, 6, 8)
    """Each step draws its number of input views from these."""
    adamw_lr: float = 2e-3
    """For tokenizers, head and norms, and for all where muon_lr is 0."""
    muon_lr: float = 0.02
    """For the blocks' matrices; 0 trains them by AdamW."""
    weight_decay: float = 0.05
    warmup: int = 100
    """Steps of linear warm-up, at the start and at each change of image size."""
    decay: float = 0.3
    """The last part of the steps, in which the learning rate falls to 0; before it, it is constant."""
    clip: float = 1.0
    skip_above: float = 5.0
    """A step whose gradient norm exceeds this is skipped."""
    seed: int = 0
    save_every: int = 250
    validate_every: int = 500

    def __post_init__(self) -> None:
        if self.stages[-1].until != 1.0 or any(
            a.until >= b.until for a, b in zip(self.stages, self.stages[1:], strict=False)
        ):
            raise ValueError("stages must follow each other and end with until = 1.0.")
        if max(self.input_views) >= self.views or min(self.input_views) < 1:
            raise ValueError(f"input_views {self.input_views} must leave a target among {self.views} views.")
        for stage in self.stages:
            if stage.size % self.model.patch_size:
                raise ValueError(
                    f"a stage's size {stage.size} must be a multiple of the patch size {self.model.patch_size}."
                )

    @property
    def resolution(self) -> int:
        """The image size that training ends with."""
        return self.stages[-1].size

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage of a step, and the stage's first step."""
        first = 0
        for stage in self.stages:
            end = round(stage.until * self.steps)
            if step < end:
                return stage, first
            first = end
        return self.stages[-1], first


def default_weights() -> TrainingConfig:
    """The bundled weights: few FLOP, by the recipe that learned fastest on two CPU cores (training/README.md)."""
    return TrainingConfig(
        name="default",
        model=ModelConfig(
            width=256, blocks=6, patch_size=8, inputs_first=True, camera_encoding="proxy_point", predicted_depth=True
        ),
        sources=(Source(folder="data/views/train", weight=3.0), Source(folder="data/views/procedural", weight=1.0)),
        validation="data/views/val",
        stages=(Stage(until=0.1, size=32), Stage(until=1.0, size=64)),
    )


def smoke() -> TrainingConfig:
    """Seconds on a CPU: shows that all parts fit, not that the model learns."""
    config = default_weights()
    return dataclasses.replace(
        config,
        name="smoke",
        model=dataclasses.replace(config.model, width=64, blocks=2),
        stages=(Stage(until=0.5, size=16), Stage(until=1.0, size=32)),
        steps=20,
        scenes=2,
        views=5,
        input_views=(1, 2, 3),
        warmup=2,
        save_every=5,
        validate_every=10,
    )


PRESETS: dict[str, Callable[[], TrainingConfig]] = {"default": default_weights, "smoke": smoke}
