"""Bruker's maps and spectra: made files, and those of microscopes beside RosettaSciIO."""

import base64
import pickle
import re
import struct
import zlib

import hyperspy.api as hs
import numpy as np
import pytest
import rsciio.bruker

import rsciio_xfm
from rsciio_xfm import bruker
from rsciio_xfm.analysis.fit.excitation import Layer, beryllium
from rsciio_xfm.analysis.fit.sources import tube as tube_of
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.bruker.parse import read_spx
from rsciio_xfm.formats.bruker.times import find_times, live_time, zero_peak
from tests.builders import bruker as builder
from tests.conftest import DATA

REAL = DATA / "bruker"
# Sums of all counts, as three readers give them.
GOLDEN = {
    "16x16_12bit_packed_8bit.bcf": 20_194,
    "Hitachi_TM3030Plus.bcf": 171_804,
    "bcf_v2_50x50px.bcf": 949_769,
    "over16bit.bcf": 176_786_251,
    "test_TEM.bcf": 26_005,
}
# Dead times of whole maps, in percent.
DEAD = {
    "16x16_12bit_packed_8bit.bcf": 14.7,
    "Hitachi_TM3030Plus.bcf": 4.9,
    "bcf_v2_50x50px.bcf": 32.9,
    "over16bit.bcf": 36.6,
    "test_TEM.bcf": 17.7,
}
MAPS = {"select_type": "spectrum_image"}


def counts(**options):
    return np.array(builder.all_counts(**options))


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.bcf")


@pytest.fixture(params=GOLDEN)
def real(request):
    path = REAL / request.param
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def read(path, **options):
    (found,) = bruker.file_reader(path, **MAPS, **options)
    return found


def check_same(data, expected):
    """Compare without the copies of numpy's own comparison: one map has 157 million counts."""
    assert data.shape == expected.shape
    assert all((a == b).all() for a, b in zip(data, expected, strict=True))


@pytest.fixture(params=[name for name in GOLDEN if not name.startswith("Hitachi")])
def small(request):
    path = REAL / request.param
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def eds_of(found):
    instrument = found["metadata"]["Acquisition_instrument"]
    return instrument.get("SEM", instrument.get("TEM"))["Detector"]["EDS"]


# Files of microscopes ---------------------------------------------------------------------


@pytest.mark.parametrize("is_lazy", [False, True])
def test_as_rosettasciio(real, is_lazy):
    """The counts of each pixel, and all that it says of the map."""
    ours, theirs = read(real, lazy=is_lazy), rsciio.bruker.file_reader(real, **MAPS)[0]
    data = np.asarray(ours["data"])
    assert data.sum(dtype=np.uint64) == GOLDEN[real.name]
    assert data.dtype == theirs["data"].dtype
    check_same(data, theirs["data"])
    assert ours["original_metadata"] == theirs["original_metadata"]
    assert ours["mapping"] == theirs["mapping"]
    for axis, other in zip(ours["axes"], theirs["axes"], strict=True):
        assert axis["scale"] == pytest.approx(other["scale"], rel=0.1)  # see the page
        assert {k: axis[k] for k in other if k != "scale"} == {
            k: v for k, v in other.items() if k != "scale"
        }
    for node in ("General", "Sample", "Signal"):
        assert ours["metadata"][node] == theirs["metadata"][node]
    ((mode, own),) = ours["metadata"]["Acquisition_instrument"].items()
    other = theirs["metadata"]["Acquisition_instrument"][mode]
    detector = own.pop("Detector")["EDS"]
    expected = other.pop("Detector")["EDS"]
    assert own == other
    expected.pop("real_time")  # of the whole map
    assert {k: detector[k] for k in expected} == expected


@pytest.mark.parametrize("options", [{"downsample": 2}, {"downsample": 7}])
def test_downsample_as_rosettasciio(small, options):
    theirs = rsciio.bruker.file_reader(small, **MAPS, **options)[0]["data"]
    ours = read(small, lazy=True, **options)
    check_same(ours["data"].compute().astype(theirs.dtype), theirs)
    assert ours["data"].sum(dtype=np.uint64).compute() == GOLDEN[small.name]
    assert eds_of(ours)["_sig_dead_time"]["data"].shape == theirs.shape[:2]


@pytest.mark.parametrize("cutoff", [5, 60.0, "auto", "zealous"])
def test_cutoff_as_rosettasciio(small, cutoff):
    theirs = rsciio.bruker.file_reader(small, **MAPS, cutoff_at_kV=cutoff)[0]["data"]
    check_same(read(small, cutoff_at_kV=cutoff)["data"], theirs)


@pytest.mark.parametrize("beam", ["0", "-3", "1E300"])
def test_a_beam_that_cannot_be(tmp_path, beam):
    """The voltage of the microscope stands for it."""
    (found,) = bruker.file_reader(builder.write_map(tmp_path / "map.bcf", beam=beam))
    assert found["metadata"]["Acquisition_instrument"]["SEM"]["beam_energy"] == 20


