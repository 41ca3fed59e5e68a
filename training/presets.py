"""The named runs: functions that return a whole configuration. `--preset NAME` of training.train."""

import dataclasses
from collections.abc import Callable

from lvsm_engine.model.config import ModelConfig
from lvsm_engine.scene.frame import SceneFrame

from .batches.augment import Augmentations, ChannelPermutation, Crops, Flip, FrameJitter
from .configs import (
    DataConfig,
    LossConfig,
    OptimizerConfig,
    PerceptualLoss,
    ScheduleConfig,
    Source,
    Stage,
    TrainingConfig,
    changed,
)

OBJECTS = (Source(folder="data/views/train", weight=3.0), Source(folder="data/views/procedural", weight=1.0))
VALIDATION = "data/views/val"


def default() -> TrainingConfig:
    """The bundled weights, from nothing in one run: 32, then 64, then 128 px, there on crops of the targets and half of the
    inputs' tokens, the subject's first: a step costs a third.

    Flips, permuted channels and anisotropic scales stand for the objects that training lacks; all scenes are turned, since
    photos have no known north.
    """
    return TrainingConfig(
        name="default",
        model=ModelConfig(
            width=256,
            blocks=6,
            patch_size=16,
            inputs_first=True,
            camera_encoding="proxy_point",
            predicted_depth=True,
            rotate_values=True,
        ),
        data=DataConfig(sources=OBJECTS, validation=VALIDATION, batch=8),
        schedule=ScheduleConfig(
            stages=(
                Stage(until=0.25, size=32),
                Stage(until=0.55, size=64),
                Stage(until=1.0, size=128, target_crop=0.5, input_keep_ratio=0.5),
            ),
            steps=10_000,
        ),
        optimizer=OptimizerConfig(muon_tokenizer_head_lr=0.06, average=200),
        augmentations=Augmentations(
            flip=Flip(share=0.5),
            channel_permutation=ChannelPermutation(share=0.5),
            frame_jitter=FrameJitter(turn=180.0, tilt=5.0, anisotropic_scale=1.25),
        ),
        loss=LossConfig(log_mse_threshold=0.003),
    )


def cpu() -> TrainingConfig:
    """Learns visibly in two minutes on two CPU cores: the default's recipe, narrow, at 32 px, on scenes as they are."""
    config = default()
    return changed(
        dataclasses.replace(config, augmentations=Augmentations()),
        name="cpu",
        model=dataclasses.replace(config.model, width=128, blocks=4),
        stages=(Stage(until=1.0, size=32),),
        steps=400,
        views=10,
        input_views=(2, 3, 4, 4, 4, 6),
        warmup=20,
        average=0,
        save_every=200,
        validate_every=200,
    )


def smoke() -> TrainingConfig:
    """Seconds on a CPU: shows that all parts fit, not that the model learns."""
    config = cpu()
    return changed(
        config,
        name="smoke",
        model=dataclasses.replace(config.model, width=64, blocks=2),
        stages=(Stage(until=0.5, size=16), Stage(until=1.0, size=32)),
        steps=20,
        batch=2,
        views=5,
        input_views=(1, 2, 3),
        warmup=2,
        save_every=5,
        validate_every=10,
    )


def smoke_encoder_decoder() -> TrainingConfig:
    """The same for the other architecture."""
    model = ModelConfig(architecture="encoder_decoder", width=64, blocks=2, encoder_blocks=2, latents=16)
    return changed(smoke(), name="smoke_encoder_decoder", model=model)


def lact_small() -> TrainingConfig:
    """The recipe of `cpu` with fast weights (LaCT, arXiv 2505.23884): learns visibly in minutes on two CPU cores."""
    model = ModelConfig(
        architecture="fast_weights", width=128, blocks=4, patch_size=16, fast_head_width=128, fast_hidden=256
    )
    return changed(cpu(), name="lact_small", model=model)


