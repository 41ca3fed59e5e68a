"""The render engine: files equal to the engine's picture, whatever part of the frame is asked for; no file on failure."""

import json
import random
import tempfile
import threading
from pathlib import Path

import bpy
import numpy as np
import stage
from mathutils import Vector

folder = Path(tempfile.mkdtemp())
stage.build(folder)
render_engine, scene_cameras = stage.addon("rendering.render_engine"), stage.addon("scene.scene_cameras")
worker, last_outcome = stage.addon("engine.worker_owner").worker, stage.addon("last_outcome").last_outcome
Cancelled = stage.addon("bundled.lvsm_engine.errors").Cancelled


def build(with_exact_colors=True):
    """A new scene that renders with this engine into PNG files."""
    scene = stage.build(folder)
    scene.render.engine = "LVSM"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    if with_exact_colors:
        bpy.ops.lvsm.use_exact_colors()
    return scene


def rendered(name):
    """Render into a file; its path."""
    render = bpy.context.scene.render
    render.filepath = str(folder / name)
    bpy.ops.render.render(write_still=True)
    return Path(render.filepath)


def refusal(name):
    """What Blender says instead of rendering into a file."""
    said = stage.refusal(lambda: rendered(name))
    assert not (folder / name).exists()
    return said


def is_the_engines_picture(path):
    return np.array_equal(stage.file_bytes(path), stage.fake_picture(bpy.context.scene.camera))


def test_a_new_scene_is_told_to_change_colors_and_left_alone_until_the_button_is_used():
    scene = build(with_exact_colors=False)
    changes = render_engine.changes_to_colors(scene)
    assert len(changes) == 2 and "AgX" in changes[0] and changes[1] == "Dither", changes
    rendered("changed.png")
    assert render_engine.changes_to_colors(scene) == changes
    bpy.ops.lvsm.use_exact_colors()
    assert render_engine.changes_to_colors(scene) == []


def test_every_byte_value_comes_through():
    scene = build()
    assert len(np.unique(stage.fake_picture(scene.camera))) == 256
    assert is_the_engines_picture(rendered("frame.png"))


def test_a_saved_file_tells_the_model_and_its_licence():
    build()
    content = rendered("told.png").read_bytes()
    for name, line in (("LVSM model", "fake"), ("LVSM model sha256", "cd" * 32), ("LVSM licence", "CC0")):
        assert f"{name}\0{line}".encode() in content, name


def test_every_byte_comes_through_after_another_working_space():
    build()
    if not hasattr(bpy.data, "colorspace"):  # before 5.0 there is no choice
        return
    bpy.ops.wm.set_working_color_space(working_space="ACEScg", convert_colors=False)
    assert render_engine.changes_to_colors(bpy.context.scene) == ["Working space ACEScg"]
    bpy.ops.lvsm.use_exact_colors()
    assert is_the_engines_picture(rendered("working space.png"))


def randomize_border(render, choose):
    render.resolution_x, render.resolution_y = choose.randint(30, 200), choose.randint(30, 200)
    render.resolution_percentage = choose.choice((100, 77, 33))
    left, bottom = (choose.choice((0, 0.1, choose.uniform(0, 0.4))) for _ in "xy")
    right, top = (choose.choice((1, 0.9, choose.uniform(0.6, 1))) for _ in "xy")
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = left, right, bottom, top


def bordered_renders(is_cropped):
    """Twelve pairs of what was rendered with a random border and the engine's frame, and the border's slices of it."""
    render, choose = build().render, random.Random(int(is_cropped))
    render.use_border, render.use_crop_to_border = True, is_cropped
    for _ in range(12):
        randomize_border(render, choose)
        frame = stage.fake_picture(bpy.context.scene.camera)
        height, width, _ = frame.shape
        x0, y0, x1, y1 = render_engine.frame_window(render, width, height)
        yield stage.file_bytes(rendered("border.png")), frame, np.s_[height - y1 : height - y0, x0:x1]


def test_any_border_that_crops_gives_its_part_of_the_frame():
    for pixels, frame, window in bordered_renders(is_cropped=True):
        assert np.array_equal(pixels, frame[window])


def test_any_border_that_does_not_crop_leaves_nothing_outside():
    for pixels, frame, window in bordered_renders(is_cropped=False):
        assert np.array_equal(pixels[window], frame[window])
        pixels[window] = 0
        assert not pixels.any()


def test_each_view_layer_has_the_picture():
    build().view_layers.new("Second")
    assert is_the_engines_picture(rendered("layers.png"))


def test_an_animated_camera_is_where_it_is_at_each_frame():
    scene = build()
    scene.camera.keyframe_insert("location", frame=1)
    scene.camera.location.x += 2
    scene.camera.keyframe_insert("location", frame=3)
    scene.frame_start, scene.frame_end = 1, 3
    scene.render.filepath = str(folder / "animation_####.png")
    bpy.ops.render.render(animation=True)
    files = [folder / f"animation_{frame:04}.png" for frame in (1, 2, 3)]
    for frame, path in enumerate(files, 1):
        scene.frame_set(frame)
        assert is_the_engines_picture(path)
    assert not np.array_equal(stage.file_bytes(files[0]), stage.file_bytes(files[1]))


