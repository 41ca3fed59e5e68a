"""The engine's process as others see it: start it, ask, follow, cancel. No torch, no bpy; numpy and the standard library.

Two daemon threads, one writing to the process and one reading from it, exchange whole messages with the caller's thread, which
never waits unless it calls `wait`. Every wait watches four things: the answer, the process's death, a cancel, a deadline.
"""

import contextlib
import os
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from .. import __version__
from ..errors import CHOOSE_PYTHON, OPEN_LOG, Cancelled, LvsmError, WorkerError
from ..progress import Cancel, OnProgress, Progress
from ..scene.camera import Camera, View
from . import messages
from .messages import Message

# A dead process is started anew this often within a minute; then it is the user's turn.
MAX_STARTS_A_MINUTE = 3
# The worker says that it is alive every second, whatever it computes: this much silence is a hung process.
SILENCE_SECONDS = 60.0
STOP_SECONDS = 2.0
ENDING_SECONDS = 0.5
LOG_LINES_SHOWN = 3
POLL_SECONDS = 0.02


class Request:
    """One question to the engine and what became of it. Made by Client; poll it from a timer, or wait."""

    def __init__(self, client: "Client", message: Message) -> None:
        self._client, self.message = client, message
        self.attempts = 0
        self.progress = Progress(0.0, "Starting the engine")
        self._answer: dict[str, Any] | LvsmError | None = None

    @property
    def done(self) -> bool:
        """Whether result() has something to give or to raise."""
        return self._answer is not None

    def poll(self) -> bool:
        """Look after the process's life and deadlines, without waiting. True when done."""
        if not self.done:
            self._client.watch()
        return self.done

    def wait(
        self, timeout: float | None = None, on_progress: OnProgress | None = None, cancel: Cancel | None = None
    ) -> dict[str, Any]:
        """Wait for the result, and return or raise it. timeout: seconds; raises WorkerError when they are over."""
        deadline = None if timeout is None else time.monotonic() + timeout
        told = None
        while not self.poll():
            if cancel is not None and cancel():
                self.cancel()
            elif deadline is not None and time.monotonic() > deadline:
                self.cancel()
                raise WorkerError(f"The engine did not answer within {timeout:g} s. Restart it.", OPEN_LOG)
            if on_progress is not None and self.progress != told:
                told = self.progress
                on_progress(told)
            time.sleep(POLL_SECONDS)
        return self.result()

    def cancel(self) -> None:
        """Give up at once; the worker stops by itself within 0.3 s."""
        if not self.done:
            self.settle(Cancelled())
            self._client.forget(self)

    def result(self) -> dict[str, Any]:
        """The answer's fields and arrays. Raises the engine's typed error, or Cancelled."""
        if isinstance(self._answer, LvsmError):
            raise self._answer
        assert self._answer is not None, "result() before done"
        return self._answer

    def settle(self, answer: dict[str, Any] | LvsmError) -> None:
        """Set the answer; the first one stays."""
        if self._answer is None:
            self._answer = answer


