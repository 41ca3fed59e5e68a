"""How much main memory may still be taken: of the machine, and of the control group that a farm puts a job in.

The standard library only.
"""

from pathlib import Path


def free_main_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Main memory that can be taken on Linux: caches count as free, and control groups (version 2) set their limits."""
    try:
        available = _table(proc / "meminfo")["MemAvailable:"] * 1024
    except (OSError, KeyError):
        return None
    return min([available, *_left_in_groups(proc, cgroups)])


def _left_in_groups(proc: Path, cgroups: Path) -> list[int]:
    """What is left to each control group with a limit that the process is in: its own and those above it."""
    try:
        entries = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for entry in entries:
        group = cgroups / entry.removeprefix("0::/")
        while entry.startswith("0::/") and group.is_relative_to(cgroups):
            left += _left_in(group)
            group = group.parent
    return left


def _left_in(group: Path) -> list[int]:
    """What is left to one control group; nothing where it has no limit."""
    try:
        limit = int((group / "memory.max").read_text())  # "max" is a ValueError
        used = int((group / "memory.current").read_text()) - _table(group / "memory.stat").get("inactive_file", 0)
    except (OSError, ValueError):
        return []
    return [max(0, limit - used)]


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
