"""What is downloaded from the explorer, and the Python lines that make the same."""

import csv
import io
import json
import os
import subprocess
import sys

import hyperspy.api as hs
import numpy as np
import pytest
import tifffile

from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.listing import Listing
from rsciio_xfm.explore.opened import Opened
from rsciio_xfm.explore.regions import to_mask
from tests.builders import edax
from tests.explore.asking import Asking
from tests.explore.test_opened import make as make_opened

EDS = "Acquisition_instrument.SEM.Detector.EDS"


@pytest.fixture
def ask(tmp_path):
    with Asking(edax.write_map(tmp_path / "map.spd")) as found:
        yield found


@pytest.mark.thorough
class TestMsa:
    @pytest.mark.parametrize("region", ["", "r:0,0,3,9", "o:2,10,2,3"])
    def test_is_what_a_signal_writes(self, real_geopixe, tmp_path, region):
        found = hs.load(real_geopixe, lazy=True)
        with Asking(real_geopixe) as ask:
            answer = ask.raw("export/spectrum.msa", region=region, name="part")
        assert answer.filename == "mo_anode_20x5_2det_part.msa"
        path = tmp_path / "own.msa"
        path.write_bytes(answer.body)
        mask = to_mask(region, (5, 20))
        expected = found.get_region_spectra({"part": mask})["part"]
        expected.save(tmp_path / "expected.msa")
        own, expected = (hs.load(tmp_path / f"{n}.msa") for n in ("own", "expected"))
        assert (own.data == expected.data).all()
        for name in ("live_time", "real_time", "energy_resolution_MnKa"):
            known = expected.metadata.get_item(f"{EDS}.{name}")
            assert own.metadata.get_item(f"{EDS}.{name}") == pytest.approx(known)
        assert own.axes_manager[0].scale == expected.axes_manager[0].scale
        assert own.metadata.Signal.signal_type == expected.metadata.Signal.signal_type

    def test_own_energies_and_maximum(self, ask, tmp_path):
        path = tmp_path / "own.msa"
        answer = ask.raw("export/spectrum.msa", region="max", energy="0.5,0.02")
        path.write_bytes(answer.body)
        found = hs.load(path)
        assert (found.data == ask.spectrum("max")).all()
        axis = found.axes_manager[0]
        assert (axis.offset, axis.scale, axis.units) == (0.5, 0.02, "keV")
        assert found.metadata.get_item(f"{EDS}.live_time") is None

    @pytest.mark.parametrize(
        ("units", "query", "said"),
        [
            (None, {"energy": "0,0.02"}, ("Energy", "keV")),
            ("eV", {}, ("Energy", "eV")),
            ("nm", {}, ("depth", "nm")),
        ],
    )
    def test_energies_have_their_name(self, units, query, said):
        """Headers of Ripple files may call the channels "depth"."""
        even = {"offset": 0, "scale": 1}
        axes = [
            {"name": "x", "size": 6, "navigate": True, **even},
            {"name": "depth", "size": 10, "navigate": False, "units": units, **even},
        ]
        data = np.ones((6, 10), dtype=np.uint16)
        signal = {"data": data, "axes": axes, "metadata": {"Signal": {}}}
        with Asking(Explorer({"line": Opened(signal, "line")})) as ask:
            body = ask.raw("export/spectrum.msa", region="", **query).body.decode()
        head = dict(line.split(":", 1) for line in body.splitlines() if ":" in line)
        found = {name.strip(" #"): value.strip() for name, value in head.items()}
        assert (found["XLABEL"], found["XUNITS"]) == said


def test_csv_with_the_maximum(ask):
    query = {"region": ["r:0,0,2,2", "max"], "name": ["a", "a"]}
    answer = ask.raw("export/spectra.csv", **query)
    rows = list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert rows[0] == ["channel", "energy (keV)", "a", "a 2"]
    column = [int(row[3]) for row in rows[1:]]
    assert column == ask.spectrum("max").tolist()


def test_csv(ask):
    answer = ask.raw("export/spectra.csv", region=["r:0,0,2,2", ""], name=["=1+1", "all"])
    rows = list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert rows[0] == ["channel", "energy (keV)", "'=1+1", "all"]
    columns = list(zip(*rows[1:], strict=True))
    assert list(map(int, columns[0])) == list(range(32))
    assert list(map(int, columns[2])) == ask.spectrum("r:0,0,2,2").tolist()
    assert list(map(int, columns[3])) == ask.spectrum("").tolist()


