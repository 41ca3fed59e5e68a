"""The command line on small captures and models, as a person would call it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lvsm_engine.cli import main
from lvsm_engine.cli.doctor import examine
from lvsm_engine.cli.signals import Ended, ending_by_exception
from lvsm_engine.metrics import psnr
from lvsm_engine.model.checkpoint import load_model
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.photos import save_image
from tests.shared_data import ROOT
from tests.synthetic import CARD, write_ring_capture, write_tiny_model

LVSM = [sys.executable, "-m", "lvsm_engine.cli"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.safetensors", ModelConfig(width=64, blocks=1))


@pytest.fixture
def make_capture(tmp_path):
    """make_capture(width, height): a ring of 6 photos in a folder with spaces and other letters."""
    return lambda width, height: write_ring_capture(tmp_path / "Jos\u00e9 \u0434 a b", 6, width, height)


@pytest.fixture
def capture(make_capture):
    return make_capture(48, 32)


def render(capture, model_file, out, **options):
    arguments = {"--capture": capture, "--inputs": "0,2,4", "--targets": "1,5", "--out": out, "--model": model_file}
    arguments |= {"--device": "cpu", "--precision": "float32"} | options
    return main(["render", *(str(part) for pair in arguments.items() for part in pair)])


def test_render_writes_pictures_a_report_and_a_sheet(capture, model_file, tmp_path, capsys):
    out = tmp_path / "out \u0434"
    assert render(capture, model_file, out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0001.png", "0005.png", "report.json", "sheet.png"]
    with Image.open(out / "0005.png") as image:
        assert image.size == (48, 32)
        told = image.text
    report = json.loads((out / "report.json").read_text())
    assert [target["position"] for target in report["targets"]] == [1, 5]
    assert report["targets"][1]["name"] == "photo 5.png"
    assert report["model"] == told["LVSM model"] == CARD.name
    assert (report["model_sha256"], report["licence"]) == (told["LVSM model sha256"], told["LVSM licence"])
    assert [one["position"] for one in report["inputs"]] == [0, 2, 4]
    printed = capsys.readouterr().out
    assert "PSNR" in printed
    with Image.open(out / "0001.png") as image, Image.open(capture / "images" / "photo 1.png") as truth:
        error = (np.asarray(image) / 255 - np.asarray(truth) / 255) ** 2
    assert report["targets"][0]["psnr"] == pytest.approx(-10 * np.log10(error.mean()), abs=0.05)
    assert f"{report['targets'][0]['psnr']:.2f}" in printed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"--targets": "6"}, "--targets names the position 6, and the capture has the positions 0 to 5"),
        ({"--inputs": "a,b"}, "--inputs is 'a,b': give positions such as 0,4,9"),
        ({"--capture": "nowhere"}, "nowhere does not exist"),
        ({"--model": "nowhere.pt"}, "the model cannot be read"),
        ({"--device": "cuda:99"}, "'cuda:99' is not known"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_with_exit_status_1(
    capture, model_file, tmp_path, capsys, options, words
):
    assert render(capture, model_file, tmp_path / "out", **options) == 1
    error = capsys.readouterr().err.strip()
    assert words in error
    assert error.startswith("lvsm: ")
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_missing_photo_is_named_and_the_next_attempt_works(capture, model_file, tmp_path, capsys):
    photo = capture / "images" / "photo 2.png"
    content = photo.read_bytes()
    photo.write_bytes(content[: len(content) // 2])
    assert render(capture, model_file, tmp_path / "out") == 1
    assert "photo 2.png" in capsys.readouterr().err
    photo.write_bytes(content)
    assert render(capture, model_file, tmp_path / "out") == 0


def test_a_target_without_a_photo_is_rendered_and_not_compared(capture, model_file, tmp_path, capsys):
    (capture / "images" / "photo 1.png").unlink()
    out = tmp_path / "out"
    assert render(capture, model_file, out) == 0
    printed = capsys.readouterr()
    assert "no photo to compare with" in printed.out
    assert "photo 1.png" in printed.err
    target = json.loads((out / "report.json").read_text())["targets"][0]
    assert "psnr" not in target
    assert (out / "0001.png").exists()
    assert render(capture, model_file, tmp_path / "other", **{"--inputs": "0,1"}) == 1
    assert "photo 1.png has no photo" in capsys.readouterr().err


def test_a_full_disk_is_said_and_leaves_no_half_file(capture, model_file, tmp_path):
    """A file size limit stands for the full disk: the pictures do not fit."""
    out = tmp_path / "out"
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from lvsm_engine.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["render", "--capture", capture, "--inputs", "0", "--targets", "1", "--out", out, "--model", model_file]
    done = subprocess.run(
        [sys.executable, "-c", limited, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "0001.png cannot be written (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(out.iterdir()) == []


def test_convert_goes_both_ways(model_file, tmp_path, capsys):
    assert main(["convert", str(model_file), str(tmp_path / "a.pt")]) == 0
    assert main(["convert", str(tmp_path / "a.pt"), str(tmp_path / "b.safetensors")]) == 0
    first, second = load_model(model_file), load_model(tmp_path / "b.safetensors")
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())
    assert "CC BY-NC-SA" in capsys.readouterr().out


def test_inspect_tells_what_a_file_holds(model_file, capsys):
    assert main(["inspect", str(model_file)]) == 0
    printed = capsys.readouterr().out
    assert "decoder_only" in printed
    assert "GPL-3.0-or-later" in printed


def test_doctor_finds_nothing_wrong_here_and_names_what_is_missing(capsys):
    assert main(["doctor"]) == 0
    assert "All is well" in capsys.readouterr().out
    assert not examine(("torch", "a_package_that_nobody_has"))
    assert "the package a_package_that_nobody_has is missing" in capsys.readouterr().out


def spoil(folder, package, content):
    """An environment in which a package is this module, whatever else is installed."""
    (folder / f"{package}.py").write_text(content)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


@pytest.mark.parametrize(
    ("package", "content", "words"),
    [
        ("tyro", "raise ModuleNotFoundError('No module named tyro', name='tyro')", "tyro is missing"),
        ("numpy", "raise ModuleNotFoundError('No module named numpy', name='numpy')", "numpy is missing"),
        ("tyro", "import docstring_reader_of_tyros", "docstring_reader_of_tyros, which tyro needs, is missing"),
        ("torch", "raise OSError('libcudart.so.13: no such file')", "torch cannot be loaded (libcudart.so.13: no such"),
    ],
)
def test_doctor_works_when_it_is_needed(tmp_path, package, content, words):
    examined = f"import sys; from lvsm_engine.cli.doctor import examine; sys.exit(not examine(({package!r},)))"
    command = [sys.executable, "-c", examined]
    done = subprocess.run(command, env=spoil(tmp_path, package, content), cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"wrong: the package {words}" in done.stdout


def test_without_tyro_the_doctor_says_so_and_all_else_sends_to_the_doctor(tmp_path):
    environment = spoil(tmp_path, "tyro", "raise ModuleNotFoundError('No module named tyro', name='tyro')")
    asked = {command: [*LVSM, *command.split()] for command in ("doctor", "inspect default")}
    done = {
        name: subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        for name, command in asked.items()
    }
    assert (done["doctor"].returncode, "Traceback" in done["doctor"].stderr) == (1, False)
    assert "wrong: the package tyro is missing" in done["doctor"].stdout
    assert done["inspect default"].returncode == 1
    assert done["inspect default"].stderr.startswith("lvsm: The installation is not complete (No module named tyro)")
    assert "see 'lvsm doctor'" in done["inspect default"].stderr


def test_help_loads_neither_torch_nor_opencv():
    script = (
        "import sys; from lvsm_engine.cli import main; main(['--help']); print({'torch', 'cv2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "default"]])
def test_a_reader_who_has_read_enough_is_no_error(arguments):
    program = subprocess.Popen([*LVSM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdout.close()
    assert program.stderr.read() == b""
    assert program.wait() in (0, 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "default"]])
def test_an_output_that_is_full_is_told_in_a_sentence(arguments):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*LVSM, *arguments], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    words = "lvsm: The output cannot be written (No space left on device): free space or print elsewhere.\n"
    assert (done.returncode, done.stderr) == (1, words)


def test_a_models_name_and_text_steer_no_terminal(tmp_path, capsys):
    name, text = "a\nlicence          CC0\x1b[31m\x07", "# Title\n\x1b]0;owned\x07\u009b2J\u00e9"
    file = write_tiny_model(tmp_path / "a.safetensors", ModelConfig(width=64, blocks=1), name=name, text=text)
    assert main(["inspect", str(file)]) == 0
    printed = capsys.readouterr().out
    assert f"{'name':16} a\\nlicence          CC0\\x1b[31m\\x07\n" in printed
    assert printed.endswith("# Title\n\\x1b]0;owned\\x07\\x9b2J\u00e9\n")
    assert main(["inspect", "no\x1b[31m"]) == 1
    assert "no\\x1b[31m: the model cannot be read" in capsys.readouterr().err


SLOW_WRITER = """
import sys, time
from PIL import Image
save = Image.Image.save
def save_slowly(self, path, **options):
    save(self, path, **options)
    print("half way", flush=True)
    time.sleep(600)
