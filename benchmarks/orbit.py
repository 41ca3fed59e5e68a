"""Popping and flicker: how much the pictures of an orbit change from frame to frame, beside true renders of it.

    .venv-bpy/5.0/bin/python -m training.sample_capture ORBIT 48
    python -m benchmarks.orbit ORBIT [--model FILE --size 256]

A frame's change is the mean absolute difference to the one before, in steps of 1/255. An orbit that flickers changes more
than the truth; one that pops has single changes far above their median. Unsteadiness is the mean absolute difference
between the pictures' change and the truth's, pixel by pixel, which a steady error does not raise.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from lvsm_engine.metrics import psnr
from lvsm_engine.photos import WHITE, load_photo, resize_image
from lvsm_engine.scene.camera import resized
from lvsm_engine.scene.captures import load_capture
from lvsm_engine.synthesizer import Synthesizer

# Photos of the sample capture before its orbit: two rings, and those held out.
PHOTOS, BEFORE_ORBIT = 16, 20


@dataclass(frozen=True)
class Options:
    """Measure the change from frame to frame of an orbit."""

    capture: tyro.conf.Positional[Path]
    """Folder that training.sample_capture has made with an orbit."""
    model: str = "default"
    """A model's file, or the bundled one."""
    size: int = 256
    """Pixels a side of the frames."""


def main(options: Options) -> None:
    views = load_capture(options.capture).views
    orbit = [load_photo(view, WHITE) for view in views[BEFORE_ORBIT:]]
    cameras = [resized(camera, options.size, options.size) for _, camera in orbit]
    truth = np.stack([resize_image(photo, options.size, options.size) for photo, _ in orbit])
    scene = Synthesizer.load(options.model).encode(views[:PHOTOS])
    for name, images in (
        ("true renders", truth),
        ("model alone", np.stack([scene.render([camera])[0] for camera in cameras])),
        ("with detail", np.stack([scene.render_detail([camera]).images[0] for camera in cameras])),
    ):
        images = np.stack([resize_image(image, options.size, options.size) for image in images])
        print(f"{name:13} {in_words(images, truth)}", flush=True)


def in_words(images: np.ndarray, truth: np.ndarray) -> str:
    """The figures of an orbit (T, H, W, 3) that goes once around, so that its last frame is followed by the first."""
    change, true_change = (np.roll(frames, -1, axis=0) - frames for frames in (images, truth))
    changes = 255 * np.abs(change).mean(axis=(1, 2, 3))
    unsteady = 255 * np.abs(change - true_change).mean()
    decibels = np.mean([psnr(image, true) for image, true in zip(images, truth, strict=True)])
    return (
        f"change {changes.mean():.2f}, most {changes.max() / np.median(changes):.2f} of the median;"
        f" unsteadiness {unsteady:.2f}; PSNR {decibels:.2f}"
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
