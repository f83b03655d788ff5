"""Answers of the explorer equal those of signals, bit for bit, for every format."""

import importlib
import json

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm._register import read_specifications
from rsciio_xfm.explore.regions import to_mask
from rsciio_xfm.signals.maps import get_region_spectra, get_summary, get_window_images
from tests.builders import edax, geopixe, mda
from tests.explore.asking import LONG, Asking, explore_file
from tests.test_contract import BUILDERS, short_name

REGIONS = (
    "r:0,1,3,4",
    "o:2,2,2,3|-r:1,1,2,2",
    "p:0,0;4,1;1,5",
    "t:counts@0,1e9|-r:0,0,1,1",
)


@pytest.fixture(params=read_specifications(), ids=short_name)
def path(request, tmp_path):
    specification = request.param
    extension = specification["file_extensions"][specification["default_extension"]]
    name = short_name(specification)
    builder = importlib.import_module(f"tests.builders.{name}")
    write = getattr(builder, BUILDERS.get(name, "write_map"))
    return write(tmp_path / f"map.{extension}")


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_format(path):
    with Asking(path) as ask:
        opened = ask.opened
        reader = importlib.import_module(f"rsciio_xfm.formats.{opened.reader_name}")
        found = hs.load(path, lazy=True, file_format=reader)
        if opened.number is not None:
            found = found[opened.number]
        info = ask.json("info")
        height, width, n_channels = info["shape"]
        assert n_channels == found.data.shape[-1]
        if found.data.ndim == 1:  # a spectrum is a map of one pixel
            expected = np.asarray(found.data)
            assert (ask.spectrum("") == expected).all()
            assert (ask.spectrum("r:0,0,1,1") == expected).all()
            return
        windows = {"w:1:4": (1, 4), f"w:0:{n_channels}": (0, n_channels)}
        for name, image in get_window_images(found, windows).items():
            assert (ask.image(name) == image.data.reshape(height, width)).all()
        summary = get_summary(found)
        assert (
            ask.image("counts") == summary["counts"].data.reshape(height, width)
        ).all()
        assert (ask.spectrum("") == summary["sum"].data).all()
        assert (ask.spectrum("max") == summary["max"].data).all()
        brightest = np.asarray(found.data).max(axis=-1).reshape(height, width)
        assert (ask.image("max") == brightest).all()
        for text in REGIONS:
            mask = to_mask(text, (height, width), lambda _: ask.image("counts"))
            if not mask.any():
                continue
            nav_shape = found.data.shape[:-1]
            spectra = get_region_spectra(found, {"region": mask.reshape(nav_shape)})
            header, arrays = ask.arrays("spectrum", region=text)
            assert arrays["spectrum"].astype(float).tolist() == (
                spectra["region"].data.astype(float).tolist()
            )
            assert header["pixels"] == mask.sum()
            assert header["exact"]
            if hasattr(found, "get_live_time"):
                check_times(header, spectra["region"])


def check_times(header, spectrum):
    node = "Acquisition_instrument.SEM.Detector.EDS"
    for kind in ("live_time", "real_time"):
        expected = spectrum.metadata.get_item(f"{node}.{kind}")
        if expected is None:
            assert header[kind] is None
        else:
            assert header[kind] == pytest.approx(expected, rel=1e-9)


@pytest.fixture
def ask(tmp_path):
    with Asking(edax.write_map(tmp_path / "map.spd")) as found:
        yield found


