"""Photos as the model needs them, each together with its camera: undistorted, cropped, resized by OpenCV."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ..errors import LOCATE_PHOTOS, CaptureError
from ..main_memory import free_main_memory
from ..scene.camera import Camera, Distortion, View, cropped, is_of_shape, resized, square_pixels
from ..scene.srgb import to_linear, to_srgb
from .image_files import Decoded, decode_file, step_to

# What transparent photos are laid over where nobody says more.
WHITE = (1.0, 1.0, 1.0)
# OpenCV's remap counts in 16 bits.
MAX_REMAPPED_SIDE = 32766
# Values of a photo that become floats at a time.
VALUES_AT_ONCE = 2**22


def load_photo(
    view: View,
    background: tuple[float, float, float],
    side: int | None = None,
    free_bytes: Callable[[], float | None] = free_main_memory,
) -> tuple[np.ndarray, Camera]:
    """A view's photo (H, W, 3) without lens distortion, with square pixels, and the camera of that picture.

    background: sRGB-encoded; RGBA photos, and what a mask leaves out, are laid over it in linear light. side: how many pixels
    a side are wanted of the photo, at most: one of more than twice as many comes smaller, and much sooner; None: as it is. A
    photo smaller or larger than its camera says, but of the same shape, keeps its pixels and gets the camera scaled.
    free_bytes: tells how much main memory may be taken; None where that is not known.
    Raises CaptureError for a photo that is missing, unreadable, or of another shape than its camera; DeviceError for one
    that does not fit into memory.
    """
    image, _, camera = load_cut_out(view, background, side, free_bytes)
    return image, camera


def load_cut_out(
    view: View,
    background: tuple[float, float, float],
    side: int | None = None,
    free_bytes: Callable[[], float | None] = free_main_memory,
) -> tuple[np.ndarray, np.ndarray | None, Camera]:
    """What load_photo gives, and between its picture and its camera the alpha (H, W) float32 of a photo that has any, or a
    mask: None of others. Raises what load_photo raises."""
    decoded = _decode(view, side, free_bytes())
    pixels = _masked(decoded.pixels, view, free_bytes())
    step = step_to(pixels.shape[1], pixels.shape[0], side)
    image, alpha = _as_floats(pixels, background, step)
    camera = _shrunk(_camera_of_size(view, *decoded.size), decoded.step * step, image.shape[1], image.shape[0])
    straight = square_pixels(camera)
    if view.distortion is None and straight is camera:
        return image, alpha, camera
    if max(*image.shape[:2], straight.height) > MAX_REMAPPED_SIDE:
        raise CaptureError(
            f"{view.name}: a photo of {camera.width}x{camera.height} pixels is too large for its lens to be straightened:"
            f" shrink it to at most {MAX_REMAPPED_SIDE} pixels a side."
        )
    straightened = [
        None if plane is None else _undistorted(plane, camera, view.distortion, straight) for plane in (image, alpha)
    ]
    assert straightened[0] is not None
    return straightened[0], straightened[1], straight


def _decode(view: View, side: int | None, free: float | None) -> Decoded:
    """The photo; whole where it has a mask, whose pixels are to lie over its own."""
    if view.photo is None:
        raise CaptureError(f"{view.name} has no photo: give it one, or leave it out.", LOCATE_PHOTOS)
    if not isinstance(view.photo, np.ndarray) or view.photo.ndim == 1:
        return _decode_file(view.photo, view, "photo", side if view.mask is None else None, free)
    if view.photo.ndim != 3 or view.photo.shape[2] not in (3, 4) or view.photo.dtype != np.uint8:
        raise CaptureError(
            f"{view.name}: the photo is an array {view.photo.shape} of {view.photo.dtype}: give (H, W, 3 or 4) uint8."
        )
    return Decoded(view.photo, (view.photo.shape[1], view.photo.shape[0]), 1)


def _masked(pixels: np.ndarray, view: View, free: float | None) -> np.ndarray:
    """The photo (H, W, 3 or 4) uint8, transparent where its mask leaves it out: (H, W, 4) where there is a mask."""
    if view.mask is None:
        return pixels
    is_file = not isinstance(view.mask, np.ndarray) or view.mask.ndim == 1
    mask = _decode_file(view.mask, view, "mask", None, free).pixels[..., 0] if is_file else np.asarray(view.mask)
    height, width = pixels.shape[:2]
    if mask.ndim != 2 or mask.dtype != np.uint8 or not is_of_shape((width, height), mask.shape[::-1]):
        raise CaptureError(
            f"{view.name}: the mask is {mask.shape} of {mask.dtype} and its photo ({height}, {width}): use the photo's own,"
            " (H, W) uint8."
        )
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    alpha = mask if pixels.shape[2] == 3 else np.rint(mask * (pixels[..., 3] / 255)).astype(np.uint8)
    return np.dstack([pixels[..., :3], alpha])


def _decode_file(source: Path | np.ndarray, view: View, role: str, side: int | None, free: float | None) -> Decoded:
    """An image file, or its bytes (N,). role: "photo" or "mask", for messages; free: bytes."""
    return decode_file(source, f"the {role} of {view.name}", view.camera.width > view.camera.height, side, free)


def _camera_of_size(view: View, width: int, height: int) -> Camera:
    """The view's camera for a photo of this size."""
    camera = view.camera
    if (camera.width, camera.height) == (width, height):
        return camera
    if not is_of_shape((width, height), (camera.width, camera.height)):
        raise CaptureError(
            f"{view.name}: the photo has {width}x{height} pixels and its camera {camera.width}x{camera.height}:"
            " use the photo that the camera was solved with.",
            LOCATE_PHOTOS,
        )
    return resized(camera, width, height)


