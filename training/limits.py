"""The numbers that options may have, as tables of ranges: checked where a configuration is born. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from lvsm_engine.errors import LvsmError


class ConfigError(LvsmError):
    """A run that cannot be: the sentence names the option, its value and the rule."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From least to most, both allowed unless it is `above` the least; `whole` numbers alone, or any. Never NaN."""

    least: float
    most: float
    above: bool = False
    whole: bool = False

    def allow(self, value: object) -> bool:
        """Whether a value is a number within them."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        return self.least <= value <= self.most and not (self.above and value == self.least)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} {'above' if self.above else 'from'} {self.least:.12g} {'up ' if self.above else ''}to {self.most:.12g}"


SHARE = Limits(0, 1)
SOME_SHARE = Limits(0, 1, above=True)


def flag_of(name: str) -> str:
    """A field as the command line has it: "muon_lr" is --muon-lr."""
    return "--" + name.replace("_", "-")


def check_number(flag: str, value: object, limits: Limits) -> None:
    """Raises ConfigError for a number, or a tuple of them, that is not within its limits."""
    for number in value if isinstance(value, tuple) else (value,):
        if not limits.allow(number):
            raise ConfigError(f"{flag} is {number}: it must be {limits}.")


def check_numbers(options: object, table: Mapping[str, Limits], prefix: str = "") -> None:
    """The same for those fields of a dataclass that the table holds; prefix: of their flags, "crops." for instance."""
    for name, limits in table.items():
        if hasattr(options, name):
            check_number(flag_of(prefix + name), getattr(options, name), limits)
