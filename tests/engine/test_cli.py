"""The command line on small captures and models, as a person would call it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lvsm_engine.cli import main
from lvsm_engine.model.checkpoint import build_model, load_model, save_checkpoint
from lvsm_engine.model.config import ModelConfig
from lvsm_engine.photos import save_image
from lvsm_engine.scene.camera import View
from lvsm_engine.scene.captures import Capture, write_transforms
from tests.engine.test_synthesizer import CARD, ring_views

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_checkpoint(path, build_model(ModelConfig(width=64, blocks=1)), CARD)
    return path


@pytest.fixture
def make_capture(tmp_path):
    """make_capture(width, height): a ring of 6 photos in a folder with spaces and other letters."""

    def make(width, height):
        folder = tmp_path / "Jos\u00e9 \u0434 a b"
        (folder / "images").mkdir(parents=True)
        views = []
        for number, view in enumerate(ring_views(6, width, height)):
            path = folder / "images" / f"photo {number}.png"
            save_image(path, view.photo)
            views.append(View(view.camera, path, path.name))
        write_transforms(Capture("ring", tuple(views)), folder / "transforms.json")
        return folder

    return make


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
    report = json.loads((out / "report.json").read_text())
    assert [target["position"] for target in report["targets"]] == [1, 5]
    assert report["targets"][1]["name"] == "photo 5.png"
    assert report["model"] == CARD.name
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


def test_doctor_finds_nothing_wrong_here_and_names_what_is_missing(capsys, monkeypatch):
    assert main(["doctor"]) == 0
    assert "All is well" in capsys.readouterr().out
    monkeypatch.setattr("lvsm_engine.doctor.PACKAGES", ("torch", "a_package_that_nobody_has"))
    with pytest.raises(SystemExit):
        main(["doctor"])
    assert "the package a_package_that_nobody_has is missing" in capsys.readouterr().out


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
    (tmp_path / f"{package}.py").write_text(content)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import lvsm_engine.doctor; from lvsm_engine.cli import main\n"
        f"lvsm_engine.doctor.PACKAGES = ({package!r},); sys.exit(main(sys.argv[2:]))"
    )
    command = [sys.executable, "-c", script, tmp_path]
    done = subprocess.run([*command, "doctor"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert f"wrong: the package {words}" in done.stdout
    if package != "torch":
        done = subprocess.run([*command, "inspect", "default"], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "see 'lvsm doctor'" in done.stderr


def test_pictures_too_small_for_ssim_are_compared_without_it(make_capture, model_file, tmp_path, capsys):
    assert render(make_capture(8, 10), model_file, tmp_path / "out") == 0
    target = json.loads((tmp_path / "out" / "report.json").read_text())["targets"][0]
    assert "ssim" not in target
    assert f"{target['psnr']:6.2f}      -" in capsys.readouterr().out


def test_transparent_photos_are_compared_over_the_models_background(make_capture, tmp_path):
    """All of them are white glass: over black they are black, and so are the truth and the mean."""
    path = tmp_path / "black.safetensors"
    save_checkpoint(path, build_model(ModelConfig(width=64, blocks=1)), replace(CARD, background=(0.0, 0.0, 0.0)))
    capture = make_capture(48, 32)
    for photo in (capture / "images").iterdir():
        Image.new("RGBA", (48, 32), (255, 255, 255, 0)).save(photo)
    assert render(capture, path, tmp_path / "out") == 0
    target = json.loads((tmp_path / "out" / "report.json").read_text())["targets"][0]
    with Image.open(tmp_path / "out" / "0001.png") as image:
        assert target["psnr"] == pytest.approx(-10 * np.log10(((np.asarray(image) / 255) ** 2).mean()), abs=0.05)


def test_names_that_a_terminal_or_a_text_cannot_hold_are_no_obstacle(capture, model_file, tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/not utf-8 \xff")
    shutil.copytree(capture, folder)
    content = json.loads((capture / "transforms.json").read_text())
    (capture / "images" / "photo 1.png").rename(Path(folder) / "images" / "\u0434.png")
    content["frames"][1]["file_path"] = "images/\u0434.png"
    (Path(folder) / "transforms.json").write_text(json.dumps(content))
    command = [sys.executable, "-m", "lvsm_engine.cli", "render", "--capture", folder, "--inputs", "0,2"]
    command += ["--targets", "1", "--out", tmp_path / "out", "--model", model_file, "--device", "cpu"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    assert b"\\u0434.png" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001.png", "report.json", "sheet.png"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["capture"].endswith("not utf-8 \udcff")


def test_wrong_arguments_end_with_status_2():
    with pytest.raises(SystemExit) as caught:
        main(["render", "--capture", "x"])
    assert caught.value.code == 2


def test_bench_times_the_synthesizer_and_the_worker(model_file, capsys):
    assert main(["bench", "--model", str(model_file), "--device", "cpu", "--views", "2"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("load", "encode", "view", "worker"))
