"""The compositor's nodes that put one scene's render into another's by their depths. Knows nothing of photos.

They are put between the user's own nodes and their output, and taken out again. Blender 5.0 gave the compositor's tree
another place and some nodes other names.
"""

import bpy

GROUP = "LVSM Objects in the Photo"
OBJECTS, PHOTO = "LVSM Objects", "LVSM Photo"
IS_GROUP_OUTPUT = bpy.app.version >= (5, 0, 0)
OUTPUT = "NodeGroupOutput" if IS_GROUP_OUTPUT else "CompositorNodeComposite"
MATH, MAP_RANGE = (f"{'Shader' if IS_GROUP_OUTPUT else 'Compositor'}Node{name}" for name in ("Math", "MapRange"))
NODE_WIDTH = 250
# How much farther than the photo an object may be and be seen, as a share of the depth: photos' depths are not exact,
# and what stands on the ground is as far as that.
TOLERANCE = 0.03
# An object's depth is that of a pixel's first sample, which may have missed its edge.
EDGE_PIXELS = 1


def is_used(scene: bpy.types.Scene) -> bool:
    """Whether a scene's renders go through nodes."""
    return scene.compositing_node_group is not None if IS_GROUP_OUTPUT else scene.use_nodes


def connect(scene: bpy.types.Scene, photo_scene: bpy.types.Scene) -> None:
    """Put what a scene renders, after the nodes that it has, into what the other one does."""
    tree = _used_tree(scene)
    output = _output(tree)
    objects, photo = _layers(tree, OBJECTS, scene), _layers(tree, PHOTO, photo_scene)
    source = _source(tree, output) or objects.outputs["Image"]
    if GROUP not in tree.nodes:
        _make_room(output, objects, photo)
    joined = _node(tree, GROUP, "CompositorNodeGroup")
    joined.node_tree = joined.node_tree or _depth_group()
    joined.location = output.location.x - NODE_WIDTH, output.location.y
    for socket, name in (
        (source, "Objects"),
        (objects.outputs["Depth"], "Objects Depth"),
        (photo.outputs["Image"], "Photo"),
        (photo.outputs["Depth"], "Photo Depth"),
    ):
        tree.links.new(socket, joined.inputs[name])
    tree.links.new(joined.outputs["Image"], output.inputs[0])


def disconnect(scene: bpy.types.Scene, keeps_nodes: bool) -> None:
    """Take out what connect put in. keeps_nodes: whether the scene's renders go through nodes from now on."""
    tree = _tree(scene)
    if tree is not None:
        joined, output = tree.nodes.get(GROUP), _output(tree)
        source = _source(tree, output)
        if source is not None and source.node.name != OBJECTS:
            tree.links.new(source, output.inputs[0])
        if joined is not None:
            output.location.x -= NODE_WIDTH
            _remove_group(joined)
        for name in (GROUP, OBJECTS, PHOTO):
            if name in tree.nodes:
                tree.nodes.remove(tree.nodes[name])
    if not keeps_nodes:
        _stop_using(scene)


def tolerance_of(scene: bpy.types.Scene) -> bpy.types.NodeSocket | None:
    """The socket whose value says how far behind the photo's depth objects are seen."""
    tree = _tree(scene)
    joined = tree.nodes.get(GROUP) if tree is not None else None
    return joined.inputs.get("Depth Tolerance") if joined is not None else None


