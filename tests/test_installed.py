"""What a user has who installed the package; `nox -s wheel` runs this without the clone."""

import re
import subprocess
import sys
import sysconfig
import urllib.request
from http.cookiejar import CookieJar
from importlib import metadata
from pathlib import Path

import pytest

import rsciio_xfm
from rsciio_xfm.doctor import PURPOSES
from tests.builders import geopixe as builder

SCRIPTS = Path(sysconfig.get_path("scripts"))
PACKAGE = Path(rsciio_xfm.__file__).parent


def run_script(*arguments, **kwds):
    return subprocess.run(
        [SCRIPTS / "rsciio-xfm", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        **kwds,
    ).stdout


def test_version_of_what_is_installed():
    assert metadata.version("rsciio_xfm") == rsciio_xfm.__version__
    assert run_script("--version").endswith(f"version {rsciio_xfm.__version__}\n")


def test_licences():
    assert (PACKAGE / "explore" / "page" / "vendor" / "uPlot-LICENSE.txt").is_file()
    licence = metadata.metadata("rsciio_xfm")["License-Expression"]
    assert licence == "GPL-3.0-or-later"
    assert (PACKAGE / "py.typed").is_file()


def test_nothing_is_wrong_with_imports():
    """HyperSpy finds the package by itself, and extras are whole."""
    extras = metadata.metadata("rsciio_xfm").get_all("Provides-Extra")
    if not set(PURPOSES) <= set(extras):
        pytest.skip("what is installed is older than this clone")
    assert run_script("doctor", "--imports").endswith("\nNothing is wrong.\n")


def test_opened_in_a_process(tmp_path):
    path = builder.write_map(tmp_path / "map.GeoPIXE")
    code = (
        "import sys, hyperspy.api as hs\n"
        "s = hs.load(sys.argv[1], lazy=True)\n"
        "print(s, int(s.data.sum().compute()))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("<LazyEDSXFMSpectrum, title: map, dimensions:")
    (map_,) = rsciio_xfm.geopixe.file_reader(path)
    assert done.stdout.split()[-1] == str(int(map_["data"].sum()))


def test_demo_in_a_process(tmp_path):
    said = run_script("demo", "-o", tmp_path / "demo")
    assert "Traceback" not in said
    assert {path.suffix for path in (tmp_path / "demo").iterdir()} >= {".msa", ".png"}


def test_page_of_a_process(tmp_path):
    """The page, its style and each of its modules come from a server that was started."""
    pytest.importorskip("starlette")
    path = builder.write_map(tmp_path / "map.GeoPIXE")
    with subprocess.Popen(
        [SCRIPTS / "rsciio-xfm", "explore", str(path), "--no-browser"],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            address = server.stdout.readline().strip()
            cookies = urllib.request.HTTPCookieProcessor(CookieJar())
            browser = urllib.request.build_opener(cookies)
            with browser.open(address) as page:
                assert "<html" in page.read().decode()
            place = address.partition("?")[0]
            for file in sorted((PACKAGE / "explore" / "page").rglob("*.[jc]s*")):
                name = file.relative_to(PACKAGE / "explore" / "page").as_posix()
                with browser.open(f"{place}page/{name}") as answer:
                    assert answer.read() == file.read_bytes()
            with browser.open(f"{place}api/maps") as answer:
                assert re.search(r'"id": ?\S+', answer.read().decode())
        finally:
            server.terminate()
