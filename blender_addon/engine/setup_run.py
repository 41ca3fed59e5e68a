"""A set-up of the engine under way: its commands, one after the other, on a thread. Knows neither bpy nor torch.

An environment is taken as it is only where it was finished, by the same plan, and can load its packages still; else it is
made anew, and what was downloaded before comes from pip's cache.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lvsm_engine.errors import CHOOSE_PYTHON, Cancelled, LvsmError, OutputError, WorkerError
from lvsm_engine.progress import Progress
from lvsm_engine.whole_files import make_folder, write_bytes

from .engine_setup import CHECKING, OLDEST_PYTHON, OPTIONAL_PACKAGES, OTHER_PACKAGES, PROMPT, TORCH, EngineSetup, Step

FINISHED_NAME = "lvsm_engine.json"
"""In the environment's folder, written last: what it was finished with."""

# Of pip's settings by the environment those that would have it install elsewhere.
ELSEWHERE = {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER"}
QUIET = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_RESUME_RETRIES": "5"}

PROBE = (
    "import importlib.util, json, struct, sys;"
    "has = lambda name: importlib.util.find_spec(name) is not None;"
    "print(json.dumps([list(sys.version_info[:2]), has('venv') and has('ensurepip'), struct.calcsize('P') * 8]))"
)
LAST_LINES = 200  # of a command's output: where pip says what is wrong
# Parts of the whole: where downloads end, after which all is unpacked, and where the check begins.
DOWNLOADED, CHECKED_FROM = 0.85, 0.95
TELLING = 20.0  # MB: less tells of delays, not of the network's speed
POLL_SECONDS = 0.02

NETWORK_SIGNS = re.compile(
    r"NewConnectionError|ConnectTimeout|NameResolutionError|getaddrinfo failed|ProxyError|Read timed out|ReadTimeout"
    r"|Connection (?:refused|reset|broken|aborted)|IncompleteRead|Network is unreachable|name resolution"
)
CERTIFICATE_SIGNS = re.compile(r"SSLError|CERTIFICATE_VERIFY_FAILED|SSL module is not available")
FULL_DISK_SIGNS = re.compile(r"No space left on device|not enough space on the disk|Disk quota exceeded")
NO_PACKAGE_SIGN = re.compile(r"No matching distribution found for (\S+)")
MISSING_LIBRARY_SIGN = re.compile(r"WinError 126|WinError 1114")


class SetupRun:
    """One set-up. Poll `done`, or wait; then result() gives the engine's Python, or raises why there is none."""

    def __init__(self, setup: EngineSetup, log_path: Path, environment: Mapping[str, str]) -> None:
        """environment: the variables of the process; Python's own are left out."""
        self.setup, self.log_path = setup, log_path
        self._environment = commands_environment(environment)
        self._downloads = Downloads(setup.sizes.download if setup.sizes else None)
        self._stage = "Starting"
        self._process: subprocess.Popen | None = None
        self._is_cancelled = False
        self._lock = threading.Lock()
        self._outcome: str | LvsmError | None = None
        threading.Thread(target=self._run, daemon=True, name="lvsm set-up").start()

    @property
    def progress(self) -> Progress:
        """How far it is; the time left while something is downloaded."""
        stage, downloads = self._stage, self._downloads
        if stage == CHECKING:
            return Progress(CHECKED_FROM, stage)
        return Progress(DOWNLOADED * downloads.fraction, downloads.text or stage, downloads.seconds_left)

    @property
    def done(self) -> bool:
        return self._outcome is not None

    def cancel(self) -> None:
        """End it at once, with all processes that it has begun. The next one goes on from pip's cache."""
        with self._lock:
            self._is_cancelled = True
            if self._process is not None:
                _kill_with_children(self._process)

    def wait(self) -> str:
        """Wait for the end; see result()."""
        while not self.done:
            time.sleep(POLL_SECONDS)
        return self.result()

    def result(self) -> str:
        """The engine's Python. Raises LvsmError: Cancelled, or what went wrong."""
        assert self._outcome is not None, "result() before done"
        if isinstance(self._outcome, LvsmError):
            raise self._outcome
        return self._outcome

    def _run(self) -> None:
        try:
            self._set_up()
            self._outcome = self.setup.python
        except LvsmError as error:
            self._outcome = error
        except Exception as error:  # whatever it is, nobody waits for it without end
            self._outcome = WorkerError(
                f"Setting up the engine failed ({type(error).__name__}: {error}).", CHOOSE_PYTHON
            )

    def _set_up(self) -> None:
        make_folder(self.log_path.parent)
        self.log_path.write_bytes(b"")
        self._stage = "Looking at what is there"
        if is_finished(self.setup) and self._can_load():
            return
        check_replaceable(Path(self.setup.folder))
        self._check_base_python()
        make_folder(Path(self.setup.folder).parent)
        if not Path(self.setup.folder).exists():  # one that is replaced frees its own
            check_free_space(self.setup, shutil.disk_usage(Path(self.setup.folder).parent).free)
        for step in self.setup.steps:
            self._do(step)
        write_bytes(Path(self.setup.folder) / FINISHED_NAME, _finished_with(self.setup))

    def _can_load(self) -> bool:
        """Whether the environment's Python is there still, and its packages."""
        try:
            return self._call(self.setup.check)[0] == 0
        except WorkerError:  # what it was made with is gone
            return False

    def _check_base_python(self) -> None:
        """Raises WorkerError where the base Python is none to make an environment with."""
        base = self.setup.base_python
        status, lines = self._call((base, "-I", "-c", PROBE))
        try:
            version, makes_environments, bits = json.loads(lines[-1])
            is_new_enough = tuple(version) >= OLDEST_PYTHON
        except (IndexError, TypeError, ValueError):
            said = lines[-1] if lines else f"it ended with status {status}"
            raise WorkerError(
                f"{base} is no Python that runs ({said}): name another base Python.", CHOOSE_PYTHON
            ) from None
        if not is_new_enough or bits != 64:
            sentence = f"{base} is Python {version[0]}.{version[1]} with {bits} bits, and the engine needs 64 bits and"
            oldest = ".".join(map(str, OLDEST_PYTHON))
            raise WorkerError(f"{sentence} {oldest} or newer: name another base Python.", CHOOSE_PYTHON)
        if not makes_environments:
            raise WorkerError(
                f"{base} cannot make environments, since its part ensurepip is missing: install it (on Debian and Ubuntu the"
                " package python3-venv), or name another base Python.",
                CHOOSE_PYTHON,
            )

    def _do(self, step: Step) -> None:
        """Raises LvsmError where the command fails."""
        self._stage = step.stage
        extra = {"PIP_PROGRESS_BAR": "raw"} if step.is_download else {}
        status, lines = self._call(step.command, extra)
        if status != 0:
            raise _failure(self.setup, step, status, lines)

    def _call(self, command: tuple[str, ...], extra: Mapping[str, str] | None = None) -> tuple[int, list[str]]:
        """Run a command: its status and the last lines of what it said. Raises Cancelled, and WorkerError where it is none."""
        with open(self.log_path, "a", encoding="utf-8") as log:
            log.write(f"> {' '.join(command)}\n")
            log.flush()
            with self._lock:
                if self._is_cancelled:
                    raise Cancelled
                process = self._process = _started(command, {**self._environment, **(extra or {})})
            with process:
                lines = self._follow(process, log.write)
            if self._is_cancelled:
                raise Cancelled
            return process.returncode, lines

    def _follow(self, process: subprocess.Popen, keep: Callable[[str], object]) -> list[str]:
        """Read what a process says to its end."""
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            if not self._downloads.hear(line.rstrip()):
                keep(line)
                lines = [*lines[-LAST_LINES:], line.rstrip()]
            if line.startswith("Installing collected packages"):
                self._stage = "Unpacking"
        return [line for line in lines if line]


class Downloads:
    """How much has been downloaded, by what pip says."""

    _current = re.compile(r"Progress (\d+) of (\d+)$")
    _named = re.compile(r"\s*(Downloading|Using cached) (\S+?)-\d\S* \(([\d.]+) ([kMG]B)\)")
    _units = {"kB": 1e-3, "MB": 1.0, "GB": 1e3}

    def __init__(self, expected: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        """expected: MB of all together, about; None where nobody knows. clock: seconds."""
        self._expected, self._clock = expected, clock
        self._finished = self._now = self._size = 0.0  # MB
        self._cached = 0.0
        self._name = ""
        self._seconds = 0.0  # that downloads took
        self._heard: float | None = None  # when of a download, while one goes on

    def hear(self, line: str) -> bool:
        """Take a line of pip's. Whether it told of nothing but the progress, many a second."""
        if found := self._current.match(line):
            self._now, self._size = (int(number) / 1e6 for number in found.groups())
            now = self._clock()
            self._seconds += now - (now if self._heard is None else self._heard)
            self._heard = now
            return True
        if (found := self._named.match(line)) and ".metadata" not in line:
            kind, self._name, size, unit = found.groups()
            self._finished, self._now = self._finished + self._size, 0.0
            self._size = float(size) * self._units[unit]
            if kind == "Using cached":
                self._cached += self._size
                self._now = self._size
        elif line.startswith("Installing collected packages"):
            self._finished, self._now, self._size, self._name = self._finished + self._size, 0.0, 0.0, ""
            self._heard = None
        return False

    @property
    def text(self) -> str:
        """What is downloaded now, for people; empty while nothing is."""
        return f"{self._name}, {self._now:.0f} of {self._size:.0f} MB" if self._name else ""

    @property
    def fraction(self) -> float:
        """Of what is expected; where nobody knows of how much, of the package that is downloaded now. 0 to 1."""
        if not self._expected:
            return min(self._now / self._size, 1.0) if self._size else 0.0
        return min((self._finished + self._now) / self._expected, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """None where nobody knows, and while nothing is downloaded."""
        fetched = self._finished + self._now - self._cached
        if not (self._name and self._expected and self._seconds) or fetched < TELLING:
            return None
        return self._seconds * max(self._expected - self._finished - self._now, 0.0) / fetched


class FollowedSetup:
    """The set-up that Blender follows, if any, and what became of the last one, in a sentence; what panels draw."""

    def __init__(self) -> None:
        self.run: SetupRun | None = None
        self.said = ""

    def cancel(self) -> None:
        if self.run is not None:
            self.run.cancel()


followed_setup = FollowedSetup()


def commands_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """For Pythons that know nothing of Blender's; what the user sets for pip, a proxy or a mirror, stays."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("PYTHON") and name not in {"VIRTUAL_ENV", "__PYVENV_LAUNCHER__", *ELSEWHERE}
    }
    return QUIET | kept


def is_finished(setup: EngineSetup) -> bool:
    """Whether an environment was finished there by the same plan. That it can be used still is another question."""
    try:
        return (Path(setup.folder) / FINISHED_NAME).read_bytes() == _finished_with(setup)
    except OSError:
        return False


def check_replaceable(folder: Path) -> None:
    """Raises OutputError unless the folder is empty, absent, or an environment of ours."""
    try:
        is_free = not any(not path.is_dir() for path in folder.rglob("*"))
        settings = folder / "pyvenv.cfg"
        is_ours = settings.is_file() and re.search(rf"^prompt = '?{PROMPT}'?\s*$", settings.read_text("utf-8"), re.M)
    except (OSError, UnicodeError) as error:
        raise OutputError(f"{folder} cannot be read ({error}): choose another folder.", CHOOSE_PYTHON) from error
    if not is_free and not is_ours:
        raise OutputError(f"{folder} has files that are not the engine's: choose an empty folder.", CHOOSE_PYTHON)


def check_free_space(setup: EngineSetup, free: int) -> None:
    """free: bytes on the folder's disk. Raises OutputError where the packages have no room; pip's cache may be elsewhere."""
    if setup.sizes is not None and free < setup.sizes.disk * 1e6:
        sentence = (
            f"{setup.folder} needs about {setup.sizes.disk / 1000:.1f} GB, and {free / 1e9:.1f} GB are free there"
        )
        raise OutputError(f"{sentence}: free space or choose another folder.", CHOOSE_PYTHON)


def _finished_with(setup: EngineSetup) -> bytes:
    plan = {"torch_index": setup.torch_index, "packages": [TORCH, *OTHER_PACKAGES, *OPTIONAL_PACKAGES]}
    return json.dumps(plan, indent=1).encode()


def _started(command: tuple[str, ...], environment: Mapping[str, str]) -> subprocess.Popen:
    """A process with a group of its own, so that it can be ended with its children. Raises WorkerError."""
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=dict(environment),
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        sentence = f"The Python {command[0]} cannot be started ({error.strerror}): name another base Python."
        raise WorkerError(sentence, CHOOSE_PYTHON) from error


def _kill_with_children(process: subprocess.Popen) -> None:
    if os.name == "nt":
        killer = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        quiet = subprocess.DEVNULL
        subprocess.Popen(killer, stdout=quiet, stderr=quiet, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0))
    elif process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _failure(setup: EngineSetup, step: Step, status: int, lines: list[str]) -> LvsmError:
    """Why a command failed, by what it said."""
    said = "\n".join(lines)
    source = setup.torch_index if step.is_download and TORCH in step.command and setup.torch_index else "pip's index"
    reason = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1] if lines else "")
    again = "press Set Up Engine again, which goes on with what was downloaded"
    if FULL_DISK_SIGNS.search(said):
        return OutputError(
            f"The disk is full while setting up {setup.folder}: free space, then {again}.", CHOOSE_PYTHON
        )
    if CERTIFICATE_SIGNS.search(said):
        sentence = (
            f"The certificate of {source} is not trusted: name your network's certificates in PIP_CERT, then {again}."
        )
    elif NETWORK_SIGNS.search(said):
        sentence = f"The connection to {source} failed: see to the network or its proxy (HTTPS_PROXY), then {again}."
    elif missing := NO_PACKAGE_SIGN.search(said):
        sentence = (
            f"{source} has no {missing[1]} for this Python and system: name another base Python, such as 3.11 or 3.13."
        )
    elif MISSING_LIBRARY_SIGN.search(said):
        sentence = f"PyTorch cannot be loaded ({reason}): install Microsoft's Visual C++ Redistributable, then {again}."
    elif step.command == setup.check:
        sentence = f"The packages in {setup.folder} cannot be loaded ({reason}): {again}."
    else:
        sentence = f"{step.stage} failed with status {status} ({reason}): the log of the set-up has the details."
    return WorkerError(sentence, CHOOSE_PYTHON)
