"""A warning points to the line of the user, however many calls lie between."""

import inspect
import re
import subprocess
import sys
import warnings
from pathlib import Path

import hyperspy.api as hs
import pytest

import rsciio_xfm
from rsciio_xfm import geopixe
from tests.builders import geopixe as builder

PACKAGE = Path(rsciio_xfm.__file__).parent


@pytest.fixture
def cut(tmp_path):
    path = builder.write_map(tmp_path / "map.GeoPIXE")
    path.write_bytes(path.read_bytes()[:-3])
    return path


def read(path):
    return geopixe.file_reader(path, lazy=True)


def load(path):
    return hs.load(path, lazy=True)


def load_several(path):
    return hs.load([path, path], lazy=True)


def crop(path):
    return geopixe.crop(path, path.with_stem("part"), x=(0, 2))


@pytest.mark.parametrize("use", [read, load, load_several, crop])
def test_line_of_the_user(cut, use):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use(cut)
    found = [w for w in caught if "ends within a record" in str(w.message)]
    lines, first = inspect.getsourcelines(use)
    for warning in found:
        assert warning.filename == __file__
        assert warning.lineno == first + len(lines) - 1
    assert found


def test_where_it_is_printed(cut):
    """In a script, the line itself is shown."""
    script = f"import hyperspy.api as hs\ns = hs.load({str(cut)!r}, lazy=True)\n"
    path = cut.with_name("script.py")
    path.write_text(script)
    said = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, check=True
    ).stderr
    assert re.search(r"script\.py:2: UserWarning: .*ends within a record", said)


def test_there_is_one_place():
    """No other function of the package warns by itself."""
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"warnings\.warn|stacklevel", path.read_text(encoding="utf-8"))
    ]
    assert found == ["core/warning.py"]
