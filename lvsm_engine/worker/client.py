"""The engine's process as others see it: start it, ask, follow, cancel. No torch, no bpy; numpy and the standard library.

Two daemon threads, one writing to the process and one reading from it, exchange whole messages with the caller's thread, which
never waits unless it calls `wait`. Every wait watches four things: the answer, the process's death, a cancel, a deadline.
"""

import contextlib
import functools
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard, cast

import numpy as np

from .. import __version__
from ..errors import CHOOSE_PYTHON, OPEN_LOG, RESTART_ENGINE, Cancelled, LvsmError, WorkerError
from ..known_models import is_known
from ..progress import Cancel, OnProgress, Progress
from ..scene.camera import Camera, View
from ..scene.subject import Subject
from . import messages
from .messages import Message
from .virtual_environment import lost_home

DEVICES = ("auto", "cuda", "cpu")
"""What a client may be told to compute on."""
PASSES = ("depths", "confidences", "alphas", "main_photos")
"""What an answer may have beside its images."""

STARTING, WAITING = Progress(0.0, "Starting the engine"), Progress(0.0, "Waiting for the engine")

# A dead process is started anew by itself this often within a minute; then it is the user's turn.
MAX_RESTARTS_A_MINUTE = 3
# The worker says that it is alive every second, whatever it computes: this much silence is a hung process.
SILENCE_SECONDS = 60.0
# A worker that is alive and gets nowhere is given up too. It tells of each photo and each block: on a slow CPU, or while a
# large model comes from a slow disk, some minutes lie between.
STALL_SECONDS = 600.0
STOP_SECONDS = 2.0
ENDING_SECONDS = 0.5
LOG_LINES_SHOWN = 3
LOG_CHARACTERS_SHOWN = 300
POLL_SECONDS = 0.02


