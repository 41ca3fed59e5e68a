"""The Rendered viewport: what each 3D view sees, small while it is moved, full and with detail once it is still.

Nothing here waits: a view's draw shows the last picture and asks the engine for the next, a timer looks for answers.
"""

import time
from dataclasses import dataclass
from typing import Any

import bpy
import gpu
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.presets import draw_texture_2d

from lvsm_engine.errors import CameraError, Cancelled, LvsmError
from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, Camera, cropped, resized
from lvsm_engine.scene.srgb import to_linear
from lvsm_engine.worker.client import Request

from ..engine.worker_owner import progress_text, worker
from ..last_outcome import last_outcome
from ..scene import input_views
from ..scene.results import quantized

TICK_SECONDS = 0.05
# A view that has not moved for so long is still.
STILL_SECONDS = 0.25
# The longer side of a picture in pixels, while the view is moved and when it is still.
MOVING_SIDE, STILL_SIDE = 128, 768
BORDER = ("min_x", "min_y", "max_x", "max_y")
# Scene-linear light of each byte: a table is ten times as fast as the formula, for which a window would wait.
LIGHT = to_linear(np.arange(256, dtype=np.float32) / 255)


def camera_of_view(region: bpy.types.Region, view_3d: bpy.types.RegionView3D) -> Camera:
    """The camera of a 3D view's whole region, whatever it looks through. Raises CameraError for a parallel projection."""
    if not view_3d.is_perspective:
        raise CameraError("LVSM sees in perspective only: leave the orthographic view (Numpad 5).")
    width, height = max(region.width, 1), max(region.height, 1)
    lens, pose = np.array(view_3d.window_matrix), np.array(view_3d.view_matrix.inverted())
    return Camera(
        pose @ OPENCV_FROM_OPENGL,
        fx=lens[0, 0] * width / 2,
        fy=lens[1, 1] * height / 2,
        cx=(1 - lens[0, 2]) * width / 2,
        cy=(1 + lens[1, 2]) * height / 2,
        width=width,
        height=height,
    )


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a region that is rendered, in pixels from its bottom left corner."""

    left: int
    bottom: int
    width: int
    height: int

    @classmethod
    def of(cls, region: bpy.types.Region, corners: tuple[float, float, float, float]) -> "Window | None":
        """Between left, bottom, right and top, as far as they lie in the region; None where nothing does."""
        sides = (region.width, region.height, region.width, region.height)
        left, bottom, right, top = (min(max(round(at), 0), side) for at, side in zip(corners, sides, strict=True))
        return cls(left, bottom, right - left, top - bottom) if right > left and top > bottom else None


def rendered_window(context: bpy.types.Context) -> Window | None:
    """What a 3D view renders: all of its region, or what lies within its render border, or that of the scene's render where it
    looks through a camera."""
    region, space, render = context.region, context.space_data, context.scene.render
    left, bottom, right, top = 0.0, 0.0, float(region.width), float(region.height)
    border: Any = None
    if space.region_3d.view_perspective != "CAMERA":
        if space.use_render_border:
            border = [getattr(space, f"render_border_{name}") for name in BORDER]
    elif render.use_border:
        border = [getattr(render, f"border_{name}") for name in BORDER]
        left, bottom, right, top = _frame_in(context)
    if border is None:
        return Window(0, 0, region.width, region.height)
    across, up = right - left, top - bottom
    min_x, min_y, max_x, max_y = border
    corners = (left + min_x * across, bottom + min_y * up, left + max_x * across, bottom + max_y * up)
    return Window.of(region, corners)


def _frame_in(context: bpy.types.Context) -> tuple[float, float, float, float]:
    """Where a view through a camera shows the camera's frame: left, bottom, right, top in the region's pixels."""
    space, scene = context.space_data, context.scene
    camera_object = space.camera if space.use_local_camera else scene.camera
    corners = [camera_object.matrix_world @ corner for corner in camera_object.data.view_frame(scene=scene)]
    places = [location_3d_to_region_2d(context.region, space.region_3d, corner) for corner in corners]
    across, up = [place.x for place in places], [place.y for place in places]
    return min(across), min(up), max(across), max(up)


@dataclass(frozen=True, slots=True)
class Question:
    """What a view wants to be shown. is_full: at its size and with detail."""

    place: bytes
    is_full: bool


class ViewportPicture:
    """What one 3D view shows, and what it has asked for."""

    def __init__(self) -> None:
        self.shown: Question | None = None
        self.texture: gpu.types.GPUTexture | None = None
        self.failure = ""
        self._place, self._moved = b"", 0.0
        self._asked: Question | None = None
        self._request: Request | None = None

    @property
    def wants_a_look(self) -> bool:
        """Whether it is to be drawn again: an answer is there, or the view has become still."""
        if self._request is not None:
            return self._request.poll()
        return self.shown != self._wanted() and not self.failure

    @property
    def is_waiting(self) -> bool:
        """Whether something is still to come: an answer, or the moment from which on the view is still."""
        is_done = bool(self.failure) or self.shown == Question(self._place, True)
        return self._request is not None or not is_done

    @property
    def status(self) -> str:
        """For the view's corner: why there is no picture, or what is being done."""
        return self.failure or (progress_text(self._request.progress) if self._request is not None else "")

    def look(
        self, camera: Camera, scene: bpy.types.Scene, photographed: input_views.Photographed, inputs: bytes
    ) -> None:
        """Take what has been answered, and ask for what the view shows now. inputs: a digest of all but the camera."""
        lens = [*camera.fxfycxcy, camera.width, camera.height]
        place = np.concatenate([camera.camera_to_world.ravel(), lens]).round(6).tobytes() + inputs
        if place != self._place:
            self._place, self._moved, self.failure = place, time.monotonic(), ""
            if self._request is not None and self._asked is not None and self._asked.is_full:
                self._request.cancel()
        self._take_answer()
        wanted = self._wanted()
        if self._request is None and wanted != self.shown and not self.failure:
            self._asked = wanted
            self._request = worker.render_views(scene, photographed, [_shrunk(camera, wanted)], wanted.is_full)

    def refuse(self, error: LvsmError) -> None:
        """Show why nothing can be asked for; the next look tries again, from the same place, too."""
        if self._request is not None:
            self._request.cancel()
        self.failure, self._request, self._place = str(error), None, b""

    def _wanted(self) -> Question:
        return Question(self._place, time.monotonic() - self._moved > STILL_SECONDS)

    def _take_answer(self) -> None:
        if self._request is None or not self._request.poll():
            return
        request, self._request = self._request, None
        try:
            self.texture, self.shown = _texture(request.result()["images"][0]), self._asked
            if last_outcome.error is not None:  # the engine works again
                last_outcome.forget()
        except Cancelled:
            pass
        except LvsmError as error:  # until something changes: the engine would fail again
            self.failure = str(error)


