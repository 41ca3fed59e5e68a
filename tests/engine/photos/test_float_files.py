"""Pictures of scene-linear floats become photos."""

import sys

import cv2
import numpy as np
import OpenEXR
import pytest

from lvsm_engine.errors import CaptureError, DeviceError
from lvsm_engine.photos import WHITE, load_cut_out, load_photo
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.scene.picture_formats import picture_size
from lvsm_engine.scene.srgb import to_linear

CAMERA = Camera(np.eye(4), 40.0, 40.0, 24.0, 16.0, 48, 32)
COLOURS = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
LIGHT = to_linear(COLOURS / 255).astype(np.float32)


def save_exr(path, channels, **header):
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
    OpenEXR.File(header, channels).write(str(path))
    return path


def loaded(photo):
    return load_photo(View(CAMERA, photo, "front"), WHITE)[0] * 255


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_scene_linear_light_is_encoded(tmp_path, dtype, as_bytes):
    path = save_exr(tmp_path / "a.exr", {"RGB": LIGHT.astype(dtype)})
    photo = np.fromfile(path, np.uint8) if as_bytes else path
    assert np.abs(loaded(photo) - COLOURS).max() <= (0.01 if dtype == np.float32 else 1)
    assert picture_size(path) == (48, 32)


def test_radiance_files_are_read(tmp_path):
    cv2.imwrite(str(tmp_path / "a.hdr"), LIGHT[..., ::-1])
    assert np.abs(loaded(tmp_path / "a.hdr") - COLOURS).mean() < 1
    assert picture_size(tmp_path / "a.hdr") == (48, 32)


def test_colours_multiplied_by_alpha_are_divided_by_it(tmp_path):
    alpha = np.full((32, 48, 1), 0.5, np.float32)
    alpha[:, 24:] = 0
    path = save_exr(tmp_path / "a.exr", {"RGBA": np.concatenate([LIGHT * alpha, alpha], axis=2)})
    _, seen, _ = load_cut_out(View(CAMERA, path, "front"), WHITE)
    np.testing.assert_allclose(seen, alpha[..., 0], atol=0.003)
    black = load_photo(View(CAMERA, path, "front"), (0.0, 0.0, 0.0))[0]
    assert np.abs(to_linear(black[:, :24]) - LIGHT[:, :24] * 0.5).max() < 0.01
    assert black[:, 24:].max() == 0


def test_one_channel_is_grey_and_what_is_no_number_is_black(tmp_path):
    light = LIGHT[..., 0].copy()
    light[0, :3] = np.nan, np.inf, -1
    image = loaded(save_exr(tmp_path / "a.exr", {"Y": light}))
    np.testing.assert_allclose(image[0, :3, 0], [0, 255, 0], atol=0.01)
    assert np.abs(image[1:] - COLOURS[1:, :, :1]).max() < 0.01


def test_an_exr_of_layers_or_of_a_larger_picture_is_refused(tmp_path):
    layers = save_exr(tmp_path / "layers.exr", {"ViewLayer.Combined.V": LIGHT[..., 0]})
    with pytest.raises(
        CaptureError, match=r"layers.exr: the photo of front cannot be read \(it has no channels R, G and B"
    ):
        loaded(layers)
    window = (np.array([0, 0], np.int32), np.array([99, 99], np.int32))
    cut = save_exr(tmp_path / "cut.exr", {"RGB": LIGHT}, displayWindow=window)
    with pytest.raises(
        CaptureError, match=r"cut.exr: the photo of front cannot be read \(it keeps more or less than its"
    ):
        loaded(cut)


def test_without_its_package_an_exr_is_refused_by_name(tmp_path, monkeypatch):
    path = save_exr(tmp_path / "a.exr", {"RGB": LIGHT})
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(
        CaptureError, match=r"a.exr: .* \(it is an OpenEXR file: install the package OpenEXR, or save it"
    ):
        loaded(path)


def test_an_exr_that_claims_too_much_is_refused_before_it_is_decoded(tmp_path):
    path = save_exr(tmp_path / "a.exr", {"RGB": LIGHT})
    with pytest.raises(DeviceError, match="a.exr: the photo of front needs about"):
        load_photo(View(CAMERA, path, "front"), WHITE, free_bytes=lambda: 1000)
    content = path.read_bytes()
    end = np.array([0, 0, 47, 31], "<i4").tobytes()
    assert content.count(end) == 2
    path.write_bytes(content.replace(end, np.array([0, 0, 99999, 99999], "<i4").tobytes()))
    with pytest.raises(CaptureError, match="100000x100000 pixels are more than the 300 million"):
        loaded(path)
