"""Files go from maxrf4u to this package and back: ``nox -s maxrf4u``."""

import gc
import shutil
import warnings

import dask
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import datastack
from tests.builders import datastack as builder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    maxrf4u = pytest.importorskip("maxrf4u")

pytestmark = pytest.mark.filterwarnings("default")
QUIET = {"show_progressbar": False}


def read_with_maxrf4u(path):
    stack = maxrf4u.DataStack(str(path))
    arrays = {name: stack.read(name, latest=False) for name in stack.datapath_list}
    stack.close()
    return arrays


def read_here(path):
    return {
        name: datastack.read(path, name, latest=False) for name in datastack.tree(path)
    }


def check_equal(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array)


@pytest.fixture
def pair(tmp_path):
    """A scan of which no channel has its maximum in two pixels."""
    shape = (24, 30, 512)
    counts = builder.make_counts(shape, seed=1)
    counts[..., 100:140] += np.arange(720, dtype=np.uint16).reshape(24, 30, 1)
    return builder.write_raw(tmp_path, counts)


@pytest.fixture
def theirs(pair, tmp_path):
    """What maxrf4u makes of a scan; it writes right files with one thread only."""
    raw, rpl = pair
    with dask.config.set(scheduler="synchronous"):
        maxrf4u.raw_to_datastack(str(raw), str(rpl), verbose=False)
    path = tmp_path / "theirs.datastack"
    raw.with_suffix(".datastack").rename(path)
    maxrf4u.append(np.linspace(-0.5, 20, 512), "maxrf_energies", str(path))
    maxrf4u.append_list([[1, 2, 3], [4], [5, 6]], "peaks", str(path))
    maxrf4u.append_list([[7], [8, 9]], "peaks", str(path))
    return path


def test_there_and_back(theirs, tmp_path):
    """maxrf4u's file, grown and repacked here, grown and repacked by it, read here."""
    check_equal(read_here(theirs), read_with_maxrf4u(theirs))
    assert datastack.read_list(theirs, "peaks") == [[7], [8, 9]]
    assert datastack.latest(theirs, "peaks") == "peaks_"

    assert datastack.append(np.eye(3), "mine", theirs) == "mine"
    assert datastack.append_list([[3], [], [1, 2]], "peaks", theirs) == "peaks__"
    check_equal(read_with_maxrf4u(theirs), read_here(theirs))
    stack = maxrf4u.DataStack(str(theirs))
    assert stack.latest("peaks") == "peaks__"
    assert stack.read_list("peaks") == [[3], [], [1, 2]]
    stack.close()

    before = read_here(theirs)
    maxrf4u.append(np.eye(4), "mine", str(theirs))
    after = read_here(theirs)
    np.testing.assert_array_equal(after.pop("mine_"), np.eye(4))
    check_equal(after, before)

    ours = tmp_path / "ours.datastack"
    shutil.copy(theirs, ours)
    datastack.repack(ours, **QUIET)
    with dask.config.set(scheduler="synchronous"):
        maxrf4u.repack(str(theirs))
    check_equal(read_here(ours), read_here(theirs))
    check_equal(read_with_maxrf4u(ours), read_here(theirs))


def test_conversions_agree(pair, theirs):
    ours = datastack.convert(*pair, **QUIET)
    found, expected = read_with_maxrf4u(ours), read_here(theirs)
    for name in ("maxrf_cube", "maxrf_maxspectrum", "maxrf_sumspectrum"):
        assert found[name].dtype == expected[name].dtype
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)


def test_preview_is_maxrf4us(pair):
    raw, rpl = pair
    found = datastack.preview(raw, rpl)
    expected = maxrf4u.make_raw_preview(str(raw), str(rpl), save=False)
    np.testing.assert_allclose(found.image, expected, rtol=1e-9)


def test_hot_pixels(pair, monkeypatch):
    """maxrf4u's next step finds the pixels whose counts are just those of the maximum."""
    import matplotlib.pyplot as plt

    path = datastack.convert(*pair, **QUIET)
    datastack.append(np.linspace(-0.5, 20, 512), "maxrf_energies", path)
    monkeypatch.setattr("builtins.input", lambda text: "y")
    maxrf4u.compute_hotmax_spectra(str(path), prominence=5)
    plt.close("all")
    gc.collect()  # it leaves the file open
    spots = datastack.read(path, "hotmax_spots")
    spectra = datastack.read(path, "hotmax_spectra")
    cube = datastack.read(path, "maxrf_cube")
    np.testing.assert_array_equal(spectra, cube[tuple(np.transpose(spots))])
    assert datastack.read_list(path, "hotmax_peak_idxs_list")


@pytest.mark.parametrize("lazy", [False, True])
def test_saved_signal(pair, tmp_path, lazy):
    signal = hs.load(datastack.convert(*pair, **QUIET), lazy=lazy)
    signal.axes_manager[-1].scale, signal.axes_manager[-1].units = 0.04, "keV"
    path = tmp_path / "saved.datastack"
    signal.save(path)
    found = read_with_maxrf4u(path)
    cube = np.asarray(signal.data)
    np.testing.assert_array_equal(found["maxrf_cube"], cube)
    np.testing.assert_array_equal(found["maxrf_maxspectrum"], cube.max((0, 1)))
    mean = cube.mean((0, 1), dtype=float)
    np.testing.assert_allclose(found["maxrf_sumspectrum"], mean, rtol=1e-6)
    np.testing.assert_allclose(found["maxrf_energies"], 0.04 * np.arange(512))
