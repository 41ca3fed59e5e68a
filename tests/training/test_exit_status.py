"""How commands end."""

import subprocess
import sys

import pytest

from lvsm_engine.errors import LvsmError
from tests.shared_data import ROOT
from training.exit_status import exit_status, tell_missing


def failing(error: BaseException):
    def command() -> None:
        raise error

    return command


def test_a_command_that_does_all_ends_with_0_and_one_that_does_not_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda: None) == exit_status(lambda: tell_missing({})) == 0
    assert exit_status(lambda: tell_missing({f"object{number}": f"reason {number}" for number in range(9)})) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        *(f"reason {number}" for number in range(5)),
        "9 objects did not arrive: run the same command again.",
    ]


def test_what_cannot_be_ends_with_2_and_its_sentence_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(failing(LvsmError("a.json is none: mend it."))) == 2
    assert capsys.readouterr().err == "a.json is none: mend it.\n"


def test_ctrl_c_ends_with_130_and_an_error_of_ours_is_not_hidden() -> None:
    assert exit_status(failing(KeyboardInterrupt())) == 130
    with pytest.raises(ZeroDivisionError):
        exit_status(failing(ZeroDivisionError()))


@pytest.mark.parametrize(
    "arguments",
    [
        ("objects.download", "--selection", "none", "--out", "OUT"),
        ("views", "none", "--sheet", "OUT.png"),
        ("views.shards", "verify", "none"),
        ("evaluate", "--views", "none", "--out", "OUT", "--lpips", "none"),
        ("export", "--run", "none", "--out", "OUT.safetensors"),
    ],
)
def test_every_command_ends_with_2_and_one_sentence_where_there_is_nothing_to_work_on(tmp_path, arguments) -> None:
    module, *rest = [word.replace("OUT", str(tmp_path / "out")) for word in arguments]
    run = subprocess.run([sys.executable, "-m", f"training.{module}", *rest], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    (sentence,) = [line for line in run.stderr.splitlines() if not line.startswith("LPIPS is left out.")]
    assert "none" in sentence
