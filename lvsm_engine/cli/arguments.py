"""Which command the arguments name. Loads neither torch nor OpenCV: what a command needs is loaded when it runs."""

from typing import Annotated

import tyro

from .bench import Bench
from .convert import Convert
from .doctor import Doctor
from .inspect import Inspect
from .models import Models
from .render import Render
from .solve import Solve

Command = Render | Solve | Convert | Inspect | Models | Doctor | Bench
_Named = (
    Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Solve, tyro.conf.subcommand("solve")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Models, tyro.conf.subcommand("models")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
)


def command_of(arguments: list[str], prog: str, description: str) -> Command:
    """The command with its arguments. Raises SystemExit: 0 after help, 2 for wrong arguments."""
    settings = (tyro.conf.OmitSubcommandPrefixes,)
    return tyro.cli(_Named, prog=prog, args=arguments, description=description, config=settings)  # type: ignore[arg-type]
