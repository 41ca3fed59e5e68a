"""Photos and their cameras stay together: what is done to one is done to the other."""

import io
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from lvsm_engine.errors import LOCATE_PHOTOS, CaptureError, DeviceError, OutputError
from lvsm_engine.photos import WHITE, contact_sheet, fit_photo, load_cut_out, load_photo, save_image
from lvsm_engine.scene.camera import Camera, Distortion, View, project
from lvsm_engine.scene.srgb import to_linear, to_srgb

BLACK = (0.0, 0.0, 0.0)
CAMERA = Camera(np.eye(4), 300.0, 300.0, 160.0, 120.0, 320, 240)
# Points (N, 3) in front of the camera, apart from each other in its image.
POINTS = np.array([[x, y, 2.0] for x in (-0.8, -0.3, 0.2, 0.7) for y in (-0.6, -0.1, 0.4)])


def photo_of_points(camera, distortion=None, radius=2.0):
    """A white photo with a soft dark dot at each point, as a lens with this distortion shows it."""
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    nothing = np.zeros(3)
    if distortion is None:
        pixels, _ = project(camera, POINTS)
    elif distortion.kind == "brown":
        pixels, _ = cv2.projectPoints(POINTS, nothing, nothing, matrix, np.array(distortion.coefficients))
    else:
        coefficients = np.array(distortion.coefficients)
        pixels, _ = cv2.fisheye.projectPoints(POINTS[:, None], nothing, nothing, matrix, coefficients)
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    image = np.ones((camera.height, camera.width))
    for u, v in pixels.reshape(-1, 2):
        image -= 0.9 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * radius**2))
    return np.rint(np.repeat(image.clip(0, 1)[..., None], 3, axis=2) * 255).astype(np.uint8)


def assert_dots_are_where_the_camera_projects_them(image, camera, tolerance=0.1):
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    darkness = 1 - image.mean(axis=2)
    for u, v in project(camera, POINTS)[0]:
        near = darkness * ((x - u) ** 2 + (y - v) ** 2 < 7**2)
        found = np.array([(near * x).sum(), (near * y).sum()]) / near.sum()
        np.testing.assert_allclose(found, [u, v], atol=tolerance)


def test_a_pinhole_photo_keeps_its_pixels():
    pixels = photo_of_points(CAMERA)
    image, camera = load_photo(View(CAMERA, pixels, "a"), WHITE)
    np.testing.assert_array_equal(image, pixels.astype(np.float32) / 255)
    assert camera is CAMERA
    assert_dots_are_where_the_camera_projects_them(image, camera)


@pytest.mark.parametrize(
    "distortion",
    [
        Distortion("brown", (0.1, -0.05, 0.01, -0.02)),
        Distortion("brown", (-0.2, 0.05, 0.0, 0.0, 0.01)),
        Distortion("fisheye", (0.05, -0.01, 0.002, 0.0)),
    ],
    ids=["barrel", "pincushion", "fisheye"],
)
def test_distortion_is_removed(distortion):
    photo = photo_of_points(CAMERA, distortion)
    image, camera = load_photo(View(CAMERA, photo, "a", distortion=distortion), WHITE)
    assert_dots_are_where_the_camera_projects_them(image, camera)
    with pytest.raises(AssertionError):  # the distorted photo itself is not where a pinhole projects
        assert_dots_are_where_the_camera_projects_them(photo / 255, CAMERA)


@pytest.mark.parametrize("distortion", [None, Distortion("brown", (0.1, -0.05, 0.01, -0.02))])
def test_pixels_become_square(distortion):
    flat = Camera(np.eye(4), 300.0, 250.0, 150.0, 110.0, 320, 240)
    image, camera = load_photo(View(flat, photo_of_points(flat, distortion), "a", distortion=distortion), WHITE)
    assert camera.fx == camera.fy == 300.0
    assert image.shape[:2] == (camera.height, camera.width) == (288, 320)
    assert_dots_are_where_the_camera_projects_them(image, camera)


