"""Ripple files: every layout, next to RosettaSciIO's reader; what names X-rays; pairs."""

import importlib
import io
import os
import pickle
import subprocess
import sys
from signal import SIGINT

import dask
import hyperspy.api as hs
import numpy as np
import pytest
from rsciio.exceptions import VisibleDeprecationWarning

from rsciio_xfm import edax, ripple
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from tests.builders import edax as edax_builder
from tests.builders import ripple as builder
from tests.conftest import DATA
from tests.io.test_datastack_damaged import little_memory

UPSTREAM = importlib.import_module("rsciio.ripple")
SHAPE = (5, 7, 16)


def read(path, **kwds):
    (signal,) = ripple.file_reader(path, **kwds)
    return signal


def read_upstream(path, **kwds):
    (signal,) = UPSTREAM.file_reader(str(path), **kwds)
    return signal


def numbers_of(shape, kind="u2"):
    """The numbers of the builder, in the order of the file."""
    return np.array(builder.make_numbers(int(np.prod(shape)), kind), dtype=kind)


def test_bruker_m6():
    path = DATA / "cases" / "bruker_m6.rpl"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    for lazy in (False, True):
        for name in (path, path.with_suffix(".raw")):
            s = hs.load(name, lazy=lazy)
            assert s.metadata.Signal.signal_type == "EDS_XFM"
            energy = s.axes_manager[-1]
            assert (energy.offset, energy.scale) == (-0.956, 0.010002)
            assert (energy.name, energy.units) == ("Energy", "keV")
            np.testing.assert_array_equal(s.data, np.arange(54).reshape(3, 3, 6))
            np.testing.assert_array_equal(s.sum().data, 9 * np.arange(6) + 216)


# What RosettaSciIO reads reads the same.

SHAPES = [
    ("vector", (5, 7, 16)),
    ("vector", (1, 7, 16)),
    ("vector", (5, 1, 16)),
    ("vector", (1, 1, 16)),
    ("image", (5, 7, 16)),
    ("image", (1, 7, 16)),
    ("image", (5, 1, 16)),
    ("image", (1, 1, 16)),
    ("dont-care", (5, 7, 1)),
    ("dont-care", (1, 7, 1)),
    ("dont-care", (5, 1, 1)),
]
MORE = [
    "",
    "signal\tEELS\nbeam-energy\t200\nconvergence-angle\t1.5\ncollection-angle\t10",
    "signal\tEDS_TEM\nbeam-energy\t200\nlive-time\t1.5\ntilt-stage\t2\nazimuth-angle\t3"
    "\nelevation-angle\t4\ndetector-peak-width-ev\t133\nenergy-resolution\t140",
    "signal\tCL\ntitle\tSapphire: second\ndate\t2016-08-06\ntime\t10:55:00"
    "\nDate/Time\t2020\nmadeBy\ta tool",
    "depth-scale\t0.5\ndepth-origin\t300\ndepth-units\tnm\ndepth-name\tWavelength"
    "\nwidth-scale\t2\nwidth-origin\t-3\nwidth-units\tµm\nwidth-name\tX"
    "\nheight-scale\t0.25\nheight-origin\t7\nheight-units\t<undefined>\nev-per-chan\t0",
    "depth-scale\t10\ndepth-units\teV",
    "ev-per-chan\t10\ndepth-origin\t-5",
    "; a comment\n;another\tone\nlive-time\t2;s",
]


@pytest.mark.parametrize(("record", "shape"), SHAPES)
@pytest.mark.parametrize("more", MORE)
def test_as_rosettasciio(tmp_path, record, shape, more):
    path = builder.write_pair(tmp_path / "a.rpl", shape, record=record, more="")
    path.write_bytes((path.read_text() + more).encode("latin-1"))
    theirs, ours, lazy = read_upstream(path), read(path), read(path, lazy=True)
    for found in (ours, lazy):
        assert found["axes"] == theirs["axes"]
        assert found["metadata"] == theirs["metadata"]
        assert found["original_metadata"] == theirs["original_metadata"]
        data = np.asarray(found["data"])
        np.testing.assert_array_equal(data, theirs["data"])
        assert data.dtype == theirs["data"].dtype == found["data"].dtype
        assert data.shape == theirs["data"].shape
    assert hs.load(path).__class__ is hs.load(path, file_format=UPSTREAM).__class__


