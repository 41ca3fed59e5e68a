"""The client against workers that behave badly on purpose, each a small script in the open."""

import gc
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from lvsm_engine.errors import (
    CHOOSE_PYTHON,
    INSTALL_PACKAGES,
    OPEN_LOG,
    RESTART_ENGINE,
    Cancelled,
    CaptureError,
    WorkerError,
)
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.worker import client as client_module
from lvsm_engine.worker.client import Client

ROOT = Path(__file__).resolve().parents[3]
CAMERA = Camera(np.eye(4), 10, 10, 4, 4, 8, 8)
VIEWS = [View(CAMERA, np.zeros((8, 8, 3), np.uint8), "view")]

# Every fake begins like this: it speaks the real wire format, from the real package.
PREAMBLE = f"""
import os, sys, time
for name in [name for name in sys.modules if name.startswith("lvsm_engine")]:
    del sys.modules[name]
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from lvsm_engine.worker import messages
from lvsm_engine.worker.messages import Message
out, inbox = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
def say(kind, number=0, fields=None, arrays=None):
    messages.write(out, Message(kind, number, fields or {{}}, arrays or {{}}))
def hello():
    messages.read(inbox)
    say("hello", 0, {{"protocol": messages.PROTOCOL_VERSION, "device_name": "fake"}})
def answer(request):
    count, (width, height) = len(request.fields["cameras"]), request.fields["cameras"][0]["size"]
    fields = {{"warnings": [], "seconds": 0.0, "background": [1.0, 1.0, 1.0]}}
    say("result", request.id, fields, {{"images": np.ones((count, height, width, 3), np.float32)}})
def next_request():
    message = messages.read(inbox)
    if message is None:
        sys.exit(0)
    return message
"""


@pytest.fixture
def make_client(tmp_path):
    """make_client(script): a client whose engine folder holds a worker that is this script."""
    clients = []

    def make(script="", python=sys.executable, folder_name="engine", **options):
        worker = tmp_path / folder_name / "lvsm_engine" / "worker"
        worker.mkdir(parents=True, exist_ok=True)
        for package in (worker, worker.parent):
            (package / "__init__.py").touch()
        (worker / "__main__.py").write_text(PREAMBLE + textwrap.dedent(script), encoding="utf-8")
        clients.append(Client(python, tmp_path / folder_name, tmp_path / "logs" / "worker.log", **options))
        return clients[-1]

    yield make
    for client in clients:
        client.stop()


def wait(request, seconds=120):
    return request.wait(timeout=seconds)


HEALTHY = """
hello()
while True:
    answer(next_request())
"""


def test_a_request_is_answered_and_the_state_tells_how_it_goes(make_client):
    client = make_client(HEALTHY)
    assert client.state == "stopped"
    request = client.render("default", VIEWS, [CAMERA, CAMERA])
    assert client.state in ("starting", "busy")
    assert wait(request)["images"].shape == (2, 8, 8, 3)
    assert client.state == "ready"
    assert client.hello["device_name"] == "fake"
    client.stop()
    assert client.state == "stopped"
    assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)


def test_asking_never_waits_for_the_worker(make_client, tmp_path):
    """The worker reads nothing before it has been asked, and a pipe holds less than this photo."""
    client = make_client(f"while not os.path.exists({str(tmp_path / 'asked')!r}): time.sleep(0.01)\n" + HEALTHY)
    request = client.render("default", [View(CAMERA, np.zeros((3000, 3000, 3), np.uint8), "large")], [CAMERA])
    assert not request.poll()
    (tmp_path / "asked").touch()
    wait(request)


def test_progress_is_followed(make_client):
    client = make_client("""
        hello()
        request = next_request()
        for i in range(5):
            say("progress", request.id, {"fraction": i / 5, "stage": "Working", "seconds_left": 1.5})
            time.sleep(0.1)
        answer(request)
        next_request()
    """)
    seen = []
    client.render("default", VIEWS, [CAMERA]).wait(timeout=120, on_progress=seen.append)
    assert [progress.fraction for progress in seen if progress.stage == "Working"] == sorted(
        {p.fraction for p in seen[1:]}
    )
    assert seen[-1].seconds_left == 1.5


