"""The panel's parts that need no window: a button for every remedy, and colours that are told to change."""

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import stage

stage.build(Path(sys.argv[1]))
panel, engine = stage.addon("panel"), stage.addon("engine")

errors = sys.modules[engine.LvsmError.__module__]
assert set(panel.REMEDIES) == set(errors.REMEDIES)
for operator, _label in panel.REMEDIES.values():
    group, name = operator.split(".")
    assert name in dir(getattr(bpy.ops, group)), operator
assert set(panel.STATES) == {"stopped", "starting", "ready", "busy", "failed"}

# The colours' panel is there only for this engine, and only while something changes them.
scene = bpy.context.scene
assert not panel.LVSM_PT_colors.poll(bpy.context)
scene.render.engine = "LVSM"
assert panel.LVSM_PT_colors.poll(bpy.context)
bpy.ops.lvsm.use_exact_colors()
assert not panel.LVSM_PT_colors.poll(bpy.context)
print("panel: passed")