@pytest.mark.parametrize("kind", builder.CODES)
@pytest.mark.parametrize("order", ["little-endian", "big-endian"])
@pytest.mark.parametrize(("record", "shape"), [SHAPES[i] for i in (0, 1, 3, 4, 8)])
@pytest.mark.parametrize("offset", [0, 13])
def test_every_type(tmp_path, kind, order, record, shape, offset):
    options = {"kind": kind, "record": record, "offset": offset, "order": order}
    path = builder.write_pair(tmp_path / "a.rpl", shape, **options)
    stored = shape[::-1][:1] + shape[:2] if record == "image" else shape
    expected = numbers_of(shape, kind).reshape([n for n in stored if n > 1])
    eager, lazy = read(path)["data"], read(path, lazy=True, chunks=3)["data"]
    for found in (eager, lazy.compute()):
        assert found.dtype == np.dtype(kind)
        np.testing.assert_array_equal(found, expected)
    assert set(sum(lazy.chunks, ())) <= {1, 2, 3}
    assert type(eager) is np.ndarray and eager.flags.writeable


def test_unit_of_ev_per_chan(tmp_path):
    """RosettaSciIO leaves out what the key says."""
    path = builder.write_pair(tmp_path / "a.rpl", more="ev-per-chan\t10")
    energy = read(path)["axes"][-1]
    assert (energy["scale"], energy["units"]) == (10, "eV")


# X-rays.


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (builder.BRUKER, (-0.956, 0.010002, "keV")),
        (builder.BRUKER.replace("keV", "eV"), (-0.000956, 1.0002e-5, "keV")),
        ("signal\tXRF", (0, 1, None)),
        ("signal\tEDS\nev-per-chan\t20", (0, 0.02, "keV")),
        ("signal\tEDS_SEM\ndepth-scale\t20\ndepth-units\teV", (0, 20, "eV")),
        ("signal\tEDS_XFM\n" + builder.BRUKER, (-0.956, 0.010002, "keV")),
        ("ev-per-chan\t5\ndetector-peak-width-ev\t140", (0, 0.005, "keV")),
        (
            "depth-scale\t0,02\ndepth-origin\t-0,1\ndepth-units\tkeV\nelevation-angle\t35",
            (-0.1, 0.02, "keV"),
        ),
    ],
)
@pytest.mark.parametrize("record", ["vector", "image"])
@pytest.mark.parametrize("lazy", [False, True])
def test_xrays(tmp_path, more, expected, record, lazy):
    path = builder.write_pair(tmp_path / "a.rpl", record=record, more=more)
    s = hs.load(path, lazy=lazy)
    assert s.__class__.__name__ == ("LazyEDSXFMSpectrum" if lazy else "EDSXFMSpectrum")
    assert s.metadata.General.title == "a"
    assert [axis.name for axis in s.axes_manager._axes] == ["y", "x", "Energy"]
    energy = s.axes_manager[-1]
    units = energy.units if isinstance(energy.units, str) else None
    assert (energy.offset, energy.scale, units) == pytest.approx(expected)
    counts = numbers_of(SHAPE).reshape(SHAPE)
    if record == "image":
        counts = numbers_of(SHAPE).reshape(16, 5, 7).transpose(1, 2, 0)
    np.testing.assert_array_equal(s.data, counts)
    np.testing.assert_array_equal(s.sum().data, counts.sum((0, 1)))
    np.testing.assert_array_equal(s.sum("Energy").data, counts.sum(-1))
    region = s.inav[2:6, 1:3]
    np.testing.assert_array_equal(region.sum().data, counts[1:3, 2:6].sum((0, 1)))


