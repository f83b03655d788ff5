"""A warning points to the line of the user, however many calls lie between."""

import inspect
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm import esrf, geopixe
from rsciio_xfm.core.warning import left_out, told_together, warn
from tests.builders import geopixe as builder
from tests.builders import hdf5_layouts as hdf5_builder

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


class TestToldTogether:
    """What is found of each detector is one warning."""

    TEXT = "/a/map 1.h5: RAW/data_{}: the times differ by {} %: the mean is used."

    def test_of_several(self):
        with pytest.warns(UserWarning) as caught, told_together():
            for name, number in zip("abcdef", (3, 4.5, 6, 7, 8, 9), strict=True):
                warn(self.TEXT.format(name, number))
            warn("something else")
        first, other = [str(w.message) for w in caught]
        assert first == (
            self.TEXT.format("a", 3)
            + " So it is, with numbers of their own, of RAW/data_b, "
            "RAW/data_c, RAW/data_d, RAW/data_e and 1 more."
        )
        assert other == "something else"
        assert {w.filename for w in caught} == {__file__}

    def test_of_one(self):
        with pytest.warns(UserWarning) as caught, told_together():
            warn(self.TEXT.format("a", 3))
            warn(self.TEXT.format("a", 3))
        assert [str(w.message) for w in caught] == [self.TEXT.format("a", 3)]

    def test_errors_keep_them(self):
        with (
            pytest.warns(UserWarning, match="it was so"),
            pytest.raises(KeyError),
            told_together(),
        ):
            warn("it was so")
            raise KeyError

    def test_of_a_file(self, tmp_path):
        path = tmp_path / "map.h5"
        hdf5_builder.write_maps_raw(path)
        with h5py.File(path, "a") as file:
            real = file["MAPS_RAW/realtime"]
            real[...] *= np.random.default_rng(1).uniform(1, 2, real.shape)
        with pytest.warns(UserWarning, match="elapsed times of points differ") as caught:
            esrf.file_reader(path, lazy=True)
        assert len(caught) == 1
        assert "of MAPS_RAW/data_b, MAPS_RAW/data_c, MAPS_RAW/data_d." in str(
            caught[0].message
        )


class TestLeftOut:
    """Warnings of others that nobody can act on, and no more than these."""

    @staticmethod
    def say(text, category=DeprecationWarning, module="other.part"):
        warnings.warn_explicit(text, category, "part.py", 1, module=module, registry={})

    def test_narrowly(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with left_out("Importing .* is deprecated", DeprecationWarning, "other"):
                self.say("Importing `A` is deprecated, and so on")
                self.say("Importing `A` is deprecated", UserWarning)
                self.say("Importing `A` is deprecated", module="mine")
                self.say("Something else")
            self.say("Importing `A` is deprecated")
        assert len(caught) == 4

    def test_in_threads(self):
        before = list(warnings.filters)

        def use(_):
            with left_out("x", DeprecationWarning, "other"):
                self.say("x")

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(use, range(200)))
        assert list(warnings.filters) == before


def test_exspy_is_imported_in_silence(tmp_path):
    """In a process of its own: whoever is first to import it hears of HyperSpy's names."""
    path = builder.write_map(tmp_path / "map.GeoPIXE")
    script = (
        "import hyperspy.api as hs\n"
        "from rsciio_xfm import geopixe, msa\n"
        f"s = hs.load({str(path)!r}, file_format=geopixe)\n"
        f"s.sum().save({str(tmp_path / 'a.msa')!r})\n"
        f"hs.load({str(tmp_path / 'a.msa')!r}, file_format=msa, signal_type='EDS_SEM')\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not said.stderr
