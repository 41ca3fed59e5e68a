"""Runs scripts of tests/blender/inside in every Blender at hand, with the built extension installed and enabled."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.shared_data import ROOT, shared

from .inside_tests import INSIDE, Report, read_report

HANG_SECONDS = 550  # no Blender takes as long, however busy the machine is; less than a test may take
# Of make test; and any other that make .venv-bpy/VERSION/ready has set up here.
WHEELS = sorted({"bpy-4.2", "bpy-5.0", *(f"bpy-{ready.parent.name}" for ready in ROOT.glob(".venv-bpy/*/ready"))})
BLENDERS = ("4.3", "5.2")


@dataclass(frozen=True)
class Blender:
    """One Blender with the extension in user resources of its own.

    name: "bpy-4.2", "bpy-5.0" (wheels of Blender as a Python module), "4.3", "5.2" (programs, with a window if wanted).
    """

    name: str
    resources: Path

    @property
    def has_window(self) -> bool:
        return self.name in BLENDERS

    def run(
        self,
        script: str | Path,
        *arguments: str | Path,
        window: bool = False,
        env: dict[str, str] | None = None,
    ) -> str:
        """Run a script of tests/blender/inside to its end and return what it printed.

        An exception in it, a failed assert included, fails the test with all that was printed. A script with a window
        must quit Blender itself. env: added to the environment.
        """
        return self.execute(self._launch(script, *arguments, window=window), env)

    def report(
        self,
        script: str,
        *arguments: str | Path,
        window: bool = False,
        env: dict[str, str] | None = None,
    ) -> Report:
        """Run the functions test_... of a script of tests/blender/inside, each to its end; see run()."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report"
            environment = {"LVSM_REPORT": str(path), **(env or {})}
            try:
                done = self.attempt(self._launch(script, *arguments, window=window), environment)
            except subprocess.TimeoutExpired as hang:
                output = (hang.stdout or b"").decode(errors="replace")
                return read_report(script, path, f"Blender did not end within {hang.timeout:g} s", output)
            end = f"Blender ended with status {done.returncode}" if done.returncode else ""
            return read_report(script, path, end, done.stdout)

    def _launch(self, script: str | Path, *arguments: str | Path, window: bool) -> list:
        launched = [INSIDE / "launch.py", INSIDE / script, *arguments]
        if not self.has_window:
            return [_wheel_python(self.name), *launched]
        mode = "--window" if window else "-b"
        return [*self.command, mode, "--python-exit-code", "1", "--python", launched[0], "--", *launched[1:]]

    def execute(self, command: list, env: dict[str, str] | None = None) -> str:
        """Run a command line with this Blender's resources; a non-zero exit fails the test."""
        done = self.attempt(command, env)
        if done.returncode:
            pytest.fail(f"{self.name}: exit status {done.returncode}\n{done.stdout}", pytrace=False)
        return done.stdout

    def attempt(self, command: list, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        """Run a command line with this Blender's resources, whatever comes of it; stdout holds stderr too."""
        environment = os.environ | {"BLENDER_USER_RESOURCES": str(self.resources)} | (env or {})
        return subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment,
            timeout=HANG_SECONDS,
            text=True,
            encoding="utf-8",
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    @property
    def command(self) -> list[str]:
        """How a command line of this program begins, in front of Blender's own options."""
        assert self.has_window, f"{self.name} is a module, not a program"
        return _program(self.name)


def _wheel_python(name: str) -> Path:
    return ROOT / ".venv-bpy" / name.removeprefix("bpy-") / "bin" / "python"


def _program(version: str) -> list[str]:
    return [str(shared("tools", "real_blender")), version]


@pytest.fixture(scope="session")
def extension_zip(tmp_path_factory) -> Path:
    """The extension as users get it."""
    folder = tmp_path_factory.mktemp("extension")
    subprocess.run([sys.executable, ROOT / "build_extension.py", folder], check=True, capture_output=True)
    return next(folder.glob("*.zip"))


@pytest.fixture(scope="session", params=[*WHEELS, *BLENDERS])
def blender(request, extension_zip: Path, tmp_path_factory) -> Blender:
    """Every Blender at hand, one after the other."""
    name = request.param
    if name in WHEELS and not _wheel_python(name).exists():
        pytest.skip(f"needs the bpy wheel in .venv-bpy/{name.removeprefix('bpy-')}: run `make test`")
    if name in BLENDERS:
        shared("tools", "real_blender")
        if os.geteuid() != 0:
            pytest.skip("../shared/tools/real_blender needs root")
    installed = Blender(name, tmp_path_factory.mktemp(f"resources_{name}"))
    if name in WHEELS:
        installed.execute([_wheel_python(name), INSIDE / "install.py", extension_zip])
    else:
        options = ["-b", "--command", "extension", "install-file", "-r", "user_default", "--enable", extension_zip]
        installed.execute([*installed.command, *options])
    return installed
