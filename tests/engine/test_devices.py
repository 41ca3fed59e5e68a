"""What is free, as Linux tells it: caches count as free, control groups set limits."""

import pytest
import torch

from lvsm_engine.devices import choose_device, choose_precision, free_bytes, peak_flops
from lvsm_engine.errors import DeviceError
from lvsm_engine.main_memory import free_main_memory

GB = 10**9


@pytest.fixture
def machine(tmp_path):
    """machine(available, group, files): a /proc and a /sys/fs/cgroup; files: {group's folder: (limit, used, cache)}."""

    def make(available, group="/", limits=None):
        (tmp_path / "proc/self").mkdir(parents=True)
        meminfo = f"MemTotal: 64000000 kB\nMemFree: 1000 kB\nMemAvailable: {available // 1024} kB\n"
        (tmp_path / "proc/meminfo").write_text(meminfo)
        (tmp_path / "proc/self/cgroup").write_text(f"4:memory:/other\n0::{group}\n")
        for folder, (limit, used, cache) in (limits or {}).items():
            place = tmp_path / "cgroup" / folder
            place.mkdir(parents=True, exist_ok=True)
            (place / "memory.max").write_text(f"{limit}\n")
            (place / "memory.current").write_text(f"{used}\n")
            (place / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\n")
        return free_main_memory(tmp_path / "proc", tmp_path / "cgroup")

    return make


def test_caches_count_as_free(machine):
    assert machine(8 * GB) == pytest.approx(8 * GB, abs=1024)


def test_a_control_group_s_limit_holds_and_its_caches_count_as_free(machine):
    assert machine(8 * GB, "/job", {"job": (4 * GB, 3 * GB, GB)}) == 2 * GB


def test_the_limit_of_a_group_above_holds_too(machine):
    limits = {"job": (2 * GB, GB, 0), "job/step": ("max", GB, 0)}
    assert machine(8 * GB, "/job/step", limits) == GB


def test_a_group_over_its_limit_has_nothing_left(machine):
    assert machine(8 * GB, "/", {"": (GB, 2 * GB, 0)}) == 0


def test_where_nothing_tells_it_is_not_known(tmp_path):
    assert free_main_memory(tmp_path, tmp_path) is None


def test_this_machine_tells_something_that_can_be():
    free = free_bytes(torch.device("cpu"))
    assert free is None or 10**8 < free < 10**14


def test_an_unknown_device_has_no_peak():
    assert peak_flops(torch.device("cpu")) is None


def test_devices_and_precisions_are_chosen_in_one_place(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert choose_precision(torch.device("cuda"), "auto") == torch.float32
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choose_precision(torch.device("cuda"), "auto") == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    for has_it in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has_it=has_it: has_it)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        expected = torch.bfloat16 if has_it else torch.float32
        assert choose_precision(torch.device("cpu"), "auto") == expected
    with pytest.raises(DeviceError, match="no CUDA device"):
        choose_device("cuda")
    with pytest.raises(DeviceError, match="'tpu' is not known"):
        choose_device("tpu")
    with pytest.raises(DeviceError, match="'float8' is not known"):
        choose_precision(torch.device("cpu"), "float8")
