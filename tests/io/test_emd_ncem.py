"""NCEM's EMD files: what is saved comes back, and others can read it."""

import os
import pickle
import resource
import subprocess
import sys
import warnings
from datetime import date

import dask
import dask.array as da
import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import rsciio.emd
from hypothesis import given
from hypothesis import strategies as st

from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.core.tree import decode, encode
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.emd import file_reader, file_writer
from tests.builders import emd as builder
from tests.builders import geopixe
from tests.conftest import DATA
from tests.io.test_emd import warned

COUNTS = builder.make_counts((4, 5, 32))


def same(mine, other):
    """Whether two trees are equal, arrays in them too."""
    if isinstance(other, dict):
        assert set(mine) == set(other)
        for key, value in other.items():
            same(mine[key], value)
    elif isinstance(other, list | tuple):
        assert type(mine) is type(other) and len(mine) == len(other)
        for a, b in zip(mine, other, strict=True):
            same(a, b)
    elif isinstance(other, np.ndarray | da.Array):
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(other))
    else:
        assert repr(mine) == repr(other) or mine == other  # NaN is not


def assert_identity(again, s):
    assert type(again) is type(s)
    assert again.data.dtype == s.data.dtype
    np.testing.assert_array_equal(np.asarray(again.data), np.asarray(s.data))
    same(again.axes_manager.as_dictionary(), s.axes_manager.as_dictionary())
    mine, other = again.metadata.as_dictionary(), s.metadata.as_dictionary()
    del mine["General"]["FileIO"], other["General"]["FileIO"]
    same(mine, other)
    same(again.original_metadata.as_dictionary(), s.original_metadata.as_dictionary())


@pytest.fixture
def map_(tmp_path):
    return hs.load(geopixe.write_map(tmp_path / "map.GeoPIXE"), lazy=True)


# What is saved comes back.


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "gzip"}, {"chunks": True}], ids=str
)
@pytest.mark.parametrize("sum_detectors", [False, True])
def test_our_map(tmp_path, lazy, options, sum_detectors):
    path = geopixe.write_map(tmp_path / "map.GeoPIXE")
    s = hs.load(path, lazy=lazy, sum_detectors=sum_detectors)
    s.axes_manager[0].is_binned = True
    s.add_elements(["Fe", "Cu"])
    s.metadata.Sample.description = "läck"
    s.save(tmp_path / "saved.emd", **options)
    again = hs.load(tmp_path / "saved.emd", lazy=lazy)
    assert again.metadata.has_item("Acquisition_instrument.SEM.Detector.EDS.dead_time")
    assert_identity(again, s)
    assert source_of(again.data) is not None or not lazy
    np.testing.assert_array_equal(again.sum().data, s.sum().data)
    np.testing.assert_array_equal(again.get_dead_time().data, s.get_dead_time().data)
    np.testing.assert_array_equal(again.inav[1:2].sum(-1).data, s.inav[1:2].sum(-1).data)


@pytest.mark.parametrize("signal_type", ["EDS_TEM", "EDS_SEM", "EELS", ""])
@pytest.mark.parametrize(
    "shape", [(32,), (5, 32), (4, 5, 32), (3, 4, 5, 32), (1, 1, 32), (2, 1, 2, 1, 8)]
)
@pytest.mark.parametrize("lazy", [False, True])
def test_spectra(tmp_path, signal_type, shape, lazy):
    s = hs.signals.Signal1D(builder.make_counts(shape))
    s.set_signal_type(signal_type)
    for i, axis in enumerate(s.axes_manager._axes):
        axis.units, axis.scale, axis.offset = ("µm", "1/nm", "keV")[i % 3], 0.1, -0.7 * i
        axis.name = f"axis {i}"
    s.metadata.General.title = "a/b\0."
    s.metadata.General.date = "2024-02-29"
    s.metadata.General.authors = "A. Bč"
    s.metadata.Signal.quantity = "X-rays (Counts)"
    s.original_metadata.add_dictionary(
        {"microscope": {"name": "Titan", "deep": {"x": 1}}}
    )
    if lazy:
        s = s.as_lazy()
    s.save(tmp_path / "saved.emd")
    assert_identity(hs.load(tmp_path / "saved.emd", lazy=lazy), s)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "i8", "f4", "f8", "c8", "c16", "?"])
