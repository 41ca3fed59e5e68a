"""A wooden toy locomotive with a face, built of bevelled solids. It stands upright on its wheels and looks along +x.

Lengths are in decimetres or so: the studio normalises the whole. Knows bpy, nothing of cameras.
"""

from math import pi, radians

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector

from lvsm_engine.scene.srgb import to_linear

TURN_TO_X = (0.0, pi / 2, 0.0)  # A cylinder's axis, z, becomes x;
TURN_TO_Y = (pi / 2, 0.0, 0.0)  # or y.

# sRGB codes of the paints, bold enough to be told apart in a few pixels.
PAINTS = {
    "red": (208, 40, 38),
    "blue": (40, 110, 190),
    "yellow": (250, 190, 30),
    "cream": (250, 232, 196),
    "navy": (28, 36, 66),
    "green": (30, 146, 110),
    "pink": (244, 150, 150),
}


def build_locomotive() -> None:
    """Add the locomotive's parts to the current scene."""
    paint = {name: _painted(name, codes) for name, codes in PAINTS.items()}
    wood = _wooden()
    _chassis(paint, wood)
    _boiler(paint)
    _face(paint)
    _cab(paint, wood)
    for x, radius in ((-1.35, 0.62), (0.25, 0.46), (1.35, 0.46)):
        for side in (-1, 1):
            _wheel(paint, x, radius, side)


def _chassis(paint: dict[str, bpy.types.Material], wood: bpy.types.Material) -> None:
    _box((4.3, 1.5, 0.36), (0.0, 0.0, 0.78), wood)
    _box((0.22, 1.9, 0.5), (2.12, 0.0, 0.8), paint["red"], bevel=0.08)
    for side in (-1, 1):
        _cylinder(0.2, 0.24, (2.32, 0.55 * side, 0.8), paint["navy"], TURN_TO_X)
        _box((1.2, 0.08, 0.14), (0.8, 1.1 * side, 0.46), paint["red"], bevel=0.03)  # coupling rod
    _box((0.14, 0.3, 0.16), (-2.2, 0.0, 0.78), paint["navy"])


def _boiler(paint: dict[str, bpy.types.Material]) -> None:
    _cylinder(0.74, 2.6, (0.6, 0.0, 1.62), paint["green"], TURN_TO_X)
    for x in (-0.25, 0.5, 1.25):
        _cylinder(0.77, 0.12, (x, 0.0, 1.62), paint["cream"], TURN_TO_X, bevel=0.03)
    _cone(0.2, 0.36, 0.8, (1.35, 0.0, 2.6), paint["navy"])
    _cylinder(0.4, 0.14, (1.35, 0.0, 3.0), paint["yellow"], bevel=0.05)
    _ball((0.32, 0.32, 0.34), (0.42, 0.0, 2.4), paint["yellow"])
    _ball((0.12, 0.12, 0.14), (0.42, 0.0, 2.78), paint["red"])


def _face(paint: dict[str, bpy.types.Material]) -> None:
    _cylinder(0.8, 0.2, (1.95, 0.0, 1.62), paint["navy"], TURN_TO_X)
    _cylinder(0.66, 0.14, (2.05, 0.0, 1.62), paint["cream"], TURN_TO_X)
    for side in (-1, 1):
        _ball((0.06, 0.1, 0.15), (2.12, 0.24 * side, 1.78), paint["navy"])
        _ball((0.03, 0.11, 0.09), (2.12, 0.42 * side, 1.5), paint["pink"])
    _smile(0.26, (2.12, 0.0, 1.56), paint["red"])


def _cab(paint: dict[str, bpy.types.Material], wood: bpy.types.Material) -> None:
    _box((1.4, 1.7, 2.0), (-1.4, 0.0, 1.9), paint["red"], bevel=0.12)
    _box((1.9, 2.1, 0.22), (-1.4, 0.0, 2.98), paint["yellow"], bevel=0.1)
    for side in (-1, 1):
        _box((0.86, 0.1, 0.72), (-1.4, 0.84 * side, 2.4), paint["cream"], bevel=0.04)
        _box((0.66, 0.1, 0.52), (-1.4, 0.88 * side, 2.4), paint["navy"], bevel=0.04)
        _number("7", (-1.4, 0.86 * side, 1.55), side, paint["cream"])
    _box((0.1, 1.0, 0.6), (-2.08, 0.0, 2.42), paint["cream"], bevel=0.04)
    _box((0.1, 0.8, 0.42), (-2.12, 0.0, 2.42), paint["navy"], bevel=0.04)
    _box((0.1, 0.9, 0.9), (-2.08, 0.0, 1.5), wood, bevel=0.04)
    _box((0.16, 1.3, 0.3), (-2.14, 0.0, 1.06), paint["blue"], bevel=0.06)