def pixels_seen(camera, points):
    """World points (N, 3) -> pixels (N, 2) of a camera as it was sent to the worker."""
    pose = np.array(camera["camera_to_world"])
    fx, fy, cx, cy = camera["fxfycxcy"]
    x, y, depth = ((points - pose[:3, 3]) @ pose[:3, :3]).T
    return np.stack([fx * x / depth + cx, fy * y / depth + cy], axis=-1)


def test_in_stereo_what_lies_in_the_plane_of_convergence_is_at_the_same_pixel_for_both_eyes():
    scene = build()
    scene.render.use_multiview = True
    stereo = scene.camera.data.stereo
    stereo.convergence_mode, stereo.convergence_distance, stereo.interocular_distance = "OFFAXIS", 4, 0.5
    with stage.fake_worker(record=folder / "record.json"):
        rendered("stereo.png")
    assert {path.name for path in folder.glob("stereo*")} == {"stereo_L.png", "stereo_R.png"}
    eyes = json.loads((folder / "record.json").read_text().splitlines()[-1])["cameras"]
    in_the_plane, behind_it = ((0, 0, -4), (0.5, 0.3, -4)), ((0, 0, -40),)
    points = np.array([scene.camera.matrix_world @ Vector(point) for point in (*in_the_plane, *behind_it)])
    left, right = (pixels_seen(eye, points) for eye in eyes)
    assert np.abs(left[:2] - right[:2]).max() < 0.01 and abs(left[2, 0] - right[2, 0]) > 5


class Listener:
    """What a render needs of Blender's engine to follow a request: it hears the progress, and breaks when told to.

    on_progress: called at each step of the progress. break_after: how often it is asked before the user breaks.
    """

    def __init__(self, on_progress=lambda: None, break_after=None):
        self.fractions, self.stats, self.asked = [], [], 0
        self._on_progress, self._break_after = on_progress, break_after

    def test_break(self):
        self.asked += 1
        return self.asked == self._break_after

    def update_progress(self, fraction):
        self.fractions.append(fraction)

    def update_stats(self, left, right):
        self.stats.append(right)
        self._on_progress()


def ask(scene):
    depsgraph = bpy.context.evaluated_depsgraph_get()
    return worker.render(scene, depsgraph, [scene_cameras.camera_from_blender(scene.camera, depsgraph)])


def test_blender_is_told_of_the_progress():
    scene, go_on = build(), folder / "go on"

    def go_on_when_told():
        if listener.stats[-1] == "Rendering":
            go_on.touch()

    listener = Listener(go_on_when_told)
    with stage.fake_worker(hold=go_on):
        result = render_engine.follow(listener, ask(scene))
    assert result["images"].shape == (1, *stage.SIZE[::-1], 3)
    assert listener.fractions == sorted(listener.fractions) and listener.fractions[-1] == 0.75
    assert listener.stats[0] == "Starting the engine" and listener.stats[-1] == "Rendering"
    assert len(set(listener.stats)) == len(listener.stats)  # on a console each is a line


def test_an_engine_that_is_there_is_not_said_to_be_started():
    scene = build()
    with stage.fake_worker():
        render_engine.follow(Listener(), ask(scene))
        listener = Listener()
        render_engine.follow(listener, ask(scene))
    assert "Starting the engine" not in listener.stats


def test_a_warning_is_kept_with_the_result_until_the_next_render_and_told_once_in_an_animation():
    scene = build()
    scene.frame_start, scene.frame_end = 1, 3
    scene.render.filepath = str(folder / "warned_")
    with stage.fake_worker(warning="The picture is mostly the model's own guess."):
        bpy.ops.render.render(animation=True)
        assert last_outcome.warnings == ("The picture is mostly the model's own guess.",)
    with stage.fake_worker():
        rendered("clear.png")
        assert last_outcome.warnings == ()


def test_a_break_ends_the_wait_and_the_request():
    scene = build()
    with stage.fake_worker(hold=folder / "never"):
        listener, request = Listener(break_after=20), ask(scene)
        try:
            render_engine.follow(listener, request)
            raise AssertionError("the break was not heard")
        except Cancelled:
            assert listener.asked == 20 and request.done
        stage.wait_until(lambda: worker.state == "ready")


def test_an_engine_that_is_stopped_under_a_render_leaves_no_black_file():
    build()

    def stop_when_busy():
        stage.wait_until(lambda: worker.state == "busy")
        worker.shutdown()

    with stage.fake_worker(hold=folder / "never"):
        stopper = threading.Thread(target=stop_when_busy)
        stopper.start()
        assert "The engine was stopped while it rendered: render again." in refusal("stopped.png")
        stopper.join()
    assert "was stopped" in str(last_outcome.error)


def fails_with(words, fault):
    """Whether a render with a fault says so, without a file, and the next one works."""
    build()
    with stage.fake_worker(fault=fault):
        assert words in refusal(f"{fault}.png") and words in str(last_outcome.error)
    return is_the_engines_picture(rendered("again.png"))


def test_an_engine_that_fails_is_said_so_and_the_next_render_works():
    assert fails_with("too little memory", "fail")


def test_an_engine_that_dies_is_said_so_and_the_next_render_works():
    assert fails_with("ended with status 3", "die")


def test_blenders_own_panels_for_any_engine_are_there_for_this_one():
    panels = bpy.types
    assert "LVSM" in panels.RENDER_PT_output.COMPAT_ENGINES and "LVSM" in panels.DATA_PT_lens.COMPAT_ENGINES
    assert "LVSM" not in panels.RENDER_PT_freestyle.COMPAT_ENGINES
