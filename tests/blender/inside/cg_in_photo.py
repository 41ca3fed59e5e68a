"""Objects in the photo: renders in the synthesized picture, hidden by what is nearer there; then all as it was."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
import stage
from mathutils import Matrix

folder = Path(sys.argv[1])
stage.build(folder)
cg_in_photo, depth_compositing = stage.addon("compositing.cg_in_photo"), stage.addon("compositing.depth_compositing")
scene_cameras = stage.addon("scene.scene_cameras")

# What the fake worker sees is in the right half of its picture as far as 1 + the row + a hundredth of the column.
LEFT, RIGHT = np.s_[:, :31], np.s_[:, 33:]
RED = 255, 0, 0


def build():
    """A new scene for Cycles in exact colours, with input views and a target."""
    scene = stage.build(folder)
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    bpy.ops.lvsm.use_exact_colors()
    bpy.context.view_layer.update()
    return scene


def add_plane(depth, size=200, colour=RED):
    """A plane that glows, square to the camera's axis, this far along it."""
    bpy.ops.mesh.primitive_plane_add(size=size)
    plane = bpy.context.object
    plane.matrix_world = bpy.context.scene.camera.matrix_world @ Matrix.Translation((0, 0, -depth))
    material = bpy.data.materials.new("Glow")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    glow, surface = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    glow.inputs["Color"].default_value = *(value / 255 for value in colour), 1
    material.node_tree.links.new(glow.outputs[0], surface.inputs[0])
    plane.data.materials.append(material)
    return plane


def rendered(name):
    """(H, W, 3) uint8: what a render saves."""
    bpy.context.scene.render.filepath = str(folder / f"{name}.png")
    bpy.ops.render.render(write_still=True)
    return stage.file_bytes(folder / f"{name}.png")


def synthesized():
    return stage.fake_picture(bpy.context.scene.camera)


def is_near(pixels, expected):
    return np.abs(pixels.astype(int) - expected).max() <= 1


def settings_of(scene):
    render, layer = scene.render, scene.view_layers[0]
    return (
        render.engine,
        render.film_transparent,
        render.use_compositing,
        layer.use_pass_z,
        depth_compositing.is_used(scene),
    )


def nodes_of(scene):
    """The names of a scene's compositing nodes, and its links."""
    tree = scene.compositing_node_group if bpy.app.version >= (5, 0, 0) else scene.node_tree
    if tree is None:
        return None
    links = {
        (link.from_node.name, link.from_socket.name, link.to_node.name, link.to_socket.name) for link in tree.links
    }
    return sorted(node.name for node in tree.nodes), links


def blocks():
    return sorted(block.name for kind in (bpy.data.scenes, bpy.data.node_groups, bpy.data.objects) for block in kind)


def test_without_objects_the_render_is_the_synthesized_picture():
    build()
    assert bpy.ops.lvsm.set_up_cg() == {"FINISHED"}
    assert is_near(rendered("nothing"), synthesized())


def test_what_is_before_the_photo_is_seen_and_what_is_behind_it_is_hidden():
    build()
    add_plane(depth=20)
    bpy.ops.lvsm.set_up_cg()
    pixels, picture = rendered("plane"), synthesized()
    assert is_near(pixels[LEFT], RED), "nothing is there in the photo"
    assert is_near(pixels[RIGHT][20:], RED), "the photo is farther there"
    assert is_near(pixels[RIGHT][:17], picture[RIGHT][:17]), "the photo is nearer there"


def test_objects_cover_a_part_of_the_picture():
    build()
    add_plane(depth=0.5, size=0.1)
    bpy.ops.lvsm.set_up_cg()
    pixels, picture = rendered("part"), synthesized()
    assert is_near(pixels[24, 32], RED)
    assert is_near(pixels[:8], picture[:8]) and is_near(pixels[:, :8], picture[:, :8])


def test_the_edge_of_an_object_is_a_mixture_of_it_and_the_photo():
    scene = build()
    scene.cycles.samples = 64
    add_plane(depth=0.5, size=0.2, colour=(255, 255, 255)).rotation_euler.z += 0.3
    bpy.ops.lvsm.set_up_cg()
    pixels, picture = rendered("edge").astype(int), synthesized().astype(int)
    assert (pixels >= np.minimum(picture, 255) - 1).all(), "no edge is darker than both"