def _wheel(paint: dict[str, bpy.types.Material], x: float, radius: float, side: int) -> None:
    _cylinder(radius, 0.28, (x, 0.88 * side, radius), paint["yellow"], TURN_TO_Y, bevel=0.08)
    _cylinder(radius * 0.68, 0.1, (x, 1.0 * side, radius), paint["blue"], TURN_TO_Y, bevel=0.03)
    _cylinder(radius * 0.3, 0.2, (x, 1.02 * side, radius), paint["red"], TURN_TO_Y, bevel=0.05)


def _painted(name: str, codes: tuple[int, int, int]) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*_linear(codes), 1.0)
    shader.inputs["Roughness"].default_value = 0.45
    return material


def _wooden() -> bpy.types.Material:
    """Beech: bands along x, bent by noise."""
    material = _painted("wood", (205, 150, 92))
    nodes, links = material.node_tree.nodes, material.node_tree.links
    coordinates, wave = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeTexWave")
    ramp = nodes.new("ShaderNodeValToRGB")
    wave.bands_direction = "Z"
    for setting, value in {"Scale": 1.6, "Distortion": 6.0, "Detail": 2.0, "Detail Scale": 0.6}.items():
        wave.inputs[setting].default_value = value
    ramp.color_ramp.elements[0].color = (*_linear((160, 100, 52)), 1.0)
    ramp.color_ramp.elements[1].color = (*_linear((226, 176, 116)), 1.0)
    links.new(coordinates.outputs["Object"], wave.inputs["Vector"])
    links.new(wave.outputs["Fac"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    return material


def _linear(codes: tuple[int, int, int]) -> list[float]:
    return to_linear(np.array(codes) / 255).tolist()


Point = tuple[float, float, float]


def _box(sides: Point, centre: Point, material: bpy.types.Material, bevel: float = 0.06) -> None:
    bpy.ops.mesh.primitive_cube_add(size=1.0)
    _finish(Matrix.LocRotScale(Vector(centre), None, Vector(sides)), material, bevel)


def _cylinder(
    radius: float,
    length: float,
    centre: Point,
    material: bpy.types.Material,
    turn: Point = (0.0, 0.0, 0.0),
    bevel: float = 0.04,
) -> None:
    bpy.ops.mesh.primitive_cylinder_add(vertices=64, radius=radius, depth=length)
    _finish(Matrix.LocRotScale(Vector(centre), Euler(turn), None), material, bevel)


def _cone(bottom: float, top: float, height: float, centre: Point, material: bpy.types.Material) -> None:
    bpy.ops.mesh.primitive_cone_add(vertices=64, radius1=bottom, radius2=top, depth=height)
    _finish(Matrix.Translation(centre), material, 0.03)


def _ball(radii: Point, centre: Point, material: bpy.types.Material) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(segments=48, ring_count=24, radius=1.0)
    _finish(Matrix.LocRotScale(Vector(centre), None, Vector(radii)), material, 0.0)


def _smile(radius: float, centre: Point, material: bpy.types.Material) -> None:
    """The lower arc of a ring that faces +x."""
    curve = bpy.data.curves.new("smile", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution, curve.use_fill_caps = "3D", 0.045, 4, True
    line = curve.splines.new("POLY")
    angles = [radians(-150 + 120 * step / 24) for step in range(25)]
    line.points.add(len(angles) - 1)
    for point, angle in zip(line.points, angles, strict=True):
        offset = Vector((0.0, radius, 0.0)) @ Matrix.Rotation(-angle, 3, "X")
        point.co = (*(Vector(centre) + offset), 1.0)
    _link(bpy.data.objects.new("smile", curve), material)


def _number(text: str, centre: Point, side: int, material: bpy.types.Material) -> None:
    """A raised figure on the cab's side, upright and readable from outside."""
    curve = bpy.data.curves.new("number", "FONT")
    curve.body, curve.size, curve.extrude = text, 0.95, 0.03
    curve.align_x, curve.align_y = "CENTER", "CENTER"
    figure = bpy.data.objects.new("number", curve)
    figure.matrix_world = Matrix.LocRotScale(Vector(centre), Euler((pi / 2, 0.0, 0.0 if side < 0 else pi)), None)
    _link(figure, material)


def _link(item: bpy.types.Object, material: bpy.types.Material) -> None:
    item.data.materials.append(material)
    bpy.context.scene.collection.objects.link(item)


def _finish(placement: Matrix, material: bpy.types.Material, bevel: float) -> None:
    """Place the part that was just added, round its edges by `bevel` and shade it smooth."""
    part = bpy.context.object
    part.data.transform(placement)
    part.data.materials.append(material)
    for face in part.data.polygons:
        face.use_smooth = True
    if bevel > 0:
        rounding = part.modifiers.new("Bevel", "BEVEL")
        rounding.width, rounding.segments, rounding.harden_normals = bevel, 4, True