def _tree(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    return scene.compositing_node_group if IS_GROUP_OUTPUT else scene.node_tree


def _used_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The tree that a scene's renders go through from now on."""
    if not is_used(scene):
        if IS_GROUP_OUTPUT:
            scene.compositing_node_group = bpy.data.node_groups.new(f"{scene.name} Compositing", "CompositorNodeTree")
        else:
            scene.use_nodes = True
    return _tree(scene)


def _stop_using(scene: bpy.types.Scene) -> None:
    """Let a scene's renders go through no nodes."""
    if not IS_GROUP_OUTPUT:
        scene.use_nodes = False
    elif (tree := scene.compositing_node_group) is not None:
        scene.compositing_node_group = None
        if not tree.users and all(node.bl_idname == OUTPUT for node in tree.nodes):
            bpy.data.node_groups.remove(tree)


def _output(tree: bpy.types.NodeTree) -> bpy.types.Node:
    """The node that says what a render is, made where there is none."""
    if IS_GROUP_OUTPUT and not any(item.in_out == "OUTPUT" for item in tree.interface.items_tree):
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    outputs = [node for node in tree.nodes if node.bl_idname == OUTPUT]
    active = [node for node in outputs if getattr(node, "is_active_output", True)]
    return (active or outputs or [tree.nodes.new(OUTPUT)])[0]


def _source(tree: bpy.types.NodeTree, output: bpy.types.Node) -> bpy.types.NodeSocket | None:
    """What the user's own nodes give: to the output, or to the node that was put before it."""
    joined = tree.nodes.get(GROUP)
    links = output.inputs[0].links
    if joined is not None and (not links or links[0].from_node == joined):
        links = joined.inputs["Objects"].links
    return links[0].from_socket if links else None


def _layers(tree: bpy.types.NodeTree, name: str, scene: bpy.types.Scene) -> bpy.types.Node:
    node = _node(tree, name, "CompositorNodeRLayers")
    node.scene, node.layer = scene, scene.view_layers[0].name
    return node


def _node(tree: bpy.types.NodeTree, name: str, kind: str) -> bpy.types.Node:
    """The tree's node of that name, made where there is none."""
    node = tree.nodes.get(name)
    if node is None:
        node = tree.nodes.new(kind)
        node.name = node.label = name
    return node


def _make_room(output: bpy.types.Node, objects: bpy.types.Node, photo: bpy.types.Node) -> None:
    """Place the nodes in front of the output, below what is there."""
    objects.location = output.location.x - 2 * NODE_WIDTH, output.location.y - 400
    photo.location = output.location.x - 2 * NODE_WIDTH, output.location.y - 800
    output.location.x += NODE_WIDTH


def _depth_group() -> bpy.types.NodeTree:
    """A new group: objects over a photo, times how far they are before it."""
    group = bpy.data.node_groups.new(GROUP, "CompositorNodeTree")
    for name, kind in (
        ("Objects", "NodeSocketColor"),
        ("Objects Depth", "NodeSocketFloat"),
        ("Photo", "NodeSocketColor"),
        ("Photo Depth", "NodeSocketFloat"),
        ("Depth Tolerance", "NodeSocketFloat"),
    ):
        group.interface.new_socket(name, in_out="INPUT", socket_type=kind)
    group.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    tolerance = group.interface.items_tree["Depth Tolerance"]
    tolerance.default_value, tolerance.min_value, tolerance.max_value = TOLERANCE, 0.001, 1
    given, result = group.nodes.new("NodeGroupInput").outputs, group.nodes.new("NodeGroupOutput")
    excess = _math(group, "DIVIDE", _nearest_around(group, given["Objects Depth"]), given["Photo Depth"])
    excess = _math(group, "DIVIDE", _math(group, "SUBTRACT", excess, 1), given["Depth Tolerance"])
    over = group.nodes.new("CompositorNodeAlphaOver")
    photo, objects = (socket for socket in over.inputs if socket.type == "RGBA")
    factor = next(socket for socket in over.inputs if socket.type == "VALUE")
    for socket, target in (
        (given["Photo"], photo),
        (given["Objects"], objects),
        (_without_steps(group, _visibility(group, excess)), factor),
        (over.outputs[0], result.inputs[0]),
    ):
        group.links.new(socket, target)
    return group


def _nearest_around(group: bpy.types.NodeTree, depth: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    node = group.nodes.new("CompositorNodeDilateErode")
    if "Size" in node.inputs:  # 5.0 on
        node.inputs["Size"].default_value = -EDGE_PIXELS
    else:
        node.distance = -EDGE_PIXELS
    group.links.new(depth, node.inputs[0])
    return node.outputs[0]


def _visibility(group: bpy.types.NodeTree, excess: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """1 where the excess over the photo's depth is below half the tolerance, 0 from one and a half on."""
    node = group.nodes.new(MAP_RANGE)
    if hasattr(node, "use_clamp"):
        node.use_clamp = True
    else:
        node.clamp = True
    for number, value in enumerate((0.5, 1.5, 1.0, 0.0), 1):
        node.inputs[number].default_value = value
    group.links.new(excess, node.inputs[0])
    return node.outputs[0]


def _without_steps(group: bpy.types.NodeTree, mask: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    node = group.nodes.new("CompositorNodeAntiAliasing")
    group.links.new(mask, node.inputs[0])
    return node.outputs[0]


def _math(
    group: bpy.types.NodeTree, operation: str, left: bpy.types.NodeSocket, right: bpy.types.NodeSocket | float
) -> bpy.types.NodeSocket:
    node = group.nodes.new(MATH)
    node.operation = operation
    group.links.new(left, node.inputs[0])
    if isinstance(right, bpy.types.NodeSocket):
        group.links.new(right, node.inputs[1])
    else:
        node.inputs[1].default_value = right
    return node.outputs[0]


def _remove_group(joined: bpy.types.Node) -> None:
    group, joined.node_tree = joined.node_tree, None
    if group is not None and not group.users:
        bpy.data.node_groups.remove(group)