@pytest.mark.parametrize(
    "more",
    [
        "signal\tEELS\n" + builder.BRUKER,
        "signal\tLuminescence\ndepth-units\teV\ndepth-scale\t1\nazimuth-angle\t2",
        "depth-scale\t1\ndepth-units\teV\nev-per-chan\t1",
        builder.BRUKER.replace("keV", "nm"),
        "ev-per-chan\t10",
        "detector-peak-width-ev\t140",
    ],
)
def test_what_is_not_xrays(tmp_path, more):
    path = builder.write_pair(tmp_path / "a.rpl", more=more)
    assert read(path)["metadata"]["Signal"]["signal_type"] != "EDS_XFM"
    image = builder.write_pair(tmp_path / "b.rpl", (5, 7, 1), more=more)
    assert read(image)["metadata"]["Signal"]["signal_type"] != "EDS_XFM"


def test_metadata_of_xrays(tmp_path):
    more = "signal\tXRF\nbeam-energy\t50\nlive-time\t0.25\nelevation-angle\t40"
    s = hs.load(builder.write_pair(tmp_path / "a.rpl", more=more))
    sem = s.metadata.Acquisition_instrument.SEM
    assert sem.beam_energy == 50 and sem.Detector.EDS.live_time == 0.25
    assert sem.Detector.EDS.elevation_angle == 40
    assert s.sum().metadata.get_item(
        "Acquisition_instrument.SEM.Detector.EDS.live_time"
    ) == pytest.approx(0.25 * 35)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("shape", [(5, 7, 16), (1, 7, 16)])
def test_images_asked_for_as_xrays(tmp_path, lazy, shape):
    path = builder.write_pair(tmp_path / "a.rpl", shape, record="image")
    s = hs.load(path, lazy=lazy, signal_type="EDS_XFM")
    counts = numbers_of(shape).reshape(16, *shape[:2]).transpose(1, 2, 0).squeeze()
    assert s._signal_type == "EDS_XFM" and s.axes_manager.signal_shape == (16,)
    np.testing.assert_array_equal(s.data, counts)
    np.testing.assert_array_equal(s.sum().data, counts.reshape(-1, 16).sum(0))
    assert not lazy or source_of(s.data) is not None
    other = hs.load(path, lazy=lazy, signal_type="EELS")
    assert other.axes_manager.navigation_shape == (16,)


# Spellings, options.

