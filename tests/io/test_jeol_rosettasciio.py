"""JEOL's maps of microscopes, beside RosettaSciIO."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import jeol
from tests.conftest import DATA
from tests.io.jeol_common import eds_of, read, read_all, theirs

REAL = DATA / "jeol"
VIEW, CUT = "View000_0000006.pts", "Dummy-Data_0000007.pts"
# Further ones of RosettaSciIO's repository (rsciio/tests/data/jeol/InvalidFrame), which the
# folder of real files does not have: whoever puts them there has them tested.
TWO, ONE = "Dummy-Data_0000015.pts", "Dummy-Data_0000023.pts"
# All counts of whole frames, of all frames; frames, whole ones; s of real and live time as the
# header has them.
GOLDEN = {
    VIEW: (308_261, 308_261, 14, 14, 366.90, 325.46),
    CUT: (0, 1497, 1, 0, 12.18, 12.13),
    TWO: (2537, 3459, 2, 1, 27.38, 27.27),
    ONE: (2709, 2709, 1, 1, 20.56, 20.47),
}
# Of each frame of the first one, as RosettaSciIO's tests have them.
FRAMES = [22355, 21975, 22038, 21904, 21846, 22115, 22021, 21917, 22123, 21919, 22141,
          22024, 22086, 21797]  # fmt: skip
# Down and across alike: where there is an image too, RosettaSciIO writes beyond its memory
# otherwise.
SMALL = {"rebin_energy": 64, "downsample": 8}


def real_path(name):
    if not (REAL / name).is_file():
        pytest.skip(f"{REAL / name} is not here")
    return REAL / name


@pytest.fixture(
    params=[name for name in GOLDEN if name in (VIEW, CUT) or (REAL / name).is_file()]
)
def real(request):
    return real_path(request.param)


# Files of microscopes ---------------------------------------------------------------------


@pytest.mark.parametrize("is_lazy", [False, True])
def test_as_rosettasciio(real, is_lazy):
    """The counts of each pixel, and all that it says of the map."""
    options = SMALL if real.name == VIEW else {}
    ours = read_all(real, lazy=is_lazy, **options)
    other = theirs(real, only_valid_data=False, **options)[0]
    data = np.asarray(ours["data"])
    assert data.sum() == GOLDEN[real.name][1]
    np.testing.assert_array_equal(data, other["data"])
    for axis, expected in zip(ours["axes"], other["axes"], strict=True):
        assert axis == expected | {
            "scale": pytest.approx(expected["scale"]),
            "index_in_array": axis["index_in_array"],
        }
    for node in ("General", "Signal"):
        assert ours["metadata"][node] == other["metadata"][node]
    ((mode, own),) = ours["metadata"]["Acquisition_instrument"].items()
    node = other["metadata"]["Acquisition_instrument"][mode]
    detector, expected = own.pop("Detector")["EDS"], node.pop("Detector")["EDS"]
    assert own == node
    # Ours is what the clock says, and that of a spectrum.
    real_s = detector["real_time_of_map"]
    assert real_s == pytest.approx(expected.pop("real_time"), rel=0.01)
    assert detector["real_time"] == pytest.approx(real_s / np.prod(data.shape[:2]))
    assert {key: detector[key] for key in expected} == expected


def test_header_as_rosettasciio(real):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ours = read(real, lazy=True)["original_metadata"]
    other = theirs(real, only_valid_data=False, **SMALL)[0]["original_metadata"]

    def compare(own, expected):
        assert type(own) is type(expected)
        if isinstance(own, dict):
            assert [key for key in own if not key.startswith("jeol_")] == [
                key for key in expected if not key.startswith("jeol_")
            ]
            for key in own:
                if not key.startswith("jeol_"):
                    compare(own[key], expected[key])
        else:
            np.testing.assert_array_equal(own, expected)

    compare(ours, other)
    starts = other["jeol_pts_frame_start_index"]
    n = np.count_nonzero(starts >= 0)
    np.testing.assert_array_equal(ours["jeol_pts_frame_start_index"][:n], starts[:n])


@pytest.mark.filterwarnings("ignore:.*there is no electron image in the file")
@pytest.mark.parametrize(
    "options",
    [
        {"cutoff_at_kV": 1.5},
        {"rebin_energy": 8},
        {"rebin_energy": 128, "sum_frames": False},
        {"downsample": 16, "rebin_energy": 16, "read_em_image": True},
        {"sum_frames": False, "read_em_image": True, **SMALL},
        {"frame_list": [0], "sum_frames": False, **SMALL},
    ],
    ids=str,
)
def test_options_as_rosettasciio(real, options):
    ours = jeol.file_reader(real, only_valid_data=False, **options)
    expected = theirs(real, only_valid_data=False, **options)
    for signal, other in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(signal["data"], other["data"])
        assert signal["metadata"]["General"] == other["metadata"]["General"]


def test_other_downsampling_as_rosettasciio():
    options = {"downsample": (16, 8), "rebin_energy": 16}
    ours, other = (f(real_path(VIEW), **options) for f in (read, theirs))
    np.testing.assert_array_equal(ours["data"], other[0]["data"])


@pytest.mark.parametrize("is_summed", [False, True])
def test_shifts_as_rosettasciio(is_summed):
    path = real_path(VIEW)
    shifts = np.random.default_rng(1).integers(-4, 5, (14, 3))
    options = {"frame_shifts": shifts, "sum_frames": is_summed, **SMALL}
    ours, other = read(path, lazy=True, **options), theirs(path, **options)[0]
    np.testing.assert_array_equal(ours["data"].compute(), other["data"])
    for name in ("shifts", "origin"):
        np.testing.assert_array_equal(
            ours["original_metadata"][f"jeol_pts_frame_{name}"],
            other["original_metadata"][f"jeol_pts_frame_{name}"],
        )


def test_golden_frames():
    s = hs.load(real_path(VIEW), lazy=True, sum_frames=False, rebin_energy=512)
    assert s.data.shape == (14, 512, 512, 8)
    image = s.data.sum(axis=3, dtype=np.uint32)
    np.testing.assert_array_equal(image.sum(axis=(1, 2)).compute(), FRAMES)
    assert s.axes_manager["Frame"].scale == pytest.approx(512 * 512 * 1e-4)


def test_whole_frames(real):
    n_counts, _, n_frames, n_whole, *_ = GOLDEN[real.name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read(real, sum_frames=False, lazy=True, **SMALL)
    assert found["data"].shape[0] == n_whole
    assert found["data"].sum(dtype=np.uint32).compute() == n_counts
    if n_whole < n_frames:
        (warning,) = caught
        assert "the last frame is not whole and left out" in str(warning.message)
        assert f"{n_whole} of {n_frames} frames are whole" in str(warning.message)
    assert len(read_all(real, sum_frames=False, lazy=True)["data"]) == n_frames


def test_ticks_are_the_times_of_the_header(real):
    *_, real_s, live_s = GOLDEN[real.name]
    eds = eds_of(read_all(real, lazy=True))
    # Up to a second of the last frame is not in the header's times, if it was cut off.
    assert eds["real_time_of_map"] == pytest.approx(real_s, abs=0.25)
    assert eds["live_time_of_map"] == pytest.approx(live_s, abs=0.25)
    assert (eds["real_time_from"], eds["dead_time_from"][:5]) == ("ticks", "ticks")


def test_dead_time_of_a_microscope():
    """11.3 % as the header has it; more where more is counted."""
    s = hs.load(real_path(VIEW), lazy=True, signal_type="EDS_XFM")
    dead = s.get_dead_time().data
    assert dead.mean() == pytest.approx(100 * (1 - 325.46 / 366.90), abs=0.1)
    image = s.sum("Energy").data
    rows = np.asarray(image).sum(axis=1)
    five = np.convolve(rows, np.ones(5), "same")
    assert np.corrcoef(five[5:-5], dead[5:-5, 0])[0, 1] > 0.9
    eds = s.sum().metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.real_time == pytest.approx(366.94)
    assert eds.live_time == pytest.approx(325.47, rel=1e-3)


def test_real_project():
    """Texts in the encoding of a Japanese Windows; its files are not here."""
    path = real_path("181019-BN.ASW")
    with pytest.raises(FileNotFoundError, match="none of the"):
        jeol.file_reader(path)