class Request:
    """One question to the engine and what became of it. Made by Client; poll it from a timer, or wait."""

    def __init__(self, client: "Client", message: Message, check: Callable[[dict[str, Any]], None]) -> None:
        """check: raises WorkerError for an answer that is none to this question."""
        self._client, self.id, self._check = client, message.id, check
        self.message: Message | None = message
        self.attempts = 0
        self.progress = STARTING
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
                raise WorkerError(f"The engine did not answer within {timeout:g} s. Restart it.", RESTART_ENGINE)
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
        """Set the answer; the first one stays. The question's photos are let go."""
        if self._answer is None:
            self._answer, self.message = answer, None

    def settle_with(self, result: Message) -> None:
        """Set the answer that a result holds. Raises WorkerError where it holds none."""
        answer = {**result.fields, **result.arrays}
        self._check(answer)
        self.settle(answer)


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last that comes from a process. error: it talked nonsense and was killed for it; None: it ended by itself."""

    status: int
    error: LvsmError | None


class _Process:
    """A running worker, its pipes and its two threads."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], log_path: Path) -> None:
        with open(log_path, "ab") as log:
            self.log_begin = log.tell()
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
        self.began = self.heard = self.moved = time.monotonic()
        self.hello: dict[str, Any] | None = None
        self.incoming: queue.SimpleQueue[Message | _Ended] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._fault: LvsmError | None = None
        for target in (self._read, self._write):
            threading.Thread(target=target, daemon=True, name="lvsm worker pipe").start()

    def send(self, message: Message) -> None:
        self._outgoing.put(message)

    def stop(self) -> None:
        """End the process and wait for its end: closing its stdin ends a healthy one, the rest is killed."""
        self._outgoing.put(None)
        for _ in range(2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(STOP_SECONDS)
            self.popen.kill()

    def kill(self) -> None:
        """End the process without waiting for its end."""
        self._outgoing.put(None)
        self.popen.kill()

    def _read(self) -> None:
        error = None
        with cast(BinaryIO, self.popen.stdout) as stream:
            try:
                while (message := messages.read(stream)) is not None:
                    self.heard = time.monotonic()
                    self.incoming.put(message)
            except LvsmError as nonsense:
                error = nonsense
            except (OSError, ValueError):
                pass  # the pipe broke with the process
            except MemoryError:
                error = WorkerError("The engine's pictures do not fit into Blender's memory: render fewer at a time.")
        status = self._reap(error is None)
        self._outgoing.put(None)  # wakes the other thread, which ends
        self.incoming.put(_Ended(status, error or self._fault))

    def _reap(self, may_end_by_itself: bool) -> int:
        """The status of the process, which closes its pipe a moment before it has ended."""
        if may_end_by_itself:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.popen.wait(ENDING_SECONDS)
        self.kill()
        return self.popen.wait()

    def _write(self) -> None:
        # Not in Windows. Some Blenders (Debian's 4.3) would die of the signal: here a broken pipe is an OSError.
        if hasattr(signal, "SIGPIPE"):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPIPE])
        try:
            # A dead process shows at the other pipe.
            with contextlib.suppress(OSError), cast(BinaryIO, self.popen.stdin) as stream:
                while self._write_next(stream):
                    pass
        except Exception as error:  # what cannot be sent would be waited for without end
            reason = str(error) or type(error).__name__
            self._fault = WorkerError(f"The engine cannot be asked this ({reason}): restart it.", RESTART_ENGINE)
            self.popen.kill()
        self._forget_what_is_unsent()

    def _write_next(self, stream: BinaryIO) -> bool:
        """Write one message; in a function of its own, so that its photos are not held until the next one comes."""
        message = self._outgoing.get()
        if message is not None:
            messages.write(stream, message)
        return message is not None

    def _forget_what_is_unsent(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._outgoing.get_nowait()


class Client:
    """The engine's process: started on demand, restarted once by itself when it dies, ended by stop().

    python: the interpreter with torch, a path or a name on PATH. engine_folder: what holds the package lvsm_engine, for its
    PYTHONPATH. log_path: where its stderr goes. device: "auto", "cuda" or "cpu". hello_seconds: how long it may take to be ready.
    silence_seconds: how long nothing may be heard of it while it works; stall_seconds: how long it may be alive and get nowhere.
    May be used from several threads (Blender renders on one of its own); no call but stop() waits for the engine.
    """

    def __init__(
        self,
        python: str | Path,
        engine_folder: Path,
        log_path: Path,
        device: str = "auto",
        hello_seconds: float = 120.0,
        silence_seconds: float = SILENCE_SECONDS,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._python, self._engine_folder, self.log_path = (
            _executable(python),
            Path(engine_folder).absolute(),
            Path(log_path),
        )
        self._device, self._hello_seconds = device, hello_seconds
        self._silence_seconds, self._stall_seconds = silence_seconds, stall_seconds
        self._process: _Process | None = None
        self._pending: dict[int, Request] = {}
        self._last_id = 0
        self._restarts: list[float] = []
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
            if self._process is None:
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
            sentence = f"The engine's Python {self._python} cannot be started ({error.strerror}): choose another one."
            raise _lost_python(self._python) or WorkerError(sentence, CHOOSE_PYTHON) from error
        self._failed = False
        fields = {"protocol": messages.PROTOCOL_VERSION, "engine": __version__, "device": self._device}
        self._process.send(Message("hello", 0, fields))

    def render(
        self,
        model: str,
        views: Sequence[View],
        cameras: Sequence[Camera],
        *,
        detail: bool = False,
        main_photos: bool = False,
        max_model_views: int | None = None,
        subject: Subject | None = None,
    ) -> Request:
        """Ask for what the cameras (all of one size) see. Returns at once. Raises WorkerError where none can be started.

        detail: whether the model's pictures are sharpened by the photos. max_model_views, subject: Synthesizer.encode's. The
        result has images (T, H, W, 3) float32 sRGB in [0, 1], warnings, seconds, model, model_sha256, licence, device and
        background, the colour that transparent photos are laid over; with detail also depths, confidences, alphas and, where
        they are asked for, main_photos (T, H, W) float32 (detail.Passes).
        """
        listed, arrays = messages.views_to_fields(views)
        fields = {
            "model": _absolute(model),
            "views": listed,
            "cameras": [messages.camera_to_fields(camera) for camera in cameras],
            "detail": detail,
            "main_photos": main_photos,
            "max_model_views": max_model_views,
            "subject": None if subject is None else asdict(subject),
        }
        sizes = {(len(cameras), camera.height, camera.width, 3) for camera in cameras}
        return self._ask("render", fields, arrays, functools.partial(_check_pictures, sizes=sizes))

    def leave_one_out(
        self,
        model: str,
        views: Sequence[View],
        left_out: int,
        side: int,
        *,
        detail: bool,
        max_model_views: int | None = None,
        subject: Subject | None = None,
    ) -> Request:
        """Ask how near the picture of views[left_out], made of all others, is to its photo. Returns at once.

        side: the longer one's pixels. The result has picture and truth (H, W, 3) float32 sRGB in [0, 1], psnr in dB, and ssim.
        """
        listed, arrays = messages.views_to_fields(views)
        fields = {
            "model": _absolute(model),
            "views": listed,
            "left_out": left_out,
            "side": side,
            "detail": detail,
            "max_model_views": max_model_views,
            "subject": None if subject is None else asdict(subject),
        }
        return self._ask("leave_one_out", fields, arrays, _check_comparison)

    def inspect(self, model: str) -> Request:
        """Ask for a model's configuration and card, as dictionaries. Returns at once."""
        return self._ask("inspect", {"model": _absolute(model)}, {}, _check_description)

    def solve(self, folder: Path) -> Request:
        """Ask where a folder's photos were taken from. Returns at once. The result has model, the folder of the COLMAP model
        that was written, placed, the names of its photos, and warnings."""
        return self._ask("solve", {"folder": str(folder.absolute())}, {}, _check_solution)

    def fetch_model(self, name: str, *, accepts_licence: bool) -> Request:
        """Ask for a known model to be fetched. Returns at once. The result has path, sha256 and bytes.

        accepts_licence: whether the person has seen the licence, and accepts it; nothing is fetched else.
        """
        fields = {"name": name, "accepts_licence": accepts_licence}
        return self._ask("fetch_model", fields, {}, _check_fetched)

    def _ask(self, kind: str, fields: dict[str, Any], arrays: dict, check: Callable[[dict[str, Any]], None]) -> Request:
        with self._lock:
            self.start()
            self._last_id += 1
            request = Request(self, Message(kind, self._last_id, fields, arrays), check)
            if not self._pending and self._process is not None:
                self._process.moved = time.monotonic()
            self._pending[self._last_id] = request
            self._send(request)
            return request

    def _send(self, request: Request) -> None:
        assert self._process is not None and request.message is not None
        request.attempts += 1
        request.progress = STARTING if self._process.hello is None else WAITING
        self._process.send(request.message)

    def forget(self, request: Request) -> None:
        """Tell the worker to stop working on a request."""
        with self._lock:
            if self._pending.pop(request.id, None) is not None and self._process is not None:
                self._process.send(Message("cancel", request.id))

    def watch(self) -> None:
        """Take what has arrived; see to deaths and deadlines. Never waits."""
        with self._lock:
            while self._process is not None:
                try:
                    message = self._process.incoming.get_nowait()
                except queue.Empty:
                    self._check_deadlines(self._process)
                    return
                if isinstance(message, _Ended):
                    self._bury(self._process, message)
                    continue
                try:
                    self._take(self._process, message)
                except LvsmError as error:
                    self._end(error)

    def _take(self, process: _Process, message: Message) -> None:
        """Raises WorkerError for what no engine of this version says, and the error that it says instead of a hello."""
        if message.kind == "error" and message.id == 0:  # it cannot be an engine at all
            raise messages.error_from_fields(message.fields)
        if message.kind == "hello":
            _check_protocol(message.fields)
            process.hello, process.moved = message.fields, time.monotonic()
            for waiting in self._pending.values():
                waiting.progress = WAITING
        elif message.kind not in ("alive", "progress", "result", "error") or process.hello is None:
            raise messages.refusal(f"a message of the kind '{message.kind[:40]}'")
        elif (request := self._pending.get(message.id)) is not None:
            self._take_for(request, process, message)

    def _take_for(self, request: Request, process: _Process, message: Message) -> None:
        """What is said to a request. Raises WorkerError for what is no answer to it."""
        if message.kind == "progress":
            progress = messages.progress_from_fields(message.fields)
            if (progress.fraction, progress.stage) != (request.progress.fraction, request.progress.stage):
                process.moved = time.monotonic()
            request.progress = progress
            return
        if message.kind == "error":
            request.settle(messages.error_from_fields(message.fields))
        else:
            request.settle_with(message)
        process.moved = time.monotonic()
        del self._pending[message.id]

    def _check_deadlines(self, process: _Process) -> None:
        now = time.monotonic()
        if process.hello is None and now - process.began > self._hello_seconds:
            self._end(
                WorkerError(
                    f"The engine's Python {self._python} did not answer within {self._hello_seconds:g} s"
                    f"{self._last_log_lines(process)}",
                    CHOOSE_PYTHON,
                )
            )
        elif process.hello is not None and self._pending:
            if now - process.heard > self._silence_seconds:
                sentence = f"The engine was silent for {self._silence_seconds:g} s{self._last_log_lines(process)}"
                self._end(WorkerError(sentence, OPEN_LOG))
            elif now - process.moved > self._stall_seconds:
                sentence = f"The engine is alive, and got nowhere for {self._stall_seconds:g} s: restart it."
                self._end(WorkerError(sentence, RESTART_ENGINE))

    def _bury(self, process: _Process, end: _Ended) -> None:
        """The process is gone, or talked nonsense: start another for requests that had one chance only."""
        self._process = None
        log = self._last_log_lines(process)
        cause = end.error or WorkerError(f"The engine's process ended with status {end.status}{log}", OPEN_LOG)
        if process.hello is None:  # Windows starts what then finds that its Python is gone
            cause = _lost_python(self._python) or cause
        again = [request for request in self._pending.values() if request.attempts < 2]
        now = time.monotonic()
        self._restarts = [restart for restart in self._restarts if now - restart < 60]
        if again and process.hello is not None:
            if len(self._restarts) < MAX_RESTARTS_A_MINUTE:
                self._restarts.append(now)
                self._restart(cause, again)
                return
            cause = WorkerError(
                f"The engine ended {MAX_RESTARTS_A_MINUTE + 1} times within a minute, at last with status {end.status}{log}",
                OPEN_LOG,
            )
        self._failed = True
        self._settle_all(cause)

    def _restart(self, cause: LvsmError, again: Sequence[Request]) -> None:
        """Start another process for these requests; the others fail for this cause."""
        try:
            self._spawn()
        except WorkerError as failure:
            self._settle_all(failure)
            return
        for request in again:
            self._send(request)
        self._settle_all(cause, but=again)

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

    def _last_log_lines(self, process: _Process) -> str:
        """For the end of a sentence: the last that a process wrote to the log, in a few words."""
        try:
            with open(self.log_path, "rb") as log:
                log.seek(max(process.log_begin, log.seek(0, os.SEEK_END) - 4096))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            lines = []
        shown = " / ".join(line.strip() for line in lines[-LOG_LINES_SHOWN:])
        if len(shown) > LOG_CHARACTERS_SHOWN:
            shown = "..." + shown[-LOG_CHARACTERS_SHOWN:]
        return f": {shown}" if shown else " and wrote nothing to its log."

    def stop(self) -> None:
        """End the process, and with it all requests. Waits for its end, for a hung one some seconds."""
        with self._lock:
            process, self._process = self._process, None
            self._settle_all(Cancelled("The engine was stopped."))
            self._failed = False
            self._restarts.clear()
        if process is not None:
            process.stop()


def _lost_python(python: str) -> WorkerError | None:
    """Why a virtual environment's Python does not start, where what it was made with is gone."""
    home = lost_home(python)
    if home is None:
        return None
    sentence = f"The Python that the engine was set up with is gone from {home} (Blender was updated or moved)"
    return WorkerError(f"{sentence}: press Set Up Engine again.", CHOOSE_PYTHON)


def _check_protocol(hello: dict[str, Any]) -> None:
    if hello.get("protocol") != messages.PROTOCOL_VERSION:
        sentence = f"The engine speaks protocol {hello.get('protocol')} and Blender {messages.PROTOCOL_VERSION}"
        raise WorkerError(f"{sentence}: install the same version of both.")


def _check_pictures(answer: dict[str, Any], sizes: Collection[tuple[int, ...]]) -> None:
    """sizes: what the pictures (T, H, W, 3) may measure; cameras of several sizes are the engine's to refuse."""
    images = answer.get("images")
    if not _is_float_array(images) or images.shape not in sizes:
        raise messages.refusal("an answer without the pictures that were asked for")
    for name in PASSES:
        if name in answer and not (_is_float_array(answer[name]) and answer[name].shape == images.shape[:3]):
            raise messages.refusal(f"an answer whose {name} are not of its pictures")
    if not isinstance(answer.get("warnings"), list) or type(answer.get("seconds")) not in (int, float):
        raise messages.refusal("an answer without warnings and seconds")
    background = answer.get("background")
    if (
        not isinstance(background, list)
        or len(background) != 3
        or not all(type(value) is float for value in background)
    ):
        raise messages.refusal("an answer without a background")


def _check_comparison(answer: dict[str, Any]) -> None:
    picture, truth = answer.get("picture"), answer.get("truth")
    if not (_is_float_array(picture) and _is_float_array(truth) and picture.shape == truth.shape):
        raise messages.refusal("an answer without a picture and a photo of one size")
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise messages.refusal("an answer whose picture is none")
    if not all(messages.is_number(answer.get(name)) for name in ("psnr", "ssim")):
        raise messages.refusal("an answer without PSNR and SSIM")


def _is_float_array(value: object) -> TypeGuard[np.ndarray]:
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def _check_description(answer: dict[str, Any]) -> None:
    if not (isinstance(answer.get("config"), dict) and isinstance(answer.get("card"), dict)):
        raise messages.refusal("an answer without a model's configuration and card")


def _check_solution(answer: dict[str, Any]) -> None:
    lists = answer.get("placed"), answer.get("warnings")
    if not (isinstance(answer.get("model"), str) and all(_is_list_of_text(each) for each in lists)):
        raise messages.refusal("an answer without a model and the photos in it")


def _check_fetched(answer: dict[str, Any]) -> None:
    if not (all(isinstance(answer.get(name), str) for name in ("path", "sha256")) and type(answer.get("bytes")) is int):
        raise messages.refusal("an answer without the file that was fetched")


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _absolute(model: str) -> str:
    """A model's path as the worker needs it, which stands in another folder; a known one's name is no path."""
    return model if is_known(model) else str(Path(model).absolute())


def _executable(python: str | Path) -> str:
    """A Python as it can be started from any folder: a name is looked up on PATH, a path is taken from this folder on."""
    text = str(python)
    if not text or Path(text).name == text:
        return shutil.which(text) or text
    return str(Path(text).absolute())  # not resolved: a virtual environment's Python is a link, and knows itself by it