def test_images_and_others(tmp_path, dtype, lazy):
    data = (10 * np.random.default_rng(0).random((3, 4, 5))).astype(dtype)
    for kind in (hs.signals.Signal2D, hs.signals.BaseSignal, hs.signals.Signal1D):
        s = kind(data)
        s = s.as_lazy() if lazy else s
        s.save(tmp_path / "saved.emd", overwrite=True)
        again = hs.load(tmp_path / "saved.emd", lazy=lazy)
        np.testing.assert_array_equal(np.asarray(again.data), data)
        assert again.data.dtype == data.dtype.newbyteorder("=")
        same(again.axes_manager.as_dictionary(), s.axes_manager.as_dictionary())


def test_text_is_left_to_rosettasciio(tmp_path):
    s = hs.signals.BaseSignal(np.array(["a", "bc"]))
    with pytest.warns(UserWarning, match="expected numbers: of text"):
        s.save(tmp_path / "saved.emd")
    again = hs.load(tmp_path / "saved.emd")
    assert list(again.data) == ["a", "bc"]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", ["rgb8", "rgba16"])
def test_colours(tmp_path, dtype, lazy):
    n = 3 if dtype == "rgb8" else 4
    s = hs.signals.Signal1D(np.arange(4 * 5 * 6 * n).reshape(4, 5, 6, n).astype("u1"))
    s.change_dtype("u1" if n == 3 else "u2")
    s.change_dtype(dtype)
    s.metadata.General.title = "colours"
    s = s.as_lazy() if lazy else s
    s.save(tmp_path / "saved.emd")
    assert_identity(hs.load(tmp_path / "saved.emd", lazy=lazy), s)


@pytest.mark.parametrize("dtype", ["f2", "g", "G"])
def test_types_that_kernels_do_not_know(tmp_path, dtype):
    s = hs.signals.Signal1D(COUNTS.astype(dtype))
    s.save(tmp_path / "saved.emd")
    again = hs.load(tmp_path / "saved.emd")
    assert again.data.dtype == s.data.dtype
    np.testing.assert_array_equal(again.data, s.data)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (np.ma.masked_equal(COUNTS, 0), TypeError),
        (np.zeros((3, 4), "M8[s]"), TypeError),
        (np.array([[1], [1, 2]], object), TypeError),
        (np.zeros((0, 4)), ValueError),
        (da.from_array(COUNTS)[da.from_array(COUNTS) > 1], ValueError),
    ],
    ids=["masked", "times", "ragged", "empty", "unknown"],
)
def test_data_that_cannot_be_saved(tmp_path, data, error):
    path = tmp_path / "saved.emd"
    path.write_bytes(b"old")
    signal = {"data": data, "axes": [], "metadata": {}}
    with pytest.raises(error, match=r"saved.emd: .* expected"):
        file_writer(path, signal)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["saved.emd"]


def test_text_that_hdf5_cannot_hold(tmp_path):
    s = hs.signals.Signal1D(COUNTS)
    s.metadata.General.title = "caf\udce9\0"
    s.metadata.Signal.quantity = "\udce9"
    s.axes_manager[0].name, s.axes_manager[0].units = "x\0", "\udce9m"
    s.original_metadata.add_dictionary({"user": {"": 1, "name": "a\0b", "n": 10**100}})
    s.save(tmp_path / "saved.emd")
    assert_identity(hs.load(tmp_path / "saved.emd"), s)


def test_decomposition(tmp_path):
    s = hs.signals.Signal1D(np.random.default_rng(0).random((4, 5, 32)))
    s.decomposition(print_info=False)
    s.save(tmp_path / "saved.emd")
    again = hs.load(tmp_path / "saved.emd")
    np.testing.assert_array_equal(
        again.learning_results.loadings, s.learning_results.loadings
    )
    assert again.get_decomposition_model(2).data.shape == (4, 5, 32)


