"""Train a model.

    python -m training.train --preset smoke --out runs/smoke                 # seconds, one process
    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m training.train --preset default    # two CPU cores
    torchrun --nproc-per-node 8 -m training.train --preset default                     # one node's GPUs

The same command again resumes where the run was stopped. A CPU does best with one thread a process: two processes
that average their gradients wait for each other once a step, two threads at every operation.
"""

import dataclasses
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter

from lvsm_engine.model.checkpoint import Model, build_model
from lvsm_engine.model.rays import plucker_rays
from lvsm_engine.scene.camera import camera_of
from lvsm_engine.scene.frame import SceneFrame, framed, world_to_model
from lvsm_engine.synthesizer import choose_precision

from .configs import PRESETS, TrainingConfig
from .muon import Muon
from .run_state import BEFORE_DECAY, LATEST, load_state, restore, save_state, write_config
from .views import Views, load_validation

VALIDATION_INPUTS = 4


@dataclass
class Options:
    """Train a model."""

    preset: str = "default"
    """The run's name in training/configs.py."""
    out: Path = Path("runs/default")
    """The run's folder: state, log, configuration."""
    steps: int | None = None
    """Another number of steps than the preset's. A longer run goes on from before the decay, where it has begun."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the matrix products; weights and rays are always float32. auto: bfloat16 where the device multiplies it."""


def main(options: Options) -> None:
    config = PRESETS[options.preset]()
    if options.steps is not None:
        config = dataclasses.replace(config, steps=options.steps)
    rank, processes, device = join_processes()
    precision = choose_precision(device, options.precision)
    torch.manual_seed(config.seed)
    model = build_model(config.model).to(device)
    trained = DistributedDataParallel(model) if processes > 1 else model
    optimizers = build_optimizers(model, config, precision)
    options.out.mkdir(parents=True, exist_ok=True)
    step, seconds = resume(options.out, config, model, optimizers)
    if rank == 0:
        write_config(options.out, config)
        count = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"{config.name}: {count / 1e6:.2f} M parameters, {processes} x {device} in"
            f" {str(precision).removeprefix('torch.')}, from step {step} to {config.steps}",
            flush=True,
        )
    Run(config, options.out, model, trained, optimizers, rank, processes, device, precision).train(step, seconds)
    if processes > 1:
        torch.distributed.destroy_process_group()


def join_processes() -> tuple[int, int, torch.device]:
    """This process's rank, their number (torchrun's, or 1), and its device."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if processes > 1:
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
    return rank, processes, device


def build_optimizers(
    model: Model, config: TrainingConfig, precision: torch.dtype = torch.float32
) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices (where muon_lr is set), AdamW for the rest; norm weights do not decay."""
    matrices: list[Tensor] = []
    stacked: list[Tensor] = []
    others: list[Tensor] = []
    vectors: list[Tensor] = []
    for name, parameter in model.named_parameters():
        in_block = name.startswith(("blocks.", "encoder.", "decoder."))
        if parameter.dim() < 2:
            vectors.append(parameter)
        elif not in_block or config.muon_lr == 0 or "to_depth" in name:
            others.append(parameter)
        else:
            (stacked if "to_qkv" in name else matrices).append(parameter)
    groups = [{"params": others, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=config.adamw_lr, betas=(0.9, 0.95))]
    if matrices:
        by_kind: list[dict] = [{"params": matrices}, {"params": stacked, "stacked": 3}]  # queries, keys, values
        # Its decay is multiplied by a ten times larger learning rate than AdamW's.
        optimizers.append(Muon(by_kind, config.muon_lr, config.weight_decay / 10, precision=precision))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
    return optimizers


def resume(
    folder: Path, config: TrainingConfig, model: Model, optimizers: list[torch.optim.Optimizer]
) -> tuple[int, float]:
    """Load the folder's state, if it has one; returns the next step and the seconds trained so far."""
    path = folder / LATEST
    if not path.exists():
        return 0, 0.0
    state = load_state(path)
    decay_begins = round((1 - config.decay) * config.steps)
    before_decay = folder / BEFORE_DECAY
    if before_decay.exists():
        earlier = load_state(before_decay)
        if earlier["step"] < decay_begins:  # a longer run than the one that decayed
            state = earlier
    restore(state, model, optimizers)
    return state["step"], state["seconds"]


def learning_rate_factor(config: TrainingConfig, step: int) -> float:
    """Linear warm-up in each stage, constant, then linear decay to 0 over the last part."""
    _, first = config.stage_at(step)
    warmup = min(1.0, (step - first + 1) / config.warmup)
    decay = min(1.0, (config.steps - step) / max(1.0, config.decay * config.steps))
    return min(warmup, decay)


@dataclass(frozen=True, slots=True)
class Batch:
    """Scenes in a model's coordinates: images (B, V + T, 3, H, W) in [0, 1], rays (B, V + T, 6, H, W), V inputs first."""

    images: Tensor
    rays: Tensor
    inputs: int


def to_batch(
    images: Tensor,
    camera_to_world: np.ndarray,
    fxfycxcy: np.ndarray,
    inputs: int,
    frame: SceneFrame,
    device: torch.device,
) -> Batch:
    """Images (B, V + T, 3, H, W), poses (B, V + T, 4, 4) and intrinsics (B, V + T, 4) in the frame of the first V views."""
    H, W = images.shape[-2:]
    poses = []
    for scene_poses, scene_intrinsics in zip(camera_to_world, fxfycxcy, strict=True):
        cameras = [camera_of(*one, W, H) for one in zip(scene_poses[:inputs], scene_intrinsics, strict=False)]
        similarity, _ = world_to_model(frame, cameras)
        poses.append(framed(similarity, scene_poses))
    rays = plucker_rays(
        torch.from_numpy(np.stack(poses)), torch.from_numpy(np.asarray(fxfycxcy, dtype=np.float64)), H, W
    )
    return Batch(images.to(device), rays.float().to(device), inputs)