def test_no_images_are_told(tmp_path):
    path = builder.write_map(tmp_path / "map.bcf")
    with pytest.warns(UserWarning, match="there are no images in the file"):
        assert bruker.file_reader(path, select_type="image") == []


def test_images_as_rosettasciio(real):
    ours = bruker.file_reader(real, select_type="image")
    theirs = rsciio.bruker.file_reader(real, select_type="image")
    assert len(ours) == len(theirs) > 0
    for image, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(image["data"], other["data"])
        assert image["metadata"] == other["metadata"]
    assert len(bruker.file_reader(real, lazy=True)) == len(ours) + 1


def test_sums(small):
    source = source_of(read(small, lazy=True)["data"])
    whole = tuple((0, n) for n in source.shape)
    data = source.read(whole).astype(np.uint64)
    np.testing.assert_array_equal(source.sum_navigation(whole), data.sum(axis=(0, 1)))
    np.testing.assert_array_equal(source.known_total(), data.sum(axis=(0, 1)))
    np.testing.assert_array_equal(source.sum_signal(whole), data.sum(axis=2))
    part = (1, 3), (1, 4), (30, 130)
    cut = data[1:3, 1:4, 30:130]
    np.testing.assert_array_equal(source.read(part), cut)
    np.testing.assert_array_equal(source.sum_navigation(part), cut.sum(axis=(0, 1)))
    np.testing.assert_array_equal(source.sum_signal(part), cut.sum(axis=2))


def test_dead_time_of_real_maps(real):
    s = hs.load(real, lazy=True, signal_type="EDS_XFM", **MAPS)
    eds = s.metadata.Acquisition_instrument.SEM.Detector.EDS
    assert 100 * (1 - eds.live_time / eds.real_time) == pytest.approx(
        DEAD[real.name], 0.01
    )
    total = s.sum()
    eds = total.metadata.Acquisition_instrument.SEM.Detector.EDS
    assert 100 * (1 - eds.live_time / eds.real_time) == pytest.approx(
        DEAD[real.name], 0.01
    )
    if real.name.startswith("bcf_v2"):
        assert eds.real_time_from == "PixelTimes"
        assert eds.real_time == pytest.approx(
            2500 * 7680e-6
        )  # as the line counter has it


@pytest.mark.parametrize(
    ("name", "seconds", "signal_type"),
    [
        ("bruker_m6_jetstream_file_example.spx", 28.046, "EDS_XFM"),
        ("bruker_nano.spx", 7.385, "EDS_SEM"),
    ],
)
def test_live_time_of_spectra(name, seconds, signal_type):
    """By the code for pixels, beside what Bruker's electronics measured."""
    if not (REAL / name).is_file():
        pytest.skip("the file is not here")
    (found,) = bruker.file_reader(REAL / name)
    spectrum = read_spx(REAL / name)
    first, last = zero_peak(spectrum.scale, spectrum.offset, spectrum.n_channels)
    live = live_time(int(found["data"][first:last].sum()), spectrum.frequency)
    assert live == pytest.approx(seconds, rel=0.005)
    assert eds_of(found)["live_time"] == seconds
    assert found["metadata"]["Signal"]["signal_type"] == signal_type
    assert hs.load(REAL / name)._signal_type == signal_type


# Made files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compressed": True},
        {"chunk": 544},
        {"chunk": 544, "compressed": True},
        {"chunk": 2**16},
        *({"packing": i} for i in range(4)),
        {"packing": 2, "scale": 500},
        {"packing": 3, "scale": 2_000_000},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_lazy", [False, True])
def test_counts(tmp_path, options, is_lazy):
    path = builder.write_map(tmp_path / "map.bcf", **options)
    expected = counts(scale=options.get("scale", 1))
    found = read(path, lazy=is_lazy)
    assert found["data"].dtype == np.min_scalar_type(expected.max())
    np.testing.assert_array_equal(np.asarray(found["data"]), expected)


def test_counts_never_wrap(tmp_path):
    """RosettaSciIO guesses a type from the mean, and a bright grain wraps around in it."""
    grain = builder.stream(packing=2, scale=1)
    dark = builder.record(0, builder.counts_of_pixel(0, 0), 2)
    bright = builder.record(0, builder.counts_of_pixel(0, 0, scale=10), 2)
    path = builder.write_map(
        tmp_path / "map.bcf", raw_streams=[grain.replace(dark, bright)]
    )
    data = read(path)["data"]
    assert data.dtype == np.uint16
    assert data[0, 0, builder.ZERO] == 1000 and data[0, 1, builder.ZERO] == 102
    with pytest.raises(OverflowError, match=r"above 255.*dtype='uint16'"):
        read(path, dtype="uint8")


