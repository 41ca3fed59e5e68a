"""A set-up under way, with a fake Python and pip that do as they are told."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from blender_addon.engine.engine_setup import PIPS_OWN, EngineSetup
from blender_addon.engine.setup_run import FINISHED_NAME, Downloads, SetupRun, check_free_space, commands_environment
from lvsm_engine.errors import CHOOSE_PYTHON, Cancelled, LvsmError
from lvsm_engine.user_folder import LINUX

from .fake_base import write_fake_base_python

HANG_SECONDS = 120  # nothing that is waited for takes as long


class Machine:
    """A folder for the engine, a fake base Python, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder / "the engine", folder / "log.txt"
        self._calls, self.processes = folder / "calls", folder / "processes"
        self.base = write_fake_base_python(folder)

    def start(self, base: str | Path = "", environment: dict[str, str] | None = None, **told: str) -> SetupRun:
        setup = EngineSetup(str(self.folder), str(base or self.base), LINUX, PIPS_OWN)
        told |= {"calls": str(self._calls), "processes": str(self.processes)}
        fakes = {f"LVSM_FAKE_{name.upper()}": value for name, value in told.items()}
        return SetupRun(setup, self.log, {**os.environ, **(environment or {}), **fakes})

    def refusal(self, base: str | Path = "", **told: str) -> str:
        with pytest.raises(LvsmError) as caught:
            self.start(base, **told).wait()
        assert caught.value.remedy == CHOOSE_PYTHON
        return str(caught.value)

    def calls(self) -> list[dict]:
        """What was asked since the last time."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def modules(self) -> list[str]:
        """Of those calls: "venv", "pip", "-c"."""
        return [next(word for word in ("venv", "pip", "-c") if word in call["arguments"]) for call in self.calls()]


@pytest.fixture
def machine(tmp_path) -> Machine:
    folder = tmp_path / "Jos\u00e9 \u0434 a b"
    folder.mkdir()
    return Machine(folder)


def until(condition) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_makes_an_environment_installs_all_and_checks_it(machine):
    python = machine.start().wait()
    assert python == str(machine.folder / "bin" / "python")
    assert machine.modules() == ["-c", "venv", "pip", "pip", "pip", "-c"]
    assert (machine.folder / FINISHED_NAME).exists()
    assert "Installing collected packages: torch>=2.10" in machine.log.read_text()


def test_a_second_time_nothing_is_installed(machine):
    machine.start().wait()
    machine.calls()
    machine.start().wait()
    assert machine.modules() == ["-c"]


@pytest.mark.parametrize("damage", ["check", "python", "settings"])
def test_an_environment_that_is_damaged_is_made_anew(machine, damage):
    machine.start().wait()
    if damage == "check":
        assert "libtorch is damaged" in machine.refusal(check="broken")
        return
    lost = {"python": machine.folder / "bin" / "python", "settings": machine.folder / FINISHED_NAME}[damage]
    lost.unlink()
    machine.calls()
    machine.start().wait()
    assert "venv" in machine.modules()


def test_another_torch_is_a_new_environment(machine):
    machine.start().wait()
    setup = EngineSetup(str(machine.folder), str(machine.base), LINUX, "https://mirror.example/simple")
    SetupRun(setup, machine.log, os.environ).wait()
    assert "https://mirror.example/simple" in (machine.folder / FINISHED_NAME).read_text()


def test_progress_comes_from_pips_own_lines_and_a_cancel_ends_pip_with_its_children(machine):
    run = machine.start(pip="hang")
    until(machine.processes.exists)
    processes = [int(number) for number in machine.processes.read_text().split()]
    until(lambda: "torch, 50 of 200 MB" in run.progress.stage)
    assert 0 < run.progress.fraction < 0.1 and all(map(is_alive, processes))
    run.cancel()
    with pytest.raises(Cancelled):
        run.wait()
    until(lambda: not any(map(is_alive, processes)))
    assert not (machine.folder / FINISHED_NAME).exists()


def test_after_a_break_it_goes_on_and_ends_well(machine):
    run = machine.start(pip="hang")
    until(machine.processes.exists)
    run.cancel()
    until(lambda: run.done)
    assert machine.start().wait() == str(machine.folder / "bin" / "python")


def test_a_cancel_before_it_has_begun_runs_nothing_more(machine):
    run = machine.start()
    run.cancel()
    with pytest.raises(Cancelled):
        run.wait()
    assert not (machine.folder / FINISHED_NAME).exists()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("offline", "The connection to pip's index failed: see to the network or its proxy"),
        ("untrusted", "The certificate of pip's index is not trusted: name your network's certificates in PIP_CERT"),
        ("full", "The disk is full while setting up"),
        ("nothing", "pip's index has no torch>=2.10 for this Python and system: name another base Python"),
        ("strange", "Fetching PyTorch failed with status 7 (ERROR: the moon is in the way)"),
    ],
)
def test_a_pip_that_fails_is_told_in_a_sentence(machine, fault, words):
    assert words in machine.refusal(pip=fault)
    assert machine.start().wait(), "and the next press goes on"


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ("[[3, 9], true, 64]", "is Python 3.9 with 64 bits, and the engine needs 64 bits and 3.10 or newer"),
        ("[[3, 11], true, 32]", "is Python 3.11 with 32 bits"),
        (
            "[[3, 13], false, 64]",
            "its part ensurepip is missing: install it (on Debian and Ubuntu the package python3-venv)",
        ),
        ("hello", "is no Python that runs (hello): name another base Python"),
    ],
)
def test_a_base_python_that_will_not_do_is_told_before_anything_is_made(machine, probe, words):
    assert words in machine.refusal(probe=probe)
    assert not machine.folder.exists()


def test_a_base_python_that_is_not_there_is_told(machine):
    assert "no python cannot be started (No such file or directory)" in machine.refusal(base="/no python")


def test_a_folder_with_other_files_is_left_alone(machine):
    machine.folder.mkdir()
    mine = machine.folder / "thesis.txt"
    mine.write_text("mine")
    (machine.folder / "pyvenv.cfg").write_text("home = /usr/bin\nprompt = 'another'\n")
    assert "has files that are not the engine's: choose an empty folder" in machine.refusal()
    assert mine.read_text() == "mine"


def test_a_disk_without_room_is_told_before_anything_is_downloaded():
    setup = EngineSetup("/data/engine", "python3", LINUX, PIPS_OWN)
    check_free_space(setup, free=100_000_000_000)
    with pytest.raises(LvsmError, match=r"/data/engine needs about 5.7 GB, and 2.0 GB are free there: free space"):
        check_free_space(setup, free=2_000_000_000)
    check_free_space(EngineSetup("/data/engine", "python3", LINUX, "https://mirror.example"), free=0)


def test_blenders_python_variables_are_not_passed_on_and_the_users_pip_settings_are(machine):
    blenders = {"PYTHONPATH": "/blender", "PYTHONHOME": "/blender", "PIP_TARGET": "/elsewhere"}
    assert commands_environment(blenders | {"HOME": "/home/ana"}).keys() & {*blenders} == set()
    machine.start(environment={"PYTHONPATH": "/blender", "PIP_PROXY": "http://proxy:1"}).wait()
    for call in machine.calls()[2:5]:
        assert call["arguments"][0] == "-I" and "PYTHONPATH" not in call["environment"]
        assert call["environment"]["PIP_PROXY"] == "http://proxy:1" and call["environment"]["PIP_NO_INPUT"] == "1"


def test_downloads_are_counted_over_all_wheels_and_cached_ones_take_no_time():
    times = iter((0.0, 10.0))
    downloads = Downloads(expected=1000, clock=lambda: next(times))
    assert (downloads.text, downloads.fraction, downloads.seconds_left) == ("", 0.0, None)
    assert not downloads.hear("  Using cached nvidia_cublas-13.1-py3-none-manylinux_x86_64.whl (400.0 MB)")
    assert downloads.fraction == 0.4 and downloads.seconds_left is None
    assert not downloads.hear("Downloading torch-2.14.1-cp311-cp311-linux_x86_64.whl.metadata (29 kB)")
    assert not downloads.hear("Downloading torch-2.14.1-cp311-cp311-linux_x86_64.whl (200.0 MB)")
    assert downloads.hear("Progress 0 of 200000000") and downloads.seconds_left is None
    assert downloads.hear("Progress 100000000 of 200000000")
    assert downloads.text == "torch, 100 of 200 MB" and downloads.fraction == pytest.approx(0.5)
    assert downloads.seconds_left == pytest.approx(50)
    downloads.hear("Downloading numpy-2.4.6-cp311-cp311-linux_x86_64.whl (100.0 MB)")
    assert downloads.fraction == pytest.approx(0.6)
    downloads.hear("Installing collected packages: numpy, torch")
    assert downloads.text == "" and downloads.fraction == pytest.approx(0.7)


def test_a_real_python_makes_a_real_environment_before_pip_is_asked(machine):
    """Of the real commands, as far as no network is needed: the base is looked at, and the environment made."""
    run = machine.start(base=sys.executable, environment={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(machine.folder)})
    with pytest.raises(LvsmError, match=r"Updating pip failed|has no pip>=24.1"):
        run.wait()
    assert "prompt = 'lvsm'" in (machine.folder / "pyvenv.cfg").read_text()
    assert (machine.folder / "bin" / "python").exists()
