"""Objects that are not used, and why. Every stage lists its own in a file of this name, a JSON object a line."""

from dataclasses import dataclass

LEFT_OUT = "left_out.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One object that is not used, the stage that found out, and why, as a sentence.

    stderr: the last words of the process that failed at it, where there was one.
    """

    name: str
    stage: str
    reason: str
    stderr: str = ""
