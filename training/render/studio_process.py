"""One studio process: started, given jobs, killed on its time limit, and told from the object that it died of.

Knows nothing of Blender, nor of Ray: a studio is any command that says {"ready": what it is} on stdout, reads one job
a line (JSON) on stdin, names the stages of each as {"stage": name} and answers with {"rejected": reason or null}. It
ends when its stdin closes, so that nothing runs on when this process is killed. Its files are in a scratch folder, which
a lock shows to be in use: what killed processes leave behind is removed by the next one.
"""

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

from .job import RenderJob
from .rejection import RejectedError

SECONDS_TO_START = 120.0  # Blender's first import from a cold or busy disk.
MAX_STDERR = 2000  # Characters that are kept of what a studio said before it died.
SCRATCH = "lvsm-studio-"
_LOG = "log.txt"
_ROOT = Path(__file__).resolve().parents[2]


class StudioStartError(Exception):
    """A studio that does not start: the machine's fault, not the object's."""


class StudioError(Exception):
    """A studio that died of an object, or had to be killed. stage: what it was doing. stderr: its last words."""

    def __init__(self, stage: str, reason: str, stderr: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage, self.reason, self.stderr = stage, reason, stderr


class StudioProcess:
    """A process that renders objects one after the other. Raises StudioStartError where it does not start.

    description: what it says of itself. jobs: how many it was given. stage: what it did last.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.jobs = 0
        remove_abandoned_folders()
        self._folder, self._log = _scratch_folder()
        self._log_start = 0
        self.stage = "start"
        self._timed_out = False
        # In a session of its own: Ctrl-C is for the command, which then ends this process by closing its stdin.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
            env=_environment(self._folder),
        )
        try:
            self.description: str = self._follow(SECONDS_TO_START)["ready"]
        except StudioError as error:
            self.close()
            raise StudioStartError(
                f"no studio starts by {' '.join(command)}: {error.reason}\n{error.stderr}"
            ) from error

    def render(self, job: RenderJob, glb: bytes) -> bytes:
        """The .npz of an object's views. Raises RejectedError; StudioError, after which the studio is to be closed."""
        self.jobs += 1
        self._log_start, self.stage = self._log.seek(0, os.SEEK_END), "import"
        source, output = self._folder / "object.glb", self._folder / "views.npz"
        source.write_bytes(glb)
        line = json.dumps(asdict(replace(job, source=str(source), output=str(output))))
        reason = self._follow(job.seconds, line)["rejected"]
        if reason is not None:
            raise RejectedError(reason)
        views = output.read_bytes()
        output.unlink()
        return views

    def close(self) -> None:
        """End the process and remove all that it had on the disk."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._kill()
        self._process.stdout.close()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _follow(self, seconds: float, line: str | None = None) -> dict:
        """Say `line`, then read replies until one ends the work. Raises StudioError on death or after `seconds`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        alarm = threading.Timer(seconds, self._time_out)
        alarm.start()
        try:
            if line is not None:
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
            for reply in map(json.loads, self._process.stdout):
                if "stage" not in reply:
                    return reply
                self.stage = reply["stage"]
        except (BrokenPipeError, json.JSONDecodeError):
            pass  # Said by its death, below.
        finally:
            alarm.cancel()
        self._kill()
        reason = f"took longer than {seconds:g} s" if self._timed_out else _cause_of(self._process.returncode)
        raise StudioError(self.stage, reason, self._last_words())

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _kill(self) -> None:
        """Wait for the end of a dying process, and end one that only closed its stdout."""
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        """The end of what this object made the studio say on stderr."""
        self._log.seek(self._log_start)
        return self._log.read().decode(errors="replace").strip()[-MAX_STDERR:]


def remove_abandoned_folders() -> None:
    """Remove the scratch folders of studios that are gone, and of the processes that started them."""
    for log in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*/{_LOG}"):
        try:
            # Anyone may put a pipe or a link in its place: the one is not waited for, the other not followed.
            with open(os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(log.parent, ignore_errors=True)
        except OSError:
            continue  # In use, of another user, or just gone.


def _scratch_folder() -> tuple[Path, IO[bytes]]:
    """A new folder and its open log, locked for as long as this process or the studio, which inherits it, lives."""
    unlocked = Path(tempfile.mkdtemp(prefix="lvsm-new-"))
    log = (unlocked / _LOG).open("w+b")
    fcntl.flock(log, fcntl.LOCK_EX)
    folder = unlocked.with_name(unlocked.name.replace("lvsm-new-", SCRATCH))
    return unlocked.rename(folder), log


def _cause_of(status: int) -> str:
    if status >= 0:
        return f"the studio ended with status {status}"
    return f"the studio was killed by {signal.Signals(-status).name}"


def _environment(folder: Path) -> dict[str, str]:
    """This process's, with the studio's code to be found, and its temporary files where they are removed."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(folder)}