TEXTS = [
    builder.describe(SHAPE, more=builder.BRUKER),
    "".join(
        f"{key} : {value}\r\n"
        for key, value in (
            ("WIDTH", 7), ("Height", 5), ("depth", 16), ("DATA-LENGTH", 2),
            ("offset", 0), ("Data-Type", "Unsigned"), ("byte-order", "Little-Endian"),
            ("RECORD-BY", "Vector"), ("Signal", "XRF"),
        )
    ),
    "(MLX::LISPIX\n(MLX::WIDTH : 7)\n(MLX::HEIGHT : 5)\n(MLX::DEPTH : 16)\n"
    "(MLX::OFFSET : 0)\n(MLX::DATA-LENGTH : 2)\n(MLX::DATA-TYPE : MLX::UNSIGNED)\n"
    "(MLX::BYTE-ORDER : MLX::LITTLE-ENDIAN)\n(MLX::RECORD-BY : MLX::VECTOR)\n"
    "(MLX::SIGNAL : XRF))\n",
    "key\tvalue\n;;\n\nwidth\t7\theight\nheight\t 5 ; rows\ndepth\t16\ndata-length\t2\n"
    "offset = 0\nbyte-order  little-endian\ndata-type: unsigned\nrecord-by\tvector\n"
    "signal\tXRF\n\x1a",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_spellings(tmp_path, text, mark):
    path = builder.write_pair(tmp_path / "a.rpl")
    path.write_text(mark + text, encoding="utf-8")
    s = hs.load(path, lazy=True)
    assert s._signal_type == "EDS_XFM"
    np.testing.assert_array_equal(s.data, numbers_of(SHAPE).reshape(SHAPE))


def test_text_that_was_cut(tmp_path):
    """Of what is missing, some could be anything; with none of it, there is a usual form."""
    path = builder.write_pair(tmp_path / "a.rpl", record="image")
    text = path.read_text()
    for key in ("record-by", "byte-order", "data-type", "offset"):
        path.write_text("\n".join(x for x in text.split("\n") if not x.startswith(key)))
        with pytest.raises(FileFormatError, match=f"{key} not given"):
            read(path)
    path.write_text("width\t7\nheight\t5\ndepth\t16\ndata-Length\t2")
    with pytest.warns(UserWarning, match="not given, taken for the usual: byte-order"):
        found = read(path)
    np.testing.assert_array_equal(found["data"], numbers_of(SHAPE).reshape(SHAPE))
    path = builder.write_pair(tmp_path / "a.rpl", (5, 7, 1), "u1")
    path.write_text(
        "width 7\nheight 5\ndepth 1\noffset 0\ndata-length 1\ndata-type unsigned"
    )
    assert read(path)["data"].shape == (5, 7)


def test_encoding(tmp_path):
    path = builder.write_pair(tmp_path / "a.rpl")
    text = path.read_text() + "title\tÄgäis µ"
    for encoding in ("utf-8", "latin-1"):
        path.write_bytes(text.encode(encoding))
        assert read(path)["metadata"]["General"]["title"] == "Ägäis µ"
    path.write_bytes(text.encode("utf-16"))
    assert read(path, encoding="utf-16")["metadata"]["General"]["title"] == "Ägäis µ"


@pytest.mark.parametrize("name", ["distributed", "mmap_mode"])
def test_options_of_the_past(tmp_path, name):
    path = builder.write_pair(tmp_path / "a.rpl")
    with pytest.warns(VisibleDeprecationWarning, match=name) as caught:
        hs.load(path, **{name: "r"})
    assert len(caught) == 1


def test_rpl_info(tmp_path):
    path = builder.write_pair(tmp_path / "a.rpl", order="big-endian", offset=3)
    info = {
        "width": 7, "height": 5, "depth": 16, "offset": 3, "data-length": "2",
        "data-type": "unsigned", "byte-order": "big-endian", "record-by": "vector",
        "live-time": 0.5, "signal": "XRF",
    }  # fmt: skip
    path.unlink()
    for name in (path, path.with_suffix(".raw")):
        s = hs.load(name.with_suffix(".raw"), rpl_info=info)
        found = read(name, rpl_info=info)
        np.testing.assert_array_equal(found["data"], numbers_of(SHAPE).reshape(SHAPE))
        np.testing.assert_array_equal(s.data, found["data"])
        assert found["original_metadata"]["live-time"] == 0.5
    with pytest.raises(FileFormatError, match="depth is '-1'"):
        read(path, rpl_info=info | {"depth": -1})


# Pairs.


@pytest.mark.parametrize("names", [(".RPL", ".RAW"), (".rpl", ".RAW"), (".rpl", ".Raw")])
def test_names(tmp_path, names):
    rpl, raw = names
    path = builder.write_map(tmp_path / "a.b.rpl")
    path = path.rename(tmp_path / f"a.b{rpl}")
    (tmp_path / "a.b.raw").rename(tmp_path / f"a.b{raw}")
    for name in (path, tmp_path / f"a.b{raw}"):
        s = hs.load(name, lazy=True)
        assert s.metadata.General.original_filename == name.name
        np.testing.assert_array_equal(s.data, numbers_of(SHAPE).reshape(SHAPE))


def test_half_of_a_pair(tmp_path):
    path = builder.write_map(tmp_path / "a.rpl")
    raw = path.with_suffix(".raw")
    text = path.read_text()
    path.unlink()
    for reader in (hs.load, ripple.file_reader):
        with pytest.raises(FileNotFoundError, match=r"a\.raw: a\.rpl is not there"):
            reader(raw)
    path.write_text(text)
    raw.unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.rpl: a\.raw is not there"):
        hs.load(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        ripple.file_reader(tmp_path / "b.rpl")
    with pytest.raises(ValueError, match=r"expected \.rpl or \.raw"):
        ripple.file_reader(tmp_path / "b.txt")


@pytest.mark.parametrize("name", ["a.raw", "a.rpl"])
def test_info_on_the_command_line(tmp_path, capsys, name):
    from rsciio_xfm.cli import main

    builder.write_map(tmp_path / "a.rpl")
    main(["info", str(tmp_path / name)], standalone_mode=False)
    text = capsys.readouterr().out
    assert "Energy      16 from -0.956 to -0.80597, step 0.010002 keV" in text
    assert "depthscaleincrement: '0.010002'" in text


# Bad input.


@pytest.mark.parametrize(("record", "what"), [("vector", "rows"), ("image", "images")])
@pytest.mark.parametrize("lazy", [False, True])
def test_cut(tmp_path, record, what, lazy):
    path = builder.write_pair(tmp_path / "a.rpl", record=record)
    raw = path.with_suffix(".raw")
    shape = (5, 7, 16) if record == "vector" else (16, 5, 7)
    part = 2 * shape[1] * shape[2]
    raw.write_bytes(raw.read_bytes()[: 3 * part + 11])
    with pytest.warns(UserWarning, match=f"3 {what} are there; the others are zeros"):
        found = read(path, lazy=lazy)
    expected = numbers_of(SHAPE).reshape(shape)
    expected[3:] = 0
    np.testing.assert_array_equal(found["data"], expected)
    raw.write_bytes(raw.read_bytes()[: part - 1])
    with pytest.raises(TruncatedFileError, match="ends at byte"):
        read(path, lazy=lazy)


def test_cut_spectrum_and_line(tmp_path):
    path = builder.write_pair(tmp_path / "a.rpl", (1, 1, 16))
    path.with_suffix(".raw").write_bytes(b"\1\0" * 5 + b"\1")
    with pytest.warns(UserWarning, match="5 numbers are there"):
        assert read(path)["data"].tolist() == [1] * 5 + [0] * 11
    path = builder.write_pair(tmp_path / "a.rpl", (1, 7, 16))
    path.with_suffix(".raw").write_bytes(b"\1\0" * 40)
    with pytest.warns(UserWarning, match="2 spectra are there"):
        assert read(path)["data"].sum() == 32


def test_cut_images_of_xrays(tmp_path):
    """All spectra would lack channels."""
    path = builder.write_map(tmp_path / "a.rpl", record="image")
    raw = path.with_suffix(".raw")
    raw.write_bytes(raw.read_bytes()[:-1])
    with pytest.raises(TruncatedFileError, match="ordered as images"):
        read(path, lazy=True)


@pytest.mark.parametrize("record", ["vector", "image"])
def test_longer(tmp_path, record):
    path = builder.write_pair(tmp_path / "a.rpl", record=record)
    raw = path.with_suffix(".raw")
    raw.write_bytes(raw.read_bytes() + bytes(31))
    with pytest.warns(UserWarning, match="The last ones are ignored"):
        read(path)
    raw.write_bytes(raw.read_bytes() + b"\0")
    with pytest.raises(CorruptFileError, match=r"1152 bytes, expected 1120"):
        read(path)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("width\t7", "width\t-7", "width is '-7', expected an integer from 1"),
        ("offset\t0", "offset\t-2", "offset is '-2'"),
        ("depth\t16", "", "key depth is missing"),
        ("depth\t16", "depth\t16777216", "ends at byte 1120"),
        ("width\t7", "width\t7\nwidth\t9", "width is '9' in line 3"),
        ("Length\t2", "Length\t3", "data-length is 3"),
        ("unsigned", "float", "data-type float"),
        ("vector", "dont-care", "record-by is 'dont-care', expected vector or image"),
        ("vector", "columns", "record-by is 'columns'"),
        ("little-endian", "big", "byte-order is 'big'"),
    ],
)
def test_wrong_text(tmp_path, old, new, text):
    path = builder.write_pair(tmp_path / "a.rpl")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with little_memory(), pytest.raises(FileFormatError, match=text):
        read(path)


