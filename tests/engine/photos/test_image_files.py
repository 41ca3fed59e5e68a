"""Image files of any kind become a photo or a sentence, soon, whatever is in them."""

import contextlib
import io
import os
import resource
import struct
import sys
import time

import numpy as np
import pytest
from PIL import Image

from lvsm_engine.errors import CaptureError, DeviceError
from lvsm_engine.photos import WHITE, load_photo
from lvsm_engine.scene.camera import Camera, View
from lvsm_engine.scene.picture_formats import picture_size
from tests.fuzz.damage import damaged_bytes

CAMERA = Camera(np.eye(4), 40.0, 40.0, 24.0, 16.0, 48, 32)
RAMP = np.indices((32, 48)).sum(axis=0)[..., None] * np.array([3, 2, 1]) + 20
PICTURE = Image.fromarray(RAMP.astype(np.uint8))


def encoded(file_format, picture=PICTURE, **options):
    stored = io.BytesIO()
    picture.save(stored, file_format, **options)
    return stored.getvalue()


def loaded(content, camera=CAMERA):
    return load_photo(View(camera, np.frombuffer(content, np.uint8), "front"), WHITE)[0] * 255


def refusal(content, camera=CAMERA):
    with pytest.raises(CaptureError) as caught:
        loaded(content, camera)
    return str(caught.value)


def is_plain(sentence):
    return sentence.isprintable() and sentence.endswith(".") and len(sentence) < 400 and "<" not in sentence


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "JPEG2000", "PPM", "AVIF", "MPO"])
def test_what_cameras_and_editors_write_is_read(file_format):
    assert np.abs(loaded(encoded(file_format)) - RAMP).mean() < 6


def test_targa_is_told_by_its_ending(tmp_path):
    (tmp_path / "a.TGA").write_bytes(encoded("TGA"))
    assert np.abs(load_photo(View(CAMERA, tmp_path / "a.TGA", "front"), WHITE)[0] * 255 - RAMP).max() < 0.01


def test_the_format_is_what_the_file_is_not_what_it_is_called(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded("JPEG", quality=95))
    assert load_photo(View(CAMERA, tmp_path / "a.png", "front"), WHITE)[0].shape == (32, 48, 3)


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "it is a PostScript file: save it as PNG or JPEG"),
        (b"\xc5\xd0\xd3\xc6" + b"\0" * 28, "it is a PostScript file"),
        (b"%PDF-1.7\n", "it is a PDF file"),
        (b"\xff\x0a\xff\xff", "it is a JPEG XL file"),
        (b"SDPX", "it is a DPX file"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "it is a camera's raw file"),
        (b"\0\0\0\x18ftypisom\0\0\0\1", "it is a video file"),
        (b"", "it is empty"),
        (b"\x1b[2Jhello", "it is in no known format of pictures"),
        (b"\x89PNG\r\n\x1a\n", "it is cut short, damaged, or of an unusual kind of PNG"),
    ],
)
def test_what_is_no_photo_is_told_by_name(beginning, words):
    assert words in refusal(beginning) and is_plain(refusal(beginning))


def test_a_camera_s_raw_file_is_not_taken_for_its_preview():
    assert "it is a camera's raw file: develop it" in refusal(encoded("TIFF", tiffinfo={254: 1}))


def test_a_photo_of_several_pictures_is_its_first():
    other = Image.new("RGB", PICTURE.size, "red")
    for file_format in ("GIF", "WEBP", "TIFF", "PNG", "MPO", "AVIF"):
        content = encoded(file_format, save_all=True, append_images=[other])
        assert np.abs(loaded(content) - RAMP).mean() < 6, file_format


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])  # the second is turned by Pillow itself
def test_a_photo_is_turned_as_exif_says_where_only_so_it_fits_its_camera(file_format, tmp_path):
    upright = Camera(np.eye(4), 40.0, 40.0, 16.0, 24.0, 32, 48)
    turns = {
        5: RAMP.transpose(1, 0, 2),
        6: np.rot90(RAMP, -1),
        7: np.rot90(RAMP, 2).transpose(1, 0, 2),
        8: np.rot90(RAMP),
    }
    exif = Image.Exif()
    for number in range(1, 9):
        exif[0x0112] = number
        content = encoded(file_format, exif=exif)
        (tmp_path / "a").write_bytes(content)
        assert picture_size(tmp_path / "a") == (48, 32)
        np.testing.assert_allclose(loaded(content), RAMP, atol=1e-3)
        if number in turns:
            np.testing.assert_allclose(loaded(content, upright), turns[number], atol=1e-3)
        else:
            assert "the photo has 48x32 pixels and its camera 32x48" in refusal(content, upright)


def test_heic_is_read_by_its_plug_in():
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    assert np.abs(loaded(encoded("HEIF", quality=95)) - RAMP).mean() < 2


def test_heic_without_its_plug_in_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    sentence = refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100)
    assert "(it is a HEIC file: install the package pillow-heif, or save it as JPEG)" in sentence


def test_pipes_and_folders_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "a.png", "it is a device, a pipe or a socket")):
        with pytest.raises(CaptureError, match=rf"the photo of front cannot be read \({reason}\)"):
            load_photo(View(CAMERA, path, "front"), WHITE)
        with pytest.raises(OSError, match=reason):
            picture_size(path)


def test_a_name_of_escape_codes_does_not_reach_the_terminal(tmp_path):
    path = tmp_path / "\x1b]0;owned\x07\x1b[2J\n\u202egnp.png"
    path.write_bytes(b"no picture")
    for name in ("front\x1b[31m", "x" * 100_000):
        with pytest.raises(CaptureError) as caught:
            load_photo(View(CAMERA, path, name), WHITE)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 2100
        assert str(caught.value).endswith("leave the view out.")


def psd(picture):
    """A Photoshop file of one plain picture: Pillow reads it, and writes none."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, picture.height, picture.width, 8, 3)
    return head + b"\0" * 14 + b"".join(band.tobytes() for band in picture.split())


def most_memory():
    """Bytes, of the whole process, at their most yet."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "JPEG2000", "PPM", "PSD", "AVIF"])
def test_a_damaged_photo_is_a_photo_or_a_sentence(file_format):
    """Of the processor's time and of memory, no more than its size is worth."""
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if file_format in ("PNG", "JPEG", "TIFF", "WEBP", "AVIF") else {}
    content = psd(PICTURE) if file_format == "PSD" else encoded(file_format, **options)
    assert loaded(content).shape == (32, 48, 3)
    rng = np.random.default_rng(0)
    upright = Camera(np.eye(4), 40.0, 40.0, 16.0, 24.0, 32, 48)
    began, held = time.process_time(), most_memory()
    for _ in range(200):
        with contextlib.suppress(DeviceError):
            some = View(
                (CAMERA, upright)[int(rng.integers(2))], np.frombuffer(damaged_bytes(content, rng), np.uint8), "front"
            )
            try:
                load_photo(some, WHITE, free_bytes=lambda: 30e6)
            except CaptureError as error:
                assert is_plain(str(error))
    assert time.process_time() - began < 20
    assert most_memory() - held < 200e6
