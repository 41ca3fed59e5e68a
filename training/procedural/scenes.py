"""Scenes drawn at random: objects on white, and rooms and open grounds with many things; each a pure function of its number.

Every random number comes from numpy, so that a scene is the same on every device, up to the rounding of its pictures.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..render.cameras import SAMPLINGS, sample_cameras
from .cameras import Bounds, Subject, hand_held_arc, square_fxfycxcy, walk
from .furniture import FURNITURE, picture
from .light import Light, Material
from .pictures import ProceduralScene, draw_pictures
from .surroundings import Ground, Room
from .textures import ImageFolder, random_colour, random_pattern, random_sky
from .things import Thing, assembled, fitted, moved, random_object, rotation_z, standing

KINDS = ("objects", "scenes", "mixed")
IMAGE_SHARE = 0.6  # Of all textures, where there is a folder of images.
CEILING_MARGIN, WALL_MARGIN, FLOOR_MARGIN = 0.25, 0.25, 0.15  # Cameras keep away from walls.
MAX_THINGS = 20
# Materials of whole scenes, by number: those of things come first.
PAINTS = 7
FLOOR, WALL, OTHER_WALL, SKY = range(PAINTS, PAINTS + 4)


@dataclass(frozen=True, slots=True, eq=False)
class ProceduralViews:
    """One scene's pictures. images: (V, S, S, 3) uint8, sRGB-encoded, over white; alpha: (V, S, S) uint8, 255 where the
    subject is, everywhere in whole scenes; both on the device that drew them. camera_to_world: (V, 4, 4) float64,
    OpenCV axes; fxfycxcy: (V, 4) float64, pixels."""

    images: Tensor
    alpha: Tensor
    camera_to_world: np.ndarray
    fxfycxcy: np.ndarray


def procedural_scene(
    seed: int,
    number: int,
    kind: str = "mixed",
    *,
    views: int,
    size: int,
    device: str | torch.device = "cpu",
    images: ImageFolder | None = None,
    only: np.ndarray | None = None,
) -> ProceduralViews:
    """Draw scene `number` of a series and its pictures: a function of the arguments alone, on one device.

    kind: "objects" (on white; their bounding box is centred at the origin with longest side 1), "scenes" (with
    surroundings, the floor at z = 0, in about metres) or "mixed" (objects and scenes, half and half). Z is up in all.
    images: textures are taken from these too. only: of the `views` cameras, the numbers of those that take a picture.
    """
    rng = np.random.default_rng((seed, number))
    drawn_kind = kind_of(rng, kind)
    if drawn_kind == "scenes":
        scene, camera_to_world, fxfycxcy = _whole_scene(rng, views, size, images)
    else:
        scene, camera_to_world, fxfycxcy = _objects_on_white(rng, views, size, images)
    if only is not None:
        camera_to_world, fxfycxcy = camera_to_world[only], fxfycxcy[only]
    pictures, alpha = draw_pictures(scene, camera_to_world, fxfycxcy, size, torch.device(device))
    return ProceduralViews(pictures, alpha, camera_to_world, fxfycxcy)


def kind_of(rng: np.random.Generator, kind: str) -> str:
    """The kind itself, or "objects" or "scenes", drawn where it is "mixed". Raises ValueError for another word."""
    if kind not in KINDS:
        raise ValueError(f"kind is '{kind}': it must be one of {', '.join(KINDS)}.")
    return str(rng.choice(["objects", "scenes"])) if kind == "mixed" else kind


_Drawn = tuple[ProceduralScene, np.ndarray, np.ndarray]


def _objects_on_white(rng: np.random.Generator, views: int, size: int, images: ImageFolder | None) -> _Drawn:
    textures = [_random_texture(rng, images) for _ in range(rng.integers(2, 7))]
    materials = [_random_material(rng, texture) for texture in range(len(textures))]
    thing = random_object(rng, range(len(materials)))
    if rng.uniform() < 0.2:
        thing = fitted(_random_furniture(rng, len(materials)))
    scene = ProceduralScene(thing, textures, materials, _light_on_white(rng))
    style = rng.choice(["published", "varied", "arc"], p=[0.4, 0.3, 0.3])
    if style == "arc":
        nowhere = Bounds(np.full(3, -np.inf), np.full(3, np.inf))
        poses, fields = hand_held_arc(rng, Subject(np.zeros(3), 0.62), nowhere, views)
        return scene, poses, square_fxfycxcy(fields, size)
    cameras = sample_cameras(rng, SAMPLINGS[style], views, size)
    return (
        scene,
        np.stack([camera.camera_to_world for camera in cameras]),
        np.stack([camera.fxfycxcy for camera in cameras]),
    )


def _whole_scene(rng: np.random.Generator, views: int, size: int, images: ImageFolder | None) -> _Drawn:
    textures = [_random_texture(rng, images) for _ in range(PAINTS)]
    materials = [_random_material(rng, texture) for texture in range(PAINTS)]
    for surface in (FLOOR, WALL, OTHER_WALL):
        textures.append(random_pattern(rng, calm=True))
        materials.append(Material(surface, highlight=float(rng.choice([0.0, 0.2], p=[0.7, 0.3]))))
    if rng.uniform() < 0.3:
        materials[FLOOR] = Material(int(rng.integers(PAINTS)))  # A carpet, a meadow, a street.
    textures.append(random_sky(rng))
    materials.append(Material(SKY, glows=True))
    is_room = rng.uniform() < 0.6
    half = rng.uniform(1.8, 4.0, size=2) if is_room else np.full(2, rng.uniform(3.0, 6.0))
    surroundings = _room(rng, half) if is_room else Ground(FLOOR, SKY, float(rng.uniform(0.8, 3.0)))
    height = surroundings.height if isinstance(surroundings, Room) else 6.0
    bounds = Bounds(
        np.array([*(WALL_MARGIN - half), FLOOR_MARGIN]), np.array([*(half - WALL_MARGIN), height - CEILING_MARGIN])
    )
    things, subject = _subject(rng, half)
    move = hand_held_arc if rng.uniform() < 0.5 else walk
    poses, fields = move(rng, subject, bounds, views)
    things += _scattered(rng, half, height if is_room else None, subject, poses[:, :3, 3])
    if is_room:
        things += _on_walls(rng, half, height)
    return (
        ProceduralScene(assembled(things), textures, materials, _light_of_scene(rng), surroundings),
        poses,
        square_fxfycxcy(fields, size),
    )


def _subject(rng: np.random.Generator, half: np.ndarray) -> tuple[list[Thing], Subject]:
    """What is photographed, off the middle of the floor; half of the time on a table or a pedestal."""
    place = np.append(rng.uniform(-0.4, 0.4, size=2) * half, 0.0)
    size = rng.uniform(0.5, 1.2)
    thing = fitted(random_object(rng, range(PAINTS)), size)
    things = []
    if rng.uniform() < 0.5:
        stand = standing(
            FURNITURE[rng.choice(["table", "pedestal"])](rng, list(range(PAINTS))), place, rng.uniform(0, 7)
        )
        things.append(stand)
        place[2] = stand.bounds[1][2]
    thing = standing(thing, place, rng.uniform(0, 2 * np.pi))
    low, high = thing.bounds
    return [*things, thing], Subject((low + high) / 2, max(0.3, float(np.linalg.norm(high - low)) / 2))


def _scattered(
    rng: np.random.Generator, half: np.ndarray, ceiling: float | None, subject: Subject, eyes: np.ndarray
) -> list[Thing]:
    """Other things on the floor, some hanging; none in the subject, or close before a camera (`eyes`, (V, 3))."""
    things: list[Thing] = []
    models = [_furnishing(rng) for _ in range(rng.integers(3, 7))]
    taken = [(subject.middle[:2], subject.radius)]
    for _ in range(rng.integers(3, MAX_THINGS + 1)):
        thing = models[rng.integers(len(models))]
        low, high = thing.bounds
        radius = float(np.linalg.norm(high[:2] - low[:2])) / 2
        place = rng.uniform(-1, 1, size=2) * (half - radius)
        if rng.uniform() < 0.4:  # At a wall, as most furniture stands.
            axis = rng.integers(2)
            place[axis] = rng.choice([-1, 1]) * (half[axis] - radius)
        too_near = any(np.linalg.norm(place - other) < 0.8 * (radius + reach) for other, reach in taken)
        in_the_way = np.linalg.norm(eyes[:, :2] - place, axis=-1).min() < radius + 0.35
        if too_near or in_the_way or (half < radius).any():
            continue
        taken.append((place, radius))
        lift = 0.0
        if ceiling is not None and rng.uniform() < 0.15:
            lift = ceiling - (high[2] - low[2])  # Hangs from the ceiling.
        things.append(standing(thing, np.append(place, lift), rng.uniform(0, 2 * np.pi)))
    return things


def _furnishing(rng: np.random.Generator) -> Thing:
    if rng.uniform() < 0.5:
        return _random_furniture(rng, PAINTS)
    return fitted(random_object(rng, range(PAINTS), max_parts=3), rng.uniform(0.25, 1.3))


def _random_furniture(rng: np.random.Generator, materials: int) -> Thing:
    return FURNITURE[rng.choice(list(FURNITURE))](rng, list(range(materials)))


def _on_walls(rng: np.random.Generator, half: np.ndarray, height: float) -> list[Thing]:
    """Pictures, doors and windows (which glow as the sky)."""
    things = []
    for wall in range(4):
        depth, across = half[1 - wall % 2], half[wall % 2]
        angle = wall * np.pi / 2  # At +y, then +x, -y, -x.
        for _ in range(rng.integers(0, 3)):
            frame, canvas = int(rng.integers(PAINTS)), int(rng.choice([SKY, *rng.integers(PAINTS, size=3)]))
            width, tall = rng.uniform(0.3, 1.3), rng.uniform(0.3, 1.0)
            low = rng.uniform(0.9, height - tall - 0.2)
            if rng.uniform() < 0.2:
                width, tall, low = 0.9, 2.0, 0.0  # A door.
            shift = rng.uniform(-1, 1) * (across - width / 2 - 0.1)
            turn = rotation_z(-angle)
            things.append(moved(picture(width, tall, frame, canvas), turn, turn @ np.array([shift, depth, low])))
    return things


def _room(rng: np.random.Generator, half: np.ndarray) -> Room:
    wall, other = (int(material) for material in rng.choice([WALL, OTHER_WALL], size=2))
    walls = (wall, other, wall, other)
    floor_texel, wall_texel = rng.uniform(0.6, 2.5), rng.uniform(0.8, 3.0)
    return Room(
        (float(half[0]), float(half[1])),
        float(rng.uniform(2.3, 3.4)),
        (*walls, OTHER_WALL, FLOOR),
        (wall_texel, wall_texel, wall_texel, wall_texel, 2.0, floor_texel),
    )


def _random_texture(rng: np.random.Generator, images: ImageFolder | None) -> np.ndarray:
    if images is not None and rng.uniform() < IMAGE_SHARE:
        return images.draw(rng)
    return random_pattern(rng)


def _random_material(rng: np.random.Generator, texture: int) -> Material:
    kind = rng.choice(["matt", "satin", "gloss", "metal"], p=[0.5, 0.25, 0.15, 0.1])
    repeats = float(rng.choice([0.5, 1.0, 1.0, 2.0]))
    if kind == "matt":
        return Material(texture, repeats)
    highlight = {"satin": 0.15, "gloss": 0.5, "metal": 0.8}[kind] * rng.uniform(0.6, 1.4)
    gloss = {"satin": 10.0, "gloss": 60.0, "metal": 30.0}[kind] * 2 ** rng.uniform(-1, 1)
    return Material(texture, repeats, highlight=highlight, gloss=gloss, metal=float(kind == "metal"))


def _light_on_white(rng: np.random.Generator) -> Light:
    """Half of them near uniform, as in the rendered objects; the others by a lamp with shadows."""
    direction = _direction(rng, lowest=-1.0)
    if rng.uniform() < 0.5:
        ambient = rng.uniform(0.6, 1.0)
        return _light(direction, np.full(3, 1.05 * (1 - ambient)), np.full(3, 1.02 * ambient), None, 0.0, rng)
    return _light_of_scene(rng)


def _light_of_scene(rng: np.random.Generator) -> Light:
    direction = _direction(rng, lowest=0.35)
    ambient = rng.uniform(0.35, 0.7)
    warmth = np.array([1.0, 1.0, 1.0]) + rng.normal(scale=0.06) * np.array([1.0, 0.1, -1.0])
    exposure = rng.uniform(0.85, 1.15)
    lamp, around = exposure * (1.25 - ambient) * warmth, exposure * ambient / warmth
    return _light(direction, lamp, around, rng.uniform(0.01, 0.1), rng.uniform(0.3, 0.8), rng)


def _light(
    direction: np.ndarray,
    lamp: np.ndarray,
    ambient: np.ndarray,
    softness: float | None,
    contact: float,
    rng: np.random.Generator,
) -> Light:
    above = 0.5 + 0.5 * random_colour(rng)
    return Light(direction, lamp, ambient, above, 0.4 * random_colour(rng), softness, contact)


def _direction(rng: np.random.Generator, lowest: float) -> np.ndarray:
    """A unit vector (3,), uniform over the part of the sphere above z = lowest."""
    height, turn = rng.uniform(lowest, 1), rng.uniform(0, 2 * np.pi)
    across = np.sqrt(1 - height * height)
    return np.array([across * np.cos(turn), across * np.sin(turn), height])