def test_images(ask):
    answer = ask.raw("export/image.tif", of="w:3:20")
    found = tifffile.imread(io.BytesIO(answer.body))
    assert (found == ask.image("w:3:20")).all()
    assert answer.filename == "map_Channels_3-20.tif"
    answer = ask.raw("export/region.tif", region="o:2,3,2,2", name="../../x")
    found = tifffile.imread(io.BytesIO(answer.body))
    assert ((found > 0) == to_mask("o:2,3,2,2", (5, 7))).all()
    assert "/" not in answer.filename


def test_size_of_pixels(real_geopixe):
    with Asking(real_geopixe) as ask:
        answer = ask.raw("export/image.tif", of="counts")
        size = ask.json("info")["pixel"]["size_x"]
    with tifffile.TiffFile(io.BytesIO(answer.body)) as file:
        tags = file.pages[0].tags
        n, of = tags["XResolution"].value
        assert tags["ResolutionUnit"].value == 3  # cm
        assert n / of == pytest.approx(10 / size)
        assert json.loads(tags["ImageDescription"].value)["unit"] == "counts"


def test_session(ask):
    state = {"v": 1, "map": ask.number, "regions": [{"name": "é"}]}
    answer = ask.raw("export/session.json", state=json.dumps(state))
    assert json.loads(answer.body) == state
    assert answer.filename == "map_session.json"
    # What JSON does not have is null, whoever made the state.
    answer = ask.raw("export/session.json", state='{"a": NaN, "b": [-Infinity, 1e999]}')
    assert b"N" not in answer.body
    assert json.loads(answer.body) == {"a": None, "b": [None, None]}


STATE = {
    "v": 1,
    "image": "e:Fe_Ka",
    "rgb": ["e:Fe_Ka", "w:360:380", "counts"],
    "rgbContrast": [{"low": 1, "high": 99, "gamma": 2}] * 3,
    "contrast": {"low": 0, "high": 99.8, "gamma": 1},
    "cmap": "magma",
    "window": [627, 654],
    "energy": None,
    "scatter": {"x": "max", "y": "dead"},
    "spectrum": {"y": "log", "x": None, "per": "sum", "whole": True, "max": False},
    "regions": [
        {"id": 1, "name": "left", "on": True, "region": "r:0,0,5,8|-o:2.5,4,1.5,2"},
        {"id": 2, "name": "left", "on": True, "region": "p:0.2,0.3;4.7,12.1;1.4,18.9"},
        {"id": 3, "name": 'odd " name\n', "on": True, "region": "t:e:Fe_Ka@300,9000"},
        {"id": 4, "name": "hidden", "on": False, "region": "r:0,0,1,1"},
        {"id": 5, "name": "all", "on": True, "region": ""},
        {"id": 6, "name": "empty", "on": True, "region": "r:1,1,1,1"},
    ],
}
KEEP = """
np.savez(
    "made.npz",
    **{f"image {k}": v for k, v in images.items()},
    **{f"spectrum {k}": v for k, v in spectra.items()},
)
"""


def run_script(text, folder):
    """Run lines as they stand, with one more that keeps what they made."""
    path = folder / "script.py"
    path.write_text(text + KEEP, encoding="utf-8")
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [sys.executable, path], cwd=folder, check=True, env=environment, timeout=300
    )
    with np.load(folder / "made.npz") as made:
        return dict(made)


