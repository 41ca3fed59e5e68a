"""The panel's parts that need no window: a button for every remedy, and colours that are told to change."""

import sys
import time
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


# The cameras that it draws are the scene's, whatever comes and goes.
def drawn():
    bpy.context.view_layer.update()
    cameras = panel.cameras_of(bpy.context.scene)
    objects = bpy.context.scene.objects
    assert [item for item, is_camera in zip(objects, cameras.is_camera, strict=True) if is_camera] == list(
        cameras.objects
    )
    return {item.name for item in cameras.objects}


four = {"View 0", "View 1", "View 2", "Target"}
assert drawn() == four
scene.collection.objects.link(bpy.data.objects.new("Empty", None))
stage.add_camera("Another", (0, 0, 0))
assert drawn() == four | {"Another"}
bpy.data.objects.remove(bpy.data.objects["Another"])
assert drawn() == four
bpy.ops.ed.undo_push(message="Before")
scene.collection.objects.unlink(bpy.data.objects["View 0"])
assert drawn() == four - {"View 0"}
bpy.ops.ed.undo_push(message="After")
bpy.ops.ed.undo()
assert drawn() == four
bpy.ops.scene.new(type="EMPTY")
assert drawn() == set()
bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
assert drawn() == set()
stage.build(Path(sys.argv[1]))

# It is drawn at once in a large scene: all that a redraw does, measured for 20,000 objects.
for _ in range(20_000):
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Empty", None))
drawn()
synthesize, input_views = stage.addon("synthesize"), stage.addon("input_views")
began = time.perf_counter()
for _ in range(10):
    assert bpy.ops.lvsm.synthesize_view.poll()
    cameras = panel.cameras_of(bpy.context.scene)
    assert sum(input_views.is_input_view(item) for item in cameras.objects) == 3
milliseconds = 100 * (time.perf_counter() - began)
print(f"a redraw of 20,000 objects: {milliseconds:.2f} ms")
assert milliseconds < 20
print("panel: passed")
