"""Pictures of the add-on in windows of real Blenders, into screenshots/, and the manual's, into docs/pictures/: what
`make screenshots` runs.

    python tests/blender/screenshots.py [VERSION ...]

The engine is the real one, on this Python, with the sample capture; only the failures are the tests' fake engine's.
Needs ../shared/tools/real_blender, as root.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import build_extension
from tests.blender.conftest import BLENDERS, Blender
from tests.blender.fake_engine import fake_environment
from tests.shared_data import ROOT

CAPTURE = ROOT / "training" / "sample_capture" / "transforms.json"
TOUR_BLENDER, TOUR_PICTURES = "5.2", ROOT / "docs" / "pictures"


def main() -> None:
    folder = ROOT / "screenshots"
    folder.mkdir(exist_ok=True)
    TOUR_PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        extension = build_extension.build(Path(temporary))
        for name in sys.argv[1:] or BLENDERS:
            blender = Blender(name, Path(temporary) / name)
            options = ["-b", "--command", "extension", "install-file", "-r", "user_default", "--enable", extension]
            blender.execute([*blender.command, *options])
            fake_python = fake_environment(Path(temporary))["LVSM_PYTHON"]
            env = {"LVSM_PYTHON": sys.executable}
            print(blender.run("screenshots.py", folder, CAPTURE, fake_python, window=True, env=env))
            if name == TOUR_BLENDER:
                print(blender.run("tour.py", TOUR_PICTURES, CAPTURE, window=True, env=env))


if __name__ == "__main__":
    main()