def test_two_calibrations(tmp_path):
    """The first was taken without a word; RosettaSciIO takes the last."""
    more = "ev-per-chan\t10\nev-per-chan\t10.0\nEV-per-chan\t20\nnote\ta\nnote\tb\n"
    path = builder.write_pair(tmp_path / "a.rpl", more=more)
    with pytest.warns(UserWarning, match="ev-per-chan is '10' and, in line 12, '20'"):
        signal = read(path)
    assert signal["axes"][-1]["scale"] == 10


def test_numbers_that_are_none(tmp_path):
    more = "beam-energy\t20 or so\nwidth-scale\t0\nheight-scale\tinf\nlive-time\t2"
    path = builder.write_pair(tmp_path / "a.rpl", more=more)
    with pytest.warns(UserWarning, match="beam-energy is '20 or so'") as caught:
        found = read(path)
    assert "width-scale is '0'" in str(caught[0].message)
    assert [axis["scale"] for axis in found["axes"]] == [1, 1, 1]
    tem = found["metadata"]["Acquisition_instrument"]["TEM"]
    assert tem == {"Detector": {"EDS": {"live_time": 2}}}


def test_exchanged(tmp_path):
    path = builder.write_pair(tmp_path / "a.rpl")
    raw = path.with_suffix(".raw")
    content = path.read_bytes()
    path.write_bytes(raw.read_bytes())
    raw.write_bytes(content)
    with pytest.raises(FileFormatError, match="Are raw and rpl exchanged"):
        read(path)