def test_signal(path):
    s = hs.load(path, lazy=True, signal_type="EDS_XFM", **MAPS)
    assert s.metadata.Signal.signal_type == "EDS_XFM"
    assert s.metadata.General.as_dictionary().items() >= {
        "title": "EDX", "date": "2024-02-01", "time": "10:11:12",
    }.items()  # fmt: skip
    assert s.metadata.Sample.as_dictionary() == {
        "name": "Map 1", "elements": ["Fe"], "xray_lines": ["Fe_Ka"],
    }  # fmt: skip
    assert s.axes_manager["height"].scale == 0.25
    assert s.axes_manager["width"].scale == 0.5
    assert s.axes_manager["Energy"].offset == -0.48
    assert s.metadata.Acquisition_instrument.SEM.Stage.x == 1.5
    expected = counts()
    np.testing.assert_array_equal(s.sum().data, expected.sum(axis=(0, 1)))
    part = s.inav[1:4, 2:].isig[10:120]
    np.testing.assert_array_equal(part.data, expected[2:, 1:4, 10:120])
    np.testing.assert_array_equal(part.sum().data, part.data.sum(axis=(0, 1)).compute())
    images = s.get_window_images([(0.5, 0.6)])
    np.testing.assert_array_equal(
        images["0.5-0.6 keV"].data, expected[..., 98:108].sum(axis=2)
    )
    mask = expected[..., 100] > 0
    np.testing.assert_array_equal(
        s.get_region_spectra({"a": mask})["a"].data, expected[mask].sum(axis=0)
    )


def test_type_of_signal(path):
    assert hs.load(path)._signal_type == "EDS_SEM"
    s = hs.load(path)
    assert not s.metadata.has_item("Acquisition_instrument.SEM.Detector.EDS.dead_time")
    s = hs.load(path, instrument="TEM")
    assert s._signal_type == "EDS_TEM"
    assert s.metadata.Acquisition_instrument.TEM.beam_energy == 20


@pytest.mark.parametrize("options", [{}, {"compressed": True, "chunk": 600}])
def test_other_processes(tmp_path, options):
    path = builder.write_map(tmp_path / "map.bcf", **options)
    data = read(path, lazy=True, chunks=(2, 3, 100))["data"]
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again.compute(scheduler="processes"), counts())


def test_one_pixel(tmp_path):
    path = builder.write_map(tmp_path / "map.bcf", shape=(1, 1, 512))
    found = read(path)
    np.testing.assert_array_equal(found["data"], counts(shape=(1, 1, 512)))
    assert eds_of(found)["live_time"] == pytest.approx(0.1)


def test_two_rows(tmp_path):
    """``<LineCounter>2,3<`` is a list, and no number with a comma."""
    path = builder.write_map(tmp_path / "map.bcf", shape=(2, 7, 512), counter=[2, 3])
    found = read(path)
    share = eds_of(found)["_sig_relative_real_time"]["data"]
    np.testing.assert_allclose(share[:, 0] * eds_of(found)["real_time"], [0.2, 0.3])


def test_empty_map(tmp_path):
    path = builder.write_map(tmp_path / "map.bcf", left_out=range(5))
    found = read(path, lazy=True)
    assert not found["data"].compute().any()
    assert "live_time" not in eds_of(found)


def test_what_was_not_measured(tmp_path):
    """Rows and pixels without a record: no counts, no times."""
    options = {"left_out": (1,), "not_stored": ((3, 2), (3, 4))}
    for all_of_them in (options, {"not_stored": [(y, 0) for y in range(5)] * 2}):
        path = builder.write_map(tmp_path / "map.bcf", **all_of_them)
        found = read(path, lazy=True)
        np.testing.assert_array_equal(found["data"].compute(), counts(**all_of_them))
    path = builder.write_map(tmp_path / "map.bcf", left_out=(1,))
    s = hs.load(path, lazy=True, signal_type="EDS_XFM")
    dead = s.get_dead_time().data
    assert np.isnan(dead[1]).all() and not np.isnan(dead[[0, 2, 3, 4]]).any()
    eds = s.sum().metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.real_time == pytest.approx(28 * 0.2)
    pulses = counts(left_out=(1,))[..., builder.ZERO].sum()
    assert eds.live_time == pytest.approx(pulses / builder.FREQUENCY)


# Detectors and maps -----------------------------------------------------------------------


def test_detectors(tmp_path):
    path = builder.write_map(tmp_path / "map.bcf", n_maps=2, scale=2, packing=2)
    both = [counts(number=i, scale=2) for i in range(2)]
    s = hs.load(path, lazy=True, signal_type="EDS_XFM")
    np.testing.assert_array_equal(s.data, both[0] + both[1])
    assert s.data.dtype == np.uint16
    np.testing.assert_array_equal(s.sum().data, (both[0] + both[1]).sum(axis=(0, 1)))
    pulses = np.stack(both)[..., builder.ZERO]
    eds = s.sum().metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.real_time == pytest.approx(2 * 35 * 0.2)
    # More pulses than there can be are no negative dead time.
    live = np.minimum(pulses / builder.FREQUENCY, 0.2)
    assert eds.live_time == pytest.approx(live.sum())
    apart = hs.load(path, lazy=True, signal_type="EDS_XFM", sum_detectors=False)
    assert apart.axes_manager[2].name == "detector"
    np.testing.assert_array_equal(apart.data, np.stack(both))
    second = read(path, detector=1)
    np.testing.assert_array_equal(second["data"], both[1])
    np.testing.assert_array_equal(read(path, index=1)["data"], both[1])
    each = bruker.file_reader(path, index="all", lazy=True)
    for found, expected in zip(each, both, strict=True):
        np.testing.assert_array_equal(found["data"].compute(), expected)