@pytest.mark.parametrize("size", [(64, 64), (160, 120), (200, 90), (90, 120), (640, 480)])
def test_cropping_and_resizing_keep_points_on_their_pixels(size):
    image, camera = load_photo(View(CAMERA, photo_of_points(CAMERA), "a"), WHITE)
    fitted, fitted_camera = fit_photo(image, camera, *size)
    assert fitted.shape == (size[1], size[0], 3)
    scale = fitted_camera.fx / camera.fx
    darkness = 1 - fitted.mean(axis=2)
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    radius, seen = 7 * max(scale, 0.3), 0
    for u, v in project(fitted_camera, POINTS)[0]:
        if not (radius < u < size[0] - radius and radius < v < size[1] - radius):
            continue
        near = darkness * ((x - u) ** 2 + (y - v) ** 2 < radius**2)
        np.testing.assert_allclose([(near * x).sum() / near.sum(), (near * y).sum() / near.sum()], [u, v], atol=0.25)
        seen += 1
    assert seen >= 3


def test_a_shrunk_photo_gets_its_camera_shrunk():
    pixels = photo_of_points(CAMERA)[::2, ::2]
    _, camera = load_photo(View(CAMERA, pixels, "a"), WHITE)
    assert (camera.width, camera.height, camera.fx, camera.cx) == (160, 120, 150.0, 80.0)


@pytest.mark.parametrize("lens", [None, Distortion("brown", (-0.1, 0.02, 0.001, 0.0))], ids=["pinhole", "lens"])
@pytest.mark.parametrize("size", [(2560, 1920), (2557, 1913)], ids=["divisible", "not divisible"])
@pytest.mark.parametrize("kind", ["jpg", "png", "png with alpha", "mask", "pixels"])
def test_a_photo_of_which_less_is_wanted_comes_smaller_with_its_camera(tmp_path, kind, size, lens):
    large = Camera(np.eye(4), 2400.0, 2400.0, 1280.0, 960.0, *size)
    pixels, path = photo_of_points(large, lens, radius=16.0), tmp_path / f"a.{kind[:3]}"
    opaque = np.full(pixels.shape[:2], 255, np.uint8)
    if kind == "png with alpha":
        pixels = np.dstack([pixels, opaque])
    if kind in ("mask", "pixels"):
        view = View(large, pixels, "a", opaque if kind == "mask" else None, lens)
    else:
        Image.fromarray(pixels).save(path, **({"quality": 95} if kind == "jpg" else {"compress_level": 1}))
        view = View(large, path, "a", None, lens)
    image, alpha, camera = load_cut_out(view, WHITE, 200)
    assert 400 <= min(image.shape[:2]) < 600 and image.shape[:2] == (camera.height, camera.width)
    assert (alpha is not None) == (kind in ("png with alpha", "mask"))
    if alpha is not None:
        assert alpha.shape == image.shape[:2] and alpha.min() > 0.999
    assert_dots_are_where_the_camera_projects_them(image, camera)


def test_edges_of_cut_outs_mix_in_linear_light_before_they_shrink():
    """Half of the pixels black, half of them at half alpha: as if the whole photo had been read."""
    pixels = np.zeros((800, 800, 4), np.uint8)
    pixels[..., 3] = np.where(np.arange(800) % 2, 255, 128)
    view = View(Camera(np.eye(4), 700, 700, 400, 400, 800, 800), pixels, "a")
    whole, whole_alpha, _ = load_cut_out(view, WHITE)
    small, alpha, _ = load_cut_out(view, WHITE, 100)
    assert small.shape == (200, 200, 3)
    np.testing.assert_allclose(small, whole.mean(), atol=1e-5)
    np.testing.assert_allclose(alpha, whole_alpha.mean(), atol=1e-5)


def test_a_huge_photo_of_which_little_is_wanted_takes_little_memory(tmp_path):
    Image.new("1", (8000, 8000)).save(tmp_path / "black.png")
    view = View(Camera(np.eye(4), 7000, 7000, 4000, 4000, 8000, 8000), tmp_path / "black.png", "a")
    assert load_photo(view, WHITE, 128, free_bytes=lambda: 8000 * 8000 * 17)[0].shape == (258, 258, 3)
    with pytest.raises(DeviceError, match="needs about 3.3 GB"):
        load_photo(view, WHITE, free_bytes=lambda: 8000 * 8000 * 17)


