"""The real worker process: it computes, hears cancels meanwhile, keeps what it encoded, and outlives errors."""

import os
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from lvsm_engine.digests import file_sha256
from lvsm_engine.errors import Cancelled, CaptureError, CheckpointError, DeviceError, FetchError, WorkerError
from lvsm_engine.known_models import fetched_path, known_model
from lvsm_engine.leave_one_out import compare_left_out
from lvsm_engine.model.checkpoint import export_published
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.photos import WHITE, save_image
from lvsm_engine.scene.camera import View
from lvsm_engine.scene.subject import Subject
from lvsm_engine.synthesizer import Synthesizer
from lvsm_engine.worker import messages
from lvsm_engine.worker.client import Client
from lvsm_engine.worker.messages import Message
from lvsm_engine.worker.server import Engine, Inbox, content_key
from tests.synthetic import CARD, lively_model, ring_cameras, ring_views, write_tiny_model
from tests.training.objects.fake_hub import FakeHub

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny \u0434.safetensors"
    return write_tiny_model(path, ModelConfig(width=64, blocks=2, inputs_first=True))


@pytest.fixture(scope="module")
def slow_model_file(tmp_path_factory):
    """Many short blocks: a picture takes seconds, a block some hundredths."""
    config = ModelConfig(architecture="encoder_decoder", width=64, blocks=100, encoder_blocks=1, latents=1024)
    return write_tiny_model(tmp_path_factory.mktemp("models") / "slow.safetensors", config)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    client = Client(sys.executable, ROOT, tmp_path_factory.mktemp("log") / "worker.log", device="cpu")
    yield client
    client.stop()


def wait(request):
    return request.wait(timeout=120)


