"""The command line: its words, its files and its errors."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
from PIL import Image
from traits.api import Undefined

import rsciio_xfm
from rsciio_xfm import data
from rsciio_xfm.cli import _demo
from rsciio_xfm.signals import folders
from tests.builders import edax as edax_builder
from tests.builders import emd as emd_builder
from tests.builders import geopixe as builder
from tests.builders import ripple as ripple_builder
from tests.conftest import DATA


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.GeoPIXE")


@pytest.fixture
def drawn(monkeypatch):
    """The axes of what is written as a figure."""
    axes = []

    def save(given, path):
        axes.extend(np.ravel(given))
        save_figure(given, path)

    save_figure = folders.save_figure
    monkeypatch.setattr(folders, "save_figure", save)
    return axes


class TestInfo:
    def test_real_file(self, run, real_geopixe):
        text = run("info", real_geopixe)
        for expected in (
            "683488 bytes",
            "uint16",
            "Energy      4096 from 0 to 40.95, step 0.01 keV",
            "x           20 from 0",
            "y           5 from 0",
            "Detector 0  100 spectra; dead time 27.03 % on average",
            "Detector 1  100 spectra; dead time 31.72 % on average",
            "Timestamp: 10/26/2022 at 10:55 am",
            "UA (µA): 200.0",
            "Elt: Mo",
        ):
            assert expected in text

    def test_missing_spectra(self, run, tmp_path):
        records = builder.random_records()[:41]
        records[3] = builder.record(1, 0, 1, [(1, 1)], dead_time=0)
        path = builder.write(tmp_path / "cut.GeoPIXE", builder.header_tree(), records)
        text = run("info", path)
        assert "Warning: " in text and "41 of 70 spectra" in text
        assert "1 dead times not recorded, 15 spectra missing" in text

    def test_long_header(self, run, tmp_path):
        header = builder.header_tree()
        header["Notes"] = {f"line {k}": str(k) for k in range(300)}
        path = builder.write(tmp_path / "a.GeoPIXE", header, builder.random_records())
        text, whole = run("info", path), run("info", path, "--all")
        assert "line 299" not in text and "more lines: --all" in text
        assert "line 299" in whole and "more lines" not in whole

    def test_no_counts_are_read_and_hyperspy_is_not_imported(self, path):
        code = (
            "import sys; from rsciio_xfm import cli;"
            "from rsciio_xfm.formats.geopixe import data;"
            "data.GeoPIXEArray._run = None;"
            f"cli.main(['info', {str(path)!r}], standalone_mode=False);"
            "assert 'hyperspy' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    def test_other_formats(self, run, tmp_path):
        (tmp_path / "a.txt").write_text("no map")
        text = run("info", tmp_path / "a.txt", code=1)
        assert (
            "the extension is '.txt', expected .asw or .bcf or .cbf or .dat or .datastack"
            in text
        )
        for arguments in (("spectrum", "-o", tmp_path / "b.msa"), ("demo",)):
            command, *rest = arguments
            text = run(command, tmp_path / "a.txt", *rest, code=1)
            assert (
                ".geopixe or .h5 or .h5oina or .hdf5 or .hmsa or .hspy or .img or .lsd or .map"
                in text
            )

    def test_damaged(self, run, tmp_path):
        (tmp_path / "a.GeoPIXE").write_bytes(b"")
        text = run("info", tmp_path / "a.GeoPIXE", code=1)
        assert text.startswith("Error: ") and "the file has 0 bytes" in text
        assert "Traceback" not in text


class TestUpstream:
    """What RosettaSciIO reads: `info` takes what `image` and `spectrum` take."""

    @pytest.fixture
    def path(self, tmp_path):
        return builder.write_map(tmp_path / "map.GeoPIXE", n_channels=1000)

    @pytest.fixture
    def run_apart(self):
        """Run in another process: HyperSpy holds a .hspy file open until its end."""

        def run(*arguments, code=0):
            start = "from rsciio_xfm.cli import main; main()"
            result = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", start, *map(str, arguments)],
                capture_output=True,
                text=True,
                encoding="utf-8",
                check=False,
            )
            assert result.returncode == code, result.stderr
            return result.stdout + result.stderr

        return run

    def test_info_of_hspy(self, run_apart, path, tmp_path):
        s = hs.load(path)
        s.set_elements(["Fe"])
        s.save(tmp_path / "a.hspy")
        said = run_apart("info", tmp_path / "a.hspy")
        assert "Energy      1000 from 0 to 9.99, step 0.01 keV" in said
        assert "Detector 1  " in said and "elements    Fe" in said
        assert "s per spectrum" in said
        run_apart("image", tmp_path / "a.hspy", "-o", tmp_path / "a.tif")

    def test_axes_of_every_kind(self, run_apart, path, tmp_path):
        s = hs.load(path).isig[:50]
        s.axes_manager[-1].convert_to_non_uniform_axis()
        s.axes_manager[0].name = s.axes_manager[0].units = Undefined
        s.save(tmp_path / "a.hspy")
        said = run_apart("info", tmp_path / "a.hspy")
        assert "50 from 0 to 0.49, keV, steps of several sizes" in said
        assert "(uncalibrated)" in said
        said = run_apart(
            "image", tmp_path / "a.hspy", "--line", "Fe", "-o", tmp_path / "a.tif", code=1
        )
        assert "axis Energy is not uniform" in said

    @pytest.mark.parametrize(
        ("name", "energy"),
        [
            ("bruker/Hitachi_TM3030Plus.bcf", "Energy      2048 from -0.4746"),
            ("bruker/bruker_nano.spx", "keV"),
            ("jeol/View000_0000006.pts", "Energy      4096 from -0.960661"),
            ("jeol/Dummy-Data_0000007.pts", "Energy      4096"),
        ],
    )
    def test_real_files(self, run, name, energy):
        if not (DATA / name).exists():
            pytest.skip(f"{DATA / name} is not there")
        said = run("info", DATA / name)
        assert energy in said and "Header" in said
        # Nothing was measured if no frame is whole.
        assert ("s per spectrum" in said) == ("Dummy" not in name)

    def test_raw(self, run, tmp_path):
        """Counts are opened with the header beside them; without one the error names it."""
        raw, image = tmp_path / "map.raw", ["image", "-o", tmp_path / "a.tif"]
        raw.write_bytes(bytes(2 * 3 * 64))
        for command in (["info"], image):
            said = run(*command, raw, code=1)
            assert "map.raw: map.rpl is not there, expected beside it" in said
        (tmp_path / "map.rpl").write_text("key\tvalue\n")
        assert "the key height is missing" in run("info", raw, code=1)
        (tmp_path / "map.rpl").write_text(
            "width\t3\nheight\t2\ndepth\t64\noffset\t0\ndata-length\t1\n"
            "data-type\tunsigned\nrecord-by\tvector\n"
        )
        assert "64 from 0 to 63" in run("info", raw)
        run(*image, raw)

    def test_error_names_the_file(self, run, tmp_path):
        (tmp_path / "a.dm3").write_bytes(bytes(100))
        said = run("info", tmp_path / "a.dm3", code=1)
        assert "a.dm3: RosettaSciIO cannot read it" in said

    def test_energies_in_ev(self, run_apart, path, tmp_path):
        """--energy is in keV, and the table of an analysis in the units of the axis."""
        s = hs.load(path)
        energy = s.axes_manager[-1]
        energy.scale, energy.units = 10.0, "eV"
        s.save(tmp_path / "a.hspy")
        for file, name in ((path, "keV.tif"), (tmp_path / "a.hspy", "eV.tif")):
            run_apart("image", file, "--energy", 6.3, 6.5, "-o", tmp_path / name)
        np.testing.assert_array_equal(
            hs.load(tmp_path / "keV.tif").data, hs.load(tmp_path / "eV.tif").data
        )
        run_apart("analyse", tmp_path / "a.hspy", "-o", tmp_path / "r")
        assert (
            (tmp_path / "r" / "spectra.csv").read_text().startswith("energy_eV,sum,max")
        )


class TestEDAX:
    @pytest.fixture
    def edax(self, tmp_path):
        path = edax_builder.write_map(tmp_path / "map.spd", (8, 9, 1000), 2)
        edax_builder.write_spc(path.with_suffix(".spc"), 1000, kV=15.0)
        return path

    def test_info(self, run, edax):
        text = run("info", edax)
        assert "x           9 from 0 to 4, step 0.5 µm" in text
        assert "live_time   70 s of all 72 spectra together" in text
        assert "elements    Al, Fe, O" in text
        assert "fName: map_Img.bmp" in text and "WorkingDistance: '15.00'" in text

    def test_info_without_files_beside(self, run, tmp_path):
        path = edax_builder.write_map(tmp_path / "map.spd", sidecars=False)
        text = run("info", path)
        assert "step 1 (uncalibrated)" in text and "Warning: " in text

    def test_info_of_a_spectrum(self, run, edax):
        text = run("info", edax.with_suffix(".spc"))
        assert "Energy      1000 from 0 to 9.99" in text
        assert "live_time   70 s" in text

    @pytest.mark.parametrize(
        ("content", "maker"),
        [
            (b"\x80\x4b" + bytes(9000), "Galactic"),
            (b"\x00\x4d" + bytes(600), "Galactic"),
            (b"SOFH\nPlatform: x\nEOFH\n", "PHI"),
        ],
    )
    def test_spc_of_another_maker(self, run, tmp_path, content, maker):
        """Galactic's second byte is its version, of either byte order or old."""
        (tmp_path / "a.spc").write_bytes(content)
        for command in (["info"], ["spectrum", "-o", tmp_path / "a.msa"]):
            said = run(*command, tmp_path / "a.spc", code=1)
            assert "is a .spc of" in said and maker in said
            assert "expected one of EDAX (byte 0)" in said and "a.spc" in said

    @pytest.mark.parametrize("statistic", ["sum", "mean", "max"])
    def test_statistics(self, run, edax, tmp_path, statistic):
        output = tmp_path / "a.hspy"
        run("spectrum", edax, "--x", 2, 7, "--statistic", statistic, "-o", output)
        counts = hs.load(edax).data[:, 2:7]
        np.testing.assert_allclose(
            hs.load(output).data, getattr(counts, statistic)(axis=(0, 1))
        )

    def test_masks(self, run, edax, tmp_path):
        mask = np.zeros((8, 9), dtype=bool)
        mask[2:4, 3:8] = True
        np.save(tmp_path / "inside.npy", mask)
        Image.fromarray(255 - mask * np.uint8(255)).save(tmp_path / "outside.png")
        arguments = [
            "--mask",
            tmp_path / "inside.npy",
            "--mask",
            tmp_path / "outside.png",
        ]
        run("spectrum", edax, *arguments, "-o", tmp_path / "s.msa", "--format", "xy")
        counts = hs.load(edax).data
        for name, inside in (("inside", mask), ("outside", ~mask)):
            path = tmp_path / f"s_{name}.msa"
            np.testing.assert_array_equal(hs.load(path).data, counts[inside].sum(axis=0))
            assert "DATATYPE    : XY" in path.read_text()
            live_time = np.count_nonzero(inside) * 70 / 72
            assert f"#LIVETIME    : {live_time:.6g}"[:20] in path.read_text()

    def test_wrong_masks(self, run, edax, tmp_path):
        np.save(tmp_path / "a.npy", np.ones((9, 8)))
        output = ("-o", tmp_path / "s.msa")
        text = run("spectrum", edax, "--mask", tmp_path / "a.npy", *output, code=1)
        assert "the mask has (9, 8) rows and columns, the map has (8, 9)" in text
        np.save(tmp_path / "a.npy", np.zeros((8, 9)))
        text = run("spectrum", edax, "--mask", tmp_path / "a.npy", *output, code=1)
        assert "Region 'a' has no pixel" in text
        (tmp_path / "b.png").write_bytes(b"no image")
        text = run("spectrum", edax, "--mask", tmp_path / "b.png", *output, code=1)
        assert text.startswith("Error: ")
        (tmp_path / "c.npy").write_bytes(b"\x93NUMPY\x01\x00")
        text = run("spectrum", edax, "--mask", tmp_path / "c.npy", *output, code=1)
        assert f"{tmp_path / 'c.npy'}: no array of numbers can be read" in text
        arguments = ("--mask", tmp_path / "a.npy", "--x", 1, 2)
        assert "leave out --x" in run("spectrum", edax, *arguments, *output, code=1)

    def test_masks_of_other_kinds(self, run, edax, tmp_path):
        """Transparency and palettes do not count, NaN is outside."""
        mask = np.zeros((8, 9), dtype=np.uint8)
        mask[2, 3] = 255
        grey = Image.fromarray(mask)
        solid = Image.new("L", grey.size, 255)
        Image.merge("LA", (grey, solid)).save(tmp_path / "la.png")
        grey.convert("RGBA").save(tmp_path / "rgba.png")
        palette = Image.fromarray((mask == 0).astype(np.uint8)).convert("P")
        palette.putpalette([255, 255, 255, 0, 0, 0])
        palette.save(tmp_path / "p.png")
        np.save(tmp_path / "nan.npy", np.where(mask, 1.0, np.nan))
        for name in ("la.png", "rgba.png", "p.png", "nan.npy"):
            output = tmp_path / f"{name}.msa"
            text = run("spectrum", edax, "--mask", tmp_path / name, "-o", output)
            assert "counts of 1 pixels" in text
            np.testing.assert_array_equal(hs.load(output).data, hs.load(edax).data[2, 3])
        (tmp_path / "empty.npy").touch()
        output = ("-o", tmp_path / "x.msa")
        text = run("spectrum", edax, "--mask", tmp_path / "empty.npy", *output, code=1)
        assert text.startswith("Error: ")

    def test_masks_of_the_same_name(self, run, edax, tmp_path):
        arguments = []
        for i, name in enumerate(("a/m.npy", "b/m.npy", "m_2.npy")):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            np.save(tmp_path / name, np.arange(72).reshape(8, 9) <= i)
            arguments += ["--mask", tmp_path / name]
        run("spectrum", edax, *arguments, "-o", tmp_path / "s.hspy")
        found = sorted(path.name for path in tmp_path.glob("s_*.hspy"))
        assert found == ["s_m.hspy", "s_m_2.hspy", "s_m_2_2.hspy"]

    def test_without_take_over(self, edax, tmp_path):
        """The command line reads with our reader all the same."""
        command = [Path(sys.executable).with_name("rsciio-xfm"), "spectrum", edax]
        environment = os.environ | {"RSCIIO_XFM_TAKE_OVER": "0"}
        output = tmp_path / "a.msa"
        subprocess.run(
            [*command, "-o", output], check=True, env=environment, capture_output=True
        )
        assert "#LIVETIME    : 70.0" in output.read_text()

    def test_line_scan(self, run, tmp_path):
        path = edax_builder.write_line(tmp_path / "line.lsd", n_spectra=5)
        run("spectrum", path, "--x", 1, 4, "-o", tmp_path / "a.msa")
        expected = hs.load(path).data[1:4].sum(axis=0, dtype=np.uint64)
        np.testing.assert_array_equal(hs.load(tmp_path / "a.msa").data, expected)
        output = ("-o", tmp_path / "b.msa")
        assert "has x only" in run("spectrum", path, "--y", 0, 1, *output, code=1)
        output = ("-o", tmp_path / "b.tif")
        assert "is a line scan, expected x and y" in run("image", path, *output, code=1)

    @pytest.mark.parametrize(
        ("command", "name"),
        [("spectrum", "a.tif"), ("image", "a.jpg"), ("image", "a.msa")],
    )
    def test_other_extensions(self, run, edax, tmp_path, command, name):
        text = run(command, edax, "-o", tmp_path / name, code=1)
        assert "the extension of" in text and not (tmp_path / name).exists()

    def test_images(self, run, edax, tmp_path):
        windows = [
            "--line",
            "Fe_Ka",
            "--line",
            "Al",
            "--energy",
            1,
            2,
            "--channels",
            5,
            9,
        ]
        text = run("image", edax, *windows, "-o", tmp_path / "i.tif")
        s = hs.load(edax)
        expected = s.get_window_images(["Fe_Ka", "Al_Ka", (1.0, 2.0), (5, 9)])
        names = ("Fe_Ka", "Al", "1-2_keV", "channels_5-9")
        for name, image in zip(names, expected.values(), strict=True):
            found = hs.load(tmp_path / f"i_{name}.tif")
            np.testing.assert_array_equal(found.data, image.data)
            assert found.data.dtype == np.uint32
            assert found.axes_manager[0].scale == pytest.approx(0.5)
            assert f"{image.data.sum()} counts" in text

    @pytest.mark.parametrize(
        ("sizes", "units", "expected"),
        [
            ((515.887, 515.887), "µm", (0.515887, "mm")),
            ((20.0, 50.3), "nm", (0.02, "µm")),
            ((515.0, 515.0), "px", None),  # a round number is held as it is
        ],
    )
    def test_large_pixels_as_tiff(self, run, edax, tmp_path, sizes, units, expected):
        s = hs.load(edax)
        for axis, size in zip(s.axes_manager.navigation_axes, sizes, strict=True):
            axis.scale, axis.units = size, units
        s.save(tmp_path / "large.emd")
        run("image", tmp_path / "large.emd", "-o", tmp_path / "i.tif")
        x = hs.load(tmp_path / "i.tif").axes_manager[0]
        assert (x.scale, x.units) == (expected or (515.0, "px"))

    def test_total_of_a_region(self, run, edax, tmp_path):
        run("image", edax, "--y", 1, 5, "-o", tmp_path / "i.tif")
        expected = hs.load(edax).data[1:5].sum(axis=2)
        np.testing.assert_array_equal(hs.load(tmp_path / "i.tif").data, expected)

    @pytest.mark.parametrize("option", ["--scale-bar", "--plain"])
    def test_plain_picture(self, run, edax, tmp_path, option):
        edax_builder.write_ipr(edax.with_suffix(".ipr"), 0.5, 0.5)
        run("image", edax, "--line", "Fe", "-o", tmp_path / "i.png", option)
        with Image.open(tmp_path / "i.png") as picture:
            assert picture.size == (9 * 89, 8 * 89)
            red, green, blue, _ = picture.split()
            assert red == green == blue

    def test_picture(self, run, edax, tmp_path, drawn):
        windows = ["--line", "Fe_Ka", "--energy", 1, 2, "--channels", 5, 9]
        text = run("image", edax, *windows, "--cmap", "viridis", "-o", tmp_path / "i.png")
        expected = hs.load(edax).get_window_images(["Fe_Ka", (1.0, 2.0), (5, 9)])
        names = ["Fe Kα", "1-2 keV", "channels 5-9"]  # noqa: RUF001
        assert [ax.get_title(loc="left") for ax in drawn] == names
        for ax, image in zip(drawn, expected.values(), strict=True):
            np.testing.assert_array_equal(ax.images[0].get_array(), image.data)
            assert ax.images[0].get_cmap().name == "viridis"
        assert drawn[0].images[0].get_extent() == [0, 4.5, 2.0, 0]  # of the .ipr
        assert f"i.png: Fe_Ka, {expected['Fe_Ka'].data.sum()} counts" in text
        with Image.open(tmp_path / "i.png") as picture:
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        text = run("image", edax, "-o", tmp_path / "i.png", code=1)
        assert "i.png exists" in text

    def test_separate_pictures(self, run, edax, tmp_path):
        windows = ["--line", "Fe_Ka", "--line", "Al", "--separate"]
        run("image", edax, *windows, "-o", tmp_path / "i.svg")
        assert {path.name for path in tmp_path.glob("*.svg")} == {
            "i_Fe_Ka.svg",
            "i_Al.svg",
        }
        assert "Fe Kα" in (tmp_path / "i_Fe_Ka.svg").read_text("utf-8")  # noqa: RUF001

    def test_red_green_and_blue(self, run, edax, tmp_path, drawn):
        chosen = ["--rgb", "Fe_Ka,,Al", "--pixel-size", "50um,0.1mm"]
        run("image", edax, *chosen, "-o", tmp_path / "i.pdf")
        (ax,) = drawn
        picture = ax.images[0].get_array()
        assert (
            picture[..., 0].any() and picture[..., 2].any() and not picture[..., 1].any()
        )
        assert ax.images[0].get_extent() == [0, 450, 800, 0]
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert [text.partition(",")[0] for text in texts] == ["Fe Kα", "Al"]  # noqa: RUF001
        assert (tmp_path / "i.pdf").read_bytes()[:5] == b"%PDF-"

    def test_pixel_size_of_counts(self, run, edax, tmp_path):
        run("image", edax, "--pixel-size", "50um", "-o", tmp_path / "i.tif")
        image = hs.load(tmp_path / "i.tif")
        assert [(a.scale, a.units) for a in image.axes_manager._axes] == [
            (0.05, "mm")
        ] * 2

    @pytest.mark.parametrize(
        ("name", "arguments", "match"),
        [
            ("i.tif", ("--cmap", "gray"), "--cmap is for pictures that are drawn"),
            ("i.tif", ("--rgb", "Fe,Al"), "--rgb is for pictures that are drawn"),
            ("i.hspy", ("--separate",), "--separate is for pictures that are drawn"),
            ("i.svg", ("--plain",), "--plain is for .png, and OUTPUT is"),
            ("i.png", ("--plain", "--cmap", "gray"), "together with --plain"),
            ("i.png", ("--rgb", "Fe", "--cmap", "gray"), "--rgb is one picture"),
            ("i.png", ("--rgb", "Fe", "--line", "Al"), "--rgb names its own lines"),
            ("i.png", ("--rgb", "Fe,Qq"), "'Qq' is no element"),
            ("i.png", ("--cmap", "virids"), "colour map of matplotlib, like viridis"),
            ("i.png", ("--pixel-size", "50"), "'50', which has no unit"),
        ],
    )
    def test_wrong_pictures(self, run, edax, tmp_path, name, arguments, match):
        text = run("image", edax, *arguments, "-o", tmp_path / name, code=1)
        assert match in text and not (tmp_path / name).exists()

    @pytest.mark.parametrize("value", ["a,b,c,d", ",,"])
    def test_wrong_rgb(self, run, edax, tmp_path, value):
        text = run("image", edax, "--rgb", value, "-o", tmp_path / "i.png", code=2)
        assert "expected up to three names, like Fe_Ka,Ca_Ka,Ti_Ka" in text

    def test_line_without_energies(self, run, tmp_path):
        s = hs.signals.Signal1D(np.ones((3, 4, 50), np.uint16))
        s.save(tmp_path / "a.rpl", encoding="utf8")
        chosen = ["--rgb", "Fe_Ka,Ca_Ka", "-o", tmp_path / "i.png"]
        text = run("image", tmp_path / "a.rpl", *chosen, code=1)
        assert "calibrate" in text or "energ" in text

    def test_scale_bar_of_oblong_pixels(self, run, edax, tmp_path):
        output = tmp_path / "i.png"
        text = run("image", edax, "--scale-bar", "-o", output, code=1)
        assert "pixels that are as wide as high, and these are 0.5 by 0.25 µm" in text
        assert not output.exists()

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            (("--line", "Xx"), "'Xx' is no element"),
            (
                ("--line", "fe"),
                "'fe' is no element, expected Fe? Lines of Fe: Fe_Ka, Fe_Kb",
            ),
            (
                ("--line", "Fe_KA"),
                "'Fe_KA' is no X-ray line, expected Fe_Ka? Lines of Fe",
            ),
            (("--line", "Fe_Qa"), "'Fe_Qa' is no X-ray line"),
            (("--line", "Sr_Ka"), "expected"),
            (("--energy", 3, 2), "at least one of the 1000 channels"),
            (("--energy", 3, 200), "expected 0 to 9.99 keV"),
            (("--channels", 5, 5), "at least one of the 1000 channels"),
            (("--channels", -5, -2), "--channels is -5 -2, expected 0 or more"),
            (("--channels", 5, 1001), "expected 0 to 1000"),
            (("--line", "Fe", "--line", "Fe"), "given twice"),
            (("--energy", 6.3, 6.5, "--energy", 6.3, 6.5), "given twice"),
            (("--detector", 0), "--detector is for maps of several detectors"),
            (("--scale-bar",), "--scale-bar is for .png"),
        ],
    )
    def test_wrong_windows(self, run, edax, tmp_path, arguments, match):
        output = tmp_path / "i.tif"
        assert match in run("image", edax, *arguments, "-o", output, code=1)
        assert not output.exists()