def _shrunk(camera: Camera, step: int, width: int, height: int) -> Camera:
    """The camera of a picture of which each step x step pixels became one, from the first on, width x height in all."""
    return camera if step == 1 else resized(cropped(camera, 0, 0, width * step, height * step), width, height)


def _as_floats(
    pixels: np.ndarray, background: tuple[float, float, float], step: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (H, W, 3 or 4) uint8 over the background: (h, w, 3) float32, and the alpha (h, w) if there is any.

    Each is the mean of step x step pixels; what is left over at the right and the bottom is left out. Some rows at a time:
    a whole photo in floats takes gigabytes.
    """
    height, width = pixels.shape[0] // step, pixels.shape[1] // step
    has_alpha = pixels.shape[2] == 4
    image = np.empty((height, width, 3), np.float32)
    alpha = np.empty((height, width), np.float32) if has_alpha else None
    rows_at_once = max(1, VALUES_AT_ONCE // pixels[:step].size)
    for top in range(0, height, rows_at_once):
        rows = slice(top, min(height, top + rows_at_once))
        band = pixels[rows.start * step : rows.stop * step, : width * step]
        colours = _over_background(band, background) if has_alpha else band.astype(np.float32) / 255
        image[rows] = _means(colours, step)
        if alpha is not None:
            alpha[rows] = _means(band[..., 3].astype(np.float32) / 255, step)
    return image, alpha


def _means(values: np.ndarray, step: int) -> np.ndarray:
    """Of each step x step values of (H, W, ...) float32, whose sides it divides."""
    size = (values.shape[1] // step, values.shape[0] // step)
    return values if step == 1 else cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def _over_background(pixels: np.ndarray, background: tuple[float, float, float]) -> np.ndarray:
    """Straight-alpha RGBA (H, W, 4) uint8 over a colour, mixed in linear light: (H, W, 3) float32."""
    image = pixels[..., :3].astype(np.float32) / 255
    image[pixels[..., 3] == 0] = background
    mixed = (pixels[..., 3] > 0) & (pixels[..., 3] < 255)
    alpha = pixels[mixed][:, 3:].astype(np.float32) / 255
    image[mixed] = to_srgb(to_linear(image[mixed]) * alpha + to_linear(np.array(background, np.float32)) * (1 - alpha))
    return image


def _undistorted(image: np.ndarray, camera: Camera, distortion: Distortion | None, straight: Camera) -> np.ndarray:
    """A photo (H, W) or (H, W, 3) as a pinhole camera `straight` at the same place would have taken it; its edge goes on where
    it ends."""
    size = (straight.width, straight.height)
    matrix, new_matrix = _opencv_matrix(camera), _opencv_matrix(straight)
    if distortion is not None and distortion.kind == "fisheye":
        coefficients = np.array(distortion.coefficients)
        maps = cv2.fisheye.initUndistortRectifyMap(matrix, coefficients, np.eye(3), new_matrix, size, cv2.CV_32FC1)
    else:
        coefficients = np.array(distortion.coefficients if distortion else (0.0,) * 4)
        maps = cv2.initUndistortRectifyMap(matrix, coefficients, np.eye(3), new_matrix, size, cv2.CV_32FC1)
    return cv2.remap(image, *maps, interpolation=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).clip(0, 1)


def _opencv_matrix(camera: Camera) -> np.ndarray:
    """(3, 3) intrinsics in OpenCV's pixels, whose origin is the middle of the first pixel."""
    return np.array([[camera.fx, 0, camera.cx - 0.5], [0, camera.fy, camera.cy - 0.5], [0, 0, 1]])


def fit_photo(image: np.ndarray, camera: Camera, width: int, height: int) -> tuple[np.ndarray, Camera]:
    """The photo cut around its middle to the shape of (width, height) and resized to it, and its camera."""
    scale = min(camera.width / width, camera.height / height)
    crop_width, crop_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (camera.width - crop_width) // 2, (camera.height - crop_height) // 2
    window = image[top : top + crop_height, left : left + crop_width]
    camera = cropped(camera, left, top, crop_width, crop_height)
    return resize_image(window, width, height), resized(camera, width, height)


def resize_image(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W) or (H, W, 3) float32 -> (height, width, ...): area means when it shrinks, Lanczos when it grows."""
    if image.shape[:2] == (height, width):
        return image
    grows = width * height > image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_LANCZOS4 if grows else cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=interpolation).clip(0, 1)