def test_the_picture_follows_camera_frame_and_size():
    scene = build()
    bpy.ops.lvsm.set_up_cg()
    scene.render.resolution_x, scene.render.resolution_percentage = 80, 50
    scene.camera = stage.add_camera("Other", (1, -5, 1))
    scene.camera.keyframe_insert("location", frame=1)
    scene.camera.location.x += 2
    scene.camera.keyframe_insert("location", frame=3)
    scene.frame_start, scene.frame_end = 1, 3
    scene.render.filepath = str(folder / "moving_####.png")
    bpy.ops.render.render(animation=True)
    pictures = [stage.file_bytes(folder / f"moving_{frame:04}.png") for frame in (1, 2, 3)]
    for frame, pixels in enumerate(pictures, 1):
        scene.frame_set(frame)
        assert pixels.shape == (24, 40, 3) and is_near(pixels, synthesized()), frame
    assert not np.array_equal(pictures[0], pictures[2])


def test_the_picture_follows_cameras_that_markers_switch():
    scene = build()
    bpy.ops.lvsm.set_up_cg()
    others = [stage.add_camera(f"Cut {frame}", (frame, -5, 1)) for frame in (1, 2)]
    for frame, camera_object in enumerate(others, 1):
        scene.timeline_markers.new(f"Cut {frame}", frame=frame).camera = camera_object
    scene.frame_start, scene.frame_end = 1, 2
    scene.render.filepath = str(folder / "cut_####.png")
    bpy.ops.render.render(animation=True)
    for frame, camera_object in enumerate(others, 1):
        assert is_near(stage.file_bytes(folder / f"cut_{frame:04}.png"), stage.fake_picture(camera_object)), frame


def test_photos_added_later_are_used():
    scene = build()
    bpy.ops.lvsm.set_up_cg()
    stage.add_camera("View 3", (2, -4, 1)).data.lvsm.photo = stage.photo(folder / "photo 3.png", 200)
    with stage.fake_worker(record=folder / "record"):
        rendered("more")
    views = json.loads((folder / "record").read_text().splitlines()[-1])["views"]
    assert [view["name"] for view in views] == ["View 0", "View 1", "View 2", "View 3"]
    assert len(scene.lvsm_cg.photo_scene.objects) == 5


def test_a_frame_without_the_synthesized_picture_is_not_kept_and_the_next_render_is():
    scene = build()
    bpy.ops.lvsm.set_up_cg()
    scene.frame_start, scene.frame_end = 1, 2
    (folder / "failed.png").write_bytes(b"of an earlier render")
    with stage.fake_worker(fault="fail"):
        scene.render.filepath = str(folder / "failed.png")
        bpy.ops.render.render(write_still=True)
        scene.render.filepath = str(folder / "failed_")
        assert "too little memory" in stage.refusal(bpy.ops.lvsm.render_animation)
    assert not list(folder.glob("failed*"))
    assert is_near(rendered("failed"), synthesized())
    bpy.ops.lvsm.render_animation()
    assert len(list(folder.glob("failed*"))) == 3


def test_a_second_press_adds_nothing_and_mends_what_is_missing():
    scene = build()
    bpy.ops.lvsm.set_up_cg()
    before, nodes = blocks(), nodes_of(scene)
    depth_compositing.tolerance_of(scene).default_value = 0.1
    bpy.ops.lvsm.set_up_cg()
    assert (blocks(), nodes_of(scene)) == (before, nodes)
    assert np.isclose(depth_compositing.tolerance_of(scene).default_value, 0.1)
    tree = depth_compositing.tolerance_of(scene).id_data
    tree.nodes.remove(tree.nodes[depth_compositing.PHOTO])
    bpy.ops.lvsm.set_up_cg()
    assert (blocks(), nodes_of(scene)) == (before, nodes)


