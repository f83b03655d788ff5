"""Folders of spectra, one file a pixel, as maps."""

import contextlib
import os
import warnings
from array import array
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import text_spectra
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.text_spectra import folder as folders
from rsciio_xfm.formats.text_spectra.convert import DESTINATIONS, _Files
from tests.builders import msa as msa_builder
from tests.builders import text_spectra as builder


def convert(tmp_path, shape=(6, 4), suffix=".h5", said=None, **options):
    """Convert the folder `spectra`, and load what was written."""
    destination = tmp_path / f"map{suffix}"
    context = contextlib.nullcontext()
    if said is not None:
        context = pytest.warns(UserWarning, match=said)
    with context:
        text_spectra.convert(tmp_path / "spectra", destination, shape, **options)
    assert {p.name for p in tmp_path.iterdir()} <= {
        "spectra", "map.raw", *(f"map{one}" for one in DESTINATIONS)
    }  # fmt: skip
    own = {"file_format": "ESRF"} if suffix == ".h5" else {}
    return hs.load(destination, **own)


@pytest.mark.parametrize("suffix", [".datastack", ".h5", ".rpl", ".hspy", ".emd"])
def test_formats(tmp_path, suffix):
    counts = builder.write_folder(tmp_path / "spectra")
    s = convert(tmp_path, suffix=suffix)
    np.testing.assert_array_equal(s.data, counts)
    axis = s.axes_manager[-1]
    assert (axis.offset, axis.scale) == pytest.approx((-0.017, 0.0176666667))
    assert s.axes_manager.navigation_shape == (6, 4)
    assert s.metadata.General.title in ("spectra", "map")


def test_geopixe(tmp_path):
    def write(own):
        return builder.amptek(own, pairs=((0, 0), (100, 2)))

    counts = builder.write_folder(tmp_path / "spectra", write=write)
    destination = tmp_path / "map.GeoPIXE"
    text_spectra.convert(tmp_path / "spectra", destination, (6, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the header of the format is without
        s = hs.load(destination)
    np.testing.assert_array_equal(s.data, counts)
    assert s.get_dead_time().data == pytest.approx(np.full((4, 6), 10), abs=0.01)


@pytest.mark.parametrize(
    "name", ["scan_{}.mca", "scan_{:03d}.MCA", "a 2020 {}.mca", "{}.mca", "12_{}-7.mca"]
)
@pytest.mark.parametrize("first", [0, 1, 17])
def test_order(tmp_path, name, first):
    """By numbers, not by letters: 2 is before 10, with zeros before it or not."""
    counts = builder.write_folder(tmp_path / "spectra", name=name, first=first)
    np.testing.assert_array_equal(convert(tmp_path).data, counts)


def test_row_and_column(tmp_path):
    """Names tell the shape; a number that is the same in all does not matter."""
    counts = builder.write_folder(tmp_path / "spectra", (3, 12))
    for i in range(36):
        old = tmp_path / "spectra" / f"scan_{i + 1}.mca"
        old.rename(old.with_name(f"map7_{i // 12 + 1}_{i % 12}.mca"))
    np.testing.assert_array_equal(convert(tmp_path, None).data, counts)
    with pytest.raises(ValueError, match=r"shape is 3x12, expected 12x3: in the names"):
        convert(tmp_path, (3, 12), suffix=".hspy")
    (tmp_path / "spectra" / "map7_2_5.mca").unlink()
    s = convert(tmp_path, (12, 3), ".hspy", said=r"missing: map7_2_5\.mca\. Their pixels")
    counts[1, 5] = 0
    np.testing.assert_array_equal(s.data, counts)


def test_counter_and_clock(tmp_path):
    """Of two numbers that both differ from file to file the one that counts is taken."""
    counts = builder.write_folder(tmp_path / "spectra")
    for i in range(24):
        old = tmp_path / "spectra" / f"scan_{i + 1}.mca"
        old.rename(old.with_name(f"{120000 + (i * 37) % 1000}_{i + 1}.mca"))
    np.testing.assert_array_equal(convert(tmp_path).data, counts)


def test_steps(tmp_path):
    counts = builder.write_folder(tmp_path / "spectra")
    for i in range(24, 0, -1):
        old = tmp_path / "spectra" / f"scan_{i}.mca"
        old.rename(old.with_name(f"scan_{10 * i}.mca"))
    np.testing.assert_array_equal(convert(tmp_path).data, counts)


@pytest.mark.parametrize("how", ["said", "config", "text"])
def test_snake(tmp_path, how):
    counts = builder.write_folder(tmp_path / "spectra")
    own = tmp_path / "spectra"
    if how == "config":
        (own / "config.cfg").write_text("<<CONFIG_START>>\nping-pong = True\n")
    if how == "text":
        (own / "colonneXrighe.txt").write_text("righe\t4\ncolonne\t6\nsnake 1\n")
    shape = None if how == "text" else (6, 4)
    s = convert(tmp_path, shape, snake=True if how == "said" else None)
    counts[1::2] = counts[1::2, ::-1]
    np.testing.assert_array_equal(s.data, counts)


def test_shape_of_xismus(tmp_path):
    counts = builder.write_folder(tmp_path / "spectra")
    text = "righe\t4\r\ncolonne\t6\r\n***** user input data *****"
    (tmp_path / "spectra" / "colonneXrighe.txt").write_bytes(text.encode())
    np.testing.assert_array_equal(convert(tmp_path, None).data, counts)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (
            None,
            r"24 files, and nothing says .* possible are 6x4, 4x6, 8x3, 3x8, 12x2, 2x12",
        ),
        (
            (5, 4),
            r"is 5x4, 20 pixels, and the folder has 24 files, expected as many; possible",
        ),
        (
            (7, 4),
            r"is 7x4, 28 pixels, .* If the scan was stopped, say so: unfinished=True",
        ),
        ((6,), r"navigation_shape is \(6,\), expected columns and rows"),
        ((6, 0), r"navigation_shape is \(6, 0\)"),
        ((6.0, 4), r"navigation_shape is \(6.0, 4\)"),
        ("6x4", r"navigation_shape is '6x4'"),
    ],
)
def test_other_shape(tmp_path, shape, said):
    builder.write_folder(tmp_path / "spectra")
    with pytest.raises(ValueError, match=said):
        convert(tmp_path, shape)
    assert [p.name for p in tmp_path.iterdir()] == ["spectra"]