def test_what_cannot_be_saved(tmp_path):
    s = hs.signals.Signal1D(COUNTS)
    s.metadata.add_dictionary({"General": {"day": date(2024, 2, 29), "n": np.float32(3)}})
    s.metadata.General.list = [1, object(), "x"]
    with pytest.warns(
        UserWarning, match=r"metadata.General.day, metadata.General.list\[1\]"
    ):
        s.save(tmp_path / "saved.emd")
    again = hs.load(tmp_path / "saved.emd")
    assert again.metadata.General.n == 3
    assert again.metadata.General.list == [1, None, "x"]


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers()
    | st.builds(np.arange, st.integers(0, 5))
)
trees = st.recursive(
    leaves,
    lambda children: (
        st.lists(children)
        | st.lists(children).map(tuple)
        | st.dictionaries(st.text(), children)
        | st.dictionaries(st.integers() | st.just("!"), children)
    ),
)


@given(tree=trees)
def test_any_tree(tree):
    text, arrays, left_out = encode(tree)
    assert not left_out
    same(decode(text, arrays), tree)


@pytest.mark.parametrize(
    "text",
    ['{"!": "array", "value": 3}', '{"!": "what"}', '{"!": "tuple", "value": 1}', "{"],
)
def test_wrong_tree(text):
    with pytest.raises(ValueError):
        decode(text, [])


# Laziness.


def test_lazy(tmp_path, map_):
    map_.save(tmp_path / "saved.emd")
    s = hs.load(tmp_path / "saved.emd", lazy=True)
    again = pickle.loads(pickle.dumps(s.data))
    np.testing.assert_array_equal(again.compute(), map_.data.compute())
    with h5py.File(tmp_path / "saved.emd", "a"):  # it is not open
        pass
    with pytest.raises(CorruptFileError, match="was changed since"):
        again.compute()


@pytest.mark.parametrize("chunks", [(1, 2, 7), -1, (4, 3, 32), (3, 5, 16)])
def test_chunks_of_odd_sizes(tmp_path, chunks):
    s = hs.signals.Signal1D(COUNTS).as_lazy()
    s.set_signal_type("EDS_TEM")
    s.data = da.from_array(COUNTS, chunks=chunks)
    for scheduler in ("sync", "threads"):
        with dask.config.set(scheduler=scheduler):
            s.save(tmp_path / "saved.emd", overwrite=True)
    again = hs.load(tmp_path / "saved.emd", lazy=True, chunks=chunks)
    np.testing.assert_array_equal(again.data.compute(), COUNTS)


def test_whole_spectra_lie_together(tmp_path):
    data = np.random.default_rng(0).integers(0, 99, (3, 200, 2048)).astype(np.uint16)
    s = hs.signals.Signal1D(data)
    s.save(tmp_path / "saved.emd")
    with h5py.File(tmp_path / "saved.emd") as file:
        dataset = file["signals/__unnamed__/data"]
        assert dataset.chunks == (2048, 200, 1)
        np.testing.assert_array_equal(dataset[()], data.T)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
@pytest.mark.parametrize("width", [1, 3, 13, 16])
def test_rows_of_any_width(tmp_path, dtype, width):
    """Chunks whose rows are no whole words, the last of which are cut by the map's edge."""
    counts = np.random.default_rng(0).integers(0, 100, (2, 29, 24)).astype(dtype)
    s = hs.signals.Signal1D(counts)
    s.save(tmp_path / "saved.emd", chunks=(1, width, 24))
    with h5py.File(tmp_path / "saved.emd") as file:
        np.testing.assert_array_equal(file["signals/__unnamed__/data"][()], counts.T)