def test_removed_all_is_as_it_was():
    scene = build()
    settings, before = settings_of(scene), blocks()
    bpy.ops.lvsm.set_up_cg()
    bpy.ops.lvsm.set_up_cg()
    assert settings_of(scene) != settings
    assert bpy.ops.lvsm.remove_cg() == {"FINISHED"}
    assert (settings_of(scene), blocks()) == (settings, before)
    assert bpy.ops.lvsm.set_up_cg() == {"FINISHED"}
    assert is_near(rendered("again"), synthesized())


def own_nodes(scene):
    """Nodes of the user's own: the render's colours are inverted."""
    is_new = bpy.app.version >= (5, 0, 0)
    if is_new:
        tree = scene.compositing_node_group = bpy.data.node_groups.new("Mine", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        layers, output = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        layers, output = tree.nodes["Render Layers"], tree.nodes["Composite"]
    invert = tree.nodes.new("CompositorNodeInvert")
    colour = next(socket for socket in invert.inputs if socket.type == "RGBA")
    tree.links.new(layers.outputs["Image"], colour)
    tree.links.new(invert.outputs[0], output.inputs[0])


def test_the_users_own_nodes_make_the_objects_and_stay_as_they_are():
    scene = build()
    add_plane(depth=20)
    own_nodes(scene)
    before = nodes_of(scene)
    bpy.ops.lvsm.set_up_cg()
    pixels, picture = rendered("inverted"), synthesized()
    assert is_near(pixels[RIGHT][20:], (0, 255, 255)) and is_near(pixels[RIGHT][:17], picture[RIGHT][:17])
    bpy.ops.lvsm.remove_cg()
    assert nodes_of(scene) == before


def test_one_undo_takes_it_all_away():
    scene = build()
    name, settings, before = scene.name, settings_of(scene), blocks()
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.lvsm.set_up_cg()
    bpy.ops.ed.undo_push(message="Put Objects in the Photo")
    bpy.ops.ed.undo()
    scene = bpy.data.scenes[name]
    assert (settings_of(scene), blocks()) == (settings, before) and not cg_in_photo.is_set_up(scene)


def test_it_is_in_the_file_that_is_saved():
    build()
    bpy.ops.lvsm.set_up_cg()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "saved.blend"))
    assert is_near(rendered("opened"), synthesized())


def test_what_stands_in_the_way_is_said():
    scene = build()
    scene.render.engine = "LVSM"
    assert "Choose Cycles or EEVEE" in stage.refusal(bpy.ops.lvsm.set_up_cg)
    scene.render.engine = "CYCLES"
    assert "stand in no photo" in stage.refusal(bpy.ops.lvsm.remove_cg)
    assert "Select the objects" in stage.refusal(bpy.ops.lvsm.add_shadow_catcher)
    for camera_object in scene.objects:
        camera_object.data.lvsm.photo = None
    assert "Add a photo" in stage.refusal(bpy.ops.lvsm.set_up_cg)


def test_the_scene_of_the_photo_is_told_to_be_one():
    scene = build()
    bpy.ops.lvsm.set_up_cg()
    assert "the photo of another" in cg_in_photo.obstacle(scene.lvsm_cg.photo_scene)


def test_a_shadow_catcher_lies_under_the_selected_objects_and_shows_only_their_shadow():
    scene = build()
    scene.cycles.samples = 16
    scene.camera.location, scene.camera.rotation_euler = (0, 0, 12), (0, 0, 0)
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 2.5))
    bpy.ops.lvsm.add_shadow_catcher()
    catcher = bpy.data.objects["Shadow Catcher"]
    assert tuple(catcher.location) == (0, 0, 2) and min(catcher.dimensions.xy) > 3
    light = bpy.data.lights.new("Sun", "SUN")
    light.energy = 5
    sun = bpy.data.objects.new("Sun", light)
    sun.rotation_euler = 0, -0.8, 0  # from the left
    scene.collection.objects.link(sun)
    bpy.ops.lvsm.set_up_cg()
    pixels, picture = rendered("shadow").astype(int), synthesized().astype(int)
    assert (pixels[24, 40] < 0.5 * picture[24, 40]).all(), "in the shadow, on ground that is nearer than the photo's"
    assert is_near(pixels[RIGHT][:6], picture[RIGHT][:6]) and is_near(pixels[24, 60], picture[24, 60])