def test_links_that_lead_nowhere(tmp_path):
    counts = builder.write_folder(tmp_path / "spectra")
    for name, target in (("scan_25.mca", "scan_25.mca"), ("scan_26.mca", "nothing")):
        (tmp_path / "spectra" / name).symlink_to(tmp_path / "spectra" / target)
    np.testing.assert_array_equal(convert(tmp_path).data, counts)


@pytest.mark.parametrize("numbers", [(1,), (24,), (5, 6, 7, 8, 9, 13), (1, 2, 24)])
def test_missing(tmp_path, numbers):
    counts = builder.write_folder(tmp_path / "spectra", name="scan_{:04d}.mca")
    for i in numbers:
        (tmp_path / "spectra" / f"scan_{i:04d}.mca").unlink()
        counts.reshape(24, -1)[i - 1] = 0
    if numbers[-1] == 24 and numbers != (24,):
        with pytest.raises(ValueError, match="unfinished=True"):
            convert(tmp_path)
        # Nothing tells that it counts from 1: the first file is the first pixel.
        numbers, counts = (22, 23, 24), None
        s = convert(tmp_path, unfinished=True, said=r"missing: scan_0024.mca, scan_0025")
        assert not s.data.reshape(24, -1)[21:].any() and s.data.reshape(24, -1)[20].any()
    else:
        is_end = numbers == (24,)
        named = ", ".join(f"scan_{i:04d}.mca" for i in numbers[:5])
        more = " and 1 more" if len(numbers) > 5 else ""
        s = convert(tmp_path, unfinished=is_end, said=rf"missing: {named}{more}\. Their")
    if counts is not None:
        np.testing.assert_array_equal(s.data, counts)
        dead = s.get_dead_time().data
        assert np.flatnonzero(np.isnan(dead)).tolist() == [i - 1 for i in numbers]
        assert s.get_live_time().data.ravel()[numbers[0] - 1] == 0