class TestEMD:
    """Files that hold more than the map."""

    COUNTS = emd_builder.make_counts((2, 3, 4, 5, 512))

    @pytest.fixture
    def velox(self, tmp_path):
        return emd_builder.write_velox(tmp_path / "map.emd", self.COUNTS)

    def test_info(self, run, velox):
        text = run("info", velox)
        assert "Beside it   HAADF, 5 x 4" in text
        assert "X-ray energy 512 from -0.25 to 4.86, step 0.01 keV" in text
        assert "beam_energy 300 keV" in text
        assert "real_time   0.003 s per spectrum\n" in text
        assert "DetectorName: SuperX1" in text

    def test_spectrum(self, run, velox, tmp_path):
        run("spectrum", velox, "--x", 1, 3, "-o", tmp_path / "a.msa")
        s = hs.load(tmp_path / "a.msa")
        expected = self.COUNTS[..., 1:3, :].sum((0, 1, 2, 3))
        np.testing.assert_array_equal(s.data, expected)
        assert s.metadata.Signal.signal_type == "EDS_TEM"
        assert s.metadata.Acquisition_instrument.TEM.beam_energy == 300

    def test_image_and_export(self, run, velox, tmp_path):
        run("image", velox, "--energy", 0.0, 1.0, "-o", tmp_path / "a.tif")
        image = np.asarray(Image.open(tmp_path / "a.tif"))
        assert image.shape == (4, 5) and image.sum() > 0
        run("export", velox, "-o", tmp_path / "a.npy")
        found = np.load(tmp_path / "a.npy")
        np.testing.assert_array_equal(found, self.COUNTS.sum((0, 1)))

    def test_saved_map(self, run, tmp_path):
        hs.load(builder.write_map(tmp_path / "map.GeoPIXE")).save(tmp_path / "b.emd")
        text = run("info", tmp_path / "b.emd")
        assert "Detector 0" in text and "detectors added" in text

    def test_no_map(self, run, velox, tmp_path):
        with h5py.File(velox, "a") as file:
            del file["Data/SpectrumStream"]
        text = run("spectrum", velox, "-o", tmp_path / "a.msa", code=1)
        assert "holds 3 signals, 0 of them maps" in text
        assert "No spectrum stream is present" in text


