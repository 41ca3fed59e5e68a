"""Runs a script's functions test_... in their order, whatever becomes of each, and reports every one by itself.

A report's line, in the file that the environment's LVSM_REPORT names: {"test": name, "failure": null or a traceback}.
What a test prints follows a line that begins with TEST_BEGINS and ends with its name.
"""

import inspect
import json
import os
import traceback

import window_steps

TEST_BEGINS = "----- "


def run(script: dict) -> None:
    """Run the tests among a script's names. A test that is a generator takes steps in a window (window_steps)."""
    tests = [item for name, item in script.items() if name.startswith("test_") and callable(item)]
    if any(map(inspect.isgeneratorfunction, tests)):
        window_steps.run(_steps(tests))
    else:
        for _ in _steps(tests):
            pass


def _steps(tests):
    for test in tests:
        print(f"\n{TEST_BEGINS}{test.__name__}", flush=True)
        failure = None
        try:
            steps = test()
            if steps is not None:
                yield from steps
        except Exception:
            failure = traceback.format_exc()
        with open(os.environ["LVSM_REPORT"], "a", encoding="utf-8") as report:
            report.write(json.dumps({"test": test.__name__, "failure": failure}) + "\n")
        yield 0.1
