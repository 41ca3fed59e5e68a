"""lvsm render: its arguments. The work is capture_render.py's, which is loaded when it begins."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Render:
    """Synthesize photos of a capture from others of its photos, and compare with the truth."""

    capture: Path
    """A folder or file with posed photos: transforms.json, opencv_cameras.json, COLMAP, Metashape, and others (README)."""
    inputs: str
    """Positions of the input views in the capture's frame list, such as 0,4,9 (the first is 0)."""
    targets: str
    """Positions of the views to synthesize, such as 2,7."""
    out: Path
    """Folder for 0002.png (named by position), report.json and sheet.png."""
    model: str = "default"
    """A model's file, ours or published; or a known one by its name (lvsm models)."""
    subject: tuple[float, float, float, float] | None = None
    """The middle X Y Z of what the photos are of, and half of its longest side, in the capture's units; found by itself else."""
    detail: bool = True
    """Sharpen the model's pictures by the photos nearest to each target."""
    device: str = "auto"
    """auto, cuda or cpu."""
    precision: str = "auto"
    """auto, float32 or bfloat16."""

    def run(self) -> int:
        """Raises CaptureError, CameraError, CheckpointError, DeviceError, OutputError."""
        from ..scene.subject import Subject
        from ..synthesizer import Synthesizer
        from .capture_render import render_capture

        def load() -> Synthesizer:
            return Synthesizer.load(self.model, self.device, self.precision)

        subject = None if self.subject is None else Subject(self.subject[:3], self.subject[3])
        render_capture(self.capture, self.inputs, self.targets, self.out, load, self.detail, subject)
        return 0