def test_a_cancel_takes_effect_at_once_and_the_worker_hears_of_it(make_client):
    client = make_client("""
        hello()
        request = next_request()
        cancel = next_request()
        assert (cancel.kind, cancel.id) == ("cancel", request.id)
        answer(next_request())
        next_request()
    """)
    request = client.render("default", VIEWS, [CAMERA])
    while client.hello is None:
        request.poll()
        time.sleep(0.01)
    request.cancel()
    with pytest.raises(Cancelled):  # though the worker never answers it
        wait(request)
    assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)


def test_a_typed_error_arrives_with_its_remedy(make_client):
    client = make_client("""
        hello()
        say("error", next_request().id, {"kind": "CaptureError", "sentence": "a.jpg is gone.", "remedy": "locate_photos"})
        next_request()
    """)
    with pytest.raises(CaptureError, match=r"a\.jpg is gone\.") as caught:
        wait(client.render("default", VIEWS, [CAMERA]))
    assert caught.value.remedy == "locate_photos"


def test_a_worker_that_dies_once_in_mid_render_is_replaced_without_a_word(make_client, tmp_path):
    client = make_client(f"""
        hello()
        request = next_request()
        if not os.path.exists({str(tmp_path / "died")!r}):
            open({str(tmp_path / "died")!r}, "w").close()
            os.kill(os.getpid(), 9)
        answer(request)
        next_request()
    """)
    assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)
    assert (tmp_path / "died").exists()


def test_a_question_asked_after_an_unseen_death_does_not_lose_the_one_before(make_client, tmp_path):
    client = make_client(f"""
        hello()
        request = next_request()
        if not os.path.exists({str(tmp_path / "died")!r}):
            open({str(tmp_path / "died")!r}, "w").close()
            time.sleep(0.5)
            os._exit(1)
        answer(request)
        answer(next_request())
        next_request()
    """)
    first = client.render("default", VIEWS, [CAMERA])
    while client.hello is None:
        first.poll()
    client._process.popen.wait(120)  # nobody polls meanwhile
    second = client.render("default", VIEWS, [CAMERA, CAMERA])
    assert wait(first)["images"].shape[0] == 1
    assert wait(second)["images"].shape[0] == 2


def test_a_worker_that_always_dies_is_given_up_with_its_last_words(make_client):
    client = make_client("""
        hello()
        next_request()
        print("the card fell off the bus", file=sys.stderr, flush=True)
        os._exit(7)
    """)
    with pytest.raises(WorkerError, match="ended with status 7.*the card fell off the bus") as caught:
        wait(client.render("default", VIEWS, [CAMERA]))
    assert caught.value.remedy == OPEN_LOG
    assert client.state == "failed"
    for _ in range(client_module.MAX_RESTARTS_A_MINUTE - 1):
        with pytest.raises(WorkerError, match="ended with status 7"):
            wait(client.render("default", VIEWS, [CAMERA]))
    words = "ended 4 times within a minute, at last with status 7: the card fell off the bus"
    with pytest.raises(WorkerError, match=words) as caught:
        wait(client.render("default", VIEWS, [CAMERA]))
    assert caught.value.remedy == OPEN_LOG


def test_a_worker_killed_before_hello_is_an_error(make_client):
    client = make_client("print('no such library', file=sys.stderr)\nos._exit(3)")
    with pytest.raises(WorkerError, match="ended with status 3.*no such library"):
        wait(client.render("default", VIEWS, [CAMERA]))