def decoder_only_256() -> TrainingConfig:
    """The published object-level recipe (paper, section 4): 24 blocks, 4 inputs and 8 targets, 80 000 steps of 512 scenes.

    Needs a cluster: 64 A100 for days (1e21 FLOP).
    """
    return TrainingConfig(
        name="decoder_only_256",
        model=ModelConfig(),
        data=DataConfig(sources=OBJECTS[:1], validation=VALIDATION, batch=512, views=12, input_views=(4,)),
        scene_frame=SceneFrame("identity"),
        schedule=ScheduleConfig(
            stages=(Stage(until=1.0, size=256),), steps=80_000, warmup=2500, decay=1.0, decay_shape="cosine"
        ),
        optimizer=OptimizerConfig(adamw_lr=4e-4, muon_lr=0.0),
        loss=LossConfig(perceptual=PerceptualLoss(weight=1.0)),
        save_every=1000,
        validate_every=5000,
    )


def encoder_decoder_256() -> TrainingConfig:
    """The published encoder-decoder: 12 + 12 blocks and 3072 latents, else as decoder_only_256."""
    model = ModelConfig(architecture="encoder_decoder", blocks=12, encoder_blocks=12, latents=3072)
    return changed(decoder_only_256(), name="encoder_decoder_256", model=model)


def lact_256() -> TrainingConfig:
    """LaCT at its published size (arXiv 2505.23884): 24 blocks with fast weights of 2 widths, 8 inputs and 8 targets.

    The number of scenes is ours: a step costs what one of decoder_only_256 does.
    """
    model = ModelConfig(architecture="fast_weights", fast_head_width=768, fast_hidden=1536)
    return changed(decoder_only_256(), name="lact_256", model=model, batch=976, views=16, input_views=(8,))


def _finetuned_at_512(config: TrainingConfig, name: str) -> TrainingConfig:
    """The published second stage: 10 000 steps of 256 scenes at a tenth of the learning rate, from the first's export."""
    return changed(
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


def lact_512() -> TrainingConfig:
    """lact_256, fine-tuned at 512 px."""
    return changed(_finetuned_at_512(lact_256(), "lact_512"), batch=488)


def one_gpu() -> TrainingConfig:
    """The paper's small budget, on one card: 6 blocks. The batch of 64 is ours, and fits 80 GB with --accumulate."""
    config = decoder_only_256()
    model = dataclasses.replace(config.model, blocks=6)
    return changed(config, name="one_gpu", model=model, batch=64, validate_every=2000)


def two_gpus() -> TrainingConfig:
    """A budget between: 12 blocks and 128 scenes, which the published code names for small compute."""
    config = decoder_only_256()
    model = dataclasses.replace(config.model, blocks=12)
    return changed(config, name="two_gpus", model=model, batch=128, validate_every=2000)


def one_card() -> TrainingConfig:
    """A few minutes of one H100 (training/on_a_card.sh): the default's recipe, wider and deeper, up to 256 px.

    16 M parameters: a weights' file of 32 MB in float16, which travels back. A step is 1.2e12, 3.1e12 and 2.5e13 FLOP in its
    three stages: 3000 steps are 3.4e16, or 5 minutes at 110 TFLOP/s. How many there are is decided on the card.
    """
    config = default()
    return changed(
        config,
        name="one_card",
        model=dataclasses.replace(config.model, width=384, blocks=8),
        batch=16,
        stages=(
            Stage(until=0.3, size=64),
            Stage(until=0.6, size=128, target_crop=0.5),
            Stage(until=1.0, size=256, target_crop=0.5),
        ),
        steps=3000,
    )


def inputs_first_prope() -> TrainingConfig:
    """Encode once, many targets: the mask "inputs first" with PRoPE (arXiv 2507.10496) in every block, 1 to 8 inputs.

    Fewer scenes and more targets than published, since targets share their inputs' encoding (arXiv 2602.21341);
    cameras, shapes and scene frames are varied, so that photos of any camera may come.
    """
    config = decoder_only_256()
    return changed(
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
    return changed(config, name="without_rays", model=dataclasses.replace(config.model, rays_in_tokens=False))


PRESETS: dict[str, Callable[[], TrainingConfig]] = {
    preset.__name__: preset
    for preset in (
        default,
        cpu,
        smoke,
        smoke_encoder_decoder,
        lact_small,
        one_gpu,
        two_gpus,
        one_card,
        decoder_only_256,
        decoder_only_512,
        encoder_decoder_256,
        encoder_decoder_512,
        lact_256,
        lact_512,
        inputs_first_prope,
        without_rays,
    )
}