def test_times(tmp_path):
    """Live and real time of each file are those of its pixel, and of sums."""
    counts = builder.write_folder(tmp_path / "spectra")
    live, real = [], []
    for i, own in enumerate(counts.reshape(24, -1)):
        live.append(round(0.5 + i / 100, 2))
        real.append(1.0 + (i % 3) / 10)
        content = builder.amptek(own, live=live[-1], real=real[-1])
        (tmp_path / "spectra" / f"scan_{i + 1}.mca").write_bytes(content)
    s = convert(tmp_path, suffix=".hspy")
    assert s.get_live_time().data.ravel() == pytest.approx(live, rel=1e-5)
    dead = 100 * (1 - np.array(live) / real)
    assert s.get_dead_time().data.ravel() == pytest.approx(dead, rel=1e-5)
    eds = s.sum().metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.live_time == pytest.approx(sum(live), rel=1e-5)
    assert eds.real_time == pytest.approx(sum(real), rel=1e-5)
    eds = s.inav[2:4, 1].sum().metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.live_time == pytest.approx(sum(live[8:10]), rel=1e-5)
    assert eds.real_time == pytest.approx(sum(real[8:10]), rel=1e-5)


def test_detectors(tmp_path):
    def write(own):
        two = np.stack([own, 2 * own], axis=1)
        return builder.epics(two, live=(0.9, 0.8), real=(1.0, 1.0))

    counts = builder.write_folder(tmp_path / "spectra", write=write)
    s = convert(tmp_path, suffix=".hspy")
    np.testing.assert_array_equal(s.data, 3 * counts)
    assert s.get_live_time().data == pytest.approx(np.full((4, 6), 1.7))
    assert s.metadata.Acquisition_instrument.SEM.beam_energy == 11.8


@pytest.mark.parametrize("dialect", ["axil", "columns", "msa"])
def test_dialects(tmp_path, dialect):
    def columns(own):
        return "".join(f"{c}\n" for c in own).encode()

    def msa(own):
        body = "".join(f"{c}, \n" for c in own)
        text = msa_builder.make_text(body, NPOINTS=str(len(own)), REALTIME="12")
        return text.encode()

    write, suffix = {
        "axil": (builder.axil, "spe"), "columns": (columns, "txt"), "msa": (msa, "msa")
    }[dialect]  # fmt: skip
    counts = builder.write_folder(tmp_path / "spectra", name="a{}." + suffix, write=write)
    s = convert(tmp_path, suffix=".hspy")
    np.testing.assert_array_equal(s.data, counts)
    if dialect == "msa":
        assert s.axes_manager[-1].scale == 0.01
        assert s.get_live_time().data == pytest.approx(np.full((4, 6), 10))


def test_msa_with_units_and_energies(tmp_path):
    """Units behind keywords, and energies beside the counts, are as for one file."""

    def write(own):
        body = "".join(f"{100 + 10 * i}, {c}\n" for i, c in enumerate(own))
        lines = ["#LIVETIME  -ms: 900", "#REALTIME  -s : 1.5"]
        text = msa_builder.make_text(
            body, DATATYPE="XY", XUNITS="eV", XPERCHAN="10", OFFSET="100",
            NPOINTS=str(len(own)), lines=lines, without=("LIVETIME",),
        )  # fmt: skip
        return text.encode()

    counts = builder.write_folder(tmp_path / "spectra", name="a{}.msa", write=write)
    s = convert(tmp_path, suffix=".hspy")
    np.testing.assert_array_equal(s.data, counts)
    energy = s.axes_manager[-1]
    assert (energy.offset, energy.scale, energy.units) == pytest.approx(
        (0.1, 0.01, "keV")
    )
    assert s.get_live_time().data == pytest.approx(np.full((4, 6), 0.9))
    assert s.metadata.Acquisition_instrument.SEM.beam_energy == 20


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([70_000], np.uint32),
        ([5_000_000_000], np.uint64),
        ([-1], np.int32),
        ([2.5], np.float64),
        ([70_000, -1, 2.5], np.float64),
    ],
)
def test_wider_numbers(tmp_path, monkeypatch, values, dtype):
    """Counts are exact, whichever file is the first that has more."""
    monkeypatch.setitem(text_spectra.convert.__globals__, "_MOST_FILES", 3)
    counts = builder.write_folder(tmp_path / "spectra").astype(float)
    for i, value in enumerate(values):
        own = counts.reshape(24, -1)[10 + 4 * i]
        own[3] = value
        lines = [repr(float(v)) if v % 1 else str(int(v)) for v in own]
        content = builder.amptek(lines)
        (tmp_path / "spectra" / f"scan_{11 + 4 * i}.mca").write_bytes(content)
    s = convert(tmp_path, suffix=".hspy")
    np.testing.assert_array_equal(s.data, counts)
    assert s.data.dtype == dtype


