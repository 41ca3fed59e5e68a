"""How bright a white matte plate at the origin is that faces a light, in one light after the other.

PYTHON_WITH_BPY -m tests.training.render.lit_plate        prints {name of LIGHTS: linear colour}
"""

import json

import numpy as np

from lvsm_engine.scene.camera import Camera
from training.render.cameras import look_at
from training.render.lighting import WHITE, Lamp, Lighting, Surroundings

TOWARDS = np.array([0.5, 0.3, 0.8]) / np.linalg.norm([0.5, 0.3, 0.8])
SKY = Surroundings(np.array([0.1, 0.0, 0.0]), np.array([0.3, 0.3, 0.3]), np.array([0.0, 0.0, 0.9]))
SUN = Lamp(np.array([0.8, 0.4, 0.2]), TOWARDS, angle=5.0)
PANEL = Lamp(np.array([0.8, 0.4, 0.2]), TOWARDS, side=0.5, distance=3.0)
NEARLY_NONE = Surroundings(*np.full((3, 3), 1e-6))
# The light, and where the plate faces.
LIGHTS = {
    "white": (WHITE, TOWARDS),
    "sun": (Lighting(NEARLY_NONE, (SUN,)), TOWARDS),
    "sun behind": (Lighting(NEARLY_NONE, (SUN,)), -TOWARDS),
    "panel": (Lighting(NEARLY_NONE, (PANEL,)), TOWARDS),
    "sky above": (Lighting(SKY), np.array([0.001, 0.0, 1.0])),
    "ground below": (Lighting(SKY), np.array([0.001, 0.0, -1.0])),
}


def photograph_plate(lighting: Lighting, direction: np.ndarray) -> np.ndarray:
    """The mean code (3,), 0 to 255, of a plate that shows half of the light."""
    import bpy
    from mathutils import Vector

    from training.render.studio import dark_scene, photograph
    from training.render.studio_lights import set_lighting

    scene = dark_scene(samples=64)
    bpy.ops.mesh.primitive_plane_add(size=0.5, rotation=Vector(direction).to_track_quat("Z", "Y").to_euler())
    material = bpy.data.materials.new("Half white")  # Brighter ones would be cut off at 255.
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shader, output = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeOutputMaterial")
    shader.inputs["Color"].default_value = (0.5, 0.5, 0.5, 1.0)
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    bpy.context.object.data.materials.append(material)
    set_lighting(scene, lighting)
    pose = look_at(direction * 2 + 0.1, np.zeros(3))
    image = photograph(scene, Camera(pose, 35, 35, 16, 16, 32, 32))
    return image[image[..., 3] == 255][:, :3].mean(axis=0)


if __name__ == "__main__":
    levels = {}
    for name, (lighting, direction) in LIGHTS.items():
        codes = photograph_plate(lighting, direction) / 255
        levels[name] = (2 * np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)).tolist()
    print(json.dumps(levels))