def _shrunk(camera: Camera, question: Question) -> Camera:
    scale = min(1.0, (STILL_SIDE if question.is_full else MOVING_SIDE) / max(camera.width, camera.height))
    return resized(camera, max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


def _texture(image: np.ndarray) -> gpu.types.GPUTexture:
    """(H, W, 3) float32, sRGB-encoded -> scene-linear, from the bottom, opaque."""
    height, width, _ = image.shape
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = LIGHT[quantized(image[::-1])]
    buffer = gpu.types.Buffer("FLOAT", pixels.size, pixels.ravel())
    return gpu.types.GPUTexture((width, height), format="RGBA16F", data=buffer)


class Viewports:
    """The pictures of all 3D views that are rendered, by their regions."""

    def __init__(self) -> None:
        self._pictures: dict[int, ViewportPicture] = {}
        self._photographed: dict[int, input_views.Photographed] = {}  # by scenes: windows may show several
        self._changes = 0

    def forget_inputs(self) -> None:
        """The scene has changed: photos and cameras are looked at anew."""
        self._photographed.clear()
        self._changes += 1

    def picture_of(self, region: bpy.types.Region) -> ViewportPicture:
        return self._pictures.setdefault(region.as_pointer(), ViewportPicture())

    def draw(self, render_engine, context: bpy.types.Context, depsgraph: bpy.types.Depsgraph) -> None:
        """Draw a view's last picture, and see that the next one comes."""
        picture, scene, window = self.picture_of(context.region), depsgraph.scene, rendered_window(context)
        if window is None:
            return
        try:
            key = scene.original.session_uid
            if key not in self._photographed:
                self._photographed[key] = input_views.photographed(scene, depsgraph)
            inputs = f"{self._changes} {scene.frame_current}".encode()
            camera = camera_of_view(context.region, context.region_data)
            above = camera.height - window.bottom - window.height
            camera = cropped(camera, window.left, above, window.width, window.height)
            picture.look(camera, scene, self._photographed[key], inputs)
        except LvsmError as error:
            picture.refuse(error)
        if picture.texture is not None:
            render_engine.bind_display_space_shader(scene)
            draw_texture_2d(picture.texture, (window.left, window.bottom), window.width, window.height)
            render_engine.unbind_display_space_shader()
        render_engine.update_stats("LVSM", picture.status)
        if not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, first_interval=TICK_SECONDS)

    def redraw_those_with_news(self) -> bool:
        """Whether any still waits for some."""
        regions = {
            region.as_pointer(): region
            for window in bpy.context.window_manager.windows
            for area in window.screen.areas
            if area.type == "VIEW_3D" and area.spaces.active.shading.type == "RENDERED"
            for region in area.regions
        }
        self._pictures = {place: picture for place, picture in self._pictures.items() if place in regions}
        for place, picture in self._pictures.items():
            if picture.wants_a_look:
                regions[place].tag_redraw()
        return any(picture.is_waiting for picture in self._pictures.values())


viewports = Viewports()


def tick() -> float | None:
    """A timer of Blender's, which knows timers by their object: no method, of which each look makes another."""
    return TICK_SECONDS if viewports.redraw_those_with_news() else None