Image.Image.save = save_slowly
from lvsm_engine.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_end_leaves_no_half_written_picture(capture, model_file, tmp_path, number):
    out = tmp_path / "out"
    arguments = ["render", "--capture", capture, "--inputs", "0", "--targets", "1", "--out", out, "--model", model_file]
    command = [sys.executable, "-c", SLOW_WRITER, *map(str, arguments), "--device", "cpu"]
    program = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # tests may run under nohup
    )
    assert program.stdout.readline() == "half way\n"
    assert [path.suffix for path in out.iterdir()] == [".part"]
    program.send_signal(number)
    _, said = program.communicate()
    assert list(out.iterdir()) == []
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert (program.returncode, said.splitlines()[-1]) == (1, "lvsm: Cancelled.")
    else:
        assert (program.returncode, said.splitlines()[-1]) == (128 + number, f"lvsm: Ended by {number.name}.")


def test_a_signal_ends_what_python_cannot_interrupt():
    """A step of torch's, or here of OpenSSL's, may take minutes."""
    script = (
        "import hashlib; from lvsm_engine.cli.signals import ending_by_exception\n"
        "with ending_by_exception(grace_seconds=0.2):\n    print('in', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout.readline() == "in\n"
    time.sleep(1)  # by then it computes, which is what this is about
    program.send_signal(signal.SIGTERM)
    assert program.wait(timeout=60) == 128 + signal.SIGTERM
    assert program.stderr.read() == ""


def test_an_ignored_signal_stays_ignored():
    """nohup lvsm render outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_by_exception():
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(Ended):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_trivial_answers_are_cut_as_evaluation_cuts_them(make_capture, model_file, tmp_path):
    """Of photos of another shape the middle is taken: stretched ones are told as another baseline."""
    capture = make_capture(48, 32)
    content = json.loads((capture / "transforms.json").read_text())
    tall = photo_with_a_dark_edge(48, 32)
    save_image(capture / "images" / "photo 0.png", tall)
    square = tall[:, 8:40]
    save_image(capture / "images" / "photo 1.png", square)
    content["frames"][1] |= {"w": 32, "h": 32, "cx": 16.0, "cy": 16.0}
    (capture / "transforms.json").write_text(json.dumps(content))
    assert render(capture, model_file, tmp_path / "out", **{"--inputs": "0", "--targets": "1"}) == 0
    target = json.loads((tmp_path / "out" / "report.json").read_text())["targets"][0]
    assert target["psnr_of_nearest_input"] == target["psnr_of_mean_of_inputs"] == 100


def photo_with_a_dark_edge(width, height):
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    photo[:, :8] = 0
    return photo


def test_pictures_too_small_for_ssim_are_compared_without_it(make_capture, model_file, tmp_path, capsys):
    assert render(make_capture(8, 10), model_file, tmp_path / "out") == 0
    target = json.loads((tmp_path / "out" / "report.json").read_text())["targets"][0]
    assert "ssim" not in target
    assert f"{target['psnr']:6.2f}      -" in capsys.readouterr().out


def test_transparent_photos_are_compared_over_the_models_background(make_capture, tmp_path):
    """All of them are white glass: over black they are black, and so are the truth and the mean."""
    config = ModelConfig(width=64, blocks=1)
    path = write_tiny_model(tmp_path / "black.safetensors", config, background=(0.0, 0.0, 0.0))
    capture = make_capture(48, 32)
    for photo in (capture / "images").iterdir():
        Image.new("RGBA", (48, 32), (255, 255, 255, 0)).save(photo)
    assert render(capture, path, tmp_path / "out") == 0
    target = json.loads((tmp_path / "out" / "report.json").read_text())["targets"][0]
    with Image.open(tmp_path / "out" / "0001.png") as image:
        drawn = np.asarray(image, np.float32) / 255
    assert min(target["psnr"], psnr(drawn, np.zeros_like(drawn))) > 60


def test_names_that_a_terminal_or_a_text_cannot_hold_are_no_obstacle(capture, model_file, tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/not utf-8 \xff")
    shutil.copytree(capture, folder)
    content = json.loads((capture / "transforms.json").read_text())
    (capture / "images" / "photo 1.png").rename(Path(folder) / "images" / "\u0434.png")
    content["frames"][1]["file_path"] = "images/\u0434.png"
    (Path(folder) / "transforms.json").write_text(json.dumps(content))
    command = [*LVSM, "render", "--capture", folder, "--inputs", "0,2"]
    command += ["--targets", "1", "--out", tmp_path / "out", "--model", model_file, "--device", "cpu"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    assert b"\\u0434.png" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001.png", "report.json", "sheet.png"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["capture"].endswith("not utf-8 \udcff")


def test_wrong_arguments_end_with_status_2_and_help_with_0(capsys):
    assert main(["render", "--capture", "x"]) == 2
    assert main(["render", "--help"]) == 0


def test_bench_times_the_synthesizer_and_the_worker(model_file, capsys):
    assert main(["bench", "--model", str(model_file), "--device", "cpu", "--views", "2"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("load", "encode", "view", "worker"))
