"""Animations: frames and videos by LVSM whatever engine the scene has, gone on with, and shown behind the camera."""

import sys
from pathlib import Path

import bpy
import numpy as np
import stage

folder = Path(sys.argv[1])
stage.build(folder)
animation, results, input_views = (
    stage.addon(name) for name in ("compositing.animation", "scene.results", "scene.input_views")
)


def build(name, frames=(3, 5)):
    """A new scene of Cycles', whose camera moves, with its frames to go into files of this name."""
    scene = stage.build(folder)
    scene.render.engine = "CYCLES"
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"
    bpy.ops.lvsm.use_exact_colors()
    scene.frame_start, scene.frame_end = frames
    for frame in frames:
        scene.camera.location.x += 2
        scene.camera.keyframe_insert("location", frame=frame)
    scene.render.filepath = str(folder / f"{name}_####")
    return scene


def path_of(name, frame):
    return folder / f"{name}_{frame:04}.png"


def are_pictures(name, camera_object, frames):
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        if not np.array_equal(stage.file_bytes(path_of(name, frame)), stage.fake_picture(camera_object)):
            return False
    return True


def test_every_frame_is_the_engines_picture_and_the_scene_is_as_it_was():
    scene = build("all")
    camera_object = scene.camera
    assert bpy.ops.lvsm.render_animation() == {"FINISHED"}
    assert scene.render.engine == "CYCLES" and scene.render.use_overwrite and scene.camera == camera_object
    assert are_pictures("all", camera_object, (3, 4, 5))


def test_it_is_the_target_cameras_view():
    scene = build("target")
    own, chosen = scene.camera, stage.add_camera("Chosen", (0, -6, 1))
    scene.lvsm.target_camera = chosen
    bpy.ops.lvsm.render_animation()
    assert scene.camera == own and are_pictures("target", chosen, (3, 4, 5))


def test_resumed_it_leaves_the_frames_that_are_there():
    scene = build("resumed")
    path_of("resumed", 4).write_bytes(b"there")
    with stage.fake_worker(record=folder / "record"):
        bpy.ops.lvsm.render_animation(skip_existing=True)
    assert len((folder / "record").read_text().splitlines()) == 2
    assert path_of("resumed", 4).read_bytes() == b"there" and scene.render.use_overwrite
    bpy.ops.lvsm.render_animation()
    assert are_pictures("resumed", scene.camera, (3, 4, 5))


def test_a_failure_is_said_and_the_scene_is_as_it_was():
    scene = build("failed")
    with stage.fake_worker(fault="fail"):
        assert "too little memory" in stage.refusal(bpy.ops.lvsm.render_animation)
    assert scene.render.engine == "CYCLES" and not path_of("failed", 3).exists()


def test_objects_in_the_photo_are_rendered_there():
    scene = build("cg")
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    bpy.ops.mesh.primitive_cube_add(size=1, location=(2, 0, 1))
    bpy.ops.lvsm.set_up_cg()
    bpy.ops.lvsm.render_animation()
    assert scene.render.engine == "CYCLES" and not are_pictures("cg", scene.camera, (3,))


def test_what_stands_in_the_way_is_said():
    scene = build("obstacle")
    scene.timeline_markers.new("Cut", frame=1).camera = scene.camera
    assert animation.obstacle(scene) == ""
    scene.lvsm.target_camera = scene.camera
    assert "Empty the target Camera" in stage.refusal(bpy.ops.lvsm.render_animation)
    scene.lvsm.target_camera = scene.camera = None
    assert "Add a camera" in stage.refusal(bpy.ops.lvsm.render_animation)
    assert "Add a camera" in stage.refusal(bpy.ops.lvsm.show_animation)


def test_settings_are_set_back_when_a_file_is_loaded_and_the_new_file_is_left_alone():
    scene = build("loaded")
    animation.settings_of_render.set(scene, {"render": {"engine": "LVSM"}})
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "loaded.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "loaded.blend"))
    assert bpy.context.scene.render.engine == "LVSM"
    animation.settings_of_render.set_back()
    assert bpy.context.scene.render.engine == "LVSM"


def test_settings_are_set_back_before_they_are_set_for_another_render():
    scene = build("again")
    own, wanted = scene.camera, {"": {"camera": bpy.data.objects["View 0"]}, "render": {"engine": "LVSM"}}
    animation.settings_of_render.set(scene, wanted)
    animation.settings_of_render.set(scene, wanted)
    assert scene.camera != own and scene.render.engine == "LVSM"
    animation.settings_of_render.set_back()
    assert scene.camera == own and scene.render.engine == "CYCLES"


def shown(camera_object):
    """The entry of the background that the animation is in."""
    (entry,) = (entry for entry in camera_object.data.background_images if results.is_result(entry.image))
    return entry


def file_shown_at(frame):
    bpy.context.scene.frame_set(frame)
    entry = shown(bpy.context.scene.camera)
    return Path(entry.image.filepath_from_user(image_user=entry.image_user)).name


def test_shown_each_frame_is_at_its_time_behind_the_camera():
    scene = build("shown")
    bpy.ops.lvsm.render_animation()
    assert bpy.ops.lvsm.show_animation() == {"FINISHED"}
    entry = shown(scene.camera)
    assert entry.image.source == "SEQUENCE" and scene.camera.data.show_background_images
    assert [file_shown_at(frame) for frame in (3, 4, 5)] == ["shown_0003.png", "shown_0004.png", "shown_0005.png"]
    assert entry.image_user.frame_duration == 3 and entry.image_user.use_auto_refresh


def test_shown_again_there_is_one_animation_and_a_picture_takes_its_place():
    scene = build("twice")
    bpy.ops.lvsm.render_animation()
    bpy.ops.lvsm.show_animation()
    bpy.ops.lvsm.show_animation()
    assert [image.name for image in bpy.data.images if image.source == "SEQUENCE"] == ["LVSM Target Animation"]
    bpy.ops.lvsm.synthesize_view()
    assert shown(scene.camera).image == results.result_of("Target")
    bpy.ops.lvsm.show_animation()
    assert shown(scene.camera).image.source == "SEQUENCE"


def test_an_animation_is_no_input():
    scene = build("input")
    bpy.ops.lvsm.render_animation()
    bpy.ops.lvsm.show_animation()
    scene.camera.data.lvsm.photo = shown(scene.camera).image
    assert not input_views.is_input_view(scene.camera)


def test_missing_frames_are_told():
    build("missing")
    assert "No frame of the animation" in stage.refusal(bpy.ops.lvsm.show_animation)
    bpy.ops.lvsm.render_animation()
    path_of("missing", 3).unlink()
    assert bpy.ops.lvsm.show_animation() == {"FINISHED"}
    assert file_shown_at(4) == "missing_0004.png"


def test_a_video_is_rendered_and_shown():
    scene = build("video")
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):  # 5.0 on
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    assert bpy.ops.lvsm.render_animation() == {"FINISHED"}
    assert bpy.ops.lvsm.show_animation() == {"FINISHED"}
    entry = shown(scene.camera)
    assert entry.image.source == "MOVIE" and entry.image.frame_duration == 3
    assert entry.image_user.frame_start == 3 and entry.image_user.frame_offset == 0


def test_the_panel_says_what_the_button_will_write():
    scene = build("said")
    scene.frame_step = 2
    assert animation.what_comes_next(scene) == f"Frames 3 to 5 (2) into {scene.render.filepath}"
