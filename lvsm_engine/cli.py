"""The command line: lvsm render | convert | inspect | doctor | bench. Exit status: 0 done, 1 failed, 2 wrong arguments."""

import io
import sys

from .doctor import examine
from .errors import LvsmError


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a name's letters shows their numbers
            stream.reconfigure(errors="backslashreplace")
    try:
        from . import commands

        commands.run(arguments, prog="lvsm", description=str(__doc__))
    except ImportError as error:
        if arguments[:1] == ["doctor"]:  # not even arguments can be read; the doctor needs none
            return 0 if examine() else 1
        print(f"lvsm: The installation is not complete ({error}): see 'lvsm doctor'.", file=sys.stderr)
        return 1
    except LvsmError as error:
        print(f"lvsm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lvsm: Cancelled.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
