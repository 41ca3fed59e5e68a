"""The functions test_... of a script of tests/blender/inside: which there are, and what became of each in one Blender."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

INSIDE = Path(__file__).parent / "inside"
TEST_BEGINS = "----- "  # as inside/one_by_one.py prints it
MAX_LAST_WORDS = 20  # lines


def each_test_in(script: str) -> pytest.MarkDecorator:
    """Gives a test the argument `name`: of each function test_... of the script, one after the other."""
    names = _tests_in(INSIDE / script)
    return pytest.mark.parametrize("name", [pytest.param(name, id=name.removeprefix("test_")) for name in names])


def _tests_in(path: Path) -> list[str]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [item.name for item in body if isinstance(item, ast.FunctionDef) and item.name.startswith("test_")]


@dataclass(frozen=True)
class Report:
    """What became of a script's tests in one start of Blender.

    tests: the script's, by name. failures: of those that were run; a traceback, None where one passed. end: how Blender
    ended, empty where it ended well. output: all that was printed.
    """

    tests: list[str]
    failures: dict[str, str | None]
    end: str
    output: str

    def expect(self, name: str) -> None:
        """Fail the running pytest unless this test was run and passed, and Blender lived through the tests."""
        if name not in self.failures:
            last_words = "\n".join(self.output.splitlines()[-MAX_LAST_WORDS:])
            pytest.fail(f"{name} was not run: {self.end or 'Blender ended well'}\n{last_words}", pytrace=False)
        if self.failures[name] is not None:
            pytest.fail(f"{self.failures[name]}\n{self.output_of(name)}", pytrace=False)
        if self.end and name == self.tests[-1]:
            pytest.fail(f"{name} was the last: {self.end}\n{self.output_of(name)}", pytrace=False)

    def output_of(self, name: str) -> str:
        """What was printed while this test ran."""
        _, _, after = self.output.partition(f"{TEST_BEGINS}{name}\n")
        return after.partition(TEST_BEGINS)[0]


def read_report(script: str, path: Path, end: str, output: str) -> Report:
    """The report on a script that inside/one_by_one.py wrote, as far as it came."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    entries = [json.loads(line) for line in lines]
    failures = {entry["test"]: entry["failure"] for entry in entries}
    return Report(_tests_in(INSIDE / script), failures, end, output)
