"""What the batch is asked for: its command line, and the jobs of a file. Needs no bpy."""

import argparse
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from lvsm_engine.worker.client import DEVICES

from .output_names import checked_pattern

# Of one range: a slip of the finger is not rendered for years.
MAX_FRAMES = 1_000_000
FORMATS = ("png", "exr")
# Of the whole command, not of one of its jobs.
OF_THE_COMMAND = ("jobs", "report", "help")
JOBS_EXAMPLE = '[{"cameras": ["A", "B"], "out": "views", "frames": "1-48"}, ...]'


def parse(arguments: list[str], program: str) -> tuple[argparse.Namespace, list[argparse.Namespace]]:
    """The command's options, and those of each of its jobs: of the one that it is, or of each in its file.

    A job in a file has the command's own options too, behind what the file says of it. What is wrong is said on stderr, and
    raises SystemExit with status 2.
    """
    parser = _parser(program)
    command = parser.parse_args(arguments)
    jobs = [command]
    if command.jobs is not None:
        jobs = []
        for number, entry in enumerate(_read_jobs(command.jobs, parser), 1):
            of_job = _parser(f"{command.jobs.name}, job {number}", usage=argparse.SUPPRESS)
            jobs.append(of_job.parse_args([*arguments, *_as_arguments(entry, of_job)]))
    for number, job in enumerate(jobs, 1):
        if job.out is None:
            parser.error("--out is missing" + (f" for job {number}" if command.jobs is not None else ""))
    return command, jobs


def _parser(program: str, usage: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        usage=usage,
        description="Synthesize what cameras see from the scene's input views.",
        epilog="Exit status: 0 all files are written, 1 something failed (one sentence on stderr), 2 wrong arguments.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--cameras", type=_names, metavar="A,B", help="default: the target camera")
    add("--photos", type=_names, metavar="A,B", help="of these cameras alone; default: those that are switched on")
    add("--out", type=Path, metavar="DIR", help="folder of the files")
    add(
        "--pattern",
        type=_pattern,
        metavar="NAME",
        help="of a file, with {camera}, {scene} and {frame}; default: {camera}, and {camera}_{frame} with --frames",
    )
    add("--format", choices=FORMATS, default="png", help="exr: scene-linear, with depth and confidence; default: png")
    add("--model", metavar="FILE", help="or the name of a known one, such as default; without it, the scene's")
    add("--device", choices=DEVICES, help="default: of the preferences")
    add("--size", type=_size, metavar="WxH", help="pixels; default: the scene's render size")
    add("--frames", type=_frames, metavar="1-48,60,72", help="1-99x2: every second one; default: the current frame")
    add("--skip-existing", action="store_true", help="leave files that are there: a file that exists is whole")
    add("--no-detail", action="store_true", help="the model's own pictures; default: the scene's choice")
    add("--report", type=Path, metavar="FILE", help="write a report as JSON")
    add("--jobs", type=Path, metavar="FILE", help=f"several jobs with one engine, as JSON: {JOBS_EXAMPLE}")
    return parser


def _names(text: str) -> list[str]:
    """Names with commas between, and quotes around one that has a comma."""
    names = next(csv.reader([text]), [])
    if not all(names) or not names:
        raise argparse.ArgumentTypeError(f"{text!r} are no names such as A,B")
    return names


def _pattern(text: str) -> str:
    try:
        return checked_pattern(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 640x480")
    return int(found[1]), int(found[2])


def _frames(text: str) -> list[int]:
    """ "7", "1-10", "1-99x2" (every second one), and several of these with commas between: each frame once, in this order."""
    frames: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(-?\d+)(?:-(-?\d+)(?:x([1-9]\d*))?)?", part.strip())
        several = range(int(found[1]), int(found[2] or found[1]) + 1, int(found[3] or 1)) if found else range(0)
        if not several or len(several) > MAX_FRAMES:
            raise argparse.ArgumentTypeError(f"{part!r} are no frames such as 7, 1-10 or 1-99x2")
        frames += several
    return list(dict.fromkeys(frames))


def _read_jobs(path: Path, parser: argparse.ArgumentParser) -> list[dict[str, Any]]:
    try:
        jobs = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        parser.error(f"{path} cannot be read ({error.strerror})")
    except (ValueError, RecursionError) as error:
        parser.error(f"{path} is no JSON ({error})")
    if not (isinstance(jobs, list) and jobs and all(isinstance(job, dict) for job in jobs)):
        parser.error(f"{path} is no list of jobs such as {JOBS_EXAMPLE}")
    return jobs


def _as_arguments(job: dict[str, Any], parser: argparse.ArgumentParser) -> list[str]:
    """A job as a command line: true is an option alone, false is none, a list has commas between its entries."""
    arguments = []
    for name, value in job.items():
        if name in OF_THE_COMMAND:
            parser.error(f'"{name}" is no job\'s: give it on the command line')
        if value is True:
            arguments.append(f"--{name}")
        elif isinstance(value, list):
            arguments.append(f"--{name}={_with_commas(value)}")
        elif isinstance(value, str | int) and value is not False:
            arguments.append(f"--{name}={value}")
        elif value is not False:
            parser.error(f'"{name}" is {json.dumps(value)}: give a text, a number, a list, true or false')
    return arguments


def _with_commas(values: list) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()