class TestSpectrum:
    @pytest.mark.parametrize(
        ("arguments", "key"),
        [
            ((), (slice(None), slice(None))),
            (("--x", 1, 4), (slice(None), slice(1, 4))),
            (("--y", 0, 1, "--x", 6, 7), (slice(0, 1), slice(6, 7))),
        ],
    )
    def test_region(self, run, path, tmp_path, arguments, key):
        output = tmp_path / "out" / "region.msa"
        text = run("spectrum", path, *arguments, "-o", output)
        expected = hs.load(path).data[key].sum(axis=(0, 1))
        found = hs.load(output)
        np.testing.assert_array_equal(found.data, expected)
        assert f"{expected.sum()} counts" in text

    def test_detector(self, run, path, tmp_path):
        run("spectrum", path, "--detector", 1, "-o", tmp_path / "one.hspy")
        found = hs.load(tmp_path / "one.hspy")
        expected = hs.load(path, detector=1).data.sum(axis=(0, 1))
        np.testing.assert_array_equal(found.data, expected)
        run("spectrum", path, "--detector", 2, "-o", tmp_path / "two.msa", code=1)

    @pytest.mark.parametrize("ends", [(3, 3), (4, 2), (0, 8), (-1, 3), (7, 9)])
    def test_ranges_outside_the_map(self, run, path, tmp_path, ends):
        output = tmp_path / "region.msa"
        text = run("spectrum", path, "--x", *ends, "-o", output, code=1)
        assert "the map has 7 pixels along x" in text
        assert not output.exists()

    def test_nothing_is_overwritten_unasked(self, run, path, tmp_path):
        output = tmp_path / "region.msa"
        output.write_text("precious")
        text = run("spectrum", path, "-o", output, code=1)
        assert "use --overwrite" in text
        assert output.read_text() == "precious"
        run("spectrum", path, "-o", output, "--overwrite")
        assert output.read_text() != "precious"

    def test_no_extension(self, run, path, tmp_path):
        (tmp_path / "name.hspy").write_text("precious")
        text = run("spectrum", path, "-o", tmp_path / "name", code=1)
        assert "has no extension" in text
        assert (tmp_path / "name.hspy").read_text() == "precious"

    def test_of_a_saved_map(self, path, tmp_path):
        hs.load(path).inav[1:4].save(tmp_path / "crop.hspy")
        # in a process of its own: HyperSpy keeps the lazy file open
        command = Path(sys.executable).with_name("rsciio-xfm")
        arguments = ["spectrum", tmp_path / "crop.hspy", "-o", tmp_path / "a.msa"]
        subprocess.run([command, *arguments], check=True, capture_output=True)
        expected = hs.load(path).data[:, 1:4].sum(axis=(0, 1))
        np.testing.assert_array_equal(hs.load(tmp_path / "a.msa").data, expected)

    def test_onto_itself(self, run, path, tmp_path):
        hs.load(path).save(tmp_path / "map.hspy")
        size = (tmp_path / "map.hspy").stat().st_size
        arguments = (tmp_path / "map.hspy", "-o", tmp_path / "map.hspy", "--overwrite")
        assert "is the map itself" in run("spectrum", *arguments, code=1)
        assert (tmp_path / "map.hspy").stat().st_size == size

    def test_empty_region(self, run, tmp_path):
        records = builder.random_records()[:41]
        path = builder.write(tmp_path / "cut.GeoPIXE", builder.header_tree(), records)
        text = run("spectrum", path, "--y", 4, 5, "-o", tmp_path / "a.msa")
        assert "Warning: there are no counts in this region" in text

    def test_no_advice_to_report_elsewhere(self, tmp_path):
        (tmp_path / "a.GeoPIXE").write_bytes(b"")
        command = Path(sys.executable).with_name("rsciio-xfm")
        result = subprocess.run(
            [command, "spectrum", tmp_path / "a.GeoPIXE", "-o", tmp_path / "a.msa"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1

    def test_unknown_format(self, run, path, tmp_path):
        text = run("spectrum", path, "-o", tmp_path / "a.xyz", code=1)
        assert "the extension of" in text


class TestDemo:
    @pytest.fixture
    def small(self, monkeypatch):
        whole = data.thin_section
        monkeypatch.setattr(
            data, "thin_section", lambda name, shape=(12, 24): whole(name, shape)
        )

    @pytest.mark.thorough
    def test_made_map(self, run, tmp_path, small):
        text = run("demo", "-o", tmp_path)
        for word in (
            "Made",
            "Opened",
            "Spectrum",
            "Images",
            "Memory",
            "Elements",
            "Wrote",
        ):
            assert f"\n{word}" in f"\n{text}"
        assert "LazyEDSXFMSpectrum" in text
        assert (tmp_path / "demo.png").stat().st_size > 10000
        s = hs.load(tmp_path / "demo_spectrum.msa")
        assert s.data.sum() > 0

    @pytest.mark.thorough
    def test_what_to_type_next(self, run, tmp_path, small, monkeypatch):
        """The commands of the last lines run as they stand."""
        monkeypatch.setattr(sys, "argv", ["rsciio-xfm"])
        folder = tmp_path / "my results"
        _, _, said = run("demo", "-o", folder).partition("Type next:\n")
        explore, *commands, own = said.splitlines()
        assert shlex.split(explore)[1:] == ["explore", str(folder / "demo.GeoPIXE")]
        assert shlex.split(own)[:3] == ["rsciio-xfm", "info", "FILE"]
        names = {shlex.split(line)[1] for line in commands}
        assert names == {"maps", "report", "classify"}
        for line in commands:
            run(*shlex.split(line)[1:])
        assert (folder / "elements" / "Fe_K.tif").is_file()
        files = {path.name for path in folder.iterdir()}
        made = {"demo.GeoPIXE", "demo.png", "demo_spectrum.msa"}
        assert files == made | {"elements", "report.html", "classes"}

    def test_axis_without_a_name(self, run, tmp_path, monkeypatch):
        """As Ripple has it: the window of an element is drawn where nothing is fitted."""
        path = ripple_builder.write_map(tmp_path / "map.rpl", shape=(4, 5, 1024))
        monkeypatch.setattr(_demo, "_load_kernels", lambda folder: None)
        monkeypatch.setattr(_demo, "_fit", lambda signal: None)
        monkeypatch.setattr(_demo, "_strongest_element", lambda total: "Fe")
        run("demo", path, "-o", tmp_path / "a")
        assert (tmp_path / "a" / "map.png").is_file()

    def test_explorer_at_the_end(self, run, real_geopixe, tmp_path, monkeypatch):
        opened = []
        monkeypatch.setattr(_demo, "_fit", lambda signal: None)  # takes longest
        monkeypatch.setattr(_demo.explorer, "callback", lambda **got: opened.append(got))
        run("demo", real_geopixe, "-o", tmp_path, "--explore")
        assert [got["file"] for got in opened] == [real_geopixe]

    def test_explorer_is_not_there(self, run, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "starlette", None)
        text = run("demo", "-o", tmp_path / "a", "--explore", code=1)
        assert 'pip install "rsciio-xfm[explore]"' in text
        assert not (tmp_path / "a").exists()

    @pytest.mark.thorough
    def test_real_file(self, run, real_geopixe, tmp_path):
        text = run("demo", real_geopixe, "-o", tmp_path, "--element", "Fe")
        assert "Fe, " in text
        text = run("demo", real_geopixe, "-o", tmp_path, code=1)
        assert "use --overwrite" in text

    def test_without_extras(self, run, real_geopixe, tmp_path, monkeypatch):
        for module in ("xraylib", "starlette", "sklearn"):
            monkeypatch.setitem(sys.modules, module, None)
        text = run("demo", real_geopixe, "-o", tmp_path)
        assert "info FILE" in text and "explore " not in text.partition("Type next")[2]
        for extra in ("explore", "fit", "learning"):
            assert f'pip install "rsciio-xfm[{extra}]"' in text
        assert (tmp_path / "mo_anode_20x5_2det.png").stat().st_size > 10000

    def test_temporary_folder(self, run, real_geopixe, monkeypatch, tmp_path):
        monkeypatch.setattr(_demo.tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(_demo, "_fit", lambda signal: None)  # takes longest
        text = run("demo", real_geopixe)
        wrote = [line for line in text.splitlines() if line.startswith("Wrote")]
        written = [Path(line.split()[-1]) for line in wrote]
        assert [path.suffix for path in written] == [".msa", ".png"]
        assert all(path.is_file() for path in written)
        (folder,) = tmp_path.glob("rsciio-xfm-*")
        assert {*folder.iterdir()} == {*written}

    @pytest.mark.parametrize(
        ("element", "match"),
        [("fe", "expected Fe? Lines of Fe: Fe"), ("U", "no line of U")],
    )
    def test_wrong_element(self, run, path, tmp_path, element, match):
        output = tmp_path / "a"
        assert match in run("demo", path, "-o", output, "--element", element, code=1)
        assert not output.exists()

    def test_empty_map(self, run, tmp_path):
        path = builder.write(tmp_path / "a.GeoPIXE", builder.header_tree(), [])
        text = run("demo", path, "-o", tmp_path, code=1)
        assert "the map has no counts" in text

    def test_without_energies(self, run, tmp_path):
        path = data.painting(tmp_path / "scan.raw", (6, 8)).path
        text = run("demo", path, "-o", tmp_path)
        assert "rsciio-xfm calibrate" in text
        assert " maps " not in text.partition("Type next")[2]
        assert (tmp_path / "scan.png").is_file()


def test_known_elements_are_where_they_were_put(tmp_path):
    data.thin_section(tmp_path / "demo.GeoPIXE", (12, 24))
    total = hs.load(tmp_path / "demo.GeoPIXE", lazy=True).sum()
    total.compute(show_progressbar=False)
    assert _demo._strongest_element(total) in ("Ca", "Fe")
    for center in (3.69, 6.40, 8.05, 4.51):  # Ca, Fe, Cu, Ti
        peak = total.isig[center - 0.1 : center + 0.1].data.max()
        assert peak > 2 * total.isig[center - 0.4 : center - 0.3].data.mean()


def test_installed_command(tmp_path):
    command = Path(sys.executable).with_name("rsciio-xfm")
    result = subprocess.run(
        [command, "--version"], check=True, capture_output=True, text=True
    )
    assert rsciio_xfm.__version__ in result.stdout
    for name in ("info", "spectrum", "demo"):
        assert (
            name
            in subprocess.run(
                [command, "-h"], check=True, capture_output=True, text=True
            ).stdout
        )


def test_one_spectrum_where_a_map_is_expected(run, tmp_path):
    edax_builder.write_spc(tmp_path / "point.spc", 1000, kV=15.0)
    path = tmp_path / "point.spc"
    text = run("image", path, "-o", tmp_path / "a.tif", code=1)
    assert "is one spectrum, expected a map of them" in text and "`spectrum`" in text
    text = run("convert", path, "-o", tmp_path / "a.h5", code=1)
    assert "expected .raw or .rpl; rsciio-xfm export" in text
    text = run("export", path, "-o", tmp_path / "a.npy", code=1)
    assert "is one spectrum, expected a map of them" in text
    text = run("export", path, "-o", tmp_path / "a.h5", "--x", 0, 1, code=1)
    assert "--x and --y are for maps" in text
    run("export", path, "-o", tmp_path / "a.h5")
    assert "Energy      1000 from 0 to 9.99" in run("info", tmp_path / "a.h5")


def test_one_spectrum_is_written_and_drawn(run, tmp_path):
    edax_builder.write_spc(tmp_path / "point.spc", 1000, kV=15.0)
    counts = hs.load(tmp_path / "point.spc").data
    for name in ("a.msa", "a.png"):
        said = run("spectrum", tmp_path / "point.spc", "-o", tmp_path / name)
        assert said == f"{tmp_path / name}: {counts.sum()} counts of one spectrum\n"
    np.testing.assert_array_equal(hs.load(tmp_path / "a.msa").data, counts)
    mask = f"--mask={tmp_path / 'point.spc'}"
    for name, *wrong in (
        ("b.msa", "--x", 0, 1),
        ("b.msa", mask),
        ("b.png", "--per", "pixel"),
    ):
        output = ("-o", tmp_path / name)
        said = run("spectrum", tmp_path / "point.spc", *wrong, *output, code=1)
        assert "for maps" in said


def test_spectra_that_cannot_be(run, path, tmp_path):
    """What is wrong with the options is said before the map is read."""
    output = ("-o", tmp_path / "a.png")
    said = run("spectrum", path, "--lines", "auto", "--excitation", "x", *output, code=1)
    assert "The excitation is 'x', expected one like" in said
    said = run("spectrum", path, "--statistic", "max", "--per", "pixel", *output, code=1)
    assert "--per divides sums: leave out --statistic" in said
    for command in ("spectrum", "image"):
        said = run(command, path, "-o", tmp_path / "none" / "a.png", code=1)
        assert f"there is no folder {tmp_path / 'none'}" in said
    assert [one.name for one in tmp_path.iterdir()] == ["map.GeoPIXE"]


@pytest.mark.parametrize("name", ["a.tif", "a.hspy"])
def test_folders_of_images_are_made(run, path, tmp_path, name):
    run("image", path, "-o", tmp_path / "new" / name)
    assert (tmp_path / "new" / name).is_file()


def test_line_beyond_what_is_drawn(run, path, tmp_path):
    drawn = ("--energy", 0.1, 1, "--lines", "Fe_Ka", "-o", tmp_path / "a.png")
    said = run("spectrum", path, *drawn)
    assert "Fe_Ka, 6.404 keV, lies outside of the 0.1 to 1 keV that are drawn." in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--chunk-size", "x", "info"), "'x' is not a valid number."),
        (("--workers", "2.5", "info"), "'2.5' is not a valid whole number."),
        (("image", "--width", "x", "-o", "a.png"), "'x' is not a valid number."),
    ],
)
def test_what_is_no_number(run, path, arguments, expected):
    assert expected in run(*arguments, path, code=2)


class TestReaderOptions:
    """--option: whatever else a reader of a format has."""

    def test_value(self, run, path):
        text = run("info", path, "--option", "sum_detectors=False")
        assert "detector    2 from 0 to 1" in text
        assert "detector    2" not in run("info", path)

    @pytest.mark.parametrize("option", ["detector", "=1", "a b=1", "lazy=False", "if=1"])
    def test_wrong_words(self, run, path, option):
        assert "Invalid value for '--option'" in run(
            "info", path, "--option", option, code=2
        )

    def test_no_option_of_this_reader(self, run, path, tmp_path):
        text = run("info", path, "--option", "calibration=fit.txt", code=1)
        assert "--option calibration is none of its reader" in text
        assert "sum_detectors" in text and "lazy" not in text

    @pytest.mark.parametrize("word", ["false", "FALSE", "0"])
    def test_no(self, run, path, word):
        """What is not True in Python would be a text, which is taken for yes."""
        text = run("info", path, "--option", f"sum_detectors={word}")
        assert "detector    2 from 0 to 1" in text

    @pytest.mark.parametrize(
        ("option", "expected"),
        [
            (
                "sum_detectors=no",
                "--option sum_detectors is 'no', expected True or False",
            ),
            ("rebin_energy=x", "rebin_energy is 'x', expected a divisor"),
            ("detector=x", "detector is 'x', expected 0 to 1"),
        ],
    )
    def test_wrong_values(self, run, path, option, expected):
        assert expected in run("info", path, "--option", option, code=1)

    @pytest.mark.parametrize("second", [("--option", "detector=0"), ("--detector", 0)])
    def test_twice(self, run, path, tmp_path, second):
        given = ("--option", "detector=1", *second, "-o", tmp_path / "a.msa")
        said = run("spectrum", path, *given, code=1)
        assert "is given twice" in said or "expected one of them" in said

    def test_kept_in_a_command_that_is_suggested(self, run, path):
        given = ("--option", "select_type=a b", "--detector", 0)
        text = run("calibrate", path, "Fe,Ca", *given, code=1)
        assert f"{path} --option 'select_type=a b' --detector 0 --calibrate Fe,Ca" in text


class TestPicturesOfSpectra:
    edax = TestEDAX.edax

    @pytest.fixture
    def masks(self, tmp_path):
        inside = np.zeros((8, 9), dtype=bool)
        inside[2:4, 3:8] = True
        np.save(tmp_path / "grain.npy", inside)
        np.save(tmp_path / "matrix.npy", ~inside)
        return [f"--mask={tmp_path / name}.npy" for name in ("grain", "matrix")]

    def test_masks_in_one(self, run, edax, masks, tmp_path):
        """The text of vectors is text."""
        output = tmp_path / "a.svg"
        options = ["--per", "pixel", "--lines", "Fe_Ka,Ca", "--norm", "linear"]
        said = run("spectrum", edax, *masks, *options, "-o", output)
        assert "a.svg: grain: " in said and "counts of 62 pixels" in said
        text = output.read_text(encoding="utf-8")
        for words in (
            "grain",
            "matrix",
            "Counts per pixel",
            "Energy (keV)",
            "Fe K\u03b1",
        ):
            assert f">{words}<" in text
        assert sorted(p.name for p in tmp_path.glob("a*")) == ["a.svg"]

    def test_part_of_a_map(self, run, edax, tmp_path):
        for name in ("a.png", "a.pdf"):
            options = ["--x", 2, 7, "--per", "pixel", "--energy", 1, 8]
            run("spectrum", edax, *options, "-o", tmp_path / name)
        with Image.open(tmp_path / "a.png") as picture:
            assert picture.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
        assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
        assert "exists" in run("spectrum", edax, "-o", tmp_path / "a.png", code=1)
        options = ["--statistic", "max", "--per", "live-time", "-o", tmp_path / "b.png"]
        assert "--per divides sums" in run("spectrum", edax, *options, code=1)
        assert not (tmp_path / "b.png").exists()

    def test_options_of_pictures(self, run, edax, tmp_path):
        output = ("-o", tmp_path / "a.msa")
        text = run("spectrum", edax, "--per", "pixel", "--lines", "Fe", *output, code=1)
        assert "--lines, --per is for pictures, .png, .pdf or .svg" in text
        output = ("-o", tmp_path / "a.png")
        assert "is for .msa" in run("spectrum", edax, "--format", "Y", *output, code=1)
        text = run("spectrum", edax, "--excitation", "Mo 50 kV", *output, code=1)
        assert "--excitation is for --lines auto" in text
        text = run("spectrum", edax, "--lines", "Fe,,Ca", *output, code=2)
        assert "'Fe,,Ca' is not lines or elements" in text
        assert not (tmp_path / "a.png").exists()