def test_transparent_photos_are_laid_over_the_background_in_linear_light():
    pixels = np.zeros((240, 320, 4), np.uint8)
    pixels[..., 3] = 128
    over_white, _ = load_photo(View(CAMERA, pixels, "a"), WHITE)
    np.testing.assert_allclose(over_white, to_srgb(np.float32(1 - 128 / 255)), atol=1e-6)
    assert over_white.mean() > 0.7  # mixed as encoded it would be 0.5
    np.testing.assert_allclose(load_photo(View(CAMERA, pixels, "a"), BLACK)[0], 0, atol=1e-6)


def test_srgb_and_linear_are_inverse():
    codes = (np.arange(256) / 255).astype(np.float32)
    np.testing.assert_allclose(to_srgb(to_linear(codes)), codes, atol=1e-5)


@pytest.mark.parametrize(("mode", "channels"), [("L", 3), ("P", 3), ("RGBA", 4), ("LA", 4), ("CMYK", 3), ("1", 3)])
def test_every_kind_of_image_file_is_read(tmp_path, mode, channels):
    path = tmp_path / f"photo \u0434.{'tif' if mode == 'CMYK' else 'png'}"
    Image.fromarray(photo_of_points(CAMERA)).convert(mode).save(path)
    image, _ = load_photo(View(CAMERA, path, "a"), WHITE)
    assert image.shape == (240, 320, 3)
    assert 0.5 < image.mean() < 1


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_the_bytes_of_an_image_file_are_a_photo(file_format):
    stored = io.BytesIO()
    Image.fromarray(photo_of_points(CAMERA)).save(stored, format=file_format, quality=95)
    encoded = np.frombuffer(stored.getvalue(), np.uint8)
    image, camera = load_photo(View(CAMERA, encoded, "packed"), WHITE)
    np.testing.assert_allclose(image, photo_of_points(CAMERA) / 255, atol=0 if file_format == "PNG" else 0.05)
    assert_dots_are_where_the_camera_projects_them(image, camera)
    with pytest.raises(CaptureError, match="^the photo of packed cannot be read"):
        load_photo(View(CAMERA, encoded[:200], "packed"), WHITE)


@pytest.mark.parametrize("name", ["grey.png", "grey.tif"])
def test_grey_of_16_bits_keeps_its_brightness(tmp_path, name):
    grey = photo_of_points(CAMERA)[..., 0]
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / name)
    image, _ = load_photo(View(CAMERA, tmp_path / name, "a"), WHITE)
    np.testing.assert_array_equal(image, np.repeat(grey[..., None], 3, axis=2).astype(np.float32) / 255)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pictures_of_32_bit_numbers_are_refused(tmp_path, dtype):
    Image.fromarray(photo_of_points(CAMERA)[..., 0].astype(dtype)).save(tmp_path / "a.tif")
    with pytest.raises(
        CaptureError, match=r"a\.tif: the photo of front cannot be read \(its pixels are 32-bit numbers"
    ):
        load_photo(View(CAMERA, tmp_path / "a.tif", "front"), WHITE)


@pytest.mark.parametrize("form", ["array", "file", "half size", "over alpha"])
def test_what_a_mask_leaves_out_is_laid_over_the_background(tmp_path, form):
    pixels, mask = np.full((240, 320, 3), 200, np.uint8), np.zeros((240, 320), np.uint8)
    mask[:, :160] = 255
    if form == "over alpha":
        pixels = np.dstack([pixels, np.full((240, 320), 255, np.uint8)])
        pixels[:120, :, 3] = 0
    given = mask[::2, ::2] if form == "half size" else mask
    if form == "file":
        Image.fromarray(mask).save(tmp_path / "mask.png")
        given = tmp_path / "mask.png"
    image, _ = load_photo(View(CAMERA, pixels, "a", given), BLACK)
    np.testing.assert_allclose(image[130:, :150], 200 / 255, atol=1e-5)
    np.testing.assert_allclose(image[:, 170:], 0, atol=1e-5)
    np.testing.assert_allclose(image[:110, :150], 0 if form == "over alpha" else 200 / 255, atol=1e-5)