def assert_same_pictures(ours, theirs):
    """Two processes may share a product of matrices out in different ways, and so round its sums differently."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_worker_gives_what_the_synthesizer_gives(client, model_file):
    views, cameras = ring_views(4), ring_cameras(6)[4:]
    answer = wait(client.render(model_file, views, cameras))
    expected = Synthesizer.load(model_file, "cpu").encode(views).render(cameras)
    assert_same_pictures(answer["images"], expected)
    assert answer["device"] == "cpu"
    assert (answer["model"], answer["licence"]) == (CARD.name, CARD.licence)
    assert answer["model_sha256"] == file_sha256(Path(model_file))
    assert client.hello["torch"] == torch.__version__
    assert client.hello["device"] == "cpu"


def test_detail_from_the_photos_comes_with_depth_and_confidence(client, model_file):
    views, cameras = ring_views(3), ring_cameras(2, 48, 40)
    scene = Synthesizer.load(model_file, "cpu").encode(views)
    expected = scene.render_detail(cameras)
    result = client.render(str(model_file), views, cameras, detail=True).wait(60)
    assert_same_pictures(result["images"], expected.images)
    assert_same_pictures(result["depths"], expected.depths)
    assert_same_pictures(result["confidences"], expected.confidences)
    assert_same_pictures(result["alphas"], expected.alphas)
    assert result["warnings"] == list(scene.warnings)
    assert "main_photos" not in result  # as large as a depth: only who asks for it gets it
    assert "depths" not in client.render(str(model_file), views, cameras, main_photos=True).wait(60)
    asked = client.render(str(model_file), views, cameras, detail=True, main_photos=True).wait(60)
    np.testing.assert_array_equal(asked["main_photos"], expected.main_photos)


def test_fewer_photos_may_feed_the_model(client, model_file):
    views, cameras = ring_views(4), ring_cameras(1)
    all_of_them = client.render(str(model_file), views, cameras).wait(60)["images"]
    fewer = client.render(str(model_file), views, cameras, max_model_views=2).wait(60)["images"]
    expected = Synthesizer.load(model_file, "cpu").encode(views, max_model_views=2).render(cameras)
    assert_same_pictures(fewer, expected)
    assert np.abs(fewer - all_of_them).max() > 1e-3


def test_a_named_subject_goes_through_to_model_and_detail(client, model_file):
    views, cameras, subject = ring_views(4), ring_cameras(1), Subject((0.3, 0.2, 0.1), 0.4)
    by_itself = client.render(str(model_file), views, cameras, detail=True).wait(60)
    named = client.render(str(model_file), views, cameras, detail=True, subject=subject).wait(60)
    expected = Synthesizer.load(model_file, "cpu").encode(views, subject=subject).render_detail(cameras)
    assert_same_pictures(named["images"], expected.images)
    assert np.abs(named["images"] - by_itself["images"]).max() > 1e-3


def test_a_photo_is_left_out_with_a_named_subject(client, model_file):
    views, subject = ring_views(4), Subject((0.3, 0.2, 0.1), 0.4)
    by_itself = wait(client.leave_one_out(str(model_file), views, 1, 24, detail=True))["picture"]
    named = wait(client.leave_one_out(str(model_file), views, 1, 24, detail=True, subject=subject))["picture"]
    assert np.abs(named - by_itself).max() > 1e-3


def test_a_photo_that_is_left_out_comes_with_its_picture_and_scores(client, model_file):
    views = ring_views(4)
    synthesizer = Synthesizer.load(model_file, "cpu")
    expected = compare_left_out(synthesizer, views, 1, 24, synthesizer.photo_detail(views))
    answer = wait(client.leave_one_out(str(model_file), views, 1, 24, detail=True))
    assert_same_pictures(answer["picture"], expected.picture)
    np.testing.assert_array_equal(answer["truth"], expected.truth)
    assert answer["psnr"] == pytest.approx(expected.psnr, abs=1e-3)
    assert answer["ssim"] == pytest.approx(expected.ssim, abs=1e-3)


def test_photos_go_by_path_too(client, model_file, tmp_path):
    views = ring_views(2)
    by_path = []
    for number, view in enumerate(views):
        path = tmp_path / f"Jos\u00e9 \u0434 {number}.png"
        save_image(path, view.photo)
        by_path.append(View(view.camera, path, view.name))
    camera = ring_cameras(1)
    first = wait(client.render(model_file, views, camera))["images"]
    np.testing.assert_array_equal(wait(client.render(model_file, by_path, camera))["images"], first)


def test_a_second_view_of_the_same_inputs_is_not_encoded_again(client, model_file):
    views, stages = ring_views(5), []
    for camera in ring_cameras(2):
        stages.clear()
        client.render(model_file, views, [camera]).wait(timeout=120, on_progress=lambda p: stages.append(p.stage))
    assert "Reading the photos" not in stages


def test_a_cancel_stops_the_computation_within_a_moment(client, slow_model_file):
    """The best of a few: the machine may be busy, but a worker that does not listen is late every time, by minutes."""
    views, cameras = ring_views(2), ring_cameras(8) * 8
    wait(client.inspect(slow_model_file))
    seconds_until_free = []
    while len(seconds_until_free) < 5 and not (seconds_until_free and min(seconds_until_free) < 2):
        request = client.render(slow_model_file, views, cameras)
        while request.progress.stage != "Synthesizing":
            request.poll()
            time.sleep(0.01)
        request.cancel()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            wait(request)
        wait(client.inspect(slow_model_file))  # answered when the worker has left the views
        seconds_until_free.append(time.monotonic() - began)
    assert min(seconds_until_free) < 2


PARENT = """
import sys, time
import numpy as np
from pathlib import Path
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.worker.client import Client
camera = Camera(np.eye(4), 30, 30, 16, 16, 32, 32)
client = Client(sys.executable, Path.cwd(), Path(sys.argv[2]), device="cpu")
request = client.render(sys.argv[1], [View(camera, np.zeros((32, 32, 3), np.uint8), "a")], [camera] * 64)
while request.progress.stage != "Synthesizing":
    assert not request.poll()
    time.sleep(0.01)