# A Blender that, as Debian's 4.3 does, leaves SIGPIPE as it is; it writes more than a pipe holds to a worker that ends.
FRAGILE_BLENDER = f"""
import signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from lvsm_engine.errors import WorkerError
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.worker.client import Client
camera = Camera(np.eye(4), 10, 10, 4, 4, 8, 8)
client = Client(sys.argv[1], sys.argv[2], sys.argv[3])
try:
    client.render("m", [View(camera, np.zeros((2000, 2000, 3), np.uint8), "view")], [camera]).wait(timeout=120)
except WorkerError as error:
    print("alive:", error)
assert signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL
"""


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="Windows has no SIGPIPE.")
def test_a_worker_that_ends_before_it_has_read_all_takes_nobody_with_it(tmp_path):
    worker = tmp_path / "python"
    worker.write_text("#!/bin/sh\nsleep 0.3\nexit 3\n")
    worker.chmod(0o755)
    command = [sys.executable, "-c", FRAGILE_BLENDER, worker, tmp_path, tmp_path / "worker.log"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "alive: " in done.stdout and "ended with status 3" in done.stdout


def test_a_worker_that_never_says_hello_is_given_up_at_the_deadline(make_client):
    client = make_client("time.sleep(600)", hello_seconds=0.5)
    with pytest.raises(WorkerError, match=r"did not answer within 0\.5 s") as caught:
        wait(client.render("default", VIEWS, [CAMERA]))
    assert caught.value.remedy == CHOOSE_PYTHON


def test_a_worker_that_falls_silent_is_given_up(make_client):
    client = make_client("hello()\ntime.sleep(600)", silence_seconds=0.5)
    with pytest.raises(WorkerError, match=r"silent for 0\.5 s"):
        wait(client.render("default", VIEWS, [CAMERA]))


GETS_NOWHERE = """
hello()
request = next_request()
while True:
    say("alive")
    say("progress", request.id, {"fraction": 0.5, "stage": "Thinking", "seconds_left": time.monotonic()})
    time.sleep(0.05)
"""


def test_a_worker_that_is_alive_and_gets_nowhere_is_given_up(make_client):
    client = make_client(GETS_NOWHERE, stall_seconds=1.0)
    with pytest.raises(WorkerError, match="is alive, and got nowhere for 1 s: restart it") as caught:
        wait(client.render("default", VIEWS, [CAMERA]))
    assert caught.value.remedy == RESTART_ENGINE
    assert client.state == "failed"


def test_a_worker_that_gets_on_slowly_is_waited_for(make_client):
    client = make_client(
        """
        hello()
        request = next_request()
        for step in range(60):
            say("progress", request.id, {"fraction": step / 60, "stage": "Working", "seconds_left": None})
            time.sleep(0.1)
        answer(request)
        next_request()
        """,
        stall_seconds=5.0,
    )
    assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('say("progress", number, {"fraction": 0.5, "stage": "x", "nope": 1, "seconds_left": "soon"})', "no number"),
        ('say("progress", number, {"nope": 1})', "a progress without a fraction and a stage"),
        ('say("progress", number, {"fraction": "x", "stage": None})', "a progress without a fraction and a stage"),
        ('say("progress", number, {"fraction": float("nan"), "stage": "x"})', "a progress without a fraction"),
        ('say("error", number, {"kind": ["x"], "sentence": "s"})', "an error that is not told in words"),
        ('say("error", number, {"kind": "CaptureError", "sentence": {}})', "an error that is not told in words"),
        ('say("error", 0, {"kind": "WorkerError", "remedy": [1]})', "an error that is not told in words"),
        ('say("banana", number)', "a message of the kind 'banana'"),
        ('say("result", number)', "an answer without the pictures that were asked for"),
        ('say("result", number, {"images": 3})', "an answer without the pictures that were asked for"),
        ('say("result", number, {}, {"images": np.ones((1, 8, 9, 3), np.float32)})', "without the pictures"),
        ('say("result", number, {}, {"images": np.ones((1, 8, 8, 3))})', "without the pictures"),
        ('say("result", number, {}, {"images": np.ones((1, 8, 8, 3), np.float32)})', "without warnings and seconds"),
    ],
)
def test_what_no_engine_says_is_a_typed_error(make_client, line, words):
    client = make_client(f"hello()\nnumber = next_request().id\n{line}\ntime.sleep(600)")
    with pytest.raises(WorkerError, match=f"do not understand each other.*{words}"):
        wait(client.render("default", VIEWS, [CAMERA]))
    assert client.state == "failed"