def test_a_mask_of_another_shape_or_a_missing_one_is_refused(tmp_path):
    for mask, words in (
        (np.zeros((100, 100), np.uint8), "front: the mask is .* and its photo .*: use the photo's own"),
        (np.zeros((240, 320), bool), "front: the mask is .* of bool"),
        (tmp_path / "gone.png", "gone.png: the mask of front is missing"),
    ):
        with pytest.raises(CaptureError, match=words):
            load_photo(View(CAMERA, photo_of_points(CAMERA), "front", mask), WHITE)


def test_a_photo_too_large_for_opencv_to_straighten_is_refused():
    long = Camera(np.eye(4), 50.0, 50.0, 16384, 1, 32768, 2)
    view = View(long, np.zeros((2, 32768, 3), np.uint8), "panorama", distortion=Distortion("brown", (0.1, 0, 0, 0)))
    with pytest.raises(CaptureError, match="panorama: a photo of 32768x2 pixels is too large for its lens"):
        load_photo(view, WHITE)
    assert load_photo(View(long, view.photo, "panorama"), WHITE)[0].shape == (2, 32768, 3)


def test_what_cannot_be_a_photo_is_refused_with_its_name_and_a_way_out(tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("not a photo")
    cut = tmp_path / "cut.jpg"
    Image.fromarray(photo_of_points(CAMERA)).save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    for path, words in (
        (tmp_path / "gone.jpg", "gone.jpg: the photo of front is missing"),
        (text, "notes.jpg: the photo of front cannot be read"),
        (cut, "cut.jpg: the photo of front cannot be read"),
        (tmp_path, "the photo of front cannot be read"),
        (None, "front has no photo"),
    ):
        with pytest.raises(CaptureError, match=words) as caught:
            load_photo(View(CAMERA, path, "front"), WHITE)
        assert caught.value.remedy == LOCATE_PHOTOS


def test_a_photo_of_another_shape_than_its_camera_is_refused():
    with pytest.raises(CaptureError, match="front: the photo has 100x100 pixels and its camera 320x240") as caught:
        load_photo(View(CAMERA, np.zeros((100, 100, 3), np.uint8), "front"), WHITE)
    assert caught.value.remedy == LOCATE_PHOTOS
    with pytest.raises(CaptureError, match=r"front: the photo is an array \(5, 5\)"):
        load_photo(View(CAMERA, np.zeros((5, 5), np.uint8), "front"), WHITE)


@pytest.mark.parametrize("role", ["photo", "mask"])
def test_a_photo_that_does_not_fit_into_memory_is_refused_before_it_is_decoded(tmp_path, role):
    """A few kilobytes of black may be gigabytes of pixels."""
    path = tmp_path / "black.png"
    Image.new("1", (320, 240)).save(path)
    view = View(CAMERA, path, "front") if role == "photo" else View(CAMERA, photo_of_points(CAMERA), "front", path)
    assert load_photo(view, WHITE, free_bytes=lambda: 320 * 240 * 60)[0].shape == (240, 320, 3)
    with pytest.raises(DeviceError, match=f"black.png: the {role} of front needs about 0.0 GB, .*: shrink it"):
        load_photo(view, WHITE, free_bytes=lambda: 320 * 240 * 20)
    assert load_photo(view, WHITE, free_bytes=lambda: None)[0].shape == (240, 320, 3)


def test_saved_pictures_are_exact_and_whole_or_absent(tmp_path):
    image = np.arange(256, dtype=np.float32).repeat(3).reshape(16, 16, 3) / 255
    save_image(tmp_path / "a b \u0434.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a b \u0434.png")), np.rint(image * 255))
    with pytest.raises(OutputError, match="cannot be written"):
        save_image(tmp_path / "missing" / "a.png", image)
    assert os.listdir(tmp_path) == ["a b \u0434.png"]


def test_a_contact_sheet_shows_rows_of_any_size(tmp_path):
    rows = [[np.zeros((20, 30, 3), np.float32)] * 3, [np.full((200, 100, 3), 255, np.uint8)]]
    contact_sheet(rows, ["first", "second"], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 3 * 240
        assert sheet.height > 2 * 160


def test_a_panorama_of_one_row_makes_no_endless_contact_sheet(tmp_path):
    contact_sheet([[np.zeros((1, 10000, 3), np.uint8)]], ["thin"], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width < 2000 and sheet.height < 300