def test_other_calibrations(tmp_path):
    counts = builder.write_folder(tmp_path / "spectra")
    for i in (5, 9):
        content = builder.amptek(counts.reshape(24, -1)[i - 1], pairs=((0, 0), (600, 12)))
        (tmp_path / "spectra" / f"scan_{i}.mca").write_bytes(content)
    s = convert(
        tmp_path, said=r"calibration of 2 of 24 files, scan_5.mca, scan_9.mca, is"
    )
    assert s.axes_manager[-1].scale == pytest.approx(0.0176666667)


def test_calibration(tmp_path):
    builder.write_folder(
        tmp_path / "spectra", write=lambda own: builder.amptek(own, pairs=())
    )
    s = convert(tmp_path, calibration=(-0.1, 0.02))
    assert (s.axes_manager[-1].offset, s.axes_manager[-1].scale) == (-0.1, 0.02)
    for wrong in ((0, 0), 0.02, (np.nan, 1), (0, 1, 2)):
        with pytest.raises(ValueError, match="calibration is "):
            text_spectra.convert(
                tmp_path / "spectra", tmp_path / "b.h5", (6, 4), calibration=wrong
            )


# Bad input --------------------------------------------------------------------------------


def test_several_lengths(tmp_path):
    builder.write_folder(tmp_path / "spectra")
    (tmp_path / "spectra" / "scan_7.mca").write_bytes(builder.amptek([1] * 64))
    with pytest.raises(
        CorruptFileError,
        match=r"scan_7.mca has 64 x 1, expected 32 channels x 1 detectors, as others",
    ):
        convert(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["spectra"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"scan_7.mca \(the file is empty"),
        (b"\0rubbish", r"scan_7.mca \(the file begins with"),
        (builder.amptek([1] * 32)[:300], r"scan_7.mca \(the file"),
    ],
)
def test_unreadable(tmp_path, content, said):
    counts = builder.write_folder(tmp_path / "spectra")
    (tmp_path / "spectra" / "scan_7.mca").write_bytes(content)
    s = convert(
        tmp_path, said=rf"1 of 24 files cannot be read, {said}.*: their pixels are"
    )
    counts[1, 0] = 0
    np.testing.assert_array_equal(s.data, counts)
    assert np.flatnonzero(np.isnan(s.get_dead_time().data)).tolist() == [6]
    for path in (tmp_path / "spectra").iterdir():
        path.write_bytes(content[:200])
    with pytest.raises(FileFormatError):
        text_spectra.convert(tmp_path / "spectra", tmp_path / "b.h5", (6, 4))


def test_most_unreadable(tmp_path):
    builder.write_folder(tmp_path / "spectra")
    for i in range(2, 24):
        (tmp_path / "spectra" / f"scan_{i}.mca").write_bytes(b"words")
    with pytest.raises(
        FileFormatError, match="22 of 24 files cannot be read, expected most"
    ):
        convert(tmp_path)


def test_several_kinds(tmp_path):
    counts = builder.write_folder(tmp_path / "spectra")
    own = tmp_path / "spectra"
    (own / "notes.txt").write_text("words")
    s = convert(tmp_path, said=r"notes.txt left out: the map is of scan_\*.mca")
    np.testing.assert_array_equal(s.data, counts)
    builder.write_folder(own, (1, 3), name="reference {}.mca")
    with pytest.raises(
        FileFormatError,
        match=r"several kinds, scan_\*.mca \(24 files\), reference \*.mca \(3 files\).*--pat",
    ):
        convert(tmp_path, suffix=".hspy")
    s = convert(tmp_path, suffix=".hspy", pattern="scan_*.mca")
    np.testing.assert_array_equal(s.data, counts)
    with pytest.raises(FileFormatError, match=r"has no files x\*, expected spectra"):
        text_spectra.convert(own, tmp_path / "b.h5", (6, 4), pattern="x*")


def test_other_paths(tmp_path):
    builder.write_folder(tmp_path / "spectra")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotADirectoryError, match="is not there, expected a folder"):
        text_spectra.convert(tmp_path / "none", tmp_path / "b.h5")
    with pytest.raises(NotADirectoryError, match="is a file"):
        text_spectra.convert(tmp_path / "spectra" / "scan_1.mca", tmp_path / "b.h5")
    with pytest.raises(FileFormatError, match=r"has no files \*.mca, \*.spe"):
        text_spectra.convert(tmp_path / "empty", tmp_path / "b.h5")
    with pytest.raises(
        ValueError, match=r"extension is '.tif', expected .datastack or .h5"
    ):
        text_spectra.convert(tmp_path / "spectra", tmp_path / "b.tif", (6, 4))
    (tmp_path / "b.h5").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        text_spectra.convert(tmp_path / "spectra", tmp_path / "b.h5", (6, 4))
    assert (tmp_path / "b.h5").read_bytes() == b"x"


