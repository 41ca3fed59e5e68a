"""Cameras that Agisoft Metashape exported as XML (File > Export > Export Cameras, "Agisoft XML").

By Metashape's user manual, appendix "Camera models": `transform` is camera to world in the chunk's own space, with OpenCV
axes; the component's or else the chunk's transform takes it to the world. cx and cy count from the picture's middle, b1 is
fx - fy, and p1 and p2 are OpenCV's p2 and p1.
"""

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from ...errors import CaptureError
from ..camera import Camera, Distortion
from .capture import Capture, Found, PhotoSize, reading, without_scale
from .frames import Frame, capture_of, file_name, of_different_photos, whole

NAME = "Metashape XML"
PATTERNS = ("*.xml",)
# A capture of ten thousand photos has 10 MB.
MAX_BYTES = 200 * 2**20
# Where in a file it says what it is.
HEAD_BYTES = 2**16
# How far a skew (b2) may move the picture's edge, in pixels, and be left out.
SKEW_TOLERANCE = 1.0
SHOWN_NAMES = 3
COMPONENT = "component_id"


class _Refusing(ElementTree.TreeBuilder):
    """A document type can define entities that grow without end; Metashape writes none."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a document type, which these files do not have")


def in_folder(folder: Path) -> Found | None:
    """The first of the folder's XML files that is Metashape's."""
    return next((Found((path,)) for path in sorted(folder.glob("*.xml")) if of_file(path)), None)


def of_file(path: Path) -> tuple[Path, ...]:
    """The file, where it is XML with a document of chunks."""
    if path.suffix.lower() != ".xml" or not path.is_file():
        return ()
    with reading(path, "its head"), open(path, "rb") as file:
        head = file.read(HEAD_BYTES).replace(b"\0", b"")  # UTF-16, too
    return (path,) if b"<document" in head and b"<chunk" in head else ()


def read(files: tuple[Path, ...], photo_size: PhotoSize) -> Capture:
    """The aligned and enabled cameras of the largest component. Raises CaptureError, CameraError."""
    (file,) = files
    chunk, others = _largest_chunk(_root(file), file)
    sensors = {sensor.get("id"): sensor for sensor in chunk.iterfind("sensors/sensor")}
    cameras = list(chunk.iterfind("cameras//camera"))
    aligned = [camera for camera in cameras if _is_aligned(camera)]
    enabled = [camera for camera in aligned if _is_enabled(camera)]
    component, chosen = _largest_component(enabled)
    with reading(file, f"component {component or 0}"):
        to_world = _to_world(chunk, component)
    warnings = (
        *others,
        *_left_out("are not aligned", [camera for camera in cameras if not _is_aligned(camera)]),
        *_left_out("are disabled", [camera for camera in aligned if not _is_enabled(camera)]),
        *_left_out("belong to other components", [camera for camera in enabled if camera.get(COMPONENT) != component]),
    )
    if not chosen:
        raise CaptureError(
            f"{file} has no aligned camera that is enabled: align the photos and export the cameras again."
        )
    frames = of_different_photos([_frame(file, camera, sensors, to_world) for camera in chosen])
    return capture_of(frames, [file.parent], photo_size, warnings=warnings)


def _root(file: Path) -> Element:
    with reading(file, "its XML"):
        if file.stat().st_size > MAX_BYTES:
            raise CaptureError(f"it is larger than {MAX_BYTES // 2**20} MB: it is no list of cameras.")
        try:
            return ElementTree.parse(file, ElementTree.XMLParser(target=_Refusing())).getroot()
        except (ElementTree.ParseError, LookupError) as error:
            raise CaptureError(f"it is damaged ({error}): export the cameras again.") from error


def _largest_chunk(root: Element, file: Path) -> tuple[Element, tuple[str, ...]]:
    """The chunk with most aligned cameras, and a warning where there are several."""
    chunks = list(root.iter("chunk"))
    if not chunks:
        raise CaptureError(f"{file} has no chunk: export the cameras again.")
    largest = max(chunks, key=lambda chunk: len(chunk.findall("cameras//camera/transform")))
    others = [chunk.get("label", "?") for chunk in chunks if chunk is not largest]
    warning = (
        f"Of the chunks of {file}, {largest.get('label', '?')} was read, and not {', '.join(others[:SHOWN_NAMES])}."
    )
    return largest, (warning,) if others else ()


def _is_aligned(camera: Element) -> bool:
    return camera.find("transform") is not None


def _is_enabled(camera: Element) -> bool:
    return camera.get("enabled", "true").lower() not in ("false", "0")


def _largest_component(cameras: list[Element]) -> tuple[str | None, list[Element]]:
    """Components were solved apart: the one with most cameras, and these."""
    components: dict[str | None, list[Element]] = {}
    for camera in cameras:
        components.setdefault(camera.get(COMPONENT), []).append(camera)
    return max(components.items(), key=lambda item: len(item[1]), default=(None, []))


def _left_out(why: str, cameras: list[Element]) -> tuple[str, ...]:
    labels = [camera.get("label", "?") for camera in cameras]
    shown = ", ".join(labels[:SHOWN_NAMES]) + (", ..." if len(labels) > SHOWN_NAMES else "")
    return (f"{len(labels)} cameras {why} in Metashape and are left out: {shown}.",) if labels else ()


def _to_world(chunk: Element, component: str | None) -> tuple[float, np.ndarray]:
    """The scale, and the rotation with translation (4, 4), that take the chunk's own space to the world."""
    components = (each for each in chunk.iterfind("components/component") if each.get("id") == component)
    own = next((each.find("transform") for each in components), None)
    transform = own if own is not None else chunk.find("transform")
    rigid = np.eye(4)
    if transform is None:
        return 1.0, rigid
    rigid[:3, :3] = _numbers(transform, "rotation", np.eye(3).ravel()).reshape(3, 3)
    rigid[:3, 3] = _numbers(transform, "translation", np.zeros(3))
    (scale,) = _numbers(transform, "scale", np.ones(1))
    return float(scale), rigid


