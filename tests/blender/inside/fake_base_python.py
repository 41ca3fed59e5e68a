"""A stand-in for a Python, its venv and its pip: fake_base_python.py PROGRAM ARGUMENT..., as PROGRAM's arguments.

What it makes as a virtual environment has PROGRAM itself as its Python. The environment tells it how:
LVSM_FAKE_CALLS: a file that gets a line of JSON for each call, its arguments and variables. LVSM_FAKE_PIP: "hang" (it begins
a child, and both wait until they are killed; their numbers go into the file LVSM_FAKE_PROCESSES), "offline", "full",
"untrusted", "nothing" (no such package), "strange". LVSM_FAKE_CHECK: "broken" (the packages cannot be loaded).
LVSM_FAKE_PROBE: what it says of itself as a base. Started as the engine it is fake_worker.py.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

FAULTS = {
    "offline": "WARNING: Retrying after connection broken by 'NewConnectionError(...)'\nERROR: No matching distribution found"
    " for torch>=2.10",
    "untrusted": "Could not fetch URL: SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))",
    "full": "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
    "nothing": "ERROR: Could not find a version\nERROR: No matching distribution found for torch>=2.10",
    "strange": "a first line\nERROR: the moon is in the way",
}
HANG_SECONDS = 600


def main() -> None:
    program, arguments = sys.argv[1], sys.argv[2:]
    if path := os.environ.get("LVSM_FAKE_CALLS"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"arguments": arguments, "environment": dict(os.environ)}) + "\n")
    if "venv" in arguments:
        make_environment(Path(arguments[-1]), program)
    elif "pip" in arguments:
        pip(arguments[arguments.index("install") + 1 :])
    elif "-c" in arguments:
        answer(arguments[-1])
    else:
        import fake_worker

        fake_worker.main()


def make_environment(folder: Path, program: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {Path(program).parent}\nprompt = 'lvsm'\n")
    shutil.copy(program, folder / "bin" / "python")


def pip(packages: list[str]) -> None:
    fault = os.environ.get("LVSM_FAKE_PIP", "") if packages[0].startswith("torch") else ""
    if packages[0].startswith("torch"):
        print("Downloading torch-2.14.1-cp311-cp311-linux_x86_64.whl (200.0 MB)")
        print("Progress 50000000 of 200000000", flush=True)
    if fault == "hang":
        child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({HANG_SECONDS})"])
        processes = Path(os.environ["LVSM_FAKE_PROCESSES"])
        part = processes.with_suffix(".part")
        part.write_text(f"{os.getpid()} {child.pid}")
        part.replace(processes)
        time.sleep(HANG_SECONDS)
    if fault:
        print(FAULTS[fault])
        sys.exit(1 if fault != "strange" else 7)
    print(f"Installing collected packages: {' '.join(packages)}")


def answer(code: str) -> None:
    if "version_info" in code:
        print(os.environ.get("LVSM_FAKE_PROBE", "[[3, 11], true, 64]"))
    elif os.environ.get("LVSM_FAKE_CHECK") == "broken":
        sys.exit("ImportError: libtorch is damaged")


if __name__ == "__main__":
    main()