def test_changed_after_it_was_opened(tmp_path):
    path = builder.write_map(tmp_path / "a.rpl")
    s = hs.load(path, lazy=True)
    path.with_suffix(".raw").write_bytes(bytes(1200))
    with pytest.raises(CorruptFileError, match="changed since it was opened"):
        s.sum().compute()


# Lazy maps.


@pytest.mark.parametrize("record", ["vector", "image"])
def test_pickled_and_in_processes(tmp_path, record):
    path = builder.write_map(tmp_path / "a.rpl", (40, 30, 64), record=record)
    s = hs.load(path, lazy=True)
    data = pickle.loads(pickle.dumps(s.data))
    assert len(pickle.dumps(s.data)) < 40 * 30 * 64
    expected = hs.load(path).data
    np.testing.assert_array_equal(data, expected)
    with dask.config.set(scheduler="processes", num_workers=2):
        np.testing.assert_array_equal(s.data[3:5].compute(), expected[3:5])
        np.testing.assert_array_equal(s.sum().data, expected.sum((0, 1)))


@pytest.mark.parametrize("record", ["vector", "image"])
@pytest.mark.parametrize("chunks", ["auto", (2, 3, 5), (1, -1, 4)])
def test_chunks(tmp_path, record, chunks):
    path = builder.write_map(tmp_path / "a.rpl", record=record)
    s, counts = hs.load(path, lazy=True, chunks=chunks), hs.load(path).data
    np.testing.assert_array_equal(s.data, counts)
    np.testing.assert_array_equal(s.data[1:4, ::2, 3:9], counts[1:4, ::2, 3:9])
    np.testing.assert_array_equal(s.data[-1, 2], counts[-1, 2])
    images = s.get_window_images([(2, 5)])
    (image,) = images.values()
    np.testing.assert_array_equal(image.data, counts[..., 2:5].sum(-1))


# Saving.


def saved(signal, path, **kwds):
    signal.save(path, overwrite=True, **kwds)
    return hs.load(path)


