"""Animations: the scene's frames through the target camera by Blender's own render, and behind it afterwards.

Frames, video, progress and Esc are Blender's. Settings are set for the render and set back after it, whatever ends it.
"""

from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty

from ..last_outcome import last_outcome
from ..rendering import synthesize
from ..rendering.render_engine import LVSM_RenderEngine
from ..scene import results, target
from ..window.panel import SideBarPanel, draw_hint
from .cg_in_photo import follow, is_set_up

WATCH_SECONDS = 0.2


class SettingsOfRender:
    """What is set for the animation that is being rendered, and what it was before.

    By the scene's number and the camera's name: undo replaces both.
    """

    def __init__(self) -> None:
        self._scene_uid = 0
        self._before: list[tuple[str, str, Any]] = []

    def set(self, scene: bpy.types.Scene, wanted: dict[str, dict[str, Any]]) -> None:
        """wanted: attributes' values by their owner, a part of the scene or "" for itself."""
        self.set_back()  # of a render that has just ended
        self._scene_uid = scene.session_uid
        for part, values in wanted.items():
            for name, value in values.items():
                former = getattr(_part(scene, part), name)
                self._before.append((part, name, former.name if isinstance(former, bpy.types.Object) else former))
                setattr(_part(scene, part), name, value)

    def set_back(self) -> None:
        before, self._before = self._before, []
        scene = next((scene for scene in bpy.data.scenes if scene.session_uid == self._scene_uid), None)
        if scene is not None:
            for part, name, value in before:
                setattr(_part(scene, part), name, bpy.data.objects.get(value) if name == "camera" and value else value)


def _part(scene: bpy.types.Scene, name: str) -> bpy.types.bpy_struct:
    return getattr(scene, name) if name else scene


settings_of_render = SettingsOfRender()


def set_back_when_done() -> float | None:
    """A timer of Blender's: the handlers of a render's end are called on its thread, before it has ended."""
    if bpy.app.is_job_running("RENDER"):
        return WATCH_SECONDS
    settings_of_render.set_back()
    return None


@persistent
def set_back_before_load(*_) -> None:
    settings_of_render.set_back()


def obstacle(scene: bpy.types.Scene) -> str:
    """Why no animation can be rendered now, for a person; empty where one can."""
    if reason := synthesize.obstacle(scene):
        return reason
    if bpy.app.is_job_running("RENDER"):
        return "A render is running"
    if scene.lvsm.target_camera is not None and any(marker.camera for marker in scene.timeline_markers):
        return "Empty the target Camera: markers in the timeline switch the scene's cameras"
    return ""


class LVSM_OT_render_animation(bpy.types.Operator):
    """Render the scene's frames through the target camera, with its output settings"""

    bl_idname = "lvsm.render_animation"
    bl_label = "Render Animation"

    skip_existing: BoolProperty(
        name="Skip Existing",
        description="Leave frames whose files are there; a video begins anew",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, context, properties):  # noqa: ARG003 (Blender's signature)
        return "Render the frames that have no file yet" if properties.skip_existing else cls.__doc__

    @classmethod
    def poll(cls, context):
        reason = obstacle(context.scene)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context):
        scene = context.scene
        _prepare(scene, self.skip_existing)
        failure = ""
        try:
            bpy.ops.render.render(animation=True, scene=scene.name)
        except RuntimeError as error:
            failure = str(error)
        finally:
            settings_of_render.set_back()
        if failure or last_outcome.error:
            self.report({"ERROR"}, str(last_outcome.error or failure))
            return {"CANCELLED"}
        return {"FINISHED"}

    def invoke(self, context, event):
        _prepare(context.scene, self.skip_existing)
        begun = bpy.ops.render.render("INVOKE_DEFAULT", animation=True)
        bpy.app.timers.register(set_back_when_done, first_interval=WATCH_SECONDS, persistent=True)
        return {"FINISHED"} if begun == {"RUNNING_MODAL"} else begun


def _prepare(scene: bpy.types.Scene, skips_existing: bool) -> None:
    settings_of_render.set(scene, _settings(scene, skips_existing))
    if is_set_up(scene):
        follow(scene)


