"""On what Cycles renders, decided for machines that are made up."""

from collections.abc import Sequence

import pytest

from training.render.devices import NoDeviceError, choose_cycles_device


class Machine:
    """Has cards of the given kinds, and remembers which kinds it was asked for."""

    def __init__(self, *kinds: str) -> None:
        self.kinds, self.asked = kinds, []

    def names_of(self, kind: str) -> Sequence[str]:
        self.asked.append(kind)
        return [f"a card for {kind}"] if kind in self.kinds else []


def test_auto_takes_optix_before_cuda_before_the_cpu() -> None:
    assert choose_cycles_device("auto", Machine("CUDA", "OPTIX").names_of) == "OPTIX"
    assert choose_cycles_device("auto", Machine("CUDA").names_of) == "CUDA"
    assert choose_cycles_device("auto", Machine().names_of) == "CPU"


def test_what_is_asked_for_is_taken_and_the_cpu_looks_for_no_card() -> None:
    assert choose_cycles_device("cuda", Machine("CUDA", "OPTIX").names_of) == "CUDA"
    assert choose_cycles_device("optix", Machine("CUDA", "OPTIX").names_of) == "OPTIX"
    machine = Machine("CUDA", "OPTIX")
    assert choose_cycles_device("cpu", machine.names_of) == "CPU" and machine.asked == []


def test_a_card_that_is_asked_for_and_missing_is_named() -> None:
    with pytest.raises(NoDeviceError, match="Cycles finds no OPTIX device"):
        choose_cycles_device("optix", Machine("CUDA").names_of)
