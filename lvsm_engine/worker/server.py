"""The loop at the other end of the pipe: takes requests one by one, computes, tells of progress, hears cancels meanwhile.

A reader thread keeps listening while the main thread computes: a cancel becomes an event that the computation looks at
between transformer blocks, and the end of stdin ends the process at once, so that a dead Blender leaves no orphan.
"""

import dataclasses
import hashlib
import os
import platform
import queue
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np
import torch

from .. import __version__
from ..camera_solver import solve_cameras
from ..detail import PhotoDetail
from ..devices import choose_device, choose_precision
from ..errors import OPEN_LOG, Cancelled, DeviceError, LvsmError, WorkerError
from ..leave_one_out import compare_left_out
from ..model.checkpoint import find_model_file, read_card
from ..model_fetching import fetch_model
from ..nearest_scenes import EncodedScene
from ..progress import Cancel, OnProgress, Progress
from ..scene.camera import Camera, View
from ..scene.subject import Subject
from ..synthesizer import Synthesizer
from . import messages
from .messages import Message

HEARTBEAT_SECONDS = 1.0
PROGRESS_SECONDS = 0.1
# Encodings kept: a scene's inputs, and the few variants that someone tries in turn.
KEPT_SCENES = 4

Result = TypeVar("Result")


class Backend(Protocol):
    """What the loop needs of an engine."""

    def describe(self) -> dict[str, Any]:
        """Fields for hello. Raises LvsmError."""

    def answer(self, request: Message, on_progress: OnProgress, cancel: Cancel) -> Message:
        """The result of a request. Raises LvsmError."""