def test_several_maps(tmp_path):
    """The first, as RosettaSciIO; they are no detectors of one map."""
    path = builder.write_map(tmp_path / "map.bcf", n_maps=2, n_detectors=1)
    with pytest.warns(UserWarning, match=r"holds 2 maps, \[0, 1\]: the first is read"):
        found = read(path)
    np.testing.assert_array_equal(found["data"], counts())
    for wrong in (2, -1):
        with pytest.raises(IndexError, match=r"expected one of \[0, 1\], or 'all'"):
            read(path, index=wrong)


def test_detectors_of_other_sizes(tmp_path):
    streams = [builder.stream(), builder.stream((4, 7, 512))]
    path = builder.write_map(tmp_path / "map.bcf", n_maps=2, raw_streams=streams)
    with pytest.raises(FileFormatError, match=r"expected one size .*Use index='all'"):
        read(path)


# Times ------------------------------------------------------------------------------------


def times(table=None, scanned=0.2, frequency=1000.0, pulses=None):
    pulses = np.full((2, 3), 150) if pulses is None else np.asarray(pulses)
    rows = None if scanned is None else np.full(2, scanned)
    table = None if table is None else np.full((2, 3), table)
    return find_times(pulses, 10**6, frequency, rows, table)


@pytest.mark.parametrize(
    ("options", "real", "dead", "words"),
    [
        ({}, 0.2, 25, ("LineCounter", "zero peak of each pixel")),
        ({"table": 0.0}, 0.2, 25, ("LineCounter", "zero peak of each pixel")),
        ({"table": 0.201}, 0.201, 25.37, ("PixelTimes", "zero peak of each pixel")),
        ({"table": 0.3}, 0.3, 50, ("PixelTimes", "zero peak of each pixel")),
        ({"table": 0.1515}, 0.2, 24.25, ("LineCounter", "PixelTimes")),
        ({"table": 0.01}, 0.2, 25, ("LineCounter", "zero peak of each pixel")),
        (
            {"table": 0.3, "scanned": None},
            0.3,
            50,
            ("PixelTimes", "zero peak of each pixel"),
        ),
        ({"table": 0.15, "scanned": None}, None, None, ("", "")),
        ({"frequency": None}, 0.2, None, ("LineCounter", "")),
        ({"frequency": 0.0}, 0.2, None, ("LineCounter", "")),
        ({"scanned": None}, None, None, ("", "")),
        ({"pulses": [[2] * 3] * 2}, 0.2, 99, ("LineCounter", "zero peak of the map")),
        ({"pulses": [[10] * 3] * 2}, 0.2, 95, ("LineCounter", "zero peak of each row")),
    ],
    ids=str,
)
def test_times(options, real, dead, words):
    found = times(**options)
    assert (found.real_from, found.dead_from) == words
    for values, expected in ((found.real, real), (found.dead_time, dead)):
        if expected is None:
            assert values is None
        else:
            np.testing.assert_allclose(values, expected, rtol=1e-3)


def test_pixel_times(tmp_path):
    """Times of a stage that stays longer at some pixels."""
    table = [250_000 + 1000 * i for i in range(35)]
    path = builder.write_map(tmp_path / "map.bcf", pixel_times=table)
    s = hs.load(path, signal_type="EDS_XFM")
    live = counts()[..., builder.ZERO] / builder.FREQUENCY
    real = np.reshape(table, (5, 7)) * 1e-6
    np.testing.assert_allclose(s.get_live_time().data, live, rtol=1e-6)
    np.testing.assert_allclose(s.get_dead_time().data, 100 * (1 - live / real), rtol=1e-5)
    half = hs.load(path, signal_type="EDS_XFM", downsample=3)
    eds = half.sum().metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.live_time == pytest.approx(live.sum())
    assert eds.real_time == pytest.approx(real.sum())


def test_header_that_says_less(tmp_path):
    """Without frequency, counter or size the map is the same, its times unknown."""
    options = {"counter": [2], "microscope": "<HV>1.#INF</HV>", "frequency": "1.#INF"}
    path = builder.write_map(tmp_path / "map.bcf", **options)
    with pytest.warns(UserWarning, match="counts the scans of 1 rows, expected 5"):
        found = read(path)
    np.testing.assert_array_equal(found["data"], counts())
    assert [axis["units"] for axis in found["axes"]] == ["pix", "pix", "keV"]
    assert not {"real_time", "live_time"} & set(eds_of(found))