def test_one_pixel(tmp_path):
    counts = builder.write_folder(tmp_path / "spectra", (1, 1))
    np.testing.assert_array_equal(convert(tmp_path, (1, 1), ".hspy").data, counts)
    counts = builder.write_folder(tmp_path / "spectra", (1, 1), name="point.mca")
    np.testing.assert_array_equal(
        convert(tmp_path, (1, 1), ".datastack", pattern="point.mca").data, counts
    )


def test_numbers_without_end(tmp_path):
    """Neither memory nor time goes with the numbers that are in names."""
    own = tmp_path / "spectra"
    own.mkdir()
    for name in ("a_1.mca", "a_2.mca", f"a_{10**17}.mca"):
        (own / name).write_bytes(builder.amptek([1, 2]))
    with pytest.raises(ValueError, match=r"has 3 files with numbers of 1000000000000"):
        convert(tmp_path, (4, 1))
    assert convert(tmp_path, (3, 1)).data.shape == (1, 3, 2)
    with pytest.raises(ValueError, match="the shape is 100000x1000000"):
        convert(tmp_path, (100_000, 1_000_000), suffix=".hspy", unfinished=True)
    (own / f"b{'9' * 40}.mca").write_bytes(builder.amptek([1, 2]))
    with pytest.warns(UserWarning, match="left out"):
        assert folders.find_files(own, None).pattern == "a_*.mca"


class _Entry:
    def __init__(self, name):
        self.name = name

    def is_file(self):
        return True


def test_many_files_in_memory(monkeypatch):
    """A hundred thousand are 10 bytes each and a number."""
    n = 100_000

    class Scan:
        def __init__(self, names):
            self.names = names

        def __enter__(self):
            return map(_Entry, self.names)

        def __exit__(self, *_):
            pass

    names = (f"scan_{i * 7919 % n + 1}.mca" for i in range(n))
    monkeypatch.setattr(os, "scandir", lambda _: Scan(names))
    family = folders.find_files(Path("x"), None)
    assert len(family) == n
    assert family.numbers.itemsize * len(family.numbers) == 8 * n
    grid = folders.place(Path("x"), family, folders.Wanted((100, 1000)))
    assert [family.name(grid.files[i]) for i in (0, 1, n - 1)] == [
        "scan_1.mca", "scan_2.mca", f"scan_{n}.mca"
    ]  # fmt: skip
    names = (f"{i:x}.mca" for i in range(n))
    monkeypatch.setattr(os, "scandir", lambda _: Scan(names))
    with pytest.raises(FileFormatError, match=r"differ in more than numbers"):
        folders.find_files(Path("x"), None)


def test_many_batches_in_threads(tmp_path, monkeypatch):
    """In threads, whatever becomes ready first."""
    monkeypatch.setitem(text_spectra.convert.__globals__, "_MOST_FILES", 2)
    counts = builder.write_folder(tmp_path / "spectra", (20, 15))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        np.testing.assert_array_equal(convert(tmp_path, (15, 20)).data, counts)


def test_first_file_is_that_of_the_least_number(tmp_path):
    """Not that which the file system lists first."""
    family = folders.Family(("a_", ".mca"), array("q", [12, 3, 7]), array("B", [1] * 3))
    grid = folders.Grid((1, 3), np.array([1, 2, 0]))
    files = _Files(tmp_path, family, grid)
    assert [files.path(i).name for i in files.pixels()] == [
        "a_3.mca",
        "a_7.mca",
        "a_12.mca",
    ]


def test_date_is_that_of_the_first_file(tmp_path):
    builder.write_folder(tmp_path / "spectra")
    for i in range(24):
        path = tmp_path / "spectra" / f"scan_{i + 1}.mca"
        content = path.read_bytes()
        path.write_bytes(content.replace(b"11:47:50", f"11:{i:02d}:00".encode()))
    s = convert(tmp_path, snake=True)
    assert s.metadata.General.time == "11:00:00"
    assert s.original_metadata.START_TIME == "11/10/2020 11:00:00"
