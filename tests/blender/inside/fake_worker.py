"""A stand-in for the engine's process: speaks the real messages, needs no torch, and misbehaves on demand.

The environment tells it how. LVSM_FAKE_HOLD: each request stays at three quarters, with a second left, until this file
exists or the request is cancelled. LVSM_FAKE_RECORD: a file that gets a line of JSON for each request: its cameras, input
views and model, the process that got it and its device. LVSM_FAKE_FAULT: "fail" (a typed error), "die" (the process ends
in mid-request), "silent" (no request is ever answered), "nonsense" (bytes that are no message), "empty" (a result without
images), "mute" (it never says hello, nor ends before it is killed), "stillborn" (it ends before it has).
LVSM_FAKE_WARNING: a sentence that comes with each result.
LVSM_FAKE_SOLVED: the capture that a folder's photos are said to be. LVSM_FAKE_PSNRS: JSON, the name of a view that is left
out -> the dB that its picture gets, 24 for others.
"""

import json
import os
import queue
import sys
import threading
import time

import numpy as np
from fake_picture import passes_of, picture

from lvsm_engine.errors import OPEN_LOG, DeviceError
from lvsm_engine.known_models import fetched_path, known_model
from lvsm_engine.scene.camera import resized
from lvsm_engine.worker import messages
from lvsm_engine.worker.client import PASSES
from lvsm_engine.worker.messages import Message

TICK_SECONDS = 0.02
MUTE_SECONDS = 600  # no test lasts as long
FAULT = os.environ.get("LVSM_FAKE_FAULT")
DEVICE: list[str] = []


def answer(request: Message, send, is_cancelled) -> Message | None:
    """The result, as soon as it may be given; None when cancelled."""
    record(request)
    hold = os.environ.get("LVSM_FAKE_HOLD")
    while hold and not os.path.exists(hold):
        if is_cancelled():
            return None
        send(Message("progress", request.id, {"fraction": 0.75, "stage": "Rendering", "seconds_left": 1.0}))
        time.sleep(TICK_SECONDS)
    if FAULT == "die":
        os._exit(3)
    if FAULT == "silent":
        return None
    if FAULT == "nonsense":
        os.write(1, b"Traceback (most recent call last)" * 9)
        return None
    if FAULT == "empty":
        return Message("result", request.id, {"warnings": [], "seconds": 0, "model": "fake", "device": "cpu"})
    if FAULT == "fail":
        error = DeviceError("The device has too little memory for 4 views: use fewer.", OPEN_LOG)
        return Message("error", request.id, messages.error_to_fields(error))
    if request.kind == "leave_one_out":
        return comparison(request)
    if request.kind == "fetch_model":
        path = fetched_path(known_model(request.fields["name"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
        return Message("result", request.id, {"path": str(path), "sha256": "ab" * 32, "bytes": 7})
    if request.kind == "solve":
        fields = {"model": os.environ["LVSM_FAKE_SOLVED"], "placed": ["a", "b"], "warnings": ["c was not placed."]}
        return Message("result", request.id, fields)
    cameras = [messages.camera_from_fields(fields) for fields in request.fields["cameras"]]
    images = np.stack([picture(camera) for camera in cameras]).astype(np.float32) / 255
    warnings = [os.environ["LVSM_FAKE_WARNING"]] if "LVSM_FAKE_WARNING" in os.environ else []
    fields = {"warnings": warnings, "seconds": 0, "model": "fake", "device": "cpu", "background": [1.0, 1.0, 1.0]}
    fields |= {"model_sha256": "cd" * 32, "licence": "CC0"}
    passes = {}
    if request.fields["detail"]:
        passes = dict(zip(PASSES, map(np.stack, zip(*map(passes_of, cameras), strict=True)), strict=True))
        if not request.fields["main_photos"]:
            del passes["main_photos"]
    return Message("result", request.id, fields, {"images": images, **passes})


def comparison(request: Message) -> Message:
    """What the fake sees from the camera that is left out, beside what it calls its photo: the same upside down."""
    view = request.fields["views"][request.fields["left_out"]]
    camera = messages.camera_from_fields(view["camera"])
    scale = request.fields["side"] / max(camera.width, camera.height)
    camera = resized(camera, round(camera.width * scale), round(camera.height * scale))
    image = picture(camera).astype(np.float32) / 255
    psnr = json.loads(os.environ.get("LVSM_FAKE_PSNRS", "{}")).get(view["name"], 24.0)
    return Message("result", request.id, {"psnr": psnr, "ssim": 0.5}, {"picture": image, "truth": image[::-1]})


def record(request: Message) -> None:
    if path := os.environ.get("LVSM_FAKE_RECORD"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**request.fields, "process": os.getpid(), "device": DEVICE[0]}) + "\n")


def main() -> None:
    lock, cancelled = threading.Lock(), set()
    requests: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def send(message: Message) -> None:
        with lock:
            messages.write(sys.stdout.buffer, message)

    def listen() -> None:
        while (message := messages.read(sys.stdin.buffer)) is not None:
            if message.kind == "cancel":
                cancelled.add(message.id)
            else:
                requests.put(message)
        if FAULT != "mute":
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    DEVICE.append(requests.get().fields["device"])
    if FAULT == "stillborn":
        print("no room for torch", file=sys.stderr, flush=True)
        os._exit(4)
    if FAULT == "mute":
        time.sleep(MUTE_SECONDS)
        return
    who = {"engine": "fake", "torch": "none", "device": "cpu", "device_name": "Fake CPU", "precision": "float32"}
    send(Message("hello", 0, {"protocol": messages.PROTOCOL_VERSION, "process": os.getpid(), **who}))
    while True:
        request = requests.get()
        result = answer(request, send, lambda number=request.id: number in cancelled)
        if result is not None:
            send(result)


if __name__ == "__main__":
    main()