def test_a_result_before_hello_is_a_typed_error(make_client):
    client = make_client('messages.read(inbox)\nsay("result", next_request().id)\ntime.sleep(600)')
    with pytest.raises(WorkerError, match="do not understand each other: a message of the kind 'result'"):
        wait(client.render("default", VIEWS, [CAMERA]))


def test_a_question_that_cannot_be_sent_fails_in_a_sentence(make_client):
    client = make_client(HEALTHY)
    with pytest.raises(WorkerError, match="cannot be asked this .*not JSON serializable.*: restart it"):
        wait(client._ask("render", {"model": object()}, {}, lambda answer: None))
    assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)


def threads_and_files():
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def more_than(before):
    """Less may be there: what an earlier test left has ended meanwhile."""
    return any(now > then for now, then in zip(threads_and_files(), before, strict=True))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's /proc")
@pytest.mark.parametrize("script", ["os._exit(5)", "hello()\nnext_request()\nos._exit(5)"])
def test_engines_that_die_leave_no_thread_no_file_and_no_photo_behind(make_client, script):
    """In Blender they would stay until it is quit."""
    client, before, photos = make_client(script), threads_and_files(), []
    for _ in range(20):
        photo = np.zeros((8, 8, 3), np.uint8)
        photos.append(weakref.ref(photo))
        with pytest.raises(WorkerError):
            wait(client.render("default", [View(CAMERA, photo, "view")], [CAMERA]))
    del photo
    deadline = time.monotonic() + 120
    while more_than(before) or any(photo() is not None for photo in photos):
        assert time.monotonic() < deadline, (threads_and_files(), before, [photo() is None for photo in photos])
        gc.collect()
        time.sleep(0.05)


def test_an_answered_request_holds_its_photos_no_longer(make_client):
    client, photo = make_client(HEALTHY), np.zeros((8, 8, 3), np.uint8)
    gone = weakref.ref(photo)
    request = client.render("default", [View(CAMERA, photo, "view")], [CAMERA])
    del photo
    wait(request)
    gc.collect()
    assert gone() is None and request.result()["images"].shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "out.write((2**60).to_bytes(8, 'little')); out.flush(); time.sleep(600)",
            "a header of 1152921504606846976 bytes",
        ),
        (
            "out.write(b'\\x40' + b'\\0' * 7 + b'half'); out.flush(); out.close(); os.close(1); time.sleep(600)",
            "an end after 4 of 64",
        ),
        (
            "out.write(b'Welcome to my favourite library!'); out.flush(); time.sleep(600)",
            "do not understand each other",
        ),
        ("say('hello', 0, {'protocol': 99}); time.sleep(600)", "speaks protocol 99"),
    ],
)
def test_a_worker_that_talks_nonsense_is_given_up(make_client, script, words):
    client = make_client(script)
    with pytest.raises(WorkerError, match=words):
        wait(client.render("default", VIEWS, [CAMERA]))
    assert client.state == "failed"