@pytest.mark.parametrize("kind", ["u1", "u2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("shape", [(16,), (7, 16), (5, 7, 16)])
@pytest.mark.parametrize("n_signal", [1, 2])
def test_saved_as_rosettasciio_does(tmp_path, kind, shape, n_signal):
    if n_signal > len(shape):
        return
    data = numbers_of(shape, kind).reshape(shape)
    s = hs.signals.BaseSignal(data).transpose(signal_axes=n_signal)
    s.metadata.General.title = "Ägäis"
    axis = s.axes_manager._axes[0]
    axis.scale, axis.units, axis.name = 0.5, "µm", "first"
    UPSTREAM.file_writer(str(tmp_path / "theirs.rpl"), s._to_dictionary())
    for name, signal in (("ours", s), ("lazy", s.as_lazy())):
        if signal._lazy:
            signal.data = signal.data.rechunk(3)
        again = saved(signal, tmp_path / f"{name}.rpl")
        np.testing.assert_array_equal(again.data, data)
        for suffix in (".rpl", ".raw"):
            theirs = (tmp_path / "theirs").with_suffix(suffix).read_bytes()
            assert (tmp_path / name).with_suffix(suffix).read_bytes() == theirs


def test_big_endian_is_saved(tmp_path):
    data = numbers_of(SHAPE).reshape(SHAPE).astype(">u2")
    again = saved(hs.signals.Signal1D(data), tmp_path / "a.rpl")
    np.testing.assert_array_equal(again.data, data)
    assert "big-endian" in (tmp_path / "a.rpl").read_text()


@pytest.mark.parametrize("lazy", [False, True])
def test_xrays_come_back(tmp_path, lazy):
    s = hs.load(builder.write_map(tmp_path / "a.rpl"), lazy=lazy)
    s.set_microscope_parameters(beam_energy=50, live_time=0.5)
    again = saved(s, tmp_path / "b.rpl")
    assert again._signal_type == "EDS_XFM"
    energy = again.axes_manager[-1]
    assert (energy.offset, energy.scale, energy.units) == (-0.956, 0.010002, "keV")
    sem = again.metadata.Acquisition_instrument.SEM
    assert (sem.beam_energy, sem.Detector.EDS.live_time) == (50, 0.5)
    np.testing.assert_array_equal(again.data, s.data)
    for name in ("c.raw", "C.RPL"):
        np.testing.assert_array_equal(saved(s, tmp_path / name).data, again.data)


def test_live_time_of_a_whole_map(tmp_path):
    """What is written is that of one spectrum, as a reader takes it."""
    (map_,) = edax.file_reader(
        edax_builder.write_map(tmp_path / "a.spd", fName=b"map.bmp"), lazy=True
    )
    eds = map_["metadata"]["Acquisition_instrument"]["SEM"].setdefault("Detector", {})
    times = {"live_time": 60.0, "live_time_of_map": 60.0, "n_spectra_of_map": 30}
    eds.setdefault("EDS", {}).update(times)
    ripple.file_writer(tmp_path / "a.rpl", map_)
    found = read(tmp_path / "a.rpl")["metadata"]["Acquisition_instrument"]["SEM"]
    assert found["Detector"]["EDS"]["live_time"] == 2


def test_without_hyperspy(tmp_path):
    """And without an instrument, which RosettaSciIO's writer looks for in vain."""
    (map_,) = edax.file_reader(
        edax_builder.write_map(tmp_path / "a.spd", fName=b"map.bmp"), lazy=True
    )
    del map_["metadata"]["Acquisition_instrument"]
    ripple.file_writer(tmp_path / "a.rpl", map_)
    found = read(tmp_path / "a.rpl")
    assert found["metadata"]["Signal"]["signal_type"] == "EDS_XFM"
    np.testing.assert_array_equal(found["data"], map_["data"])
    assert map_["metadata"]["Signal"]["signal_type"] == "EDS_XFM"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_fails_changes_nothing(tmp_path):
    s = hs.load(builder.write_map(tmp_path / "a.rpl"), lazy=True)
    s.save(tmp_path / "a.rpl", overwrite=True, replace_original=True)
    s = hs.load(tmp_path / "a.rpl", lazy=True)
    before = contents(tmp_path)

    def fail(block):
        raise RuntimeError("on the way")

    broken = s.deepcopy()
    broken.data = s.data.map_blocks(fail, dtype=s.data.dtype, meta=s.data._meta)
    with pytest.raises(RuntimeError, match="on the way"):
        broken.save(tmp_path / "a.rpl", overwrite=True)
    assert contents(tmp_path) == before
    wrong = hs.signals.Signal1D(np.zeros((3, 4), dtype=np.float16))
    with pytest.raises(OSError, match="float16"):
        wrong.save(tmp_path / "a.rpl", overwrite=True)
    assert contents(tmp_path) == before


def test_other_file_of_the_pair(tmp_path):
    """HyperSpy asks whether the file that is named may be replaced, and not the other."""
    s = hs.load(builder.write_map(tmp_path / "a.rpl"))
    for name, other in (("b.rpl", "b.raw"), ("c.raw", "c.rpl")):
        (tmp_path / other).write_bytes(b"the only copy")
        with pytest.raises(FileExistsError, match=f"{name} is not"):
            s.save(tmp_path / name)
        assert (tmp_path / other).read_bytes() == b"the only copy"


@pytest.mark.parametrize("saved", ["A.RPL", "A.RAW", "A.rpl", "A.raw"])
def test_capitals_are_not_replaced(tmp_path, saved):
    """A scanner's pair in capitals was taken for one that is not there, and replaced."""
    path = builder.write_map(tmp_path / "A.rpl")
    path.rename(tmp_path / "A.RPL")
    path.with_suffix(".raw").rename(tmp_path / "A.RAW")
    before = contents(tmp_path)
    s = hs.load(tmp_path / "A.RPL")
    with pytest.raises((ValueError, FileExistsError), match="expected"):
        s.save(tmp_path / saved, overwrite=True)
    assert contents(tmp_path) == before
    s.save(tmp_path / "A.RPL", overwrite=True, replace_original=True)
    assert sorted(contents(tmp_path)) == ["A.RAW", "A.RPL"]
    np.testing.assert_array_equal(hs.load(tmp_path / "A.RAW").data, s.data)


@pytest.mark.parametrize("stop", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_nothing_between_the_moves(tmp_path, monkeypatch, stop):
    """New numbers stayed with the old text if the disk was full, or Ctrl-C came, then."""
    s = hs.load(builder.write_map(tmp_path / "a.rpl"))
    path = tmp_path / "b.rpl"
    s.save(path)
    before = contents(tmp_path)
    replace, is_moved = os.replace, []

    class Watched(io.FileIO):
        def write(self, data):
            if is_moved and isinstance(stop, OSError):
                raise stop
            return super().write(data)

        def close(self):
            if is_moved and isinstance(stop, KeyboardInterrupt):
                os.kill(os.getpid(), SIGINT)
            super().close()

    def move(old, new):
        replace(old, new)
        is_moved.append(new)

    monkeypatch.setattr(os, "replace", move)
    opened = lambda name, mode: io.BufferedWriter(Watched(name, mode))  # noqa: E731
    monkeypatch.setattr("rsciio_xfm.core.atomic.open", opened, raising=False)
    (s * 0).isig[2:9].save(path, overwrite=True)
    assert len(is_moved) == 2
    assert contents(tmp_path) != before
    assert hs.load(path).data.shape == (*s.data.shape[:-1], 7)


def test_over_itself(tmp_path):
    path = builder.write_map(tmp_path / "a.rpl")
    s = hs.load(path, lazy=True)
    counts = s.data.compute()
    s.isig[2:9].save(path, overwrite=True, replace_original=True)
    np.testing.assert_array_equal(hs.load(path).data, counts[..., 2:9])


def test_memory_of_saving(tmp_path):
    """Of a sparse map of 512 MiB, in a process whose peak is known."""
    path = tmp_path / "a.rpl"
    path.write_text(builder.describe((128, 512, 4096), more=builder.BRUKER))
    with path.with_suffix(".raw").open("wb") as file:
        file.truncate(128 * 512 * 4096 * 2)
    code = """
import sys, resource
from rsciio_xfm import ripple
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
import dask.array, rsciio.ripple
before = peak()
(signal,) = ripple.file_reader(sys.argv[1], lazy=True)
ripple.file_writer(sys.argv[2], signal)
print(peak() - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "b.rpl"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(result.stdout) < 350
    assert (tmp_path / "b.raw").stat().st_size == 2**29


def test_take_over_turned_off(tmp_path):
    path = builder.write_map(tmp_path / "a.rpl")
    path.write_text(path.read_text().replace(builder.BRUKER, "signal\tEDS_SEM\n"))
    code = """
import sys
import hyperspy.api as hs
from rsciio import IO_PLUGINS
s = hs.load(sys.argv[1], signal_type="EDS_XFM")
s.save(sys.argv[2])
print([p["api"] for p in IO_PLUGINS if "rpl" in p["file_extensions"]], s._signal_type)
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, path, tmp_path / "b.rpl"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"RSCIIO_XFM_TAKE_OVER": "0"},
    )
    assert result.stdout.split() == ["['rsciio.ripple']", "EDS_XFM"]
    assert (tmp_path / "b.raw").read_bytes() == path.with_suffix(".raw").read_bytes()
