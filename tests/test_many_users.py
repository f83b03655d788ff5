"""Twenty users of one large EDAX map at once, in threads and in processes."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm.analysis.maps import window_images
from rsciio_xfm.core import workplace
from rsciio_xfm.core.sums import sum_spectrum
from rsciio_xfm.core.to_dask import take
from rsciio_xfm.formats.edax import file_reader
from tests.builders import edax as builder

USERS = 20
SHAPE = (800, 1024, 3000)
ROWS = range(0, 800, 40)  # that have counts; the file is sparse


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "map.spd"
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(builder.spd_header(SHAPE))
        file.truncate(1068 + SHAPE[0] * SHAPE[1] * SHAPE[2])
        for row in ROWS:
            file.seek(1068 + row * SHAPE[1] * SHAPE[2])
            file.write(rng.integers(0, 9, SHAPE[1:], dtype=np.uint8).tobytes())
    for extension, write in ((".ipr", builder.write_ipr), (".xml", builder.write_xml)):
        write(path.with_suffix(extension))
    builder.write_spc(path.with_suffix(".spc"), SHAPE[2])
    yield path
    path.unlink()


def selection(user):
    """Rows, columns and channels of a user."""
    rows, columns = slice(30 * user, 30 * user + 90), slice(40 * user, 40 * user + 200)
    return rows, columns, (500 + 50 * user, 510 + 50 * user)


def expected(path, user):
    counts = np.memmap(path, np.uint8, "r", 1068, SHAPE)
    rows, columns, (start, stop) = selection(user)
    inside = [row for row in ROWS if rows.start <= row < rows.stop]
    spectrum = counts[inside, columns].sum(axis=(0, 1), dtype=np.uint64)
    image = np.zeros(SHAPE[:2], dtype=np.uint64)
    image[list(ROWS)] = counts[list(ROWS), :, start:stop].sum(axis=-1)
    return spectrum, image


def ask_in_hyperspy(path, user):
    rows, columns, window = selection(user)
    s = hs.load(path, lazy=True)
    spectrum = s.inav[columns, rows].sum()
    spectrum.compute(show_progressbar=False)
    (image,) = s.get_window_images(window, show_progressbar=False).values()
    return spectrum.data, image.data


def ask(path, user):
    """The same without HyperSpy, whose import takes longer than all of this."""
    rows, columns, window = selection(user)
    data = file_reader(path, lazy=True)[0]["data"]
    spectrum = sum_spectrum(take(data, (rows, columns))).compute()
    return spectrum, window_images(data, [window])[0]


def check(path, answers):
    for user, (spectrum, image) in enumerate(answers):
        spectrum_of_numpy, image_of_numpy = expected(path, user)
        np.testing.assert_array_equal(spectrum, spectrum_of_numpy)
        np.testing.assert_array_equal(image, image_of_numpy)
        assert spectrum.any()


def peak_memory(reset):
    """The peak of resident memory since the last reset, in bytes."""
    if reset:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_threads(path):
    ask_in_hyperspy(path, 0)  # imports, kernels
    before = peak_memory(reset=True)
    with ThreadPoolExecutor(USERS) as executor:
        answers = list(
            executor.map(lambda user: ask_in_hyperspy(path, user), range(USERS))
        )
    used = peak_memory(reset=False) - before
    check(path, answers)
    assert used < 600 * 2**20


def test_processes(path):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(USERS, mp_context=context) as executor:
        answers = list(executor.map(ask, [path] * USERS, range(USERS)))
    check(path, answers)


def test_places_after_a_fork():
    """A child has all places to work, though threads of its parent held some."""
    held, n_held = workplace._places, workplace._n_places
    try:
        workplace._n_places = 1000  # all are taken
        workplace._set_up_places()  # what is registered to run in the child
        assert workplace._places is not held
        with workplace.workplace(), workplace.scratch(10) as memory:
            assert memory.size == 10
    finally:
        workplace._places, workplace._n_places = held, n_held