COMPARED = """
hello()
request = next_request()
picture, truth, psnr = np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 3), np.float32), 24.5
{fault}
say("result", request.id, {{"psnr": psnr, "ssim": 0.5}}, {{"picture": picture, "truth": truth}})
next_request()
"""


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("truth = truth[:4]", "an answer without a picture and a photo of one size"),
        ("picture = truth = truth[0]", "an answer whose picture is none"),
        ("psnr = float('nan')", "an answer without PSNR and SSIM"),
    ],
)
def test_a_comparison_that_is_none_is_refused(make_client, fault, words):
    assert (
        wait(make_client(COMPARED.format(fault="")).leave_one_out("default", VIEWS, 0, 8, detail=True))["psnr"] == 24.5
    )
    client = make_client(COMPARED.format(fault=fault), folder_name="faulty")
    with pytest.raises(WorkerError, match=words):
        wait(client.leave_one_out("default", VIEWS, 0, 8, detail=True))


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("out.close(); os.close(1); time.sleep(600)", {}),
        ("hello()\nout.close(); os.close(1); time.sleep(600)", {}),
        ("time.sleep(600)", {"hello_seconds": 0.5}),
        ("say('hello', 0, {'protocol': 99})\nwhile True: time.sleep(600)", {}),
    ],
    ids=["closes its pipe", "closes its pipe after hello", "no hello", "nonsense"],
)
def test_looking_after_a_sick_worker_never_waits(make_client, script, options):
    """The best of a few: a machine may be busy, but a client that waits for the worker's end does so every time."""
    longest = [longest_look(make_client(script, **options))]
    while min(longest) >= 0.25 and len(longest) < 5:
        longest.append(longest_look(make_client(script, **options)))
    assert min(longest) < 0.25


def longest_look(client):
    """Seconds that the longest look at a request took until it failed."""
    request = client.render("default", VIEWS, [CAMERA])
    longest, deadline = 0.0, time.monotonic() + 120
    while not request.done:
        began = time.monotonic()
        assert began < deadline
        request.poll()
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    with pytest.raises(WorkerError):
        request.result()
    return longest


def test_the_log_of_an_earlier_process_is_not_quoted_and_a_long_one_is_cut(make_client, tmp_path):
    client = make_client(f"""
        if not os.path.exists({str(tmp_path / "tried")!r}):
            open({str(tmp_path / "tried")!r}, "w").close()
            print("the old story", file=sys.stderr, flush=True)
        elif os.path.exists({str(tmp_path / "talk")!r}):
            print("x" * 4000 + "the end", file=sys.stderr, flush=True)
        os._exit(1)
    """)
    for words in ("status 1: the old story", "status 1 and wrote nothing to its log"):
        with pytest.raises(WorkerError, match=words):
            wait(client.render("default", VIEWS, [CAMERA]))
    (tmp_path / "talk").touch()
    with pytest.raises(WorkerError, match="the end$") as caught:
        wait(client.render("default", VIEWS, [CAMERA]))
    assert len(str(caught.value)) < 400


def test_an_array_that_cannot_be_sent_is_refused_and_the_next_is_answered(make_client):
    client = make_client(HEALTHY)
    with pytest.raises(CaptureError, match="front: the photo is an array of float16: give uint8"):
        client.render("default", [View(CAMERA, np.zeros((8, 8, 3), np.float16), "front")], [CAMERA])
    assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)


def test_the_next_attempt_works(make_client, tmp_path):
    client = make_client(f"""
        if not os.path.exists({str(tmp_path / "tried")!r}):
            open({str(tmp_path / "tried")!r}, "w").close()
            os._exit(1)
        hello()
        while True:
            answer(next_request())
    """)
    with pytest.raises(WorkerError):
        wait(client.render("default", VIEWS, [CAMERA]))
    assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)


def test_a_python_that_is_not_there_is_told_with_the_way_out(make_client, tmp_path):
    for python in (tmp_path / "no python", tmp_path, "no-such-python", ""):
        client = make_client(python=python)
        for _ in range(5):  # however often one tries
            with pytest.raises(WorkerError, match="cannot be started|No Python is chosen") as caught:
                client.render("default", VIEWS, [CAMERA])
            assert caught.value.remedy == CHOOSE_PYTHON
            assert client.state == "failed"