def test_tube(tmp_path):
    """Micro-XRF is no TEM, whatever the tube's voltage."""
    path = builder.write_map(
        tmp_path / "map.bcf", tube=builder.TUBE, microscope="<HV>50</HV>"
    )
    s = hs.load(path, lazy=True)
    assert s._signal_type == "EDS_XFM"
    instrument = s.metadata.Acquisition_instrument
    assert instrument.XRF.as_dictionary() == {
        "tube_voltage": 50, "tube_current": 599, "tube_type": "ixtube-Rh", "spot_size": 20.0,
        "incidence_angle": 50.0, "take_off_angle": 51, "atmosphere": "Air",
        "tube_target": "Rh", "tube_filter": "Al100",
    }  # fmt: skip
    assert instrument.SEM.beam_energy == 50
    assert instrument.SEM.Detector.EDS.elevation_angle == 51
    assert s.get_dead_time().data.shape == (5, 7)


@pytest.mark.parametrize("is_map", [True, False])
def test_what_absorbs(tmp_path, is_map):
    """Gas, windows and filter of the header are those of a set-up."""
    tube = builder.FULL_TUBE
    if is_map:
        path = builder.write_map(tmp_path / "a.bcf", tube=tube, microscope="<HV>50</HV>")
    else:
        path = builder.write_spectrum(tmp_path / "a.spx", tube=tube)
    s = hs.load(path)
    held = s.metadata.Acquisition_instrument.XRF
    assert (held.tube_window, held.tube_filter_layer) == ("Be 100 um", "Al 100 um")
    assert (held.detector_window, held.detector_crystal) == ("Be 12.5 um", "Si 0.45 mm")
    assert (held.detector_distance, held.tube_take_off_angle) == (16.0, 12.0)
    xraylib = pytest.importorskip("xraylib")
    setup = rsciio_xfm.make_setup(s)
    helium, window = setup.path
    assert helium.formula == "He" and helium.thickness == pytest.approx(1.6)
    assert helium.density == pytest.approx(1.663e-4 * 1000 / 1013.25)
    assert (window.formula, window.thickness) == ("Be", pytest.approx(12.5e-4))
    assert setup.detector.thickness == pytest.approx(0.045)
    assert (setup.incidence, setup.takeoff) == (90, 60)
    beam = setup.excitation
    assert beam.angle == 150  # a beam from above: 180 - (90 - 60)
    filters = (beryllium(100), Layer("Al", xraylib.ElementDensity(13), 0.01))
    assert beam == tube_of("Rh", 50.0, filters, 150.0, 12.0)
    assert [words for words in setup.assumed if "polycapillary lens" in words]
    assert len(setup.assumed) == 1
    # What is said comes first.
    assert rsciio_xfm.make_setup(s, atmosphere="vacuum").path == (window,)
    # A model that was saved keeps it.
    model = rsciio_xfm.create_element_model(s, ["Fe"])
    model.save(tmp_path / "model.yaml")
    again = rsciio_xfm.make_setup(rsciio_xfm.load_element_model(tmp_path / "model.yaml"))
    assert (again.path, again.detector) == (setup.path, setup.detector)
    assert again.assumed == setup.assumed and again.takeoff == 60


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1</NofLayer>\n<AtomicNumber>13", "2</NofLayer>\n<AtomicNumber>13",
         "no filter in the beam: what 'Al 100' is"),
        ("<Atmosphere>Helium", "<Atmosphere>Argon", "nothing absorbs between"),
        ("<DetectionPathLength>1.6E1", "<DetectionPathLength>-3", "nothing absorbs between"),
        ("<Atmosphere>Helium", "<Atmosphere>Vacuum", None),
        ("<AtomicNumber>13", "<AtomicNumber>1313", "no filter in the beam"),
        ("<Thickness>1E2</Thickness></Exc", "<Thickness>x</Thickness></Exc", "no filter in"),
    ],
)  # fmt: skip
def test_what_absorbs_and_is_not_known(tmp_path, old, new, said):
    pytest.importorskip("xraylib")
    tube = builder.FULL_TUBE
    assert old in tube
    path = builder.write_spectrum(tmp_path / "a.spx", tube=tube.replace(old, new))
    setup = rsciio_xfm.make_setup(hs.load(path))
    if said is None:
        assert not [one for one in setup.path if one.formula == "He"]
        assert "nothing absorbs" not in str(setup.assumed)
    else:
        assert [words for words in setup.assumed if said in words]


def test_spx(tmp_path):
    path = builder.write_spectrum(tmp_path / "point.spx")
    s = hs.load(path)
    assert s._signal_type == "EDS_XFM"
    np.testing.assert_array_equal(s.data, builder.counts_of_pixel(0, 0))
    assert s.metadata.Acquisition_instrument.XRF.tube_target == "Rh"
    assert s.metadata.Acquisition_instrument.SEM.Detector.EDS.live_time == 0.9
    with pytest.raises(ValueError, match="options of maps are given"):
        bruker.file_reader(path, downsample=2)
    path = builder.write_spectrum(tmp_path / "point.spx", tube="", beam="200")
    assert hs.load(path)._signal_type == "EDS_TEM"
    path = builder.write_spectrum(tmp_path / "point.spx", tube="", beam="30")
    assert hs.load(path)._signal_type == "EDS_SEM"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FileFormatError, match=r"XML cannot be read .*\(byte 0\)"):
        bruker.file_reader(path)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kilovolts", ["40", "50"])
