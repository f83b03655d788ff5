"""What is documented says nothing that a user could not act on: nothing at all, that is.

Each in a process of its own, with an empty home: what is said at the first start is heard too.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import documentation

# Of workers of dask's, where a machine is busy as they end.
SLOW = re.compile(r".*Worker process still alive after .* seconds, killing\n?")
# Of HyperSpy, where it adds what it draws to a plot.
BAR = re.compile(r"\s*\d+%\|[^|]*\| \d+/\d+ \[[^\]]*\]\s*")


def run(arguments, folder):
    """Run something in a folder; return what it says on standard error."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "PYTHONW"))}
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=kept
        | {
            "HOME": str(home),
            "USERPROFILE": str(home),
            "MPLBACKEND": "agg",
            "PYTHONPATH": str(documentation.ROOT),
        },
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr
    return BAR.sub("", SLOW.sub("", result.stderr).replace("\r", "\n")).strip()


@pytest.mark.parametrize("page", ["README.md", "docs/first_map.rst"])
def test_first_pages(page, tmp_path):
    """As somebody new goes through them, from a file that is made to the last command."""
    blocks = documentation.find_blocks(page)
    script = tmp_path / "blocks.py"
    script.write_text(
        "\n".join(block.text for block in blocks if block.language == "python"),
        encoding="utf-8",
    )
    assert not run([script], tmp_path)
    commands = [
        shlex.split(command)[1:]
        for block in blocks
        if block.language != "python"
        for command, _ in documentation.find_commands(block)
        if documentation.is_run(command) and command.startswith("rsciio-xfm ")
    ]
    assert commands
    for number, (name, *arguments) in enumerate(commands):
        # Of what the blocks have written nothing is in the way.
        if "-o" in arguments:
            place = arguments.index("-o") + 1
            arguments[place] = f"{number}{Path(arguments[place]).suffix}"
        assert not run(["-m", "rsciio_xfm.cli", name, *arguments], tmp_path), name


def test_embedding(tmp_path):
    """UMAP, numba and scikit-learn say much that is theirs."""
    script = (
        "import hyperspy.api as hs\n"
        "from rsciio_xfm import data\n"
        "data.thin_section('map.GeoPIXE', (24, 20))\n"
        "s = hs.load('map.GeoPIXE', lazy=True)\n"
        "s.classify(n_classes=3).plot()\n"
    )
    assert not run(["-c", script], tmp_path)


def test_cluster(tmp_path):
    """Workers of dask's have logs of their own."""
    script = tmp_path / "cluster.py"
    script.write_text(
        "import hyperspy.api as hs\n"
        "from dask.distributed import Client\n"
        "from rsciio_xfm import data\n\n"
        "if __name__ == '__main__':\n"
        "    data.thin_section('map.GeoPIXE', (24, 20))\n"
        "    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None):\n"
        "        s = hs.load('map.GeoPIXE', lazy=True)\n"
        "        s.get_summary()\n"
    )
    assert not run([script], tmp_path)
