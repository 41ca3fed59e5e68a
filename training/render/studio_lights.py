"""A Lighting, built in Blender. Knows bpy and Lighting, nothing of objects or cameras."""

import math

import bpy
import numpy as np
from mathutils import Vector

from .lighting import HORIZON_WIDTH, Lamp, Lighting, Surroundings

SKY_MAP_RESOLUTION = 64


def set_lighting(scene: bpy.types.Scene, lighting: Lighting) -> None:
    """Light a scene that has neither a world nor lamps."""
    scene.world = _world(lighting.surroundings)
    for lamp in lighting.lamps:
        scene.collection.objects.link(_lamp_object(lamp))


def _world(surroundings: Surroundings) -> bpy.types.World:
    world = bpy.data.worlds.new("Surroundings")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    # A ramp keeps colours up to 1 only: the strength makes them brighter.
    colours = np.stack([surroundings.ground, surroundings.horizon, surroundings.zenith])
    strength = float(colours.max())
    background.inputs["Strength"].default_value = strength
    if (colours == colours[0]).all():
        background.inputs["Color"].default_value = (*colours[0] / strength, 1.0)
    else:
        ramp = _sky_ramp(world.node_tree, colours / strength)
        world.node_tree.links.new(ramp, background.inputs["Color"])
        # Blender's own choice of resolution costs 1.2 s an object (bpy 5.0, one core); a smooth sky needs little.
        world.cycles.sampling_method = "MANUAL"
        world.cycles.sample_map_resolution = SKY_MAP_RESOLUTION
    return world


def _sky_ramp(tree: bpy.types.NodeTree, colours: np.ndarray) -> bpy.types.NodeSocket:
    """A socket with the colour of the direction that is looked at; colours: (3, 3), see Surroundings."""
    direction, height = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeSeparateXYZ")
    place, ramp = tree.nodes.new("ShaderNodeMapRange"), tree.nodes.new("ShaderNodeValToRGB")
    place.inputs["From Min"].default_value = -1.0  # Sines, -1 to 1, to the ramp's places, 0 to 1.
    tree.links.new(direction.outputs["Generated"], height.inputs["Vector"])
    tree.links.new(height.outputs["Z"], place.inputs["Value"])
    tree.links.new(place.outputs["Result"], ramp.inputs["Fac"])
    elements = ramp.color_ramp.elements
    elements.new(0.5)
    for element, position, colour in zip(elements, (0.5 - HORIZON_WIDTH / 2, 0.5, 1.0), colours, strict=True):
        element.position, element.color = position, (*colour, 1.0)
    return ramp.outputs["Color"]


def _lamp_object(lamp: Lamp) -> bpy.types.Object:
    """A sun or a square panel whose light has the lamp's level at the origin; cameras do not see it."""
    data = bpy.data.lights.new("Lamp", "SUN" if lamp.is_sun else "AREA")
    level = float(lamp.colour.max())
    data.color = lamp.colour / level
    # A white matte surface shows 1 / pi of the irradiance E as radiance. A sun's strength is E; a small panel of
    # power P gives E = P / (pi * distance^2).
    if lamp.is_sun:
        data.energy, data.angle = math.pi * level, math.radians(lamp.angle)
    else:
        data.energy, data.size = math.pi**2 * lamp.distance**2 * level, lamp.side
    lamp_object = bpy.data.objects.new("Lamp", data)
    direction = Vector(lamp.direction)
    lamp_object.rotation_euler = direction.to_track_quat("Z", "Y").to_euler()  # Lights shine along their -z.
    lamp_object.location = direction * (1.0 if lamp.is_sun else lamp.distance)
    lamp_object.visible_camera = False
    return lamp_object
