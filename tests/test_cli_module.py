"""``python -m rsciio_xfm.cli``, where the folder of scripts is not on the path."""

import subprocess
import sys


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "rsciio_xfm.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("Usage: python -m rsciio_xfm.cli")
