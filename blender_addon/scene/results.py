"""Synthesized pictures as Blender images: made, kept, shown. Knows nothing of how they came to be.

A result is a byte image packed as PNG, so that its pixels are k / 255 exactly, in this session and in the saved file.
It is never an input: `is_result` tells it from a photo.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

TAG = "lvsm_result"
"""The custom property of a result's image: the name of the camera it was made for."""
MADE_OF = "lvsm_made_of"
"""The custom property of a result's image: what it depends on, as target.ingredients tells."""
FRAME, MODEL, SECONDS = "lvsm_frame", "lvsm_model", "lvsm_seconds"
MODEL_HASH, LICENCE = "lvsm_model_sha256", "lvsm_licence"
"""The custom properties of a result's image that tell its Origin."""
KEPT = "lvsm_kept"
"""The custom property of a result's image that the next one of its camera does not replace."""
# Of the engine's answer, by the names that saved files have for it.
TOLD_IN_FILES = {"model": "model", "model sha256": "model_sha256", "licence": "licence"}

# Level 1 is four times as fast as the default on photos and 10 % larger.
_COMPRESSION = 1
_UP_FILTER = 2
# Of PNG, by the number of channels: grey, RGB, RGBA; all of 8 bits.
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def quantized(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) float in [0, 1] -> uint8, rounded to the nearest k / 255."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def told_in_files(answer: Mapping[str, Any]) -> dict[str, str]:
    """What a picture's file tells of its making, from the engine's answer: a name and a text each."""
    return {f"LVSM {name}": str(answer[key]) for name, key in TOLD_IN_FILES.items() if answer.get(key)}


def encode_png(pixels: np.ndarray, text: Mapping[str, str] | None = None) -> bytes:
    """(H, W), (H, W, 3) or (H, W, 4) uint8, sRGB-encoded, from the top -> the bytes of a PNG file. text: told in it, by names.

    Not Blender's own encoder, which works on the main thread only (0.3 s for a film frame): this one may run in any.
    """
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    filtered = np.full((height, 1 + rows.shape[1]), _UP_FILTER, np.uint8)
    filtered[:, 1:] = rows
    filtered[1:, 1:] -= rows[:-1]
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[rows.shape[1] // width], 0, 0, 0)
    told = ((b"iTXt", name.encode("latin-1") + b"\0\0\0\0\0" + line.encode()) for name, line in (text or {}).items())
    pixels_chunk = (b"IDAT", zlib.compress(filtered.tobytes(), _COMPRESSION))
    chunks = ((b"IHDR", header), *told, pixels_chunk, (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """How a result came to be. frame: of the scene. model: its name. seconds: what it took. model_sha256: of the model's file.
    licence: the model's, as its card tells it."""

    frame: int
    model: str
    seconds: float
    model_sha256: str = ""
    licence: str = ""


def keep_result(camera_name: str, png: bytes, made_of: str = "", origin: Origin | None = None) -> bpy.types.Image:
    """An image with a result in it, wherever the last one of the same camera was, which goes unless it is kept."""
    image = bpy.data.images.new(f"LVSM {camera_name}", 1, 1)  # the file within tells the size
    # Packed from memory: Image.pack() of generated pixels drops them when it is called twice (4.2 to 5.0).
    image.source = "FILE"
    image.pack(data=png, data_len=len(png))
    image[TAG], image[MADE_OF] = camera_name, made_of
    if origin is not None:
        image[FRAME], image[MODEL], image[SECONDS] = origin.frame, origin.model, origin.seconds
        image[MODEL_HASH], image[LICENCE] = origin.model_sha256, origin.licence
    image.use_fake_user = True
    former = result_of(camera_name, but=image)
    if former is not None:
        former.user_remap(image)
        bpy.data.images.remove(former)
        image.name = f"LVSM {camera_name}"
    return image


def keep_comparison(name: str, png: bytes) -> bpy.types.Image:
    """The image of a comparison, of which there is one by each name, with another picture in it."""
    image = bpy.data.images.get(name) or bpy.data.images.new(name, 1, 1)
    image.source = "FILE"
    image.pack(data=png, data_len=len(png))
    image.buffers_free()  # else the former picture's pixels are shown
    image[TAG] = ""  # no camera's
    return image


def keep(image: bpy.types.Image, is_kept: bool = True) -> None:
    """Whether the next result of its camera leaves this one."""
    if is_kept:
        image[KEPT] = True
    elif KEPT in image:
        del image[KEPT]


def result_of(camera_name: str, but: bpy.types.Image | None = None) -> bpy.types.Image | None:
    """The camera's last result, unless it is kept."""
    return next(
        (image for image in bpy.data.images if image.get(TAG) == camera_name and KEPT not in image and image != but),
        None,
    )


def is_result(image: bpy.types.Image | None) -> bool:
    return image is not None and TAG in image


def is_picture_of_camera(image: bpy.types.Image | None) -> bool:
    """Whether an image is a result that a camera sees, and no comparison of two."""
    return image is not None and bool(image.get(TAG))


def show_as_background(camera: bpy.types.Camera, image: bpy.types.Image) -> None:
    """Put a result behind what this camera sees: in an entry of its own, beside any photo's."""
    entry = next((entry for entry in camera.background_images if is_result(entry.image)), None)
    if entry is None:
        entry = camera.background_images.new()
        entry.alpha = 1.0
    entry.image = image
    entry.frame_method = "STRETCH"  # the picture is the frame, whatever the pixels' aspect
    entry.show_background_image = True
    camera.show_background_images = True


def show(context: bpy.types.Context, image: bpy.types.Image) -> None:
    """Show a result in an open Image Editor, or where the user has renders open."""
    if not show_in_image_editor(context, image):
        open_image_editor(image)


def show_in_image_editor(context: bpy.types.Context, image: bpy.types.Image) -> bool:
    """Show a result in an open Image Editor. False where there is none that is free."""
    space = _free_image_editor(context)
    if space is not None:
        space.image = image
    return space is not None


def open_image_editor(image: bpy.types.Image) -> None:
    """Show a result where the user has renders open (Preferences > Interface > Temporary Editors), a little later.

    Not at once: an operator that opens a window while it runs loses its undo step (4.3, 5.2).
    """
    name, address = image.name, bpy.context.window.as_pointer()

    def open_now() -> None:
        found, windows = bpy.data.images.get(name), bpy.context.window_manager.windows
        if found is None:
            return
        window = next((window for window in windows if window.as_pointer() == address), windows[0])
        with bpy.context.temp_override(window=window):
            bpy.ops.render.view_show("INVOKE_DEFAULT")
        show_in_image_editor(bpy.context, found)

    bpy.app.timers.register(open_now, first_interval=0)


def _free_image_editor(context: bpy.types.Context) -> bpy.types.SpaceImageEditor | None:
    """An Image Editor that may change its picture: one with a result before an empty one before any."""
    windows = sorted(context.window_manager.windows, key=lambda window: window != context.window)
    areas = [area for window in windows for area in window.screen.areas if area.ui_type == "IMAGE_EDITOR"]
    spaces = [area.spaces.active for area in areas if not area.spaces.active.use_image_pin]
    return min(spaces, key=lambda space: 0 if is_result(space.image) else 1 if space.image is None else 2, default=None)