def _numbers(parent: Element, name: str, default: np.ndarray) -> np.ndarray:
    """The numbers of an element, as many as the default has. Raises ValueError."""
    text = parent.findtext(name)
    numbers = default if text is None else np.array([float(word) for word in text.split()])
    if numbers.shape != default.shape:
        raise ValueError(f"{name} has {len(numbers)} numbers where {len(default)} are wanted")
    return numbers


def _frame(
    file: Path, camera: Element, sensors: dict[str | None, Element], to_world: tuple[float, np.ndarray]
) -> Frame:
    label = camera.get("label", "")
    place = f"camera {label or camera.get('id', '?')}"
    with reading(file, place):
        sensor = sensors[camera.get("sensor_id")]
        calibration = _calibration(sensor)
        resolution = calibration.find("resolution")
        resolution = resolution if resolution is not None else sensor.find("resolution")
        if resolution is None:
            raise CaptureError("its sensor has no resolution: export the cameras again.")
        size = whole(resolution.get("width", "nan")), whole(resolution.get("height", "nan"))
        scale, rigid = to_world
        own = _numbers(camera, "transform", np.zeros(16)).reshape(4, 4)
        own[:3, 3] *= scale
        pose = without_scale(rigid @ own)
        return Frame(file, place, file_name(label), size, lambda width, height: _lens(calibration, pose, width, height))


def _calibration(sensor: Element) -> Element:
    """The sensor's adjusted calibration, or else its first. Raises CaptureError."""
    calibrations = sensor.findall("calibration")
    if not calibrations:
        raise CaptureError(
            f"its sensor {sensor.get('label', '?')} has no calibration: align the photos and export again."
        )
    return next((each for each in calibrations if each.get("class") == "adjusted"), calibrations[0])


def _lens(calibration: Element, pose: np.ndarray, width: int, height: int) -> tuple[Camera, Distortion | None]:
    names = ("f", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4")
    f, cx, cy, b1, b2, k1, k2, k3, k4, p1, p2, p3, p4 = (float(calibration.findtext(name, "0")) for name in names)
    camera = Camera(pose, f + b1, f, width / 2 + cx, height / 2 + cy, width, height)
    if abs(b2) * height / (2 * f) > SKEW_TOLERANCE or p3 or p4:
        raise CaptureError("its lens has a skew (b2) or p3 or p4, which are not supported: optimize without them.")
    kind = calibration.get("type", "frame")
    if kind == "fisheye" and not (p1 or p2):
        return camera, Distortion("fisheye", (k1, k2, k3, k4))
    if kind != "frame" or k4:
        raise CaptureError(
            f"its lens of the type {kind}{' with k4' if k4 else ''} is not supported: optimize as frame without k4, or as fisheye"
            " without p1 and p2."
        )
    brown = (k1, k2, p2, p1, k3)
    return camera, Distortion("brown", brown) if any(brown) else None
