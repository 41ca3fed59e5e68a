"""The engine's process: one a Blender, on demand, another when the Python changes, none after the add-on."""

import os
import shutil
import sys
import time
from pathlib import Path

import addon_utils
import bpy

sys.path.insert(0, str(Path(__file__).parent))
import stage

folder = Path(sys.argv[1])
scene = stage.build(folder)
engine = stage.addon("engine")


def synthesize():
    """Use the engine; the number of its process."""
    bpy.ops.lvsm.synthesize_view()
    return engine.client().hello["process"]


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def ends(process):
    deadline = time.monotonic() + 5
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(process)


assert engine.state() == "stopped" and engine.device_name() == ""
first = synthesize()
assert engine.state() == "ready" and synthesize() == first

# Another Python is another process, and the old one ends.
other = folder / "other python"
shutil.copy(os.environ["LVSM_PYTHON"], other)
os.environ["LVSM_PYTHON"] = str(other)
second = synthesize()
assert second != first and ends(first)

# Another Python and Restart: at once, though the old process ends only when it is killed.
os.environ["LVSM_FAKE_FAULT"] = "mute"
engine.shutdown()
assert ends(second)
engine.client().start()
for way in ("another Python", "restart"):
    if way == "another Python":
        shutil.copy(other, folder / "third python")
        os.environ["LVSM_PYTHON"] = str(folder / "third python")
    began = time.perf_counter()
    if way == "another Python":
        engine.client()
    else:
        bpy.ops.lvsm.restart_engine()
    print(f"{way} took {1000 * (time.perf_counter() - began):.1f} ms")
    assert time.perf_counter() - began < 0.8
    engine.client().start()
del os.environ["LVSM_FAKE_FAULT"]
assert bpy.ops.lvsm.restart_engine() == {"FINISHED"}
third = synthesize()

# A model of one's own is asked for by its absolute path.
assert engine.model_file(scene) == "default"
bpy.ops.lvsm.choose_model(filepath=str(folder / "my model.safetensors"))
assert engine.model_file(scene) == str(folder / "my model.safetensors")
scene.lvsm.model = ""

progress = type("Progress", (), {"stage": "Rendering", "seconds_left": 75.4})
assert engine.progress_text(progress) == "Rendering, 1:15 left"
progress.seconds_left = None
assert engine.progress_text(progress) == "Rendering"

# Without the add-on there is no process; and after Blender there is none (the test looks).
module = engine.__package__
addon_utils.disable(module, default_set=False)
assert ends(third)
addon_utils.enable(module, default_set=False)
engine = stage.addon("engine")
print(f"engine: passed, left process {synthesize()}")