def predict(model: nn.Module, batch: Batch, precision: torch.dtype) -> Tensor:
    """The targets' images (B, T, 3, H, W) in float32; matrix products are computed in `precision`."""
    V = batch.inputs
    with torch.autocast(batch.images.device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        return model(batch.images[:, :V], batch.rays[:, :V], batch.rays[:, V:]).float()


def psnr_of(mean_squared_error: float) -> float:
    return -10 * math.log10(max(mean_squared_error, 1e-10))


class Run:
    """A run under way: steps, its log, its state on disk."""

    def __init__(
        self,
        config: TrainingConfig,
        folder: Path,
        model: Model,
        trained: nn.Module,
        optimizers: list[torch.optim.Optimizer],
        rank: int,
        processes: int,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        self.config, self.folder, self.device, self.precision = config, folder, device, precision
        self.model, self.trained, self.optimizers = model, trained, optimizers
        self.rank, self.processes = rank, processes
        self.log = SummaryWriter(str(folder)) if rank == 0 else None

    def train(self, first_step: int, seconds: float) -> None:
        """From first_step to the configuration's last; seconds: of training before this."""
        config = self.config
        started = time.monotonic() - seconds
        decay_begins = round((1 - config.decay) * config.steps)
        for step, batch in self.batches(first_step):
            if step == decay_begins:
                self.save(BEFORE_DECAY, step, time.monotonic() - started)
            loss, norm = self.step(step, batch)
            if self.log and (step % 20 == 0 or step == config.steps - 1):
                self.report(step, loss, norm, time.monotonic() - started)
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                self.save(LATEST, step + 1, time.monotonic() - started)
            if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
                self.validate(step + 1)

    def batches(self, first_step: int) -> Iterator[tuple[int, Batch]]:
        """Each step's batch: a function of the seed, the step and the rank alone."""
        config = self.config
        views: Views | None = None
        for step in range(first_step, config.steps):
            stage, _ = config.stage_at(step)
            if views is None or views.size != stage.size:
                views = Views([(source.folder, source.weight) for source in config.sources], stage.size, config.seed)
            # All processes take the same number of inputs, so that none waits for another.
            inputs = int(np.random.default_rng((config.seed, step)).choice(config.input_views))
            drawn = views.batch(step * self.processes + self.rank, config.scenes, config.views)
            yield (
                step,
                to_batch(drawn.images, drawn.camera_to_world, drawn.fxfycxcy, inputs, config.scene_frame, self.device),
            )

    def step(self, step: int, batch: Batch) -> tuple[float, float]:
        """One update; returns the loss and the gradient's norm. A wild or broken step is skipped by all alike."""
        factor = learning_rate_factor(self.config, step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group["full_lr"]
            optimizer.zero_grad(set_to_none=True)
        self.trained.train()
        loss = (predict(self.trained, batch, self.precision) - batch.images[:, batch.inputs :]).square().mean()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip))
        if math.isfinite(norm) and norm <= self.config.skip_above:  # averaged gradients: the same on every rank
            for optimizer in self.optimizers:
                optimizer.step()
        return float(loss.detach()), norm

    def report(self, step: int, loss: float, norm: float, seconds: float) -> None:
        assert self.log
        self.log.add_scalar("train/psnr", psnr_of(loss), step)
        self.log.add_scalar("train/gradient_norm", norm, step)
        self.log.add_scalar("train/learning_rate_factor", learning_rate_factor(self.config, step), step)
        if step % 100 == 0:
            print(f"step {step}: psnr {psnr_of(loss):.2f}, gradient {norm:.2f}, {seconds:.0f} s", flush=True)

    def save(self, name: str, step: int, seconds: float) -> None:
        if self.rank == 0:
            save_state(self.folder / name, step, self.model, self.optimizers, seconds)

    @torch.no_grad()
    def validate(self, step: int) -> None:
        """PSNR of the validation targets from their 4 inputs; every process does its share of the scenes."""
        self.model.eval()
        stage, _ = self.config.stage_at(step - 1)
        scenes = load_validation(self.config.validation, stage.size)[self.rank :: self.processes]
        total = torch.zeros(2, dtype=torch.float64, device=self.device)
        for scene in scenes:
            batch = to_batch(
                scene.images,
                scene.camera_to_world,
                scene.fxfycxcy,
                VALIDATION_INPUTS,
                self.config.scene_frame,
                self.device,
            )
            errors = (
                (predict(self.model, batch, self.precision) - batch.images[:, batch.inputs :])
                .square()
                .mean(dim=(0, 2, 3, 4))
            )
            total += torch.tensor([sum(map(psnr_of, errors.tolist())), len(errors)], device=self.device)
        if self.processes > 1:
            torch.distributed.all_reduce(total)
        if self.log:
            psnr = float(total[0] / total[1])
            self.log.add_scalar(f"validation/psnr_{stage.size}", psnr, step)
            print(f"step {step}: validation psnr {psnr:.2f} at {stage.size} px", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