def test_spx_of_a_tube_that_is_not_described(tmp_path, kilovolts, lazy):
    """More than any SEM has, less than TEMs; RosettaSciIO takes it for that of a TEM."""
    path = builder.write_spectrum(tmp_path / "point.spx", tube="", beam=kilovolts)
    s = hs.load(path, lazy=lazy)
    assert s._signal_type == "EDS_XFM"
    instrument = s.metadata.Acquisition_instrument
    assert instrument.SEM.beam_energy == float(kilovolts)
    assert instrument.SEM.Detector.EDS.live_time == 0.9
    assert not instrument.has_item("TEM")
    upstream = rsciio.bruker.file_reader(str(path))
    np.testing.assert_array_equal(s.data, upstream[0]["data"])
    assert upstream[0]["metadata"]["Signal"]["signal_type"] == "EDS_TEM"


# Options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"downsample": 1.5}, "downsample is 1.5, expected a whole number"),
        ({"downsample": 10**10}, "downsample is 10000000000, expected"),
        ({"index": "first"}, "index is 'first', expected one of"),
        ({"detector": "0"}, "detector is '0', expected 0 to 0"),
        ({"dtype": "counts"}, "dtype is 'counts', expected one of uint8"),
        ({"downsample": 0}, "downsample is 0, expected a whole number"),
        ({"cutoff_at_kV": -1}, "cutoff_at_kV is -1"),
        ({"cutoff_at_kV": float("nan")}, "cutoff_at_kV is nan"),
        ({"cutoff_at_kV": "all"}, "cutoff_at_kV is 'all'"),
        ({"cutoff_at_kV": 1e6}, "cutoff_at_kV is 1000000.0"),
        ({"dtype": "float32"}, "dtype is float32, expected one of uint8"),
        ({"detector": 1}, "detector is 1, expected 0 to 0"),
        ({"detector": 0, "index": 0}, "expected one of them"),
        ({"instrument": "XRF"}, "instrument 'XRF', expected one of"),
    ],
)
def test_wrong_options(path, options, match):
    with pytest.raises(ValueError, match=match) as caught:
        read(path, **options)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_dtype(path, dtype):
    data = read(path, dtype=dtype)["data"]
    assert data.dtype == dtype
    np.testing.assert_array_equal(data, counts())


def test_index_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("RSCIIO_XFM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("rsciio_xfm.core.cache.CACHED_FILE_BYTES", 0)
    monkeypatch.setattr("rsciio_xfm.core.cache.SETTLED_S", -1e9)
    path = builder.write_map(tmp_path / "map.bcf", n_maps=2)
    first = read(path, lazy=True)
    assert len(list((tmp_path / "cache").glob("bruker*"))) == 2
    monkeypatch.setattr("rsciio_xfm.formats.bruker.index.build_index", None)
    again = read(path, lazy=True)
    np.testing.assert_array_equal(again["data"].compute(), first["data"].compute())
    assert eds_of(again)["live_time"] == eds_of(first)["live_time"]


# Damage -----------------------------------------------------------------------------------


def damage(tmp_path, raw_streams=None, **options):
    if raw_streams is not None:
        options["raw_streams"] = [raw_streams]
    return builder.write_map(tmp_path / "map.bcf", **options)


def lines(*rows, n_columns=7):
    """A stream of the rows that are given, each a list of records."""
    raw = builder.stream((len(rows), n_columns, 512))[: builder.FIRST_LINE]
    return raw + b"".join(struct.pack("<i", len(r)) + b"".join(r) for r in rows)


PIXEL = builder.counts_of_pixel(0, 0)


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (lines([builder.record(7, PIXEL, 2)]), "is of column 7, expected 0 to 6"),
        (lines([builder.record(1, PIXEL, 2)] * 2), "column 1 stands twice"),
        (lines([builder.record(0, PIXEL, 2, flag=4)]), "packed in way 4"),
        (lines([builder.record(0, PIXEL, 0, flag=2)]), "is packed in way 2|has .* bytes"),
        (lines([builder.record(0, PIXEL, 1, n_events=60000)]), "as many as are packed"),
        (lines([builder.record(0, PIXEL, 2, n_packed=5000)]), "beyond 511"),
        (lines([builder.record(0, PIXEL, 2, n_packed=3)]), "beyond 511"),
        (lines([builder.record(0, PIXEL, 2, size=2**31)]), "expected less than 1048576"),
        (lines([builder.record(0, PIXEL, 2, size=2)] * 7), "has 2 bytes"),
        (lines([b""])[:-4] + struct.pack("<i", 8), "a row has 8 pixels, expected 0 to 7"),
        (lines([b""])[:-4] + struct.pack("<i", -1), "a row has 4294967295 pixels"),
    ],
)
def test_damaged_records(tmp_path, raw, match):
    path = damage(tmp_path, raw)
    with pytest.raises(CorruptFileError, match=match) as caught:
        read(path, lazy=True)
    assert str(path) in str(caught.value) and "byte" in str(caught.value)


