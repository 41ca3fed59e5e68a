"""Text that steers no terminal: names and texts come from anyone's files. The standard library only."""

import unicodedata

# Unicode's categories of what moves a terminal's cursor, turns the writing round, cannot be encoded or has no shape.
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def plain(text: str, kept: str = "") -> str:
    """The text with an escape such as \\x1b in the place of each invisible letter other than those kept."""
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in INVISIBLE and letter not in kept
        else letter
        for letter in text
    )