class TestLines:
    @pytest.mark.parametrize("line", ["Fe_Ka", "Mn_Ka", "Ca_Ka", "Pb_La", "Si_Ka"])
    @pytest.mark.parametrize(
        "energy", [(0.0, 0.01, "keV"), (-0.3, 0.00731, "keV"), (-96.0, 10.01, "eV")]
    )
    @pytest.mark.parametrize("resolution", [130.0, 150.0])
    def test_windows_are_those_of_signals(self, line, energy, resolution):
        from rsciio_xfm.explore.lines import Axis, window_of
        from rsciio_xfm.signals.selections import resolve_windows

        signal = hs.signals.Signal1D(np.zeros((2, 2, 1500), dtype=np.uint8))
        signal.set_signal_type("EDS_XFM")
        axis = signal.axes_manager.signal_axes[0]
        axis.offset, axis.scale, axis.units = energy
        name = "Acquisition_instrument.SEM.Detector.EDS.energy_resolution_MnKa"
        signal.metadata.set_item(name, resolution)
        own = Axis(*energy, 1500)
        try:
            expected = resolve_windows(signal, [line], 2.0)[line]
        except ValueError:
            with pytest.raises(ValueError, match="expected"):
                window_of(line, own, resolution)
        else:
            assert window_of(line, own, resolution) == expected

    def test_the_table_is_that_of_exspy(self):
        from exspy.material import elements

        from rsciio_xfm.explore.lines import table

        for name, properties in elements:
            own = properties.get_item("Atomic_properties.Xray_lines")
            expected = {} if own is None else own.as_dictionary()
            found = {
                k: {"energy (keV)": e, "weight": w} for k, (e, w) in table()[name].items()
            }
            assert found == expected

    def test_image_of_a_line(self, real_geopixe):
        found = hs.load(real_geopixe, lazy=True)
        expected = found.get_window_images(["Fe_Ka"])["Fe_Ka"].data
        with Asking(real_geopixe) as ask:
            header, arrays = ask.arrays("image", of="e:Fe_Ka")
            assert (arrays["image"] == expected).all()
            assert header["channels"] == [627, 654]
            # With energies of the page's own.
            moved = ask.arrays("image", of="e:Fe_Ka", energy="0.1,0.01")[0]
            assert moved["channels"] == [617, 644]

    def test_candidates(self, real_geopixe):
        with Asking(real_geopixe) as ask:
            first, *_ = ask.json("candidates", energy="6.41")
            assert (first["line"], first["element"]) == ("Fe_Ka", "Fe")
            assert first["likely"] > 0.5
            assert "Fe_Kb" in [other["line"] for other in first["others"]]
            # Between peaks nothing is likely, whatever lies near.
            beside = ask.json("candidates", energy="21.38")
            assert sum(one["likely"] for one in beside) < 0.4
            status, text = ask.error("candidates", energy="x")
            assert status == 400
            assert "expected 1 number" in text

    def test_lines(self, real_geopixe):
        with Asking(real_geopixe) as ask:
            found = ask.json("lines", elements="Fe,Ca")
            assert [line["line"] for line in found["Ca"]][-2:] == ["Ca_Ka", "Ca_Kb"]
            assert ask.error("lines", elements="Xx")[0] == 400

    def test_calibrate(self, real_geopixe):
        with Asking(real_geopixe) as ask:
            found = ask.json("calibrate", pairs="Fe_Ka:641,Mo_Ka:1746")
            assert found["scale"] == pytest.approx(0.01, rel=1e-2)
            assert found["offset"] == pytest.approx(0, abs=0.05)
            assert ask.error("calibrate", pairs="Fe_Ka:1746,Mo_Ka:641")[0] == 400
            assert ask.error("calibrate", pairs="Fe_Ka:99999")[0] == 400
            assert ask.error("calibrate", pairs="")[0] == 400


def test_statistics(ask):
    image = ask.image("w:2:9").astype(float)
    found = ask.json("statistics", region=["r:0,0,2,3", ""], of=["w:2:9", "counts"])
    first, whole = (one["of"]["w:2:9"] for one in found["regions"])
    part = image[0:2, 0:3]
    expected = (6, part.sum(), part.mean(), part.std(), part.min(), part.max())
    names = ("n", "sum", "mean", "std", "min", "max")
    assert [first[name] for name in names] == pytest.approx(expected)
    assert whole["median"] == np.median(image)