def test_too_many_counts(tmp_path):
    body = struct.pack("<BBQ1I", 8, 1, 2**32 - 1, 2**32 - 1) + struct.pack("<I", 0)
    raw = struct.pack("<IHHIHHHI", 0, 1, 1, 0, 2, 0, 0, len(body)) + body
    path = damage(tmp_path, lines([raw]))
    with pytest.raises(CorruptFileError, match="more than 2147483647 counts"):
        read(path)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_stream_that_ends(tmp_path, is_compressed):
    """Whole rows and pixels are read; the rest are zeros without times."""
    whole = builder.stream()
    path = damage(tmp_path, whole[: len(whole) // 2], compressed=is_compressed)
    with pytest.warns(UserWarning, match=r"ends early: \d of 5 rows are missing"):
        found = read(path)
    is_there = found["data"].any(axis=2)
    expected = counts()
    np.testing.assert_array_equal(found["data"][is_there], expected[is_there])
    assert 0 < is_there.sum() < 35
    assert np.isnan(eds_of(found)["_sig_dead_time"]["data"][~is_there]).all()


def test_stream_that_goes_on(tmp_path):
    path = damage(tmp_path, builder.stream() + b"more")
    with pytest.warns(UserWarning, match="4 bytes follow the 5 rows"):
        np.testing.assert_array_equal(read(path)["data"], counts())


def test_cut_file(path):
    content = path.read_bytes()
    (_, _, _, pieces) = builder.files_of(content)[2]
    # The chunks of a file stand in reversed order here: its first is the last of the file.
    path.write_bytes(content[: pieces[-1][0]])
    with pytest.raises(TruncatedFileError, match="is cut"):
        read(path)


@pytest.mark.parametrize(
    ("at", "value", "match"),
    [
        (0, b"AAMVHFSX", r"magic is b'AAMVHFSX', expected b'AAMVHFSS' \(byte 0\)"),
        (0x128, struct.pack("<I", 0), r"chunk_bytes is 0, expected .*\(byte 296\)"),
        (0x128, struct.pack("<I", 2**31), r"chunk_bytes is 2147483648"),
        (0x140, struct.pack("<I", 2**31), r"a table is in chunk 2147483648"),
        (0x144, struct.pack("<I", 0), r"n_items is 0, expected 1"),
        (0x144, struct.pack("<I", 60000), r"a table is in chunk|follows itself|has only"),
    ],
)
def test_damaged_container(path, at, value, match):
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=match):
        read(path)


def damaged_item(path, number, at, value):
    content = bytearray(path.read_bytes())
    start = builder.files_of(content)[number][1] + at
    content[start : start + len(value)] = value
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("at", "value", "match"),
    [
        (4, struct.pack("<Q", 2**40), "has 1099511627776 bytes"),
        (0, struct.pack("<i", -5), "a table is in chunk -5"),
        (0, struct.pack("<i", 10**6), "a table is in chunk 1000000"),
        (40, struct.pack("<i", 2), "the folder of 'SpectrumData0' is number 2"),
        (40, struct.pack("<i", 99), "is number 99, expected -1 to 2"),
        (
            224,
            b"Nothing",
            "expected EDSDatabase/HeaderData and EDSDatabase/SpectrumData0",
        ),
    ],
)
def test_damaged_items(path, at, value, match):
    damaged_item(path, 2, at, value)
    with pytest.raises(FileFormatError, match=match):
        read(path)


def test_table_that_loops(tmp_path):
    """Of chunks, and of the chunks of a file."""
    path = builder.write_map(tmp_path / "map.bcf", chunk=544)
    content = bytearray(path.read_bytes())
    start = 544 + builder.HEAD
    content[start : start + 4] = struct.pack("<I", 1)
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="chunk 1 follows itself"):
        read(path)
    path = builder.write_map(tmp_path / "map.bcf", chunk=544)
    content = bytearray(path.read_bytes())
    (_, _, where, _) = builder.files_of(content)[2]
    content[where : where + 4] = content[where - 4 : where]
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="stand twice in its table"):
        read(path)


def test_bombs(tmp_path):
    """What is compressed can be no larger than its head says, nor XML larger than it is."""
    bomb = zlib.compress(bytes(2**24))
    raw = struct.pack("<4sIII", b"AACS", 3000, 0, 1).ljust(0x80, b"\0")
    raw += struct.pack("<IIII", len(bomb), 0, 0, 0) + bomb
    path = damage(tmp_path, raw)
    with pytest.raises(
        CorruptFileError, match="block 0 of compressed data has 3001 bytes or"
    ):
        read(path)
    path = damage(tmp_path, start='<!DOCTYPE x [<!ENTITY a "aaaa">]>')
    with pytest.raises(FileFormatError, match="declares a type of its own"):
        read(path)
    path = damage(tmp_path, raw_header=b"<a>" * 3000 + b"</a>" * 3000)
    with pytest.raises(FileFormatError, match="has no TRTSpectrumDatabase"):
        read(path)


