"""Fixtures that all tests share."""

import itertools
import os
import re
import sys
import time
from pathlib import Path

import hypothesis
import matplotlib as mpl
import psutil
import pytest
from click.testing import CliRunner

mpl.use("agg")
# Of all processes that tests start: those of tests/test_ahead.py are told otherwise.
os.environ["RSCIIO_XFM_COMPILE"] = "0"
# Kernels are compiled or loaded in the first example, and machines are shared: nothing that
# hypothesis times is an error. The examples are those of the last run, so that nobody's change
# fails by another's; `--hypothesis-profile search` looks for new ones.
UNCHECKED = (
    hypothesis.HealthCheck.too_slow,
    hypothesis.HealthCheck.function_scoped_fixture,  # a folder, which examples share
)
hypothesis.settings.register_profile(
    "search", deadline=None, suppress_health_check=UNCHECKED
)
hypothesis.settings.register_profile(
    "project", hypothesis.settings.get_profile("search"), derandomize=True
)
hypothesis.settings.load_profile("project")

DATA = Path(
    os.environ.get("RSCIIO_XFM_DATA", Path(__file__).parents[2] / "shared" / "data")
)


HERE = Path(__file__).parent
# Whatever is tested in these takes long,
THOROUGH = (
    HERE / "analysis" / "test_find.py",
    HERE / "analysis" / "test_right_answers.py",
    HERE / "analysis" / "test_tube.py",
    HERE / "explore" / "test_browser.py",
    HERE / "explore" / "test_notebook.py",
    HERE / "io" / "test_raw_types.py",
    HERE / "robustness",
    HERE / "signals" / "test_elements.py",
    HERE / "signals" / "test_map_plots.py",
    HERE / "test_ahead.py",
    HERE / "test_cli_classify.py",
    HERE / "test_cli_elements.py",
    HERE / "test_cli_folder.py",
    HERE / "test_cli_maps.py",
    HERE / "test_cli_quantify.py",
    HERE / "test_cli_report.py",
    HERE / "test_distributed.py",
    HERE / "test_docstrings.py",
    HERE / "test_documentation.py",
    HERE / "test_gallery.py",
    HERE / "test_many_users.py",
    HERE / "test_new_format.py",
    HERE / "test_report.py",
    HERE / "test_silence.py",
    HERE / "test_site.py",
)
# and whatever these words are in the name of: other readers' suites, damage, processes.
THOROUGH_WORDS = re.compile(
    r"damaged\.py|rosettasciio|upstream|process|thread|interrupt|full_disk|disk_full|memory"
    r"|damaged_anywhere|flipped|truncat|take_over|import|dense_decomposition|scatter_of_fits|TestOriginals",
    re.IGNORECASE,
)
NUMBERS = itertools.count()
MOST_WAIT = 10  # seconds, for files that are closed by threads


def pytest_ignore_collect(collection_path, config):
    """Leave modules unread of which no test is run."""
    is_left = config.option.markexpr == "not thorough" and collection_path in THOROUGH
    return True if is_left else None


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    for item in items:
        is_place = any(item.path.is_relative_to(place) for place in THOROUGH)
        if is_place or THOROUGH_WORDS.search(item.nodeid):
            item.add_marker("thorough")


@pytest.fixture(scope="session")
def real_geopixe() -> Path:
    """A map measured on an IXRF Atlas: 20 x 5 pixels, 2 detectors, 4096 channels."""
    path = DATA / "geopixe" / "mo_anode_20x5_2det.GeoPIXE"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


@pytest.fixture(autouse=True)
def no_open_files(request, tmp_path_factory):
    """Fail a test that leaves one of its files, or a real one, open.

    What is closed may still be read to the end of a part, in a thread: that is waited for.
    """
    if "tmp_path" in request.fixturenames:
        request.getfixturevalue("tmp_path")  # it is removed after this is looked at
    yield
    roots = tuple(map(os.path.realpath, (tmp_path_factory.getbasetemp(), DATA)))
    end = time.monotonic() + MOST_WAIT
    while left := _open_files(roots):
        if time.monotonic() > end:
            pytest.fail(f"left open: {left}", pytrace=False)
        time.sleep(0.05)


def _open_files(roots):
    return [f.path for f in psutil.Process().open_files() if f.path.startswith(roots)]


@pytest.fixture(autouse=True)
def no_open_figures():
    """Close the figures of a test: others count theirs, and 20 of them are too many."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep the indices of tests out of the user's cache; the folder is made when needed."""
    folder = tmp_path_factory.getbasetemp() / f"cache{next(NUMBERS)}"
    monkeypatch.setenv("RSCIIO_XFM_CACHE_DIR", str(folder))


@pytest.fixture
def run():
    """Run the command line in this process; return what it says."""
    from rsciio_xfm.cli import main

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return run