def test_scatter_and_brush(ask):
    header, arrays = ask.arrays("scatter", x="w:0:4", y="counts", bins="7")
    x, y = ask.image("w:0:4").ravel(), ask.image("counts").ravel()
    expected, _, _ = np.histogram2d(y, x, bins=7)
    assert (arrays["histogram"] == expected).all()
    assert header["x"] == [x.min(), x.max()]
    middle = int(np.median(x))
    text = f"b:w:0:4@{middle},{x.max()}@counts@0,1e9"
    assert ask.arrays("spectrum", region=text)[0]["pixels"] == (x >= middle).sum()


def test_coarse_images(ask):
    whole = ask.image("w:2:20").astype(int)
    header, arrays = ask.arrays("image", of="w:2:20", step="3")
    expected = [[whole[y : y + 3, x : x + 3].sum() for x in (0, 3, 6)] for y in (0, 3)]
    assert arrays["image"].tolist() == expected
    assert (header["step"], header["exact"]) == (3, False)
    assert ask.error("image", of="counts", step="0")[0] == 400


def test_empty_region(ask):
    header, arrays = ask.arrays("spectrum", region="r:2,2,2,2")
    assert header["pixels"] == 0
    assert not arrays["spectrum"].any()


@pytest.mark.parametrize(
    ("what", "query", "text"),
    [
        ("image", {"of": "w:5:5"}, "A window is 5 to 5"),
        ("image", {"of": "w:0:99999"}, "expected some of the channels"),
        ("image", {"of": "w:-1:5"}, "expected FIRST:STOP"),
        ("image", {"of": "e:Fe_Kx"}, "is no X-ray line"),
        ("image", {"of": "e:Fe_Ka"}, "where the spectra are"),
        ("image", {"of": "../../etc/passwd"}, "An image is"),
        ("image", {"of": "class"}, "have not been sorted"),
        ("image", {"of": "fit:Fe_K"}, "no fitted map"),
        ("spectrum", {"region": "x:1,2"}, "A region is"),
        ("spectrum", {"region": "r:1,2,3"}, "A region is"),
        ("spectrum", {"region": "r:nan,0,1,1"}, "A region is"),
        ("spectrum", {"region": "o:1,1,0,1"}, "radius"),
        ("spectrum", {"region": "p:" + ";".join(["1,1"] * 10**6)}, "characters"),
        ("spectrum", {"region": "p:" + ";".join(["1,1"] * 2001)}, "vertices"),
        ("spectrum", {"region": "|".join(["p:1,1;2,2;3,1"] * 60) * 60}, "64 parts"),
        ("spectrum", {"region": "c:0"}, "have not been sorted"),
        ("statistics", {"region": ["r:0,0,1,1"] * 9}, "at most 8"),
        ("statistics", {"of": ["counts"] * 99}, "more than 16"),
        ("scatter", {"bins": "1e9"}, "bins is"),
        ("image", {"of": "counts", "energy": "1"}, ""),
        ("export/session.json", {"state": "{"}, "no JSON"),
        ("script.py", {"state": "[" * 10**5}, "no JSON"),
        ("script.py", {"state": "[]"}, "no object"),
        ("task/classify", {"n": "1e9"}, "choose 2 to 64"),
        ("task/classify", {"n": "1"}, "choose 2 to 64"),
        ("task/classify", {"method": "magic"}, "choose kmeans or hdbscan"),
        ("nothing", {}, "There is nothing"),
    ],
)
def test_bad_questions(ask, what, query, text):
    if query == {"of": "counts", "energy": "1"}:  # which does not matter to all counts
        assert ask.image("counts").any()
        return
    status, said = ask.error(what, **query)
    assert status in (400, 404)
    assert text in said


