"""Photograph the toy locomotive: 20 JPEGs and their transforms.json (the layout of instant-ngp and nerfstudio).

    PYTHON_WITH_BPY -m training.sample_capture [FOLDER [ORBIT]]      (make sample-capture; minutes on two cores)

Frames 0 to 7 are a low ring, 8 to 15 a high one, each at azimuths 0, 45, ... degrees; 16 to 19 are held out, to
compare with: their cameras stand between the others'. ORBIT: so many more follow, once around at one height, for
benchmarks/orbit.py.
"""

import json
import os
import sys
from pathlib import Path

import bpy
import numpy as np

from lvsm_engine.scene.camera import OPENCV_FROM_OPENGL, Camera
from lvsm_engine.whole_files import write_bytes
from training.render.cameras import look_at, on_sphere
from training.render.studio import normalise, place_camera, white_scene

from .locomotive import build_locomotive

SIZE, SAMPLES = 512, 96
FIELD_OF_VIEW, DISTANCE = 50.0, 1.6
LOW, HIGH = 12.0, 40.0
HELD_OUT = ((25.0, 22.5), (30.0, 112.5), (20.0, 202.5), (35.0, 292.5))  # elevation, azimuth
ORBIT_ELEVATION = 26.0
FOLDER = Path(__file__).parent


def main(folder: Path, orbit: int) -> None:
    scene = white_scene(SAMPLES)
    scene.render.film_transparent = False  # The white world is the background.
    scene.render.threads = os.cpu_count() or 1
    scene.render.image_settings.file_format = "JPEG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.quality = 93
    build_locomotive()
    normalise()
    places = [(elevation, 45.0 * step) for elevation in (LOW, HIGH) for step in range(8)] + list(HELD_OUT)
    places += [(ORBIT_ELEVATION, 360.0 * step / orbit) for step in range(orbit)]
    cameras = [_camera_at(*place) for place in places]
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    for number, camera in enumerate(cameras):
        place_camera(scene, camera)
        scene.render.filepath = str(folder / "photos" / f"{number:02d}.jpg")
        bpy.ops.render.render(write_still=True)
    write_bytes(folder / "transforms.json", (json.dumps(_transforms(cameras), indent=1) + "\n").encode())


def _camera_at(elevation: float, azimuth: float) -> Camera:
    focal = SIZE / 2 / np.tan(np.radians(FIELD_OF_VIEW) / 2)
    pose = look_at(on_sphere(elevation, azimuth, DISTANCE), np.zeros(3))
    return Camera(pose, focal, focal, SIZE / 2, SIZE / 2, SIZE, SIZE)


def _transforms(cameras: list[Camera]) -> dict:
    first = cameras[0]
    frames = [
        {
            "file_path": f"photos/{number:02d}.jpg",
            "transform_matrix": (camera.camera_to_world @ OPENCV_FROM_OPENGL).round(9).tolist(),
        }
        for number, camera in enumerate(cameras)
    ]
    intrinsics = {
        "fl_x": first.fx,
        "fl_y": first.fy,
        "cx": first.cx,
        "cy": first.cy,
        "w": first.width,
        "h": first.height,
    }
    return {"camera_model": "PINHOLE", **intrinsics, "frames": frames}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
