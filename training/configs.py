"""What a training run is: dataclasses, and the named runs as functions that return a whole one."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from lvsm_engine.model.config import ModelConfig, model_size
from lvsm_engine.scene.frame import SceneFrame

from .batches.augment import Crops, FrameJitter, crop_size


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A folder of posed views, and how often a scene is drawn from it."""

    folder: str
    weight: float = 1.0

    @classmethod
    def parsed(cls, words: list[str]) -> "Source":
        """FOLDER or FOLDER=WEIGHT, as on the command line."""
        folder, _, weight = words[0].partition("=")
        return cls(folder=folder, weight=float(weight or 1))

    def words(self) -> list[str]:
        """The inverse of parsed."""
        return [f"{self.folder}={self.weight:g}"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A stretch of training at one image size: until this fraction of all steps. Raises ValueError."""

    until: float
    size: int
    target_crop: float = 1.0
    """Targets are windows of this share of the image's side, mostly around their subject: cheaper steps. 1: all of it."""
    input_keep_ratio: float = 1.0
    """The model is shown this share of each input's patches, those of the subject first: cheaper steps. 1: all."""

    def __post_init__(self) -> None:
        for name, whole in {"target_crop": "side", "input_keep_ratio": "patches"}.items():
            share = getattr(self, name)
            if not 0 < share <= 1:
                raise ValueError(f"a stage's {name} is {share:g}: it must be a share of the {whole}, up to 1.")

    @classmethod
    def parsed(cls, words: list[str]) -> "Stage":
        """SIZE[:UNTIL[:TARGET_CROP[:INPUT_KEEP_RATIO]]], as on the command line."""
        size, until, window, seen = [*words[0].split(":"), "1", "1", "1"][:4]
        return cls(until=float(until), size=int(size), target_crop=float(window), input_keep_ratio=float(seen))

    def words(self) -> list[str]:
        """The inverse of parsed."""
        return [f"{self.size}:{self.until:g}:{self.target_crop:g}:{self.input_keep_ratio:g}"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceptualLoss:
    """A term beside the mean squared error: how far two pictures are apart in the features of a recognition network."""

    kind: Literal["vgg19", "lpips_alex", "lpips_squeeze", "lpips_vgg"] = "vgg19"
    """vgg19: as published (training/train/losses.py). lpips_*: the lpips package (Zhang 2018), for images of 64 px or more."""
    weight: float = 0.0
    """0 switches the term off."""
    file: str | None = None
    """The network's weights; without, torchvision fetches them."""
    begins: float = 0.0
    """The term joins after this fraction of the steps."""


def _words(kind: type, metavar: str) -> tyro.constructors.PrimitiveConstructorSpec:
    """How the command line reads and shows a Source or a Stage: as one word."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=kind.parsed,  # type: ignore[attr-defined]
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: value.words(),
    )


Sources = tuple[Annotated[Source, _words(Source, "FOLDER[=WEIGHT]")], ...]
Stages = tuple[Annotated[Stage, _words(Stage, "SIZE[:UNTIL[:TARGET_CROP[:INPUT_KEEP_RATIO]]]")], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """A whole run: all that decides its weights. Raises ValueError for one that cannot be run."""

    name: tyro.conf.Suppress[str]
    model: ModelConfig
    sources: Annotated[Sources, tyro.conf.arg(name="data")]
    """Where scenes come from: folders of views or shards, posed captures, procedural:KIND[:FOLDER_OF_TEXTURES]."""
    validation: str | None
    """Folder of views whose first 4 are the inputs and the others the targets."""
    init: str | None = None
    """A model's file to start from (of the same model options, but for the strides). A run that has a state goes on from that."""
    scene_frame: SceneFrame = field(default_factory=SceneFrame)
    mirror: float = 0.0
    """This share of the scenes is seen in a mirror."""
    recolour: float = 0.0
    """This share of the scenes has its red, green and blue in another order, drawn for each."""
    frame_jitter: FrameJitter = field(default_factory=FrameJitter)
    crops: Crops = field(default_factory=Crops)
    stages: Stages = (Stage(until=1.0, size=64),)
    """Image sizes, in pixels a side, each until a fraction of the steps, with the targets' windows."""
    steps: int = 7_000
    """Updates in all. A longer run goes on from before the decay, where it has begun."""
    batch: int = 10
    """Scenes of a step, in all processes together."""
    views: int = 12
    """Views of each scene: the inputs, and the others are the targets."""
    input_views: tuple[int, ...] = (1, 2, 3, 4, 4, 4, 4, 6, 8)
    """Each step draws its number of input views from these."""
    adamw_lr: float = 2e-3
    """For norms and all that Muon does not train: tokenizers and head too, unless muon_tokenizer_head_lr is set."""
    muon_lr: float = 0.02
    """For the blocks' matrices; 0 trains them by AdamW."""
    muon_tokenizer_head_lr: float = 0.0
    """For the matrices of the tokenizers and the head, where muon_lr is set; 0 trains them by AdamW."""
    weight_decay: float = 0.05
    """Of all that is not one-dimensional."""
    warmup: int = 100
    """Steps of linear warm-up, at the start of each stage."""
    decay: float = 0.3
    """The last part of the steps, in which the learning rate falls to 0; before it, it is constant."""
    decay_shape: Literal["linear", "cosine"] = "linear"
    """linear, or half a cosine (published, over all steps after the warm-up: --decay 1)."""
    average: int = 0
    """Also keep weights averaged over about so many steps, for validation and export; 0: none (published)."""
    clip: float = 1.0
    """Gradients are scaled down to this norm."""
    skip_above: float = 5.0
    """A step whose gradient norm exceeds this is skipped."""
    stop_after_skips: int = 100
    """So many skipped steps in a row stop the run."""
    log_mse_threshold: float = 0.0
    """Squared errors of images count by their logarithm above about this, as PSNR has them; 0: as they are (published)."""
    perceptual: PerceptualLoss = field(default_factory=PerceptualLoss)
    seed: int = 0
    save_every: int = 250
    validate_every: int = 500

    def __post_init__(self) -> None:
        for name in ("mirror", "recolour"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is {share:g}: it must be a share of the scenes, from 0 to 1.")
        if self.stages[-1].until != 1.0 or any(
            a.until >= b.until for a, b in zip(self.stages, self.stages[1:], strict=False)
        ):
            raise ValueError("stages must follow each other and end with until = 1.0.")
        if max(self.input_views) >= self.views or min(self.input_views) < 1:
            raise ValueError(f"input_views {self.input_views} must leave a target among {self.views} views.")
        for stage in self.stages:
            if stage.size % self.model.size_multiple:
                raise ValueError(
                    f"a stage's size is {stage.size}: with these strides it must be a multiple of {self.model.size_multiple}."
                )
            if stage.target_crop < 1 and self.model.camera_encoding == "prope":
                raise ValueError(
                    "PRoPE tells a patch's place in its whole image: leave the stages' target_crop at 1, or choose"
                    " another --model.camera-encoding."
                )
            parts = stage.target_crop < 1 or stage.input_keep_ratio < 1
            if parts and self.model.camera_encoding != "none" and not self.model.inputs_first:
                raise ValueError(
                    "joint attention with a camera encoding needs as many patches of inputs as of targets: leave the"
                    " stages' target_crop and input_keep_ratio at 1, or choose --model.inputs-first."
                )
            least = 16 if self.perceptual.kind == "vgg19" else 64
            side = self._least_target_side(stage)
            if self.perceptual.weight > 0 and stage.until > self.perceptual.begins and side < least:
                raise ValueError(
                    f"the perceptual term {self.perceptual.kind} needs targets of {least} px, and those of the stage of"
                    f" {stage.size} px may be {side}: let it begin after that (--perceptual.begins {stage.until:g}), or"
                    " give larger windows."
                )

    def _least_target_side(self, stage: Stage) -> int:
        """Pixels of the shortest side that a stage's targets may have."""
        multiple = self.model.size_multiple
        sizes = [model_size(stage.size, multiple, aspect) for aspect in self.crops.aspect]
        return min(min(crop_size(size, stage.target_crop, multiple)) for size in sizes)

    @property
    def resolution(self) -> int:
        """The image size that training ends with."""
        return self.stages[-1].size

    @property
    def input_keep_ratio(self) -> float:
        """The share of each input's patches that training ends with, and that the engine shows."""
        return self.stages[-1].input_keep_ratio

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
    def decay_begins(self) -> int:
        """The step from which the learning rate falls."""
        return max(min(self.warmup, self.steps), round((1 - self.decay) * self.steps))

    def perceptual_weight_at(self, step: int) -> float:
        """The perceptual term's weight in a step."""
        return self.perceptual.weight if step >= round(self.perceptual.begins * self.steps) else 0.0


OBJECTS = (Source(folder="data/views/train", weight=3.0), Source(folder="data/views/procedural", weight=1.0))
VALIDATION = "data/views/val"


def default_weights() -> TrainingConfig:
    """The bundled weights' first leg, from nothing, by the recipe that learned fastest (training/README.md)."""
    return TrainingConfig(
        name="default",
        model=ModelConfig(
            width=256,
            blocks=6,
            patch_size=8,
            inputs_first=True,
            camera_encoding="proxy_point",
            predicted_depth=True,
            rotate_values=True,
        ),
        sources=OBJECTS,
        validation=VALIDATION,
        stages=(Stage(until=0.1, size=32), Stage(until=1.0, size=64)),
        muon_tokenizer_head_lr=0.06,
        average=200,
        log_mse_threshold=0.003,
    )


def default_weights_at_128() -> TrainingConfig:
    """The bundled weights' second leg, from the first one's export: 128 px, on windows of the targets around the subject.

    Tokens are half a patch apart; of the inputs' a quarter is seen, then half, the subject's first. Half of the procedural
    sources are whole scenes, and all scenes are turned: photos have backgrounds, and no known north. Mirrors, colours in
    other orders and stretched scenes stand for the objects that training lacks.
    """
    config = default_weights()
    return dataclasses.replace(
        config,
        name="default_128",
        model=dataclasses.replace(config.model, patch_size=16, input_stride=4, target_stride=4),
        init="runs/default/model.safetensors",
        sources=(OBJECTS[0], Source(folder="data/views/procedural_128", weight=2.0)),
        mirror=0.5,
        recolour=0.5,
        frame_jitter=FrameJitter(turn=180.0, tilt=5.0, stretch=1.25),
        stages=(
            Stage(until=0.75, size=128, target_crop=0.5, input_keep_ratio=0.25),
            Stage(until=1.0, size=128, target_crop=0.5, input_keep_ratio=0.5),
        ),
        steps=1_800,
        batch=8,
        adamw_lr=1e-3,
        muon_lr=0.01,
        muon_tokenizer_head_lr=0.03,
        warmup=30,
        decay=0.6,
        save_every=50,
        validate_every=200,
    )


def cpu() -> TrainingConfig:
    """Learns visibly in two minutes on two CPU cores: the default's recipe, narrow and at 32 px."""
    config = default_weights()
    return dataclasses.replace(
        config,
        name="cpu",
        model=dataclasses.replace(config.model, width=128, blocks=4),
        stages=(Stage(until=1.0, size=32),),
        steps=400,
        batch=8,
        views=10,
        input_views=(2, 3, 4, 4, 4, 6),
        warmup=20,
        average=0,
        save_every=200,
        validate_every=200,
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
        batch=2,
        views=5,
        input_views=(1, 2, 3),
        warmup=2,
        average=0,
        save_every=5,
        validate_every=10,
    )


def smoke_encoder_decoder() -> TrainingConfig:
    """The same for the other architecture."""
    model = ModelConfig(architecture="encoder_decoder", width=64, blocks=2, encoder_blocks=2, latents=16)
    return dataclasses.replace(smoke(), name="smoke_encoder_decoder", model=model)


def decoder_only_256() -> TrainingConfig:
    """The published object-level recipe (paper, section 4): 24 blocks, 4 inputs and 8 targets, 80 000 steps of 512 scenes.

    Needs a cluster: 64 A100 for days (training_facts: 1e21 FLOP).
    """
    return TrainingConfig(
        name="decoder_only_256",
        model=ModelConfig(),
        sources=OBJECTS[:1],
        validation=VALIDATION,
        scene_frame=SceneFrame("identity"),
        stages=(Stage(until=1.0, size=256),),
        steps=80_000,
        batch=512,
        views=12,
        input_views=(4,),
        adamw_lr=4e-4,
        muon_lr=0.0,
        warmup=2500,
        decay=1.0,
        decay_shape="cosine",
        perceptual=PerceptualLoss(weight=1.0),
        save_every=1000,
        validate_every=5000,
    )


def encoder_decoder_256() -> TrainingConfig:
    """The published encoder-decoder: 12 + 12 blocks and 3072 latents, else as decoder_only_256."""
    return dataclasses.replace(
        decoder_only_256(),
        name="encoder_decoder_256",
        model=ModelConfig(architecture="encoder_decoder", blocks=12, encoder_blocks=12, latents=3072),
    )


def _finetuned_at_512(config: TrainingConfig, name: str) -> TrainingConfig:
    """The published second stage: 10 000 steps of 256 scenes at a tenth of the learning rate, from the first's export."""
    return dataclasses.replace(
        config,
        name=name,
        init=f"runs/{config.name}/model.safetensors",
        stages=(Stage(until=1.0, size=512),),
        steps=10_000,
        batch=256,
        adamw_lr=4e-5,
    )


def decoder_only_512() -> TrainingConfig:
    """decoder_only_256, fine-tuned at 512 px."""
    return _finetuned_at_512(decoder_only_256(), "decoder_only_512")


def encoder_decoder_512() -> TrainingConfig:
    """encoder_decoder_256, fine-tuned at 512 px."""
    return _finetuned_at_512(encoder_decoder_256(), "encoder_decoder_512")


def one_gpu() -> TrainingConfig:
    """The paper's small budget, on one card: 6 blocks. The batch of 64 is ours, and fits 80 GB with --accumulate."""
    config = decoder_only_256()
    return dataclasses.replace(
        config, name="one_gpu", model=dataclasses.replace(config.model, blocks=6), batch=64, validate_every=2000
    )


def two_gpus() -> TrainingConfig:
    """A budget between: 12 blocks and 128 scenes, which the published code names for small compute."""
    config = decoder_only_256()
    return dataclasses.replace(
        config, name="two_gpus", model=dataclasses.replace(config.model, blocks=12), batch=128, validate_every=2000
    )


def inputs_first_prope() -> TrainingConfig:
    """Encode once, many targets: the mask "inputs first" with PRoPE (arXiv 2507.10496) in every block, 1 to 8 inputs.

    Fewer scenes and more targets than published, since targets share their inputs' encoding (arXiv 2602.21341);
    cameras, shapes and scene frames are varied, so that photos of any camera may come.
    """
    config = decoder_only_256()
    return dataclasses.replace(
        config,
        name="inputs_first_prope",
        model=dataclasses.replace(config.model, inputs_first=True, camera_encoding="prope"),
        scene_frame=SceneFrame(),
        frame_jitter=FrameJitter(turn=180.0, tilt=10.0, scale=1.1, shift=0.1),
        crops=Crops(zoom=(1.0, 2.0), aspect=(0.66, 1.5), offset=0.2, oversample=2),
        batch=256,
        views=24,
        input_views=(1, 2, 3, 4, 5, 6, 7, 8),
    )


def without_rays() -> TrainingConfig:
    """Ablation of inputs_first_prope: no Pluecker rays in the tokens, so that PRoPE alone tells where cameras are."""
    config = inputs_first_prope()
    return dataclasses.replace(
        config, name="without_rays", model=dataclasses.replace(config.model, rays_in_tokens=False)
    )


PRESETS: dict[str, Callable[[], TrainingConfig]] = {
    "default": default_weights,
    "default_128": default_weights_at_128,
    "cpu": cpu,
    "smoke": smoke,
    "smoke_encoder_decoder": smoke_encoder_decoder,
    "one_gpu": one_gpu,
    "two_gpus": two_gpus,
    "decoder_only_256": decoder_only_256,
    "decoder_only_512": decoder_only_512,
    "encoder_decoder_256": encoder_decoder_256,
    "encoder_decoder_512": encoder_decoder_512,
    "inputs_first_prope": inputs_first_prope,
    "without_rays": without_rays,
}