class TestChanged:
    def change(self, path, content=b"x"):
        path.write_bytes(content)

    @pytest.mark.parametrize("how", ["replaced", "deleted", "damaged"])
    def test_says_so_and_goes_on(self, tmp_path, how):
        path = edax.write_map(tmp_path / "map.spd")
        with Asking(path) as ask:
            before = ask.image("counts")
            kept = path.read_bytes()
            if how == "deleted":
                path.unlink()
            elif how == "damaged":
                path.write_bytes(kept[:100])
            else:
                edax.write_map(path, shape=(4, 6, 16), seed=5)
            status, text = ask.error("spectrum", region="r:0,0,2,2")
            assert status == 409
            is_gone = how == "deleted"
            assert ("not there any more" if is_gone else "since it was opened") in text
            info = ask.json("info")
            assert (info["file_changed"], info["file_gone"]) == (True, is_gone)
            if how == "replaced":
                assert ask.json("info", fresh="1")["shape"] == [4, 6, 16]
                assert ask.image("counts").shape == (4, 6)
                return
            status, text = ask.error("info", fresh="1")
            assert status == (404 if is_gone else 500)
            assert "map.spd" in text
            assert str(tmp_path) not in text
            path.write_bytes(kept)
            assert not ask.json("info", fresh="1")["file_changed"]
            ask.opened.overview.wait(LONG)
            assert (ask.image("counts") == before).all()

    def test_opened_anew_by_somebody_else(self, tmp_path):
        """What is asked of the file as it was gets no answer of the new one."""
        path = edax.write_map(tmp_path / "map.spd", shape=(4, 6, 16))
        with Asking(path) as ask:
            seen = ask.json("info")["identity"]
            ask.image("counts", identity=seen)
            edax.write_map(path, shape=(4, 6, 16), seed=5)
            own = ask.json("info", fresh="1")["identity"]
            assert own != seen
            ask.opened.overview.wait(LONG)
            for kind, query in (("image", {"of": "counts"}), ("lines", {})):
                status, text = ask.error(kind, **query, identity=seen)
                assert status == 409
                assert "since it was opened" in text
            ask.image("counts", identity=own)

    def test_no_spectra(self, tmp_path):
        """The page says so, and what the reader knows of where they may be."""
        path = mda.write_fly(tmp_path / "2xfm_0011.mda")
        with Asking(path, wait=False) as ask:
            answer = ask.raw("info")
            said = json.loads(answer.body)
            assert answer.status == 422
            assert (
                said["error"]
                == "2xfm_0011.mda: it holds no map of spectra, expected one."
            )
            assert "only counters" in said["hint"]
            assert str(tmp_path) not in said["hint"]

    def test_no_map(self, tmp_path):
        path = tmp_path / "map.spd"
        path.write_bytes(b"nothing")
        with Asking(path, wait=False) as ask:
            status, text = ask.error("info")
            assert status == 500
            assert "map.spd" in text
            assert str(tmp_path) not in text


def test_warnings_of_the_reader(tmp_path):
    """What is missing of a file is told on the page."""
    path = geopixe.write_map(tmp_path / "map.GeoPIXE")
    with Asking(path) as ask:
        assert ask.json("info")["warnings"] == []
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with Asking(path) as ask:
        (text,) = ask.json("info")["warnings"]
    assert "missing" in text
    assert "map.GeoPIXE" in text
    assert str(tmp_path) not in text


def test_detector(tmp_path):
    path = geopixe.write_map(tmp_path / "map.GeoPIXE")

    with Asking(explore_file(path, reader={"detector": 0})) as one, Asking(path) as all_:
        assert one.image("counts").sum() <= all_.image("counts").sum()


def test_overview_is_kept(tmp_path, monkeypatch):
    from rsciio_xfm.core import cache, reduce
    from rsciio_xfm.explore import overview

    monkeypatch.setattr(cache, "CACHED_FILE_BYTES", 0)
    monkeypatch.setattr(cache, "SETTLED_S", -1e9)
    path = edax.write_map(tmp_path / "map.spd")
    with Asking(path) as ask:
        first = ask.image("counts")
    monkeypatch.setattr(overview, "run", None)
    with Asking(path) as ask:
        assert (ask.image("counts") == first).all()
    assert reduce.run


@pytest.mark.parametrize("is_cached", [True, False])
def test_nothing_is_said_of_a_cache_that_is_not_needed(tmp_path, is_cached):
    path = edax.write_map(tmp_path / "map.spd")
    with Asking(explore_file(path, is_cached=is_cached)) as ask:
        assert ask.json("info")["cache"] == {"state": "off", "progress": 0, "why": ""}