print(client._process.popen.pid, flush=True)
time.sleep(600)
"""


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_blender_that_is_killed_in_mid_render_leaves_no_orphan(slow_model_file, tmp_path):
    command = [sys.executable, "-c", PARENT, str(slow_model_file), str(tmp_path / "log.txt")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    worker = int(parent.stdout.readline())
    assert not has_ended(worker)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while not has_ended(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"views": []}, CaptureError, "There are no input views"),
        ({"model": "missing.safetensors"}, CheckpointError, "missing.safetensors: the model cannot be read"),
        ({"photo": Path("gone \u0434.jpg")}, CaptureError, "gone \u0434.jpg"),
    ],
)
def test_bad_input_is_a_typed_error_and_the_worker_lives_on(client, model_file, change, kind, words):
    views, model = ring_views(2), change.get("model", model_file)
    if "photo" in change:
        views[0] = View(views[0].camera, change["photo"], "view 0")
    with pytest.raises(kind, match=words):
        wait(client.render(model, change.get("views", views), ring_cameras(1)))
    process = client._process
    assert wait(client.render(model_file, ring_views(2), ring_cameras(1)))["images"].shape[0] == 1
    assert client._process is process


def test_an_unknown_request_and_a_bug_are_errors_and_the_worker_lives_on(client, model_file):
    with pytest.raises(WorkerError, match="does not know the request 'dance'"):
        wait(client._ask("dance", {}, {}, lambda answer: None))
    with pytest.raises(WorkerError, match="failed unexpectedly"):
        wait(
            client._ask(
                "render", {"model": str(model_file), "views": "nonsense", "cameras": 3}, {}, lambda answer: None
            )
        )
    assert wait(client.inspect(model_file))["card"]["name"] == CARD.name


def test_a_device_that_is_not_there_is_a_typed_error(tmp_path):
    client = Client(sys.executable, ROOT, tmp_path / "log.txt", device="quantum")
    with pytest.raises(DeviceError, match="'quantum' is not known"):
        wait(client.inspect("default"))
    client.stop()


def test_prints_cannot_corrupt_the_stream_and_the_process_ends_with_its_stdin():
    script = "import lvsm_engine.worker.server as s\nprint('import chatter')\n" + (
        "import runpy; runpy.run_module('lvsm_engine.worker', run_name='__main__')"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script.replace("print('import chatter')", "s.print = print")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    messages.write(worker.stdin, Message("hello", 0, {"protocol": messages.PROTOCOL_VERSION, "device": "cpu"}))
    assert messages.read(worker.stdout).kind == "hello"
    worker.stdin.close()
    assert worker.wait(timeout=120) == 0


def test_libraries_find_an_empty_stdin_and_the_messages_are_read_elsewhere():
    script = """