class _Process:
    """A running worker, its pipes and its two threads."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], log_path: Path) -> None:
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Python looks for modules in the folder it starts in first: not in whatever folder Blender stands in.
                cwd=folder,
                env=environment,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        self.began = self.heard = time.monotonic()
        self.hello: dict[str, Any] | None = None
        self.incoming: queue.SimpleQueue[Message | LvsmError | None] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        for target in (self._read, self._write):
            threading.Thread(target=target, daemon=True, name="lvsm worker pipe").start()

    def send(self, message: Message) -> None:
        self._outgoing.put(message)

    def stop(self) -> None:
        """End the process: closing its stdin ends a healthy one, the rest is killed. Never waits for long."""
        self._outgoing.put(None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        self._outgoing.put(None)
        self.popen.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(STOP_SECONDS)

    def _read(self) -> None:
        with cast(BinaryIO, self.popen.stdout) as stream:
            while True:
                try:
                    message = messages.read(stream)
                except (LvsmError, OSError, ValueError) as error:
                    self.incoming.put(error if isinstance(error, LvsmError) else None)
                    return
                self.heard = time.monotonic()
                self.incoming.put(message)
                if message is None:
                    return

    def _write(self) -> None:
        # A dead process shows at the other pipe.
        with contextlib.suppress(OSError), cast(BinaryIO, self.popen.stdin) as stream:
            while (message := self._outgoing.get()) is not None:
                messages.write(stream, message)


class Client:
    """The engine's process: started on demand, restarted once by itself when it dies, ended by stop().

    python: the interpreter with torch. engine_folder: what holds the package lvsm_engine, for its PYTHONPATH.
    log_path: where its stderr goes. device: "auto", "cuda" or "cpu". hello_seconds: how long it may take to be ready.
    May be used from several threads (Blender renders on one of its own); no call waits for the engine.
    """

    def __init__(
        self,
        python: str | Path,
        engine_folder: Path,
        log_path: Path,
        device: str = "auto",
        hello_seconds: float = 120.0,
    ) -> None:
        self._python, self._engine_folder, self.log_path = str(python), Path(engine_folder).absolute(), Path(log_path)
        self._device, self._hello_seconds = device, hello_seconds
        self._process: _Process | None = None
        self._pending: dict[int, Request] = {}
        self._last_id = 0
        self._starts: list[float] = []
        self._failed = False
        self._lock = threading.RLock()

    @property
    def state(self) -> str:
        """ "stopped", "starting", "ready", "busy" or "failed"."""
        with self._lock:
            self.watch()
            if self._process is None:
                return "failed" if self._failed else "stopped"
            if self._process.hello is None:
                return "starting"
            return "busy" if self._pending else "ready"

    @property
    def hello(self) -> dict[str, Any] | None:
        """What the worker said of itself: protocol, engine, torch, device, device_name, precision; None before."""
        process = self._process
        return None if process is None else process.hello

    def start(self) -> None:
        """Start the process if there is none. Returns at once. Raises WorkerError where it cannot be started."""
        with self._lock:
            self.watch()  # a dead one is buried first, and what was asked of it is sent again
            if self._process is not None:
                return
            now = time.monotonic()
            self._starts = [start for start in self._starts if now - start < 60]
            if len(self._starts) >= MAX_STARTS_A_MINUTE:
                self._failed = True
                raise WorkerError(
                    f"The engine ended {MAX_STARTS_A_MINUTE} times within a minute{self._last_log_lines()}", OPEN_LOG
                )
            self._starts.append(now)
            self._spawn()

    def _spawn(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONSTARTUP")}
        environment |= {"PYTHONPATH": str(self._engine_folder), "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        if not self._python:
            self._failed = True
            raise WorkerError("No Python is chosen for the engine: choose one that has torch.", CHOOSE_PYTHON)
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            command = [self._python, "-m", "lvsm_engine.worker"]
            self._process = _Process(command, self._engine_folder, environment, self.log_path)
        except OSError as error:
            self._failed = True
            raise WorkerError(
                f"The engine's Python {self._python} cannot be started ({error.strerror}): choose another one.",
                CHOOSE_PYTHON,
            ) from error
        self._failed = False
        fields = {"protocol": messages.PROTOCOL_VERSION, "engine": __version__, "device": self._device}
        self._process.send(Message("hello", 0, fields))

    def render(self, model: str, views: Sequence[View], cameras: Sequence[Camera]) -> Request:
        """Ask for what the cameras (all of one size) see. Returns at once. Raises WorkerError where none can be started.

        The result has images (T, H, W, 3) float32 sRGB in [0, 1], warnings, seconds, model and device.
        """
        listed, arrays = messages.views_to_fields(views)
        fields = {
            "model": _absolute(model),
            "views": listed,
            "cameras": [messages.camera_to_fields(camera) for camera in cameras],
        }
        return self._ask("render", fields, arrays)

    def inspect(self, model: str) -> Request:
        """Ask for a model's configuration and card, as dictionaries. Returns at once."""
        return self._ask("inspect", {"model": _absolute(model)}, {})

    def _ask(self, kind: str, fields: dict[str, Any], arrays: dict) -> Request:
        with self._lock:
            self.start()
            self._last_id += 1
            request = Request(self, Message(kind, self._last_id, fields, arrays))
            self._pending[self._last_id] = request
            self._send(request)
            return request

    def _send(self, request: Request) -> None:
        assert self._process is not None
        request.attempts += 1
        self._process.send(request.message)

    def forget(self, request: Request) -> None:
        """Tell the worker to stop working on a request."""
        with self._lock:
            if self._pending.pop(request.message.id, None) is not None and self._process is not None:
                self._process.send(Message("cancel", request.message.id))

    def watch(self) -> None:
        """Take what has arrived; see to deaths and deadlines. Never waits."""
        with self._lock:
            while self._process is not None:
                try:
                    message = self._process.incoming.get_nowait()
                except queue.Empty:
                    self._check_deadlines(self._process)
                    return
                if isinstance(message, Message):
                    self._take(message)
                else:
                    self._bury(message)

    def _take(self, message: Message) -> None:
        assert self._process is not None
        if message.kind == "hello":
            self._greet(message.fields)
        elif message.kind == "error" and message.id == 0:  # it cannot be an engine at all
            self._end(messages.error_from_fields(message.fields))
        elif (request := self._pending.get(message.id)) is not None:
            if message.kind == "progress":
                request.progress = Progress(**message.fields)
                return
            if message.kind == "error":
                request.settle(messages.error_from_fields(message.fields))
            else:
                request.settle({**message.fields, **message.arrays})
            del self._pending[message.id]

    def _greet(self, hello: dict[str, Any]) -> None:
        assert self._process is not None
        if hello.get("protocol") != messages.PROTOCOL_VERSION:
            sentence = f"The engine speaks protocol {hello.get('protocol')} and Blender {messages.PROTOCOL_VERSION}"
            self._end(WorkerError(f"{sentence}: install the same version of both."))
        else:
            self._process.hello = hello

    def _check_deadlines(self, process: _Process) -> None:
        now = time.monotonic()
        if process.hello is None and now - process.began > self._hello_seconds:
            self._end(
                WorkerError(
                    f"The engine's Python {self._python} did not answer within {self._hello_seconds:g} s"
                    f"{self._last_log_lines()}",
                    CHOOSE_PYTHON,
                )
            )
        elif process.hello is not None and self._pending and now - process.heard > SILENCE_SECONDS:
            self._end(WorkerError(f"The engine was silent for {SILENCE_SECONDS:g} s{self._last_log_lines()}", OPEN_LOG))

    def _bury(self, error: LvsmError | None) -> None:
        """The process is gone, or talks nonsense (error): start another for requests that had one chance only."""
        process, self._process = self._process, None
        assert process is not None
        if error is None:  # its pipe closes a moment before it has ended, and then its status says why
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(ENDING_SECONDS)
        process.kill()
        again = [request for request in self._pending.values() if request.attempts < 2]
        ending = f"with status {process.popen.returncode}"
        cause = error or WorkerError(f"The engine's process ended {ending}{self._last_log_lines()}", OPEN_LOG)
        if again and process.hello is not None:
            try:
                self.start()
            except WorkerError as failure:
                cause = failure
            else:
                for request in again:
                    self._send(request)
                self._settle_all(cause, but=again)
                return
        self._failed = True
        self._settle_all(cause)

    def _end(self, error: LvsmError) -> None:
        """Give up on the process and on all that was asked of it."""
        process, self._process = self._process, None
        self._failed = True
        if process is not None:
            process.kill()
        self._settle_all(error)

    def _settle_all(self, error: LvsmError, but: Sequence[Request] = ()) -> None:
        for number, request in list(self._pending.items()):
            if request not in but:
                request.settle(error)
                del self._pending[number]

    def _last_log_lines(self) -> str:
        """For the end of a sentence: the log's last lines, in a few words."""
        try:
            with open(self.log_path, "rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            lines = []
        shown = " / ".join(line.strip() for line in lines[-LOG_LINES_SHOWN:])
        return f": {shown}" if shown else " and wrote nothing to its log."

    def stop(self) -> None:
        """End the process, and with it all requests."""
        with self._lock:
            process, self._process = self._process, None
            self._settle_all(Cancelled("The engine was stopped."))
            self._failed = False
            self._starts.clear()
        if process is not None:
            process.stop()


def _absolute(model: str) -> str:
    """A model's path as the worker needs it, which stands in another folder; "default" is no path."""
    return model if model == "default" else str(Path(model).absolute())
