"""The Rendered viewport: it sees as Blender's own does, small while it moves and full when it is still, and never waits."""

import tempfile
import time
from pathlib import Path

import bpy
import numpy as np
import stage
import window_steps as ui
from bpy_extras.view3d_utils import location_3d_to_region_2d
from fake_picture import picture
from mathutils import Quaternion, Vector

folder = Path(tempfile.mkdtemp())
viewport, synthesize = stage.addon("rendering.viewport"), stage.addon("rendering.synthesize")
project = stage.addon("bundled.lvsm_engine.scene.camera").project
errors = stage.addon("bundled.lvsm_engine.errors")
worker = stage.addon("engine.worker_owner").worker
POINTS = np.array([[0, 0, 0], [1, 0, 0.5], [0, 2, 1], [-1, -0.5, 0.2]])


def build(is_rendered=True):
    ui.close_other_windows()
    yield 0.5
    scene = stage.build(folder)
    scene.render.engine = "LVSM"
    yield from ui.view_is_drawn()
    view = view_3d()
    view.view_perspective = "PERSP"
    view.view_rotation = Quaternion((0.8, 0.5, 0.2, 0.3)).normalized()
    view.view_distance = 9
    space().shading.type = "RENDERED" if is_rendered else "SOLID"


def space():
    return ui.view_area().spaces.active


def view_3d():
    return space().region_3d


def region():
    return ui.region_of(ui.view_area(), "WINDOW")


def shown():
    return viewport.viewports.picture_of(region())


def is_full():
    return shown().shown is not None and shown().shown.is_full


def full_picture():
    """Wait for the view's full picture; where it does not come, say how far it is."""
    try:
        yield from ui.until(is_full, seconds=60)
    except AssertionError as error:
        picture, timers = shown(), bpy.app.timers
        state = [
            space().shading.type,
            bpy.context.scene.render.engine,
            picture.status,
            picture._asked,
            picture._request,
        ]
        state += [picture.shown, picture.is_waiting, timers.is_registered(viewport.tick), worker.state]
        raise AssertionError(f"no full picture: {state}") from error


def test_its_camera_projects_as_the_view_does():
    yield from build(is_rendered=False)
    view = view_3d()
    for look in ("PERSP", "CAMERA"):
        view.view_perspective = look
        view.view_camera_offset, view.view_camera_zoom = (0.1, -0.05), 10
        yield from ui.view_is_drawn()
        camera = viewport.camera_of_view(region(), view)
        pixels, depths = project(camera, POINTS)
        assert (depths > 0).all()
        for point, (x, y) in zip(POINTS, pixels, strict=True):
            expected = location_3d_to_region_2d(region(), view, Vector(point))
            assert abs(expected.x - x) < 0.05 and abs(region().height - expected.y - y) < 0.05, (look, expected, x, y)


def test_an_orthographic_view_has_no_camera():
    yield from build(is_rendered=False)
    view_3d().view_perspective = "ORTHO"
    yield from ui.view_is_drawn()
    try:
        viewport.camera_of_view(region(), view_3d())
        raise AssertionError("nothing was refused")
    except errors.CameraError as error:
        assert "orthographic" in str(error)


def test_a_still_view_gets_a_full_picture_and_a_moved_one_a_small_one_first():
    yield from build()
    yield from full_picture()
    width, height = region().width, region().height
    full = viewport.STILL_SIDE / max(width, height)
    size = (shown().texture.width, shown().texture.height)
    assert size == (round(width * min(1, full)), round(height * min(1, full))), size
    with stage.fake_worker(hold=folder / "go on"):
        view_3d().view_distance = 12
        ui.view_area().tag_redraw()
        yield from ui.until(lambda: shown()._asked is not None and not shown()._asked.is_full)
        began = time.monotonic()
        yield 0.3
        assert time.monotonic() - began < 3  # the window lives while the engine is held
        (folder / "go on").touch()
        yield from ui.until(lambda: not is_full() or shown().shown.place != b"")
        yield from full_picture()


def window():
    with ui.in_view():
        return viewport.rendered_window(bpy.context)


def test_of_a_view_with_a_render_border_only_that_is_rendered():
    yield from build()
    yield from full_picture()
    space().use_render_border = True
    for name, share in (("min_x", 0.25), ("max_x", 0.75), ("min_y", 0.5), ("max_y", 1.0)):
        setattr(space(), f"render_border_{name}", share)
    ui.view_area().tag_redraw()
    yield 0.5
    yield from full_picture()
    width, height = region().width, region().height
    found = window()
    assert abs(found.width - width / 2) <= 1 and abs(found.height - height / 2) <= 1, found
    assert abs(found.left - width / 4) <= 1 and abs(found.bottom - height / 2) <= 1, found
    full = min(1, viewport.STILL_SIDE / max(found.width, found.height))
    size = (shown().texture.width, shown().texture.height)
    assert size == (round(found.width * full), round(found.height * full)), size
    space().render_border_max_x = 0.2  # nothing is left: nothing is rendered, and nothing fails
    yield 0.5
    space().use_render_border = False
    ui.view_area().tag_redraw()
    yield 0.5
    yield from full_picture()
    assert (window().width, window().height) == (width, height)


def test_through_a_camera_the_renders_border_counts():
    yield from build(is_rendered=False)
    view_3d().view_perspective = "CAMERA"
    yield from ui.view_is_drawn()
    render = bpy.context.scene.render
    render.use_border = True
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = 0, 1, 0, 1
    whole = window()
    assert abs(whole.width / whole.height - render.resolution_x / render.resolution_y) < 0.02, whole
    render.border_min_x, render.border_max_y = 0.5, 0.5
    part = window()
    assert abs(part.left - whole.left - whole.width / 2) <= 1 and abs(part.width - whole.width / 2) <= 1, (whole, part)
    assert part.bottom == whole.bottom and abs(part.height - whole.height / 2) <= 1, (whole, part)


def test_it_draws_what_the_engine_sees():
    yield from build()
    yield from full_picture()
    camera = viewport._shrunk(viewport.camera_of_view(region(), view_3d()), shown().shown)
    expected = viewport.LIGHT[picture(camera)[::-1]]
    buffer = np.array(shown().texture.read().to_list(), np.float32).reshape(*expected.shape[:2], 4)
    assert np.abs(buffer[..., :3] - expected).max() < 2e-3 and (buffer[..., 3] == 1).all()


def test_an_engine_that_fails_is_said_in_the_view_and_the_next_change_tries_again():
    yield from build(is_rendered=False)
    with stage.fake_worker(fault="fail"):
        space().shading.type = "RENDERED"
        yield from ui.until(lambda: "too little memory" in shown().status)
        yield 0.5
        assert not shown().is_waiting
    view_3d().view_distance = 15
    ui.view_area().tag_redraw()
    yield from full_picture()


def test_the_timer_ends_when_nothing_is_awaited():
    yield from build()
    yield from full_picture()
    yield from ui.until(lambda: not bpy.app.timers.is_registered(viewport.tick))
    space().shading.type = "SOLID"
    yield 0.5
    viewport.tick()
    assert viewport.viewports._pictures == {}
