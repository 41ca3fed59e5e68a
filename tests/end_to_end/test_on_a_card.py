"""training/on_a_card.sh on a fake of a card's machine: no more packages than that one has, and no network."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import time
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from lvsm_engine.cli.bench import grey_view, ring_of_cameras
from lvsm_engine.model.checkpoint import load_checkpoint
from lvsm_engine.synthesizer import Synthesizer
from tests.shared_data import ROOT
from training.card.pack import MEGABYTE, Options, pack
from training.card.weights import join_weights
from training.json_lines import write_lines
from training.objects.manifest import Origin
from training.procedural.__main__ import Options as PoolOptions
from training.procedural.__main__ import draw_pool

THERE = ("torch", "numpy", "safetensors", "pillow", "opencv-python-headless", "tensorboard", "tqdm")
MINUTES = 1.75  # the least that a busy machine of two cores does all of it in
FILES_BACK, BYTES_BACK = 8, 16 * MEGABYTE


def needed_by(names: Iterable[str]) -> list[importlib.metadata.Distribution]:
    """The installed distributions of these names, and all that they need."""
    waiting, found = list(names), {}
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # for another platform
            continue
        needs = map(Requirement, found[name].requires or [])
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return list(found.values())


def tops(distribution: importlib.metadata.Distribution) -> set[Path]:
    """The files and folders that a distribution has put beside others."""
    site = Path(str(distribution.locate_file("")))
    return {site / file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """Its python3."""
    folder = tmp_path_factory.mktemp("machine")
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for top in set().union(*map(tops, needed_by(THERE))):
        (site / top.name).symlink_to(top)
    python = folder / "bin" / "python3"
    for missing in ("tyro", "grain", "array_record"):
        assert subprocess.run([python, "-c", f"import {missing}"], capture_output=True).returncode != 0
    return python


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """A folder that travels, with a few small scenes, and as wheels what is installed here."""
    folder = tmp_path_factory.mktemp("packed")
    views, manifest = folder / "views", folder / "origins.jsonl"
    draw_pool(PoolOptions(out=views, scenes=6, shard=6, views=14, size=32, kind="objects"))
    write_lines(manifest, [Origin(name=f"00000/{number}", licence="CC0-1.0") for number in range(6)])
    out = folder / "on_a_card"
    (out / "wheels").mkdir(parents=True)
    names = (ROOT / "training" / "card" / "requirements.txt").read_text().splitlines()
    for name in (name for name in names if not name.startswith("#")):
        write_wheel(importlib.metadata.distribution(name), out / "wheels")
    pack(Options(views=views, validation=views, manifest=manifest, out=out))
    return out


def write_wheel(distribution: importlib.metadata.Distribution, folder: Path) -> None:
    with zipfile.ZipFile(folder / f"{distribution.name}-{distribution.version}-py3-none-any.whl", "w") as wheel:
        for file in distribution.files or ():
            if file.parts[0] != ".." and "__pycache__" not in file.parts:
                wheel.write(str(file.locate()), str(file))


def on_the_machine(python: Path, packed: Path, out: Path, *words: str) -> str:
    """Run the script there; returns what it printed."""
    alone = ["unshare", "--net", "--map-root-user"]
    has_no_network = shutil.which("unshare") and subprocess.run([*alone, "true"]).returncode == 0
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(out.parent),
        "PYTHON": str(python),
        "PACK": str(packed),
        "OUT": str(out),
        "TORCH_COMPILE_DISABLE": "1",  # half a minute that a test of the order does not need
    }
    command = [ROOT / "training" / "on_a_card.sh", str(MINUTES), "--preset", "smoke", *words]
    began = time.monotonic()
    done = subprocess.run(
        [*(alone if has_no_network else ()), *command], env=environment, text=True, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert time.monotonic() - began < 60 * MINUTES
    return done.stdout


def model_of(out: Path) -> tuple[int, Path]:
    """The step and the file of what came back."""
    step = join_weights(out, out.parent / "model.safetensors")
    assert step is not None
    return step, out.parent / "model.safetensors"


def test_weights_come_back_in_time_and_a_later_card_goes_on(machine, packed, tmp_path):
    first, second = tmp_path / "first" / "out", tmp_path / "second" / "out"
    said = on_the_machine(machine, packed, first)
    assert "float32: pictures" in said and "NOT EQUAL" not in said
    assert re.search(r"px from \d inputs: [\d.]+ s a step, \d+ images a second", said)
    assert re.search(r"bench default\n.*\n(.*\n)*view +[\d.]+ ms", said) and "run/model.safetensors" in said
    files = list(first.iterdir())
    assert len(files) <= FILES_BACK
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", file.name) and file.stat().st_size < BYTES_BACK for file in files)
    step, file = model_of(first)
    assert "CC0-1.0" in load_checkpoint(file)[1].text
    *cameras, between = ring_of_cameras(4)
    (picture,) = Synthesizer.load(str(file)).encode([grey_view(camera) for camera in cameras]).render([between])
    assert np.isfinite(np.asarray(picture)).all()

    shutil.copytree(first, packed / "weights")
    said = on_the_machine(machine, packed, second, "--workers", "1")
    assert f"the weights have had {step} steps before" in said and "Starts from the weights in" in said
    assert model_of(second)[0] > step
