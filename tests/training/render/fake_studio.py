"""A studio that needs no Blender: what it does with a job is said by the job's name.

    python fake_studio.py DIARY

DIARY is a folder: each start of a job is a line "name, process, parent process" in its file starts.txt.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue

diary = Path(sys.argv[1])
lines: SimpleQueue[str] = SimpleQueue()


def listen() -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def wait_for_workers(count: int) -> None:
    """Until the studios of so many workers have begun an object; no longer than a job may take."""
    deadline = time.monotonic() + 50
    while time.monotonic() < deadline:
        if len({line.split()[2] for line in (diary / "starts.txt").read_text().splitlines()}) >= count:
            return
        time.sleep(0.05)


def say(**reply: str | None) -> None:
    print(json.dumps(reply), flush=True)


threading.Thread(target=listen, daemon=True).start()
if (diary / "broken").exists():
    sys.exit("this machine has no Blender")
say(ready="a fake")
while True:
    job = json.loads(lines.get())
    name, output = job["name"], Path(job["output"])
    with (diary / "starts.txt").open("a") as file:
        file.write(f"{name} {os.getpid()} {os.getppid()}\n")
    tried = diary / f"{name}.tried"
    is_first = not tried.exists()
    tried.touch()
    say(stage="import")
    glb = Path(job["source"]).read_bytes()
    say(stage="render")
    if name.startswith("slow"):
        time.sleep(2 if name.startswith("slower") else 0.4)
    if name.startswith("meets"):  # meets3_a: three workers
        wait_for_workers(int(name[5]))
    if name.startswith("dies") and (is_first or "always" in name):
        sys.exit("out of memory")
    if name.startswith("kills_its_worker"):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    if name.startswith("hangs") and (is_first or "once" not in name):
        time.sleep(600)
    output.write_bytes(b"views of " + glb)
    say(rejected="nothing to see" if name.startswith("blank") else None)