def test_own_chunks(tmp_path):
    s = hs.signals.Signal1D(COUNTS)
    s.save(tmp_path / "saved.emd", chunks=(2, 3, 8))
    with h5py.File(tmp_path / "saved.emd") as file:
        assert file["signals/__unnamed__/data"].chunks == (8, 3, 2)
    for chunks in ((2, 3), (5, 5, 32), (0, 1, 1)):
        with pytest.raises(ValueError, match="chunks is"):
            s.save(tmp_path / "saved.emd", chunks=chunks, overwrite=True)
    np.testing.assert_array_equal(hs.load(tmp_path / "saved.emd").data, COUNTS)


def test_saved_over_itself(tmp_path, map_):
    path = tmp_path / "saved.emd"
    map_.save(path)
    s = hs.load(path, lazy=True)
    s.inav[1:3].save(path, overwrite=True)
    again = hs.load(path)
    np.testing.assert_array_equal(again.data, map_.inav[1:3].data.compute())


# Files are whole or as they were.


def test_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "saved.emd"
    path.write_bytes(b"old")
    data = da.map_blocks(
        lambda x: 1 / 0, da.zeros((4, 5, 32), chunks=(1, 5, 32)), dtype=float
    )
    with pytest.raises(ZeroDivisionError):
        hs.signals.Signal1D(data).as_lazy().save(path, overwrite=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["saved.emd"]


@pytest.mark.parametrize(
    "options", ["", "compression='gzip', compression_opts=0", "text"]
)
def test_full_disk(tmp_path, options):
    path = tmp_path / "saved.emd"
    path.write_bytes(b"old")
    code = f"""
import resource, signal, numpy as np, hyperspy.api as hs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
s = hs.signals.Signal1D(np.ones((64, 64, 1024), np.uint16))
if {options == "text"}:
    s = hs.signals.BaseSignal(np.array([["abc" * 9] * 300] * 300))
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
try:
    s.save({str(path)!r}, overwrite=True, {options.removeprefix("text")})
except OSError as exc:
    print(exc.errno, exc.filename)
"""
    assert resource.RLIMIT_FSIZE
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["27", str(path)]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["saved.emd"]


# Other readers and writers.


@pytest.mark.parametrize("lazy", [False, True])
def test_read_by_rosettasciio(tmp_path, map_, lazy):
    map_.save(tmp_path / "saved.emd")
    s = hs.load(tmp_path / "saved.emd", file_format=rsciio.emd, lazy=lazy)
    np.testing.assert_array_equal(np.asarray(s.data), map_.data.compute())
    for axis, ours in zip(s.axes_manager._axes, map_.axes_manager._axes, strict=True):
        assert (axis.name, axis.units) == (ours.name, ours.units)
        assert axis.scale == pytest.approx(ours.scale)
        assert axis.offset == pytest.approx(ours.offset)
    if lazy:
        s.close_file()


def test_as_the_specification_says(tmp_path):
    """What NCEM's reader asks of a file: a dim with as many values for each axis."""
    s = hs.signals.Signal1D(COUNTS)
    s.axes_manager[0].scale = 0.5
    s.axes_manager[0].units = "nm"
    s.save(tmp_path / "saved.emd")
    with h5py.File(tmp_path / "saved.emd") as file:
        assert {"version_major", "version_minor"} <= set(file.attrs)
        found = []
        file.visititems(
            lambda name, item: (
                found.append(name)
                if item.attrs.get("emd_group_type") == 1 and "data" in item
                else None
            )
        )
        assert found == ["signals/__unnamed__"]
        group = file[found[0]]
        for i, size in enumerate(group["data"].shape):
            assert group[f"dim{i + 1}"].shape == (size,)
            assert isinstance(group[f"dim{i + 1}"].attrs["name"], str)
        np.testing.assert_allclose(group["dim2"], 0.5 * np.arange(5))
        assert group["dim2"].attrs["units"] == "[n_m]"


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("signal_type", ["EDS_TEM", "EDS_SEM"])
def test_map_of_rosettasciio(tmp_path, signal_type, lazy):
    """It writes the signal type, and no axis' role: channels are the last axis."""
    path = builder.write_ncem(tmp_path / "map.emd", signal_type=signal_type)
    s = hs.load(path, lazy=lazy)
    assert s.metadata.Signal.signal_type == signal_type
    np.testing.assert_array_equal(np.asarray(s.data), COUNTS)
    x, y, energy = s.axes_manager[0], s.axes_manager[1], s.axes_manager[-1]
    assert (x.name, x.scale, x.offset, x.units) == ("x", 2, 5, "nm")
    assert (y.name, y.scale, y.offset, y.units) == ("y", 3, 7, "nm")
    assert (energy.name, energy.units) == ("Energy", "keV")
    assert s.axes_manager.signal_dimension == 1
    assert s.original_metadata.microscope.name == "Titan"
    with h5py.File(path, "a"):  # no file is left open
        pass


def test_saved_by_rosettasciio(tmp_path):
    s = hs.signals.Signal1D(COUNTS)
    s.set_signal_type("EDS_TEM")
    rsciio.emd.file_writer(str(tmp_path / "map.emd"), s._to_dictionary())
    again = hs.load(tmp_path / "map.emd", lazy=True)
    assert type(again).__name__ == "LazyEDSTEMSpectrum"
    np.testing.assert_array_equal(again.data.compute(), COUNTS)


@pytest.mark.parametrize("lazy", [False, True])
def test_other_files_are_rosettasciio_s(tmp_path, lazy):
    path = DATA / "emd" / "ncem_example_signal.emd"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    s = hs.load(path, lazy=lazy)
    other = hs.load(path, lazy=lazy, file_format=rsciio.emd)
    np.testing.assert_array_equal(np.asarray(s.data), np.asarray(other.data))
    same(s.axes_manager.as_dictionary(), other.axes_manager.as_dictionary())
    same(s.original_metadata.as_dictionary(), other.original_metadata.as_dictionary())
    if lazy:
        s.close_file()
        other.close_file()


def test_dataset_path(tmp_path):
    path = builder.write_ncem(tmp_path / "map.emd")
    with h5py.File(path, "a") as file:
        file.copy("signals/map", "signals/other")
        file.copy("signals/map", "signals/image")
        del file["signals/image"].attrs["signal_type"]
    assert len(file_reader(path)) >= 1  # stacked or not as RosettaSciIO does
    (signal,) = file_reader(path, dataset_path="signals/other/data")
    assert signal["metadata"]["General"]["title"] == "other"
    with pytest.raises(FileNotFoundError, match="has no 'nothing'"):
        file_reader(path, dataset_path=["signals/other/data", "nothing"])


def test_another_signal_beside_ours(tmp_path):
    """It is read by RosettaSciIO, and ours is as it was saved."""
    s = hs.signals.Signal1D(COUNTS)
    s.set_signal_type("EDS_TEM")
    s.save(tmp_path / "saved.emd")
    with h5py.File(tmp_path / "saved.emd", "a") as file:
        group = file.create_group("signals/other")
        group.attrs["emd_group_type"] = 1
        group["data"] = group["dim1"] = np.arange(4.0)
    again, other = hs.load(tmp_path / "saved.emd")
    assert type(again) is type(s)
    np.testing.assert_array_equal(other.data, np.arange(4.0))


def test_calibrated_by_another_program(tmp_path):
    s = hs.signals.Signal1D(COUNTS)
    s.set_signal_type("EDS_TEM")
    s.save(tmp_path / "saved.emd")
    with h5py.File(tmp_path / "saved.emd", "a") as file:
        file["signals/__unnamed__/dim2"][...] = 3 + 0.5 * np.arange(5)
    with pytest.warns(UserWarning, match="dim2 begins with 3.0 and 3.5"):
        again = hs.load(tmp_path / "saved.emd")
    assert (again.axes_manager[0].offset, again.axes_manager[0].scale) == (3, 0.5)


@pytest.mark.parametrize("n", range(2, 40, 3))
def test_interrupted(tmp_path, n):
    """Ctrl-C at any write: as if it had come a moment later."""
    code = f"""
import os, signal, numpy as np, hyperspy.api as hs
from rsciio_xfm.core.hdf5 import write as hdf5_writer
from pathlib import Path
path = Path({str(tmp_path / "saved.emd")!r})
s = hs.signals.Signal1D(np.random.default_rng(0).integers(0, 6e4, (50, 50, 500)).astype("u2"))
# Processes that a shell started in the background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
s.inav[:2, :2].save(path)
old, count, write = path.read_bytes(), [0], hdf5_writer._Sink.write
def interrupted(self, data):
    count[0] += 1
    if count[0] == {n}:
        os.kill(os.getpid(), signal.SIGINT)
    return write(self, data)
hdf5_writer._Sink.write = interrupted
try:
    s.save(path, overwrite=True, compression="gzip")
    assert count[0] < {n}
except KeyboardInterrupt:
    assert path.read_bytes() == old and os.listdir(path.parent) == [path.name]
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# Damaged files.


@pytest.mark.parametrize(
    "damage",
    [
        lambda extra: extra["signal"].write_direct(
            np.full(5, 255, np.uint8), None, np.s_[:5]
        ),
        lambda extra: extra.attrs.__setitem__("version", 99),
        lambda extra: extra.move("arrays", "somewhere"),
        lambda extra: extra.attrs.__setitem__("sha256", np.bytes_("0")),
        lambda extra: extra["arrays/0"].__setitem__((0,) * extra["arrays/0"].ndim, 7),
    ],
)
def test_damaged_extra(tmp_path, map_, damage):
    """What is beside the data is lost, the data are not."""
    path = tmp_path / "saved.emd"
    map_.save(path)
    with h5py.File(path, "a") as file:
        (group,) = file["signals"].values()
        damage(group["rsciio_xfm"])
    with warned("rsciio_xfm cannot be read"):
        (signal,) = file_reader(path)
    np.testing.assert_array_equal(signal["data"], map_.data.compute())


def test_lying_size(tmp_path):
    path = builder.write_ncem(tmp_path / "map.emd")
    with h5py.File(path, "a") as file:
        group = file["signals/map"]
        del group["data"]
        group.create_dataset("data", (2**12, 2**16, 2**16), "u2", chunks=(32, 16, 16))
    for lazy in (False, True):
        with pytest.raises(CorruptFileError, match="are stored"):
            file_reader(path, lazy=lazy)


def test_flipped_bits(tmp_path):
    """An error of ours, or the numbers and a warning, or nothing that matters was hit."""
    s = hs.signals.Signal1D(np.ones((3, 4, 5), "u2"))
    s.metadata.General.title = "map"
    path = tmp_path / "saved.emd"
    s.save(path)
    whole = path.read_bytes()
    places = np.flatnonzero(np.frombuffer(whole, np.uint8))
    for place in np.random.default_rng(0).choice(places[places >= 96], 300):
        damaged = bytearray(whole)
        damaged[place] ^= 0x80
        path.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert file_reader(path)
            except ValueError:
                continue


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_truncated(tmp_path, map_, keep):
    path = tmp_path / "saved.emd"
    map_.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(CorruptFileError, match="byte"):
        file_reader(path)


def test_writer_alone(tmp_path):
    """Without HyperSpy: a dictionary as RosettaSciIO's writers take it."""
    axes = [
        {
            "name": n,
            "size": size,
            "scale": 1.0,
            "offset": 0.0,
            "units": None,
            "navigate": nav,
        }
        for n, size, nav in (("y", 4, True), ("x", 5, True), ("E", 32, False))
    ]
    signal = {"data": COUNTS, "axes": axes, "metadata": {}, "original_metadata": {}}
    file_writer(tmp_path / "saved.emd", signal)
    (again,) = file_reader(tmp_path / "saved.emd")
    np.testing.assert_array_equal(again["data"], COUNTS)
    assert [a["navigate"] for a in again["axes"]] == [True, True, False]
