"""A studio process and the one that started it: each without the other."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from training.render.studio_process import SCRATCH, StudioProcess, StudioStartError, remove_abandoned_folders

from .test_studio import bpy_python

ROOT = Path(__file__).resolve().parents[3]
# Starts a studio with an object that takes minutes, and says which process it is once it renders.
PARENT = """
import sys, threading, time
from dataclasses import replace
from tests.training.render.test_studio import box_glb, job_for
from training.render.studio_process import StudioProcess
studio = StudioProcess([sys.argv[1], "-m", "training.render.studio", "--device", "cpu"])
def tell():
    while studio.stage != "render":
        time.sleep(0.1)
    time.sleep(1)
    print(studio._process.pid, flush=True)
threading.Thread(target=tell, daemon=True).start()
studio.render(replace(job_for("box", "published"), size=512, samples=4096), box_glb())
"""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_studio_ends_amid_a_view_when_the_process_that_started_it_is_killed(scratch: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, bpy_python()], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    studio = psutil.Process(int(parent.stdout.readline()))
    log = next(scratch.glob(f"{SCRATCH}*/log.txt"))
    parent.kill()
    parent.wait()
    assert psutil.wait_procs([studio], timeout=30)[1] == []
    assert log.exists()
    remove_abandoned_folders()
    assert not log.exists()


def test_the_scratch_folder_of_a_living_studio_is_not_abandoned(scratch: Path) -> None:
    studio = StudioProcess([sys.executable, str(Path(__file__).parent / "fake_studio.py"), str(scratch)])
    remove_abandoned_folders()
    assert len(list(scratch.glob(f"{SCRATCH}*"))) == 1
    studio.close()
    assert list(scratch.glob(f"{SCRATCH}*")) == []


def test_a_pipe_or_a_link_in_the_place_of_a_log_is_let_be(scratch: Path) -> None:
    for name in ("pipe", "link"):
        (scratch / f"{SCRATCH}{name}").mkdir()
    os.mkfifo(scratch / f"{SCRATCH}pipe" / "log.txt")
    (scratch / "someones").touch()
    (scratch / f"{SCRATCH}link" / "log.txt").symlink_to(scratch / "someones")
    remove_abandoned_folders()
    assert len(list(scratch.glob(f"{SCRATCH}*/log.txt"))) == 2


def test_a_studio_that_is_killed_is_told_by_the_signal(scratch: Path) -> None:
    command = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"]
    with pytest.raises(StudioStartError, match="the studio was killed by SIGSEGV"):
        StudioProcess(command)


def test_a_studio_that_does_not_start_is_named_with_its_words(scratch: Path) -> None:
    with pytest.raises(StudioStartError, match="(?s)status 3.*no Blender here"):
        StudioProcess([sys.executable, "-c", "import sys; print('no Blender here', file=sys.stderr); sys.exit(3)"])
    assert list(scratch.iterdir()) == []