class Engine:
    """The real backend: one model and the last few encodings, kept by the content of what they were made from."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._model_key: tuple | None = None
        self._synthesizer: Synthesizer | None = None
        self._scenes: OrderedDict[str, EncodedScene] = OrderedDict()
        self._checked: tuple[str, PhotoDetail] | None = None

    def describe(self) -> dict[str, Any]:
        device = choose_device(self._device)
        is_cuda = device.type == "cuda"
        return {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "device": device.type,
            "device_name": torch.cuda.get_device_name(device) if is_cuda else f"CPU, {torch.get_num_threads()} threads",
            "precision": str(choose_precision(device, "auto")).removeprefix("torch."),
        }

    def answer(self, request: Message, on_progress: OnProgress, cancel: Cancel) -> Message:
        if request.kind == "inspect":
            config, card = read_card(request.fields["model"])
            fields = {"config": dataclasses.asdict(config), "card": dataclasses.asdict(card)}
            return Message("result", request.id, fields)
        if request.kind == "render":
            return self._render(request, on_progress, cancel)
        if request.kind == "solve":
            solved = solve_cameras(Path(request.fields["folder"]), on_progress, cancel)
            names, warnings = list(solved.placed), list(solved.warnings)
            return Message("result", request.id, {"model": str(solved.model), "placed": names, "warnings": warnings})
        if request.kind == "fetch_model":
            return _fetch_model(request, on_progress, cancel)
        if request.kind == "leave_one_out":
            return self._leave_one_out(request, on_progress, cancel)
        raise WorkerError(f"The engine does not know the request '{request.kind}': install the same version of both.")

    def _render(self, request: Message, on_progress: OnProgress, cancel: Cancel) -> Message:
        began = time.monotonic()
        synthesizer = self._load(request.fields["model"], on_progress)
        views = messages.views_from_fields(request.fields["views"], request.arrays)
        cameras = [messages.camera_from_fields(fields) for fields in request.fields["cameras"]]
        most = request.fields.get("max_model_views")
        subject = messages.subject_from_fields(request.fields.get("subject"))
        key = f"{content_key(views)} {most} {subject}"
        scene = self._with_room(key, lambda: self._encode(key, synthesizer, views, most, subject, on_progress, cancel))
        detail = request.fields.get("detail", False) is True
        arrays = self._with_room(key, lambda: _rendered(scene, cameras, detail, on_progress, cancel))
        if not request.fields.get("main_photos", False):
            arrays.pop("main_photos", None)
        fields = {
            "warnings": list(scene.warnings),
            "seconds": time.monotonic() - began,
            "model": synthesizer.card.name,
            "model_sha256": synthesizer.model_sha256,
            "licence": synthesizer.card.licence,
            "device": str(synthesizer.device),
            "background": list(synthesizer.background),
        }
        return Message("result", request.id, fields, arrays)

    def _leave_one_out(self, request: Message, on_progress: OnProgress, cancel: Cancel) -> Message:
        """The scenes that are kept stay: a capture that is checked is encoded anew for every photo."""
        synthesizer = self._load(request.fields["model"], on_progress)
        views = messages.views_from_fields(request.fields["views"], request.arrays)
        left_out, side, most = (request.fields[name] for name in ("left_out", "side", "max_model_views"))
        subject = messages.subject_from_fields(request.fields["subject"])
        with_detail = request.fields["detail"]
        detail = self._detail_of(views, synthesizer, subject, on_progress, cancel) if with_detail else None
        found = self._with_room(
            "", lambda: compare_left_out(synthesizer, views, left_out, side, detail, on_progress, cancel, most, subject)
        )
        fields = {"psnr": found.psnr, "ssim": found.ssim}
        return Message("result", request.id, fields, {"picture": found.picture, "truth": found.truth})

    def _detail_of(
        self,
        views: Sequence[View],
        synthesizer: Synthesizer,
        subject: Subject | None,
        on_progress: OnProgress,
        cancel: Cancel,
    ) -> PhotoDetail:
        """Of a capture that is checked, the same for all of its photos: their depth is found once."""
        key = f"{content_key(views)} {subject}"
        if self._checked is None or self._checked[0] != key:
            self._checked = key, synthesizer.photo_detail(views, subject, on_progress, cancel)
        return self._checked[1]

    def _load(self, model: str, on_progress: OnProgress) -> Synthesizer:
        path = find_model_file(model)
        key = (str(path), _stamp(path))
        if self._synthesizer is None or key != self._model_key:
            on_progress(Progress(0.0, "Loading the model"))
            self._scenes.clear()
            self._checked = None
            self._synthesizer = None  # the old one's memory is free before the new one's is taken
            self._synthesizer = Synthesizer.load(model, self._device)
            self._model_key = key
        return self._synthesizer

    def _encode(
        self,
        key: str,
        synthesizer: Synthesizer,
        views: Sequence[View],
        max_model_views: int | None,
        subject: Subject | None,
        on_progress: OnProgress,
        cancel: Cancel,
    ) -> EncodedScene:
        if key not in self._scenes:
            self._scenes[key] = synthesizer.encode(views, on_progress, cancel, max_model_views, subject=subject)
            while len(self._scenes) > KEPT_SCENES:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(key)
        return self._scenes[key]

    def _with_room(self, key: str, work: Callable[[], Result]) -> Result:
        """The work's result; where memory does not suffice, once more without the other scenes that are kept."""
        try:
            return work()
        except DeviceError:
            others = self._scenes.keys() - {key}
            if not others:
                raise
        for other in others:
            del self._scenes[other]
        return work()


def _fetch_model(request: Message, on_progress: OnProgress, cancel: Cancel) -> Message:
    accepts_licence = request.fields["accepts_licence"] is True
    fetched = fetch_model(
        request.fields["name"], accepts_licence=accepts_licence, on_progress=on_progress, cancel=cancel
    )
    return Message("result", request.id, {**dataclasses.asdict(fetched), "path": str(fetched.path)})


def _rendered(
    scene: EncodedScene, cameras: Sequence[Camera], detail: bool, on_progress: OnProgress, cancel: Cancel
) -> dict[str, np.ndarray]:
    """A result's arrays by name."""
    if not detail:
        return {"images": scene.render(cameras, on_progress, cancel)}
    passes = scene.render_detail(cameras, on_progress, cancel)
    return {name: value for name, value in dataclasses.asdict(passes).items() if value is not None}


