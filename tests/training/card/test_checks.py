"""The checks of a card: what is equal passes, and what is not is told."""

import dataclasses

import torch

from tests.training.train.runs import ALONE
from training.card.checks import IN_FLOAT32, Answer, check, checked_config, is_equal


def test_a_cpu_equals_itself(config, capsys):
    assert check(checked_config(config), ALONE, 2**30, compiled_in=None)
    said = capsys.readouterr().out
    assert "cpu against cpu, float32: pictures 0.0e+00" in said and "bfloat16 against float32" in said
    assert "NOT EQUAL" not in said


def test_another_gradient_is_told(capsys):
    reference = Answer(torch.ones(3), torch.ones(3))
    other = dataclasses.replace(reference, gradients=1.01 * torch.ones(3))
    assert is_equal("same", reference, reference, IN_FLOAT32)
    assert not is_equal("other", other, reference, IN_FLOAT32)
    assert (
        "other: pictures 0.0e+00 (at most 0.0001), gradients 1.0e-02 (at most 0.001): NOT EQUAL"
        in capsys.readouterr().out
    )