@pytest.mark.parametrize("is_started_first", [False, True])
def test_a_python_whose_own_was_removed_is_told_with_the_way_out(make_client, tmp_path, is_started_first):
    """On Linux and macOS it cannot be started; on Windows what is started finds it out."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").write_text(f"home = {tmp_path / 'Blender 4.1'}\n")
    if is_started_first:
        python = script_python(tmp_path / "bin", "exit 103")
    else:
        python = tmp_path / "bin" / "python"
        python.symlink_to(tmp_path / "Blender 4.1" / "python3.11")
    with pytest.raises(WorkerError, match=r"is gone from .*Blender 4.1 .*press Set Up Engine again") as caught:
        wait(make_client(python=python).render("default", VIEWS, [CAMERA]))
    assert caught.value.remedy == CHOOSE_PYTHON


def test_a_python_may_be_named_from_the_folder_one_is_in_or_be_on_the_path(make_client, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    script_python(tmp_path / "bin", f'exec "{sys.executable}" "$@"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    for python in ("bin/python", Path("bin") / "python", "python"):
        client = make_client(HEALTHY, python=python)
        assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)


def test_packages_that_were_installed_meanwhile_are_found_at_the_next_attempt(make_client, tmp_path):
    client = make_client(f"""
        if not os.path.exists({str(tmp_path / "installed")!r}):
            say("error", 0, {{"kind": "WorkerError", "sentence": "Install torch.", "remedy": "install_packages"}})
            sys.exit(1)
        hello()
        answer(next_request())
        next_request()
    """)
    for _ in range(4):
        with pytest.raises(WorkerError, match="Install torch") as caught:
            wait(client.render("default", VIEWS, [CAMERA]))
        assert caught.value.remedy == INSTALL_PACKAGES
    (tmp_path / "installed").touch()
    assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)


def test_a_python_without_torch_says_so(tmp_path):
    """The real worker, in an interpreter that sees no site-packages."""
    bare = script_python(
        tmp_path,
        f'exec "{sys.executable}" -I -S -c "import sys, runpy; sys.path.insert(0, sys.argv[1])\n'
        'runpy.run_module(\\"lvsm_engine.worker\\", run_name=\\"__main__\\")" "$PYTHONPATH"',
    )
    client = Client(bare, ROOT, tmp_path / "log.txt")
    with pytest.raises(WorkerError, match="cannot run the engine .*install torch") as caught:
        wait(client.render("default", VIEWS, [CAMERA]))
    assert caught.value.remedy == INSTALL_PACKAGES


def test_a_python_that_is_too_old_says_so(tmp_path):
    """The real worker's first lines, told that they run in Python 3.8."""
    pretend = (
        "import sys, runpy; sys.version_info = (3, 8, 19); runpy.run_module('lvsm_engine.worker', run_name='__main__')"
    )
    old = script_python(tmp_path, f'exec "{sys.executable}" -c "{pretend}"')
    client = Client(old, ROOT, tmp_path / "log.txt")
    with pytest.raises(WorkerError, match=r"needs Python 3\.10 or newer, and .* is 3\.8\.19") as caught:
        wait(client.render("default", VIEWS, [CAMERA]))
    assert caught.value.remedy == CHOOSE_PYTHON


def script_python(folder, line):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_folders_with_spaces_and_other_letters_work(make_client):
    client = make_client(HEALTHY, folder_name="Jos\u00e9 \u0434 a b")
    assert wait(client.render("default", VIEWS, [CAMERA]))["images"].shape == (1, 8, 8, 3)


def test_the_worker_has_ended_when_its_client_is_stopped(make_client, tmp_path):
    client = make_client(f"""
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        {HEALTHY.strip().replace(chr(10), chr(10) + "        ")}
    """)
    wait(client.render("default", VIEWS, [CAMERA]))
    pid = int((tmp_path / "pid").read_text())
    client.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