def content_key(views: Sequence[View]) -> str:
    """Equal for views with the same cameras and photos; a file counts as its path, size and time of change."""
    digest = hashlib.sha256()
    for view in views:
        digest.update(repr((messages.camera_to_fields(view.camera), view.distortion)).encode())
        for picture in (view.photo, view.mask):
            if isinstance(picture, np.ndarray):
                digest.update(repr(picture.shape).encode() + picture.tobytes())
            else:
                digest.update(repr((str(picture), None if picture is None else _stamp(picture))).encode())
    return digest.hexdigest()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


class _Channel:
    """The way out, for the main thread and the heartbeat alike."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def send(self, message: Message) -> None:
        try:
            with self._lock:
                messages.write(self._stream, message)
        except OSError:  # nobody listens any more
            os._exit(0)


class Inbox:
    """Requests in their order, and the cancels among them; read by a thread of its own.

    open_requests: those that wait or are being answered, by id; an event is set when its request is cancelled.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._queue: queue.SimpleQueue[tuple[Message, threading.Event]] = queue.SimpleQueue()
        self.open_requests: dict[int, threading.Event] = {}
        threading.Thread(target=self._read, daemon=True, name="inbox").start()

    def next_request(self) -> tuple[Message, Cancel]:
        """Wait for the next request: itself, and whether it has been cancelled."""
        request, cancelled = self._queue.get()
        return request, cancelled.is_set

    def close(self, request: Message) -> None:
        """The request has been answered: a cancel that comes too late is nothing to remember."""
        self.open_requests.pop(request.id, None)

    def _read(self) -> None:
        while True:
            try:
                message = messages.read(self._stream)
            except (LvsmError, OSError) as error:
                print(f"lvsm worker: {error}", flush=True)
                os._exit(1)
            if message is None:
                os._exit(0)
            if message.kind != "cancel":
                self.open_requests[message.id] = event = threading.Event()
                self._queue.put((message, event))
            elif (cancelled := self.open_requests.get(message.id)) is not None:
                cancelled.set()


def serve(stdin: BinaryIO, stdout: BinaryIO, backend_of=Engine) -> None:
    """Greet, then answer requests until stdin ends. backend_of(device) makes the backend."""
    channel, inbox = _Channel(stdout), Inbox(stdin)
    greeting, _ = inbox.next_request()
    inbox.close(greeting)
    try:
        if greeting.fields.get("protocol") != messages.PROTOCOL_VERSION:
            raise WorkerError(
                f"Blender speaks protocol {greeting.fields.get('protocol')} and the engine {messages.PROTOCOL_VERSION}:"
                " install the same version of both."
            )
        backend: Backend = backend_of(greeting.fields.get("device", "auto"))
        description = backend.describe()
    except LvsmError as error:
        channel.send(Message("error", 0, messages.error_to_fields(error)))
        return
    hello = {"protocol": messages.PROTOCOL_VERSION, "engine": __version__, **description}
    channel.send(Message("hello", 0, hello))
    threading.Thread(target=_beat, args=(channel,), daemon=True, name="heartbeat").start()
    while True:
        request, is_cancelled = inbox.next_request()
        _answer(request, backend, channel, is_cancelled)
        inbox.close(request)


def _beat(channel: _Channel) -> None:
    while True:
        time.sleep(HEARTBEAT_SECONDS)
        channel.send(Message("alive"))


def _answer(request: Message, backend: Backend, channel: _Channel, is_cancelled: Cancel) -> None:
    """Answer one request: with its result, or with a typed error."""
    told = [0.0]

    def on_progress(progress: Progress) -> None:
        now = time.monotonic()
        if now - told[0] >= PROGRESS_SECONDS or progress.fraction in (0.0, 1.0):
            told[0] = now
            channel.send(Message("progress", request.id, messages.progress_to_fields(progress)))

    try:
        if is_cancelled():  # while it waited: for a model to load, or for another request
            raise Cancelled
        answer = backend.answer(request, on_progress, is_cancelled)
    except LvsmError as error:
        answer = Message("error", request.id, messages.error_to_fields(error))
    except Exception as error:  # a bug of ours: the worker lives on, the log has the traceback
        traceback.print_exc()
        sentence = f"The engine failed unexpectedly ({type(error).__name__}: {error}). Its log has the details."
        answer = Message("error", request.id, messages.error_to_fields(WorkerError(sentence, OPEN_LOG)))
    channel.send(answer)