@pytest.mark.thorough
class TestScript:
    def test_makes_what_is_seen(self, real_geopixe, tmp_path):
        with Asking(real_geopixe) as ask:
            answer = ask.raw("script.py", state=json.dumps(STATE))
            assert answer.status == 200, answer.body
            made = run_script(answer.body.decode(), tmp_path)
            images = ("e:Fe_Ka", "w:360:380", "counts", "w:627:654", "max", "dead")
            for of in images:
                shown = made[f"image {of}"]
                assert (shown.astype(np.float32) == ask.image(of)).all(), of
            names = ["left", "left 2", 'odd " name\n', "all", "Whole map"]
            regions = [STATE["regions"][k]["region"] for k in (0, 1, 2, 4)] + [""]
            for name, region in zip(names, regions, strict=True):
                assert (made[f"spectrum {name}"] == ask.spectrum(region)).all(), name
            assert len([name for name in made if name.startswith("spectrum")]) == 5

    def test_own_energies(self, real_geopixe, tmp_path):
        state = {
            "image": "e:Fe_Ka",
            "energy": [0.1, 0.01],
            "ratio": ["e:Fe_Ka", "e:Ca_Ka"],
        }
        with Asking(real_geopixe) as ask:
            answer = ask.raw("script.py", state=json.dumps(state))
            made = run_script(answer.body.decode(), tmp_path)
            for of in ("e:Fe_Ka", "e:Ca_Ka"):
                assert (made[f"image {of}"] == ask.image(of, energy="0.1,0.01")).all()
            assert (made["spectrum Whole map"] == ask.spectrum("")).all()

    @pytest.mark.parametrize("per", ["pixel", "s"])
    def test_per_pixel_and_second(self, real_geopixe, tmp_path, per):
        region = "r:0,3,4,9"
        state = {
            "image": "counts",
            "spectrum": {"per": per, "whole": True, "max": True},
            "regions": [{"name": "Maximum", "region": region}],
        }
        with Asking(real_geopixe) as ask:
            text = ask.raw("script.py", state=json.dumps(state)).body.decode()
            made = run_script(text, tmp_path)
            for name, own in (("Maximum", region), ("Whole map", "")):
                header, arrays = ask.arrays("spectrum", region=own, exact="1")
                by = header["pixels"] if per == "pixel" else header["live_time"]
                expected = arrays["spectrum"] / by
                assert made[f"spectrum {name}"] == pytest.approx(expected, rel=1e-9)
            if per == "pixel":
                assert (made["spectrum Maximum 2"] == ask.spectrum("max")).all()
            else:  # the maximum has no time of its own
                assert "spectrum Maximum 2" not in made

    def test_a_line_scan(self, tmp_path):
        data = np.arange(60, dtype=np.uint16).reshape(6, 10)
        even = {"offset": 0, "scale": 1}
        axes = [
            {"name": "x", "size": 6, "navigate": True, **even},
            {"name": "Energy", "size": 10, "navigate": False, **even},
        ]
        signal = {"data": data, "axes": axes, "metadata": {"Signal": {}}}
        explorer = Explorer({"line": Opened(signal, "line")})
        state = {"image": "w:2:5", "regions": [{"name": "a", "region": "r:0,2,1,4"}]}
        with Asking(explorer) as ask:
            text = ask.raw("script.py", state=json.dumps(state)).body.decode()
            text = text.replace(
                "# s is the signal",
                "s = hs.signals.Signal1D(np.arange(60, dtype=np.uint16).reshape(6, 10))\n#",
            )
            made = run_script(text, tmp_path)
            assert (made["image w:2:5"] == ask.image("w:2:5")).all()
            assert made["spectrum a"].tolist() == data[2:4].sum(axis=0).tolist()


class TestScriptText:
    def test_the_excitation(self, ask):
        state = {"image": "fit:Fe_K", "fit": ["Fe"], "excitation": "Rh 50 kV"}
        text = ask.raw("script.py", state=json.dumps(state)).body.decode()
        assert "get_element_maps(s, ['Fe'], excitation='Rh 50 kV')" in text
        text = ask.raw("script.py", state=json.dumps({"image": "fit:Fe_K"})).body
        assert b"get_element_maps(s)" in text

    @pytest.mark.parametrize(
        "state",
        [
            {"image": "fit:Fe_K", "excitation": "Rh 50 kV" * 100},
            {"image": "fit:Fe_K", "fit": ["Fe'); import os"]},
            {"image": "class", "classes": {"n": 3, "method": "x\n"}},
            {"image": "class", "classes": {"n": 10**9}},
        ],
    )
    def test_wishes_that_are_none(self, ask, state):
        assert ask.error("script.py", state=json.dumps(state))[0] == 400

    def test_times_that_are_not_known(self):
        state = {"spectrum": {"per": "s"}}
        with Asking(Explorer({"map": make_opened()})) as ask:
            assert ask.json("info")["live_time"] is None
            text = ask.raw("script.py", state=json.dumps(state)).body.decode()
        assert "is not known" in text
        assert "live_time)" not in text

    def test_nothing_is_smuggled_in(self, ask):
        evil = '"]; import os; os.system("x") #\n\\'
        state = {
            "regions": [{"name": evil, "on": True, "region": "r:0,0,2,2"}],
            "cmap": evil,
            "energy": [1, 2],
            "map": evil,
        }
        text = ask.raw("script.py", state=json.dumps(state)).body.decode()
        compile(text, "script.py", "exec")
        assert repr(evil) in text
        assert "\nimport os" not in text
        for field in ("image", "rgb", "ratio"):
            value = evil if field == "image" else [evil, evil]
            assert ask.error("script.py", state=json.dumps({field: value}))[0] == 400
        for field in ("energy", "window"):
            assert ask.error("script.py", state=json.dumps({field: [evil, 1]}))[0] == 400
        bad = {"regions": [{"name": "a", "region": f"t:{evil}@0,1"}]}
        assert ask.error("script.py", state=json.dumps(bad))[0] == 400

    def test_paths_of_a_server_stay_there(self, tmp_path):
        edax.write_map(tmp_path / "map.spd")
        with Asking(Explorer(Listing(tmp_path), most_waiting=9)) as ask:
            text = ask.raw("script.py", state="{}").body.decode()
        assert str(tmp_path) not in text
        assert "'map.spd'" in text