import os, runpy, lvsm_engine.worker.server as server
server.serve = lambda inbox, channel: channel.write(b"libraries read %r, we %r" % (os.read(0, 9), inbox.read(5)))
runpy.run_module("lvsm_engine.worker", run_name="__main__")
"""
    worker = subprocess.run([sys.executable, "-c", script], input=b"hello", capture_output=True, cwd=ROOT)
    assert worker.stdout == b"libraries read b'', we b'hello'"


def test_cancels_are_remembered_only_while_their_request_is_open():
    """Each request that Blender gives up is cancelled, often when its answer is on the way."""
    ours, theirs = os.pipe()  # never closed: its end would be the process's end
    inbox, stream = Inbox(os.fdopen(ours, "rb")), os.fdopen(theirs, "wb", closefd=False)
    for number in range(1, 51):
        messages.write(stream, Message("render", number))
        request, _ = inbox.next_request()
        inbox.close(request)
        messages.write(stream, Message("cancel", number))
    for kind, number in (("render", 98), ("cancel", 98), ("render", 99)):
        messages.write(stream, Message(kind, number))
    (_, first_is_cancelled), (_, last_is_cancelled) = inbox.next_request(), inbox.next_request()
    assert first_is_cancelled() and not last_is_cancelled()
    assert set(inbox.open_requests) == {98, 99}


class KeptScene:
    """Stands for an encoding that takes memory as long as it is kept."""

    warnings = ()

    def render(self, cameras, on_progress, cancel):
        return np.zeros((len(cameras), 4, 4, 3), np.float32)


class SmallCard(Engine):
    """An engine whose card holds so many encodings."""

    def __init__(self, most):
        super().__init__("cpu")
        self.card, self.device, self.background, self.model_sha256 = CARD, "cpu", WHITE, ""
        self.most, self.kept = most, weakref.WeakSet()

    def _load(self, model, on_progress):
        return self

    def encode(self, views, on_progress, cancel, max_model_views, subject):
        if len(self.kept) >= self.most:
            raise DeviceError("The card is full.")
        scene = KeptScene()
        self.kept.add(scene)
        return scene


def test_what_is_kept_of_other_scenes_makes_room_for_a_new_one():
    engine = SmallCard(most=2)
    cameras = [messages.camera_to_fields(camera) for camera in ring_cameras(1)]
    for count in (1, 2, 3, 4, 1):
        listed, arrays = messages.views_to_fields(ring_views(count))
        request = Message("render", 1, {"model": "default", "views": listed, "cameras": cameras}, arrays)
        assert engine.answer(request, lambda progress: None, lambda: False).arrays["images"].shape == (1, 4, 4, 3)
        assert 1 <= len(engine.kept) <= 2
    engine.most = 0
    listed, arrays = messages.views_to_fields(ring_views(7))
    request = Message("render", 1, {"model": "default", "views": listed, "cameras": cameras}, arrays)
    with pytest.raises(DeviceError, match="The card is full"):
        engine.answer(request, lambda progress: None, lambda: False)


def test_views_with_other_cameras_photos_or_lenses_have_other_keys(tmp_path):
    view = ring_views(1)[0]
    path = tmp_path / "photo.png"
    save_image(path, view.photo)
    by_path = View(view.camera, path, "a")
    key = content_key([by_path])
    assert content_key([View(view.camera, path, "another name")]) == key
    save_image(path, view.photo[:, ::-1].copy())
    keys = {key, content_key([by_path]), content_key([view]), content_key([view, view])}
    keys.add(content_key([View(ring_cameras(2)[1], view.photo, "a")]))
    assert len(keys) == 5


@pytest.fixture
def hub_and_client(tmp_path, monkeypatch):
    """A hub with a tiny scene-level model, and a client whose worker fetches from it."""
    model = known_model("lvsm-decoder-only-256")
    export_published(tmp_path / model.file, lively_model("full"))
    monkeypatch.setenv("LVSM_MODELS", str(tmp_path / "models"))
    with FakeHub({model.file: (tmp_path / model.file).read_bytes()}, model.repository, kind="") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        client = Client(sys.executable, ROOT, tmp_path / "worker.log", device="cpu")
        yield hub, client
        client.stop()


def test_a_known_model_is_fetched_and_then_renders_by_its_name(hub_and_client):
    _, client = hub_and_client
    model = known_model("lvsm-decoder-only-256")
    with pytest.raises(FetchError, match="licence of lvsm-decoder-only-256 was not accepted"):
        wait(client.fetch_model(model.name, accepts_licence=False))
    with pytest.raises(CheckpointError, match="has not been fetched"):
        wait(client.render(model.name, ring_views(2), ring_cameras(1)))
    fetched = wait(client.fetch_model(model.name, accepts_licence=True))
    assert fetched["path"] == str(fetched_path(model)) and fetched["sha256"] == file_sha256(fetched_path(model))
    answer = wait(client.render(model.name, ring_views(2), ring_cameras(1)))
    assert answer["model_sha256"] == fetched["sha256"] and "CC BY-NC-SA" in answer["licence"]


def _bytes_of_parts(folder):
    return sum(path.stat().st_size for path in folder.glob("*.part"))


def test_a_fetch_that_is_cancelled_ends_and_the_next_goes_on(hub_and_client):
    hub, client = hub_and_client
    model = known_model("lvsm-decoder-only-256")
    hub.faults[model.file].append("stall")
    request = client.fetch_model(model.name, accepts_licence=True)
    while not (request.poll() or _bytes_of_parts(fetched_path(model).parent)):
        time.sleep(0.01)
    request.cancel()
    with pytest.raises(Cancelled):
        wait(request)
    hub.stalls.set()
    assert wait(client.fetch_model(model.name, accepts_licence=True))["bytes"] == len(hub.files[model.file])
    assert hub.ranges[-1][1] > 0