def test_header_that_is_too_large(tmp_path):
    """Few bytes that become many, and nodes that need more memory than their text."""
    text = builder.header(builder.SHAPE)
    for more, match in (
        (b"<a/>" * 2**21, "tags or attributes, more than 1048576"),
        (b" " * 2**26, "the header has .* bytes, expected at most 67108864"),
    ):
        files = {"HeaderData": builder.compress(text + more, 2**20)}
        files["SpectrumData0"] = builder.stream()
        path = tmp_path / "map.bcf"
        path.write_bytes(builder.container(files, 2**15))
        with pytest.raises(FileFormatError, match=match):
            read(path)


def test_sizes_that_are_negative(tmp_path):
    picture = builder.image("PixelTimes", [1] * 6, -2, -3, 1)
    path = damage(tmp_path, raw_header=builder.header(builder.SHAPE, images=picture))
    with pytest.warns(UserWarning, match="expected -[23] x -[23] numbers"):
        found = read(path)
    np.testing.assert_array_equal(found["data"], counts())
    text = builder.header(builder.SHAPE).replace(b"<DX>0,5<", b"<DX>-0,5<")
    _, x, _ = read(damage(tmp_path, raw_header=text))["axes"]
    assert (x["scale"], x["units"]) == (1, "pix")


@pytest.mark.parametrize(
    "shape", [(0, 7, 512), (5, -1, 512), (5, 7, 0), (65536, 65536, 512)]
)
def test_sizes_that_lie(tmp_path, shape):
    raw = struct.pack("<iiII", *shape, 1).ljust(builder.FIRST_LINE, b"\0") + bytes(100)
    path = damage(tmp_path, raw)
    with pytest.raises(FileFormatError, match=r"expected"):
        read(path)


def test_channels_beyond(tmp_path):
    """Those of the electronics beyond the sum spectrum, as RosettaSciIO leaves them out."""
    raw = builder.stream((5, 7, 600))
    path = damage(tmp_path, raw)
    with pytest.warns(UserWarning, match="35 counts are in channels beyond the 512"):
        found = read(path)
    assert found["data"].shape == (5, 7, 512)
    more = read(path, cutoff_at_kV=5.52)
    np.testing.assert_array_equal(more["data"], counts(shape=(5, 7, 600)))


def test_changed_file(path, tmp_path):
    data = read(path, lazy=True)["data"]
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(CorruptFileError, match="changed since it was opened"):
        data.compute()


def test_images_that_cannot_be_read(tmp_path):
    image = builder.image("", [1] * 35, 7, 5).replace("<Height>5<", "<Height>6<")
    path = damage(tmp_path, images=image)
    with pytest.warns(UserWarning, match="its images cannot be read"):
        (found,) = bruker.file_reader(path)
    np.testing.assert_array_equal(found["data"], counts())
    with pytest.raises(FileFormatError, match="its images cannot be read"):
        bruker.file_reader(path, select_type="image")


def test_rosettasciio_reads_made_files(tmp_path):
    """The builder is right: an independent reader reads the same."""
    path = builder.write_map(
        tmp_path / "map.bcf", images=builder.image("", [1] * 35, 7, 5), compressed=True
    )
    images, found = rsciio.bruker.file_reader(path)
    np.testing.assert_array_equal(found["data"], counts())
    ours = bruker.file_reader(path, lazy=True)
    np.testing.assert_array_equal(ours[0]["data"].compute(), images["data"])


@pytest.mark.parametrize("raw", [zlib.compress(bytes(2**21)), b"no zlib"])
def test_layers_of_detectors_that_are_bombs_or_damaged(tmp_path, raw):
    """RosettaSciIO would decompress all of them."""
    layers = base64.b64encode(raw)
    pattern = re.compile(rb"(?<=<DetLayers>)[^<]*")
    spot = builder.write_spectrum(tmp_path / "spot.spx")
    spot.write_bytes(pattern.sub(layers, spot.read_bytes()))
    with pytest.raises(FileFormatError, match=r"DetLayers, .* cannot be decompressed"):
        bruker.file_reader(spot)
    header = builder.header(images=builder.image("", [1] * 35, 7, 5))
    path = builder.write_map(tmp_path / "map.bcf", raw_header=pattern.sub(layers, header))
    with pytest.warns(UserWarning, match=r"images cannot be read: DetLayers"):
        (signal,) = bruker.file_reader(path)
    assert signal["data"].shape == builder.SHAPE


def test_image_of_unknown_type(tmp_path):
    header = builder.header(images=builder.image("", [1] * 35, 7, 5))
    header = header.replace(b'"TRTImageData"', b'"TRTImageDat\x80"')
    path = builder.write_map(tmp_path / "map.bcf", raw_header=header)
    with pytest.warns(UserWarning, match=r"images of the types .* left out"):
        (signal,) = bruker.file_reader(path)
    assert signal["data"].shape == builder.SHAPE