def _settings(scene: bpy.types.Scene, skips_existing: bool) -> dict[str, dict[str, Any]]:
    """What a scene's render needs. Where objects stand in the photo, its own engine renders them there."""
    engine = scene.render.engine if is_set_up(scene) else LVSM_RenderEngine.bl_idname
    overwrites = scene.render.use_overwrite and not skips_existing
    return {"": {"camera": target.target_of(scene)}, "render": {"engine": engine, "use_overwrite": overwrites}}


class LVSM_OT_show_animation(bpy.types.Operator):
    """Show the rendered frames behind the target camera, each at its time"""

    bl_idname = "lvsm.show_animation"
    bl_label = "Show Animation"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        if target.target_camera(context.scene) is None:
            cls.poll_message_set("Add a camera to the scene")
            return False
        return True

    def execute(self, context):
        scene = context.scene
        files = files_of(scene)
        missing = [frame for frame, path in files.items() if not path.is_file()]
        if len(missing) == len(files):
            path = next(iter(files.values()))
            self.report({"ERROR"}, f"No frame of the animation is rendered yet: {path} does not exist")
            return {"CANCELLED"}
        show(scene, next(path for path in files.values() if path.is_file()))
        if missing:
            self.report(
                {"WARNING"},
                f"{len(missing)} of {len(files)} frames are missing, the first is {missing[0]}: resume the animation",
            )
        return {"FINISHED"}


def files_of(scene: bpy.types.Scene) -> dict[int, Path]:
    """The file of each frame that a scene renders; of a video the one, by its first frame."""
    frames = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
    if scene.render.is_movie_format:
        frames = frames[:1]
    return {frame: Path(bpy.path.abspath(scene.render.frame_path(frame=frame))) for frame in frames}


def show(scene: bpy.types.Scene, path: Path) -> bpy.types.Image:
    """Put the animation that a file is of behind the target camera, which follows the timeline from then on."""
    camera = target.target_of(scene).data
    image = _image(f"LVSM {target.target_of(scene).name} Animation", path, scene.render.is_movie_format)
    results.show_as_background(camera, image)
    user = next(entry for entry in camera.background_images if entry.image == image).image_user
    user.frame_start, user.frame_duration = scene.frame_start, scene.frame_end - scene.frame_start + 1
    # A sequence's first image is the one numbered 1.
    user.frame_offset = 0 if image.source == "MOVIE" else scene.frame_start - 1
    user.use_auto_refresh = True
    return image


def _image(name: str, path: Path, is_movie: bool) -> bpy.types.Image:
    """The image of that name, which is no input, with another animation in it."""
    former = bpy.data.images.get(name)
    image = bpy.data.images.load(str(path))
    image.source = "MOVIE" if is_movie else "SEQUENCE"
    image[results.TAG] = ""  # no camera's: a picture does not take its place
    if former is not None and results.is_result(former):
        former.user_remap(image)
        bpy.data.images.remove(former)
    image.name = name
    return image


class LVSM_PT_animation(SideBarPanel, bpy.types.Panel):
    bl_label = "Animation"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 2

    def draw(self, context):
        layout, scene, width = self.layout, context.scene, context.region.width
        column = layout.column(align=True)
        column.operator("lvsm.render_animation", icon="RENDER_ANIMATION")
        resume = column.row(align=True)
        resume.enabled = not scene.render.is_movie_format
        resume.operator("lvsm.render_animation", text="Resume Animation", icon="FILE_REFRESH").skip_existing = True
        if reason := obstacle(scene):
            draw_hint(layout, width, reason)
        else:
            draw_hint(layout, width, what_comes_next(scene))
        layout.operator("lvsm.show_animation", icon="FILE_MOVIE")


def what_comes_next(scene: bpy.types.Scene) -> str:
    """What the button will write, for a person."""
    count = len(range(scene.frame_start, scene.frame_end + 1, scene.frame_step))
    return f"Frames {scene.frame_start} to {scene.frame_end} ({count}) into {scene.render.filepath}"


classes = (LVSM_OT_render_animation, LVSM_OT_show_animation, LVSM_PT_animation)
register_classes, unregister_classes = bpy.utils.register_classes_factory(classes)


def register() -> None:
    register_classes()
    bpy.app.handlers.load_pre.append(set_back_before_load)


def unregister() -> None:
    if bpy.app.timers.is_registered(set_back_when_done):
        bpy.app.timers.unregister(set_back_when_done)
    set_back_before_load()
    bpy.app.handlers.load_pre.remove(set_back_before_load)
    unregister_classes()
