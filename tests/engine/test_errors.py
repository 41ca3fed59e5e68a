"""Sentences for a person hold nothing that a terminal would obey, whatever a file is called."""

import pytest

from lvsm_engine.errors import KINDS, LvsmError


@pytest.mark.parametrize("kind", KINDS.values())
def test_what_is_invisible_is_told_by_its_number(kind):
    sentence = str(kind("a\x1b[2J\u202eb\ud800\n\u2028\uf03f.png is missing."))
    assert sentence == r"a\x1b[2J\u202eb\ud800\n\u2028\uf03f.png is missing."


def test_letters_of_any_language_stay():
    sentence = "K\u00fcche\u3000\u7167\u7247/\u0434\u0301.png is missing: locate it."
    assert str(LvsmError(sentence)) == sentence


def test_an_endless_sentence_keeps_its_ends():
    shown = str(LvsmError("begin " + "x" * 10**6 + " end."))
    assert len(shown) < 2100 and shown.startswith("begin x") and shown.endswith("x end.")
