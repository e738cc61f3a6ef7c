"""Loading the landmark models leaves matplotlib as it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

BARE = """
import sys
{before}
from equime.face import landmarks
landmarks.models()
assert "matplotlib.pyplot" not in sys.modules, "imported without need"
assert ("matplotlib" in sys.modules) == {loaded}
from mediapipe.python.solutions import drawing_utils
import matplotlib.pyplot as plt
assert drawing_utils.plt.figure is plt.figure  # MediaPipe's own drawing works
assert plt.__spec__ is not None
"""


@pytest.mark.parametrize(("before", "loaded"), [("", False), ("import matplotlib", True)])
def test_pyplot_is_not_loaded_and_can_be(before: str, loaded: bool) -> None:
    code = BARE.format(before=before, loaded=loaded)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
