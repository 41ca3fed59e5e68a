"""The plan of the engine's set-up on three systems."""

import re
import shlex
import subprocess

import pytest

from blender_addon.engine import engine_setup
from blender_addon.engine.engine_setup import (
    CPU_INDEX,
    CUDA_INDEX,
    PIPS_OWN,
    EngineSetup,
    default_folder,
    has_nvidia_driver,
    setup_by_hand,
    torch_index,
)
from lvsm_engine.user_folder import LINUX, MACOS, SYSTEMS, WINDOWS
from lvsm_engine.worker.__main__ import OLDEST_PYTHON

HOME = {LINUX: "/home/ana", WINDOWS: r"C:\Users\ana", MACOS: "/Users/ana"}


def setup_of(system: str, has_card: bool = True, folder: str = "") -> EngineSetup:
    folder = folder or default_folder(system, {}, HOME[system])
    return EngineSetup(folder, "/opt/blender/python3.11", system, torch_index(system, has_card))


@pytest.mark.parametrize(
    ("system", "environment", "folder", "python"),
    [
        (LINUX, {}, "/home/ana/.local/share/lvsm/engine", "/bin/python"),
        (LINUX, {"XDG_DATA_HOME": "/data/ana"}, "/data/ana/lvsm/engine", "/bin/python"),
        (LINUX, {"XDG_DATA_HOME": "not/absolute"}, "/home/ana/.local/share/lvsm/engine", "/bin/python"),
        (MACOS, {}, "/Users/ana/Library/Application Support/lvsm/engine", "/bin/python"),
        (WINDOWS, {}, r"C:\Users\ana\AppData\Local\lvsm\engine", r"\Scripts\python.exe"),
        (WINDOWS, {"LOCALAPPDATA": r"D:\Local"}, r"D:\Local\lvsm\engine", r"\Scripts\python.exe"),
    ],
)
def test_every_blender_of_a_user_shares_a_short_local_folder(system, environment, folder, python):
    assert default_folder(system, environment, HOME[system]) == folder
    assert EngineSetup(folder, "python3", system, PIPS_OWN).python == folder + python


def test_torch_comes_from_where_the_systems_wheels_for_a_card_or_the_processor_are():
    indexes = {(system, has_card): torch_index(system, has_card) for system in SYSTEMS for has_card in (True, False)}
    assert indexes == {
        (LINUX, True): PIPS_OWN,
        (LINUX, False): CPU_INDEX,
        (WINDOWS, True): CUDA_INDEX,
        (WINDOWS, False): PIPS_OWN,
        (MACOS, True): PIPS_OWN,
        (MACOS, False): PIPS_OWN,
    }


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("has_card", [True, False])
def test_only_torch_comes_from_pytorchs_index_and_all_is_installed_into_the_folder(system, has_card):
    setup = setup_of(system, has_card)
    commands = [step.command for step in setup.steps]
    assert commands[0] == (setup.base_python, "-I", "-m", "venv", "--clear", "--prompt", "lvsm", setup.folder)
    assert {command[0] for command in commands[1:]} == {setup.python}
    assert all(command[1] == "-I" for command in commands)
    named = [command for command in commands if "--index-url" in command]
    assert [command[-3:] for command in named] == (
        [("torch>=2.10", "--index-url", setup.torch_index)] if setup.torch_index else []
    )


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("has_card", [True, False])
def test_how_much_is_downloaded_is_said_before(system, has_card):
    setup = setup_of(system, has_card)
    assert re.search(r"Downloads about [\d.]+ [MG]B, takes about [\d.]+ [MG]B", " ".join(setup.in_words()))
    assert (setup.torch_index or "PyPI") in setup.in_words()[0]


def test_of_another_index_the_size_is_not_guessed():
    setup = EngineSetup("/x", "python3", LINUX, "https://mirror.example/simple")
    assert setup.sizes is None and "from 0.2 to 3 GB" in " ".join(setup.in_words())


@pytest.mark.parametrize("folder", ["/home/ana/the engine's $HOME", '/home/Jos\u00e9 \u0434/a"b'])
def test_a_terminal_reads_the_copied_lines_as_the_very_commands(folder):
    setup = setup_of(LINUX, folder=folder)
    lines = [line for line in setup.by_hand().splitlines() if not line.startswith("#")]
    assert [tuple(shlex.split(line)) for line in lines] == [step.command for step in setup.steps]


def test_a_shell_puts_the_users_folder_into_the_lines_for_another_machine():
    line = next(line for line in setup_by_hand(LINUX).by_hand().splitlines() if " venv " in line)
    said = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {line}"], env={"HOME": "/home/ana b"}, capture_output=True, text=True, check=True
    ).stdout
    assert said.splitlines()[-1] == "/home/ana b/.local/share/lvsm/engine"


def test_the_command_prompt_takes_no_character_of_the_lines_for_its_own():
    text = setup_by_hand(WINDOWS).by_hand()
    lines = text.splitlines()
    assert '"torch>=2.10"' in text and r'"%LOCALAPPDATA%\lvsm\engine\Scripts\python.exe"' in text
    outside_quotes = ["".join(line.split('"')[::2]) for line in lines]
    assert not [line for line in outside_quotes if set(line) & set("<>|&^;")]
    assert all(line.startswith(("rem ", "py ", '"%LOCALAPPDATA%')) for line in lines)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_lines_say_what_to_choose_then(system):
    setup = setup_by_hand(system)
    assert f"choose {setup.python} in Blender" in setup.by_hand()


def test_a_driver_is_found_by_its_program(tmp_path):
    assert not has_nvidia_driver(LINUX, {"PATH": str(tmp_path)})
    program = tmp_path / "nvidia-smi"
    program.touch(0o755)
    assert has_nvidia_driver(LINUX, {"PATH": str(tmp_path)})
    assert not has_nvidia_driver(WINDOWS, {"PATH": "", "SystemRoot": str(tmp_path)})
    (tmp_path / "System32").mkdir()
    (tmp_path / "System32" / "nvidia-smi.exe").touch()
    assert has_nvidia_driver(WINDOWS, {"PATH": "", "SystemRoot": str(tmp_path)})


def test_the_oldest_python_is_the_engines():
    assert engine_setup.OLDEST_PYTHON == OLDEST_PYTHON
