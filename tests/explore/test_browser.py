"""The page in a browser: what somebody does who looks at a map."""

# ruff: noqa: RUF001

import contextlib
import gc
import json
import re
import shutil
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm import data
from tests.chromium import MARKS, start_chromium

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed"
)
pytest.importorskip("uvicorn", reason="the extra explore is not installed")
expect = sync_api.expect
expect.set_options()  # a machine that is busy is slow
pytestmark = MARKS
SHAPE = (48, 80)
CHANNELS = 4096
KEV = 0.01  # a channel


@pytest.fixture(scope="module")
def rock(tmp_path_factory):
    return Path(
        data.thin_section(
            tmp_path_factory.mktemp("maps") / "rock.GeoPIXE", SHAPE, n_detectors=1
        ).path
    )


@pytest.fixture(scope="module")
def counts(rock):
    """The map as the package reads it."""
    from rsciio_xfm.formats.geopixe import file_reader

    return file_reader(str(rock))[0]["data"]


@pytest.fixture(scope="module")
def server(rock):
    running = rsciio_xfm.explore(rock, browser=False, wait=False)
    yield running
    running.close()


@pytest.fixture(scope="module")
def chromium():
    with start_chromium() as browser:
        yield browser


# Counts the questions that are not answered yet.
COUNT = """(() => {
  const { fetch: ask } = window;
  window.asking = 0;
  window.fetch = async (...all) => {
    window.asking++;
    try {
      const answer = await ask(...all);
      const body = await answer.arrayBuffer();
      answer.arrayBuffer = async () => body;
      return answer;
    } finally {
      setTimeout(() => window.asking--);
    }
  };
})()"""
# Until nothing was asked for three pictures of the screen and some time.
QUIET = """async () => {
  const soon = (how) => new Promise((done) => how(done));
  for (let quiet = 0; quiet < 3; quiet = window.asking ? 0 : quiet + 1) {
    await soon(requestAnimationFrame);
    await soon((done) => setTimeout(done, 30));
  }
}"""
# What was set before has been written into the address by then: it is due earlier.
WRITTEN = "() => new Promise((done) => setTimeout(done, 300))"


class Looking:
    """A page, and hands."""

    def __init__(self, page):
        self.page = page
        page.set_default_timeout(60_000)
        page.add_init_script(COUNT)
        self.wrong = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda m: m.type == "error" and self.wrong.append(m.text))

    def open(self, address):
        self.address = address
        self.page.goto(address)
        self.page.wait_for_selector("[data-ready=true]")
        self.settle()

    def settle(self):
        """Wait until all that is wanted is there, spectra exactly."""
        self.page.evaluate(QUIET)
        self.page.wait_for_selector(".xfm-plot[data-exact=true][data-series]")

    def until(self, condition):
        """Wait until something is true in the page, or here."""
        for _ in range(1200):
            if condition() if callable(condition) else self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(condition)

    @property
    def state(self):
        self.page.evaluate(WRITTEN)
        return json.loads(unquote(self.page.url.partition("#")[2]) or "{}")

    @property
    def plot(self):
        return self.page.locator(".xfm-plot")

    def place(self, selector, across, down):
        box = self.page.locator(selector).bounding_box()
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def on_map(self, y, x):
        """Where the middle of a pixel is, as long as all of the map is shown."""
        box = self.page.locator(".xfm-map").bounding_box()
        height, width = SHAPE
        zoom = min((box["width"] - 16) / width, (box["height"] - 16) / height)
        left = box["x"] + box["width"] / 2 - width / 2 * zoom
        top = box["y"] + box["height"] / 2 - height / 2 * zoom
        return left + (x + 0.5) * zoom, top + (y + 0.5) * zoom

    def at_energy(self, energy, down=0.5):
        low, high = (self.state.get("spectrum") or {}).get("x") or (
            0,
            KEV * (CHANNELS - 1),
        )
        return self.place(".u-over", (energy - low) / (high - low), down)

    def drag(self, start, end, steps=6):
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(*end, steps=steps)
        mouse.up()
        self.settle()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def button(self, name, **options):
        return self.page.get_by_role("button", name=name, exact=True, **options)

    def tab(self, name):
        self.page.get_by_role("tab", name=name).click()

    def export(self, text):
        self.page.locator("summary", has_text="Export").click()
        with self.page.expect_download() as found:
            self.page.get_by_role("menuitem", name=text).click()
        return found.value


@pytest.fixture
def looking(chromium, server):
    context = chromium.new_context(
        viewport={"width": 1280, "height": 720},
        color_scheme="light",
        accept_downloads=True,
    )
    looking = Looking(context.new_page())
    looking.open(server.address)
    yield looking
    context.close()
    assert not looking.wrong


def test_open(looking):
    page = looking.page
    expect(page.get_by_role("heading", name="rock.GeoPIXE")).to_be_visible()
    expect(page.locator("header")).to_contain_text("80 × 48 pixels, 4096 channels")
    assert looking.plot.get_attribute("data-series") == "whole"
    expect(page.locator(".xfm-hint")).to_contain_text("Drag on the map")
    page.mouse.move(*looking.on_map(10, 20))
    expect(page.locator(".xfm-value")).to_contain_text("x 20, y 10: All counts")


def test_value_under_the_mouse(looking, counts):
    looking.page.mouse.move(*looking.on_map(31, 7))
    text = looking.page.locator(".xfm-value").inner_text()
    assert re.sub(r"\D", "", text.partition("counts")[2]) == str(int(counts[31, 7].sum()))


def test_drag_a_region(looking, counts, tmp_path):
    """Its spectrum follows the mouse, and is exact in the end."""
    mouse = looking.page.mouse
    mouse.move(*looking.on_map(5, 10))
    mouse.down()
    for y, x in ((9, 15), (15, 25), (20, 33), (24, 39)):
        before = looking.plot.get_attribute("data-updates")
        mouse.move(*looking.on_map(y, x), steps=3)
        expect(looking.plot).not_to_have_attribute("data-updates", before)
    mouse.up()
    looking.settle()
    assert looking.plot.get_attribute("data-series") == "whole r1"
    (region,) = looking.state["regions"]
    assert region["region"] == "r:5,10,25,40"
    expect(looking.page.locator(".xfm-regions")).to_contain_text("600 px · 0.54 mm²")
    looking.export("All spectra shown").save_as(tmp_path / "spectra.csv")
    table = np.loadtxt(
        tmp_path / "spectra.csv", delimiter=",", skiprows=1, ndmin=2, comments="#"
    )
    np.testing.assert_array_equal(table[:, -1], counts[5:25, 10:40].sum((0, 1)))


def test_window_by_mouse(looking):
    looking.drag(looking.at_energy(6.2), looking.at_energy(6.6))
    first, stop = looking.state["window"]
    assert 610 <= first <= 630
    assert 650 <= stop <= 670
    assert looking.state["image"] == f"w:{first}:{stop}"
    expect(looking.page.get_by_label("Image", exact=True)).to_contain_text("keV")
    # Its border can be moved.
    looking.drag(looking.at_energy((stop - 0.5) * KEV), looking.at_energy(7.2))
    assert looking.state["window"][0] == first
    assert 710 <= looking.state["window"][1] <= 730


def test_spectrum_that_comes_while_a_window_is_dragged(looking):
    """The plot that it needs is built when the mouse is let go, not under it."""
    held = []

    def hold(route):
        held.append(route)

    looking.page.route(re.compile(r"/spectrum\?region=r"), hold)
    looking.page.mouse.move(*looking.on_map(10, 10))
    looking.page.mouse.down()
    looking.page.mouse.move(*looking.on_map(30, 40), steps=4)
    looking.page.mouse.up()
    looking.until(lambda: held)
    start, end = (looking.place(".u-over", across, 0.5) for across in (0.2, 0.4))
    looking.page.mouse.move(*start)
    looking.page.mouse.down()
    looking.page.mouse.move(*end, steps=4)
    expect(looking.plot).to_have_attribute("data-series", "whole")
    plot = looking.page.locator(".u-over").element_handle()
    for route in held:
        route.continue_()
    looking.page.unroute(re.compile(r"/spectrum\?region=r"))
    expect(looking.plot).to_have_attribute("data-series", "whole r1")
    looking.page.evaluate(WRITTEN)
    assert plot.evaluate("over => over.isConnected")
    looking.page.mouse.up()
    looking.settle()
    assert looking.state["image"].startswith("w:")


def test_click_a_peak(looking):
    looking.page.mouse.click(*looking.at_energy(6.4))
    dialog = looking.page.get_by_role("dialog", name="Which line is it?")
    first = dialog.locator("button.xfm-line").first
    expect(first).to_contain_text("Fe Kα")
    expect(first).to_be_focused()
    assert "Fe Kβ" in looking.plot.get_attribute("data-labels")
    looking.press("Enter")
    expect(dialog).to_be_hidden()
    state = looking.state
    assert (state["image"], state["elements"]) == ("e:Fe_Ka", ["Fe"])
    assert looking.plot.get_attribute("data-labels") == "Fe Kα, Fe Kβ"


def add_elements(looking, text):
    looking.tab("Elements")
    looking.page.get_by_label("Elements to add").fill(text)
    looking.press("Enter")
    looking.page.wait_for_selector(f".xfm-tile >> nth={len(text.split()) - 1}")


def test_rgb_and_ratio(looking):
    add_elements(looking, "ca Fe ti")
    looking.button("RGB").click()
    assert looking.state["rgb"] == ["e:Ca_Ka", "e:Fe_Ka", "e:Ti_Ka"]
    looking.page.get_by_label("Contrast of").select_option("1")
    looking.page.get_by_label("Gamma").fill("2.5")
    looking.press("Enter")
    assert [c["gamma"] for c in looking.state["rgbContrast"]] == [1, 2.5, 1]
    looking.page.mouse.move(*looking.on_map(3, 3))
    expect(looking.page.locator(".xfm-value")).to_contain_text("Ti Kα")
    looking.button("Ratio").click()
    assert looking.state["ratio"] == ["e:Ca_Ka", "e:Fe_Ka"]
    looking.button("Image").click()
    looking.button("Fe Kα in blue").click()
    assert looking.state["rgb"] == ["e:Ca_Ka", "e:Ca_Ka", "e:Fe_Ka"]


def test_scatter_brushing(looking, counts):
    """A brush marks pixels in the map; a region of the map marks cells."""
    add_elements(looking, "Ca Fe")
    looking.tab("Scatter")
    looking.page.get_by_label("Across").select_option("e:Ca_Ka")
    looking.page.get_by_label("Up").select_option("e:Fe_Ka")
    canvas = looking.page.locator(".xfm-scatter[data-ready=true]")
    canvas.wait_for()
    plain = canvas.screenshot()
    looking.drag(
        looking.place(".xfm-scatter", 0.12, 0.1), looking.place(".xfm-scatter", 0.4, 0.6)
    )
    (region,) = looking.state["regions"]
    assert region["region"].startswith("b:e:Ca_Ka@")
    assert canvas.screenshot() != plain
    looking.tab("Regions")
    text = looking.page.locator(".xfm-size").inner_text()
    assert (
        0
        < int(re.sub(r"\D", "", text.partition("px")[0]))
        < counts.shape[0] * counts.shape[1]
    )


def test_threshold_from_the_histogram(looking, counts):
    looking.drag(
        looking.place(".xfm-histogram", 0.5, 0.5),
        looking.place(".xfm-histogram", 0.999, 0.5),
    )
    (region,) = looking.state["regions"]
    low, high = map(float, region["region"].rpartition("@")[2].split(","))
    image = counts.sum(2)
    expected = int(((image >= low) & (image <= high)).sum())
    text = looking.page.locator(".xfm-size").inner_text()
    assert re.sub(r"\D", "", text.partition("px")[0]) == str(expected)


def test_polygon_lasso_union_and_difference(looking):
    map_ = looking.page.locator(".xfm-map")
    looking.button("Polygon (P): click corners, double click ends").click()
    for y, x in ((5, 5), (5, 25), (20, 25)):
        looking.page.mouse.click(*looking.on_map(y, x))
    looking.page.mouse.click(*looking.on_map(5, 5))
    looking.settle()
    assert looking.state["regions"][0]["region"].startswith("p:")
    map_.focus()
    looking.press("l")
    looking.page.mouse.move(*looking.on_map(30, 30))
    looking.page.mouse.down()
    for y, x in ((30, 40), (35, 45), (40, 40), (40, 30), (35, 28)):
        looking.page.mouse.move(*looking.on_map(y, x), steps=4)
    looking.page.mouse.up()
    looking.settle()
    looking.press("r")
    looking.page.keyboard.down("Shift")
    looking.drag(looking.on_map(1, 60), looking.on_map(9, 70))
    looking.page.keyboard.up("Shift")
    looking.page.keyboard.down("Alt")
    looking.drag(looking.on_map(2, 62), looking.on_map(5, 65))
    looking.page.keyboard.up("Alt")
    regions = looking.state["regions"]
    assert [r["name"] for r in regions] == ["Region 1", "Region 2"]
    assert regions[1]["region"].endswith("|r:1,60,10,71|-r:2,62,6,66")
    looking.page.get_by_label("Join with another region").first.select_option("add r2")
    assert looking.state["regions"][0]["region"].endswith(regions[1]["region"])
    looking.page.get_by_label("Show Region 2").uncheck()
    looking.settle()
    assert looking.plot.get_attribute("data-series") == "whole r1"


def test_undo_and_redo(looking):
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    looking.drag(looking.at_energy(6.2), looking.at_energy(6.6))
    image = looking.state["image"]
    looking.press("Control+z")
    assert "image" not in looking.state
    assert len(looking.state["regions"]) == 1
    looking.button("Undo (Ctrl Z)").click()
    assert "regions" not in looking.state
    expect(looking.button("Undo (Ctrl Z)")).to_be_disabled()
    looking.press("Control+y", "Control+Shift+z")
    assert looking.state["image"] == image


def test_share_the_address(looking, chromium, server):
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    looking.drag(looking.at_energy(6.2), looking.at_energy(6.6))
    looking.button("Per pixel: regions of different size can be compared")
    looking.page.get_by_label("Colours").select_option("magma")
    looking.page.mouse.wheel(0, 0)
    state, url = looking.state, looking.page.url
    assert state["cmap"] == "magma"
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    other = Looking(context.new_page())
    other.page.goto(server.address)  # lets in
    other.page.goto("about:blank")
    other.open(url)
    assert other.state == state
    assert other.plot.get_attribute("data-series") == "whole r1"
    drawn = [one.page.locator(".xfm-map").screenshot() for one in (looking, other)]
    assert abs(len(drawn[0]) - len(drawn[1])) < 0.2 * len(drawn[0])
    context.close()
    assert not other.wrong


def test_by_keyboard_alone(looking):
    """Tool, corners, nudge, window, a line, the tabs: without a mouse."""
    looking.press("m", "r")
    expect(looking.page.locator(".xfm-map")).to_be_focused()
    looking.press(
        "ArrowLeft", "Shift+ArrowUp", "Enter", "Shift+ArrowRight", "ArrowDown", "Enter"
    )
    looking.settle()
    (region,) = looking.state["regions"]
    assert region["region"] == "r:14,39,16,50"
    looking.press("v", "Shift+ArrowDown", "ArrowRight", "Alt+ArrowRight")
    assert looking.state["regions"][0]["region"] == "r:24,40,26,52"
    looking.press("s", "Home")
    for _ in range(60):
        looking.press("Shift+ArrowRight")
    looking.press("[")
    for _ in range(4):
        looking.press("Shift+ArrowRight")
    looking.press("]")
    assert looking.state["window"] == [600, 641]
    looking.press("Enter")
    expect(looking.page.locator("button.xfm-line").first).to_contain_text("Fe Kα")
    looking.press("Escape")
    expect(looking.page.locator(".xfm-plot-box")).to_be_focused()
    looking.press("y")
    assert looking.state["spectrum"]["y"] == "lin"
    root = looking.button("√")
    root.focus()
    looking.press("Enter")
    assert looking.state["spectrum"]["y"] == "sqrt"
    expect(root).to_be_focused()  # although it was made anew
    looking.press("Delete")
    assert "regions" not in looking.state
    looking.press("?")
    expect(looking.page.get_by_role("dialog", name="Help")).to_be_visible()
    looking.press("Escape")
    expect(looking.page.get_by_role("dialog", name="Help")).to_have_count(0)


def test_everything_has_a_name(looking):
    """What a screen reader says of each control; nothing can be reached by the mouse only."""
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    for name in ("Elements", "Scatter", "Classes", "Regions"):
        looking.tab(name)
        nameless = looking.page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, summary, canvas")]
                .filter((e) => e.checkVisibility() && !e.closest(".u-wrap, [aria-hidden]"))
                .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim()
                    || e.labels?.length))
                .map((e) => e.outerHTML.slice(0, 100))"""
        )
        assert nameless == []
    assert looking.page.locator("[tabindex='0'].xfm-map").count() == 1


def test_dark(looking):
    root = looking.page.locator("#xfm")
    expect(root).to_have_attribute("data-theme", "light")
    looking.press("d")
    expect(root).to_have_attribute("data-theme", "dark")
    assert looking.state["dark"] is True
    assert looking.page.evaluate(
        "getComputedStyle(document.querySelector('.xfm')).color"
    ) == ("rgb(240, 242, 244)")


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1024, 640)])
def test_fits_the_screen(looking, size):
    page = looking.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    for selector in (
        "header",
        ".xfm-map",
        ".xfm-histogram",
        ".u-over",
        ".xfm-tabs",
        "footer",
    ):
        box = page.locator(selector).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size[0] + 1, selector
        assert box["y"] + box["height"] <= size[1] + 1, selector
    assert page.locator(".u-over").bounding_box()["height"] > 120
    for bar in page.locator(".xfm-bar:visible, .xfm-controls").all():
        assert bar.bounding_box()["height"] < 50  # one row


def test_exports(looking, tmp_path):
    import tifffile

    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    looking.export("Spectrum of the chosen region (MSA)").save_as(tmp_path / "a.msa")
    assert "#FORMAT" in (tmp_path / "a.msa").read_text(encoding="latin-1")
    looking.export("Image with its numbers").save_as(tmp_path / "a.tif")
    assert tifffile.imread(tmp_path / "a.tif").shape == SHAPE
    looking.export("Chosen region as an image").save_as(tmp_path / "b.tif")
    assert (tifffile.imread(tmp_path / "b.tif") > 0).sum() == 600
    for text in ("Picture with scale bar", "Picture of the spectrum"):
        looking.export(text).save_as(tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    looking.export("Statistics of the regions").save_as(tmp_path / "a.csv")
    head, row, *_ = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert head.startswith("region,image,n,sum,mean")
    assert row.startswith('"Region 1","All counts",600,')
    expect(looking.page.locator("summary", has_text="Export")).to_be_focused()
    looking.export("Regions (JSON)").save_as(tmp_path / "regions.json")
    regions = json.loads((tmp_path / "regions.json").read_text(encoding="utf-8"))
    assert regions["regions"] == looking.state["regions"]
    looking.export("Session (JSON)").save_as(tmp_path / "session.json")
    looking.press("Control+z")
    assert "regions" not in looking.state
    looking.page.locator("summary", has_text="Export").click()
    with looking.page.expect_file_chooser() as chooser:
        looking.page.get_by_role("menuitem", name="Open a session").click()
    chooser.value.set_files(tmp_path / "session.json")
    looking.settle()
    assert looking.state["regions"] == regions["regions"]


def test_python_lines(looking):
    looking.button("Max").click()
    looking.button("/ pixel").click()
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    looking.page.locator("summary", has_text="Export").click()
    looking.page.get_by_role("menuitem", name="Python lines").click()
    dialog = looking.page.get_by_role("dialog", name="Python lines")
    lines = dialog.locator("pre").inner_text()
    compile(lines, "lines", "exec")
    assert "Region 1" in lines
    assert 'summary["max"]' in lines
    assert "/ regions[name].sum()" in lines
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def test_calibrate_by_two_peaks(looking):
    """A calibration of one's own comes with the address, and can be taken back."""
    looking.button("Calibrate").click()
    expect(looking.page.locator(".xfm-readout")).to_contain_text("click a peak")
    for energy, name in ((6.4, "Fe Ka"), (3.69, "Ca Ka")):
        looking.page.mouse.click(*looking.at_energy(energy))
        box = looking.page.get_by_label("Another line, such as Fe Ka")
        box.fill(name)
        box.press("Enter")
    expect(looking.page.locator(".xfm-message")).to_contain_text("Calibrated")
    offset, scale = looking.state["energy"]
    assert scale == pytest.approx(KEV, rel=0.02)
    assert offset == pytest.approx(0, abs=0.1)
    looking.button("File's energies").click()
    assert "energy" not in looking.state


def test_calibrate_by_two_peaks_that_are_close(looking):
    """The gain is told with its uncertainty; what leaves doubt is said, and stays."""
    pytest.importorskip("xraylib", reason="the extra fit is not installed")
    message = looking.page.locator(".xfm-message")

    def calibrate(*lines):
        looking.button("Calibrate").click()
        for energy, name in lines:
            looking.page.mouse.click(*looking.at_energy(energy))
            box = looking.page.get_by_label("Another line, such as Fe Ka")
            box.fill(name)
            box.press("Enter")
        expect(message).to_contain_text("Calibrated")
        return message.inner_text()

    said = calibrate((6.4, "Fe Ka"), (3.69, "Ca Ka"))
    assert re.search(r"10\.0\d+ ± 0\.00\d+ eV a channel", said)
    gain, sure = re.search(r"([\d.]+) ± ([\d.]+) eV", said).groups()
    assert len(gain.partition(".")[2]) == len(sure.partition(".")[2])
    assert "only" not in said
    assert looking.state["energy"][1] == pytest.approx(KEV, rel=0.0006)
    bar = looking.page.locator(".xfm-spectrum .xfm-bar")
    assert bar.bounding_box()["height"] < 50  # one row, with one button more
    looking.button("File's energies").click()
    said = calibrate((6.4, "Fe Ka"), (7.06, "Fe Kb"))
    assert re.search("Fe Kα and Fe Kβ are only 6[56] channels apart", said)
    expect(looking.page.locator(".xfm-error")).to_contain_text("lines further apart")
    looking.button("Put away").click()
    expect(message).to_be_empty()


def test_energies_of_a_map_that_has_none(chromium, tmp_path):
    """A click on a peak asks for its line; after the second, the axis is in keV."""
    data.painting(tmp_path / "painting.raw", (12, 20))
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    path = tmp_path / "painting.rpl"
    with contextlib.closing(
        rsciio_xfm.explore(path, browser=False, wait=False)
    ) as server:
        looking = Looking(context.new_page())
        looking.open(server.address)
        expect(looking.page.locator(".xfm-readout")).to_contain_text("press Calibrate")
        for channel, name in ((117, "Pb Ma"), (342, "Cu Ka")):
            looking.page.mouse.click(*looking.place(".u-over", channel / 1023, 0.5))
            box = looking.page.get_by_label("Another line, such as Fe Ka")
            box.fill(name)
            box.press("Enter")
        expect(looking.page.locator(".xfm-message")).to_contain_text("Calibrated")
        _, scale = looking.state["energy"]
        assert scale == pytest.approx((8.046 - 2.342) / 225, rel=0.03)
        looking.drag(
            looking.place(".u-over", 0.3, 0.5), looking.place(".u-over", 0.35, 0.5)
        )
        expect(looking.page.get_by_label("Image", exact=True)).to_contain_text("keV")
        assert not looking.wrong
        context.close()
    # The reader of this format maps the file into memory, until nobody has its array.
    server = looking = None
    gc.collect()


def test_elements_are_found_and_fitted(looking):
    pytest.importorskip("xraylib", reason="the extra fit is not installed")
    looking.tab("Elements")
    looking.button("Find").click()
    looking.page.wait_for_selector(".xfm-tile >> nth=3", timeout=120_000)
    assert {"Ca", "Fe", "Ti"} <= set(looking.state["elements"])
    looking.button("Fit these").click()
    looking.page.wait_for_selector("[data-key='fit:Fe_K']", timeout=120_000)
    assert looking.state["image"].startswith("fit:")
    # A link to a fit fits again.
    looking.page.reload()
    looking.page.wait_for_selector("[data-ready=true]")
    looking.tab("Elements")
    looking.page.wait_for_selector("[data-key='fit:Fe_K']", timeout=120_000)


def test_server_gone_and_there_again(chromium, rock):
    """The page says so, asks again, and has lost nothing."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    with contextlib.closing(
        rsciio_xfm.explore(rock, browser=False, wait=False)
    ) as server:
        looking = Looking(context.new_page())
        looking.open(server.address)
        context.set_offline(True)
        banner = looking.page.locator(".xfm-banner")
        looking.page.mouse.move(*looking.on_map(5, 10))
        looking.page.mouse.down()
        looking.page.mouse.move(*looking.on_map(24, 39), steps=5)
        looking.page.mouse.up()
        expect(banner).to_contain_text("does not answer")
        context.set_offline(False)
        expect(banner).to_be_hidden()
        looking.settle()
        assert looking.plot.get_attribute("data-series") == "whole r1"
        context.close()


def test_file_replaced(chromium, tmp_path, rock):
    path = tmp_path / "rock.GeoPIXE"
    shutil.copy(rock, path)
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    with contextlib.closing(
        rsciio_xfm.explore(path, browser=False, wait=False)
    ) as server:
        looking = Looking(context.new_page())
        looking.open(server.address)
        data.thin_section(path, (20, 30), n_detectors=2, overwrite=True)
        looking.page.mouse.move(*looking.on_map(5, 10))
        looking.page.mouse.down()
        looking.page.mouse.move(*looking.on_map(24, 39), steps=5)
        looking.page.mouse.up()
        banner = looking.page.locator(".xfm-banner")
        expect(banner).to_contain_text("replaced or changed")
        banner.get_by_role("button").click()
        expect(banner).to_be_hidden()
        expect(looking.page.locator(".xfm-message")).to_be_empty()
        looking.settle()
        assert looking.plot.get_attribute("data-series") == "whole r1"
        expect(looking.page.locator(".xfm-size")).to_contain_text("300 px")
        context.close()


def test_file_replaced_by_a_map_of_another_size(chromium, tmp_path, rock):
    """Nothing of the old map is left: image, classes, pictures of the elements."""
    path = tmp_path / "rock.GeoPIXE"
    shutil.copy(rock, path)
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    with contextlib.closing(
        rsciio_xfm.explore(path, browser=False, wait=False)
    ) as server:
        looking = Looking(context.new_page())
        page = looking.page
        looking.open(server.address)
        looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
        add_elements(looking, "Ca Fe")
        looking.settle()
        data.thin_section(path, (20, 30), n_detectors=1, overwrite=True)
        page.locator(".xfm-banner button").click()
        expect(page.locator("header")).to_contain_text("30 × 20 pixels")
        looking.settle()
        page.wait_for_selector("[data-ready=true]")
        expect(page.locator(".xfm-message")).to_be_empty()
        expect(page.locator(".xfm-tile canvas[width='30']")).to_have_count(2)
        sizes = "found => found.map((c) => [c.width, c.height])"
        assert page.locator(".xfm-tile canvas").evaluate_all(sizes) == [[30, 20]] * 2
        looking.tab("Regions")  # the pixels of the region that this map has
        expect(page.locator(".xfm-size")).to_contain_text("300 px")
        page.mouse.move(*looking.place(".xfm-map", 0.5, 0.5))
        expect(page.locator(".xfm-value")).to_contain_text("All counts")
        from rsciio_xfm.formats.geopixe import file_reader

        total = int(file_reader(str(path))[0]["data"][5:20, 10:30].sum())
        text = page.locator(".xfm-panel table td").first.inner_text()
        assert re.sub(r"\D", "", text) == str(total)
        assert not looking.wrong
        context.close()


def test_file_replaced_and_opened_anew_by_somebody_else(chromium, tmp_path, rock):
    """The other page still shows the old map, and says so, until it opens the new one."""
    path = tmp_path / "rock.GeoPIXE"
    shutil.copy(rock, path)
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    with contextlib.closing(
        rsciio_xfm.explore(path, browser=False, wait=False)
    ) as server:
        other, looking = Looking(context.new_page()), Looking(context.new_page())
        for one in (other, looking):
            one.open(server.address)
        shown = "document.querySelector('.xfm-plot').dataset.series"
        data.thin_section(path, SHAPE, n_detectors=2, overwrite=True)
        other.page.reload()
        other.page.locator(".xfm-banner button").click()
        expect(other.page.locator(".xfm-banner")).to_be_hidden()
        looking.page.bring_to_front()
        looking.page.mouse.move(*looking.on_map(5, 10))
        looking.page.mouse.down()
        looking.page.mouse.move(*looking.on_map(24, 39), steps=5)
        looking.page.mouse.up()
        banner = looking.page.locator(".xfm-banner")
        expect(banner).to_contain_text("replaced or changed")
        assert looking.page.evaluate(shown) == "whole"  # no spectrum of the new file
        banner.get_by_role("button").click()
        expect(banner).to_be_hidden()
        looking.settle()
        assert looking.page.evaluate(shown) == "whole r1"
        context.close()


def test_elements_that_are_none(looking):
    """What is no element is said, and left to be mended."""
    looking.tab("Elements")
    looking.page.get_by_label("Elements to add").fill("ca, Xx")
    looking.press("Enter")
    expect(looking.page.get_by_label("Elements to add")).to_have_value("Xx")
    expect(looking.page.locator(".xfm-message")).to_have_text("No element: Xx.")
    assert looking.state["elements"] == ["Ca"]
    looking.page.get_by_label("Elements to add").fill("Ti")
    looking.press("Enter")
    expect(looking.page.get_by_label("Elements to add")).to_have_value("")
    assert looking.state["elements"] == ["Ca", "Ti"]


def test_exports_have_the_names_of_regions(looking, counts, tmp_path):
    """A column for all that is shown, by its name; a file for each image of a ratio."""
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    looking.page.get_by_label("Name of Region 1").fill("olivine")
    looking.press("Enter")
    looking.export("All spectra shown").save_as(tmp_path / "spectra.csv")
    lines = (tmp_path / "spectra.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "channel,energy (keV),Whole map,olivine"
    looking.export("Spectrum of the chosen").save_as(tmp_path / "olivine.msa")
    assert "olivine" in (tmp_path / "olivine.msa").read_text()
    add_elements(looking, "Ca Fe")
    looking.button("Ratio").click()
    looking.settle()
    names = []

    def keep(download):
        names.append(download.suggested_filename)

    looking.page.on("download", keep)
    looking.export("Image with its numbers")
    looking.until(lambda: len(names) > 1)
    assert names == ["rock_e_Ca_Ka.tif", "rock_e_Fe_Ka.tif"]


def test_most_has_no_live_time(looking):
    """The most of any pixel is not shown as counts per second."""
    legend = looking.page.locator(".xfm-legend")
    looking.button("Max").click()
    looking.settle()
    expect(legend).to_contain_text("Most in any pixel")
    expect(legend).not_to_contain_text("no live time")
    looking.button("/ s").click()
    expect(legend).to_contain_text("Most in any pixel (no live time)")
    expect(legend).not_to_contain_text("Whole map (no live time)")


def test_picture_of_the_spectrum(looking, tmp_path):
    """It can be put on a page of any colour, and has the names of the spectra."""
    from PIL import Image

    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    looking.export("Picture of the spectrum").save_as(tmp_path / "spectrum.png")
    with Image.open(tmp_path / "spectrum.png") as picture:
        pixels = np.asarray(picture.convert("RGBA"))
    assert (pixels[..., 3] == 255).all()
    assert (pixels[0, 0] == 255).all()
    colour = (pixels[..., :3] == (0xD5, 0x5E, 0x00)).all(-1)  # of the region
    assert colour[:, -120:].sum(1).max() >= 20  # its line beside its name


def test_open_a_session_with_classes(looking, chromium, server, tmp_path):
    """Classes of a session are found again where it is opened."""
    looking.tab("Classes")
    button = looking.button("Find classes")
    if button.is_disabled():
        pytest.skip("the extra learning is not installed")
    button.click()
    looking.page.get_by_title("Make a region of class 1").click()
    looking.settle()
    looking.export("Session (JSON)").save_as(tmp_path / "session.json")
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    other = Looking(context.new_page())
    other.open(server.address)
    with other.page.expect_file_chooser() as chooser:
        other.page.locator("summary", has_text="Export").click()
        other.page.get_by_role("menuitem", name="Open a session").click()
    chooser.value.set_files(tmp_path / "session.json")
    other.page.wait_for_selector(
        ".xfm-plot[data-exact=true][data-series$=r1]", timeout=60_000
    )
    assert other.state["image"] == "class"
    expect(other.page.locator(".xfm-size").first).to_contain_text("px")
    assert not other.wrong
    context.close()


def test_numbers_of_the_axis_have_room(looking):
    """The plot begins further right where its numbers are longer."""
    looking.button("Log").click()
    narrow = looking.page.locator(".u-over").bounding_box()["x"]
    looking.button("Lin").click()
    looking.settle()
    assert looking.page.locator(".u-over").bounding_box()["x"] > narrow


def test_front_page_of_a_folder(chromium, tmp_path, rock):
    """A card with a picture for each map; back to it, and to the map by its address."""
    from rsciio_xfm.explore.server import Place, Running
    from tests.explore.asking import explore_file

    for name in ("a.GeoPIXE", "b.GeoPIXE"):
        shutil.copy(rock, tmp_path / name)
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    server = Running(explore_file(tmp_path), Place()).start()
    with contextlib.closing(server):
        looking = Looking(context.new_page())
        page = looking.page
        page.goto(server.address)
        expect(page.get_by_role("link")).to_have_count(2)
        expect(page.locator("img[src^=blob]")).to_have_count(2)
        page.get_by_role("link", name="b.GeoPIXE").click()
        page.wait_for_selector("[data-ready=true]")
        expect(page.get_by_role("heading", name="b.GeoPIXE")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="b.GeoPIXE")).to_be_visible()
        looking.button("Maps").click()
        expect(page.get_by_role("link")).to_have_count(2)
        assert not looking.wrong
        context.close()


def query_of(route):
    """Return what was asked of the file that the page shows."""
    query = parse_qs(urlsplit(route.request.url).query)
    assert query.pop("identity")
    return {key: values[0] for key, values in query.items()}


class Task:
    """A task of a server that answers as it is told."""

    def __init__(self, page, kind, **answer):
        self.asked = []
        self.answer = {"state": "running", "doing": "", "progress": None} | answer
        page.route(f"**/task/{kind}*", self.reply)

    def reply(self, route):
        query = query_of(route)
        self.asked.append(query)
        stopped = {"state": "stopped"} if "stop" in query else {}
        route.fulfill(json={"result": None, "error": None} | self.answer | stopped)


def test_a_task_says_what_it_does_and_is_stopped(looking):
    page, work = looking.page, looking.page.locator(".xfm-work")
    task = Task(page, "elements", doing="reading the map")
    looking.tab("Elements")
    looking.button("Find").click()
    expect(work).to_contain_text("Reading the map ...")
    assert not page.locator(".xfm-work progress[value]").count()  # it is not known
    expect(looking.button("Find")).to_be_disabled()
    task.answer |= {"doing": "fitting", "progress": 0.4}
    expect(work).to_contain_text("Fitting ...")
    expect(page.locator(".xfm-work progress")).to_have_js_property("value", 0.4)
    task.answer |= {"state": "waiting", "doing": ""}
    expect(work).to_contain_text("Waiting for its turn ...")
    looking.button("Stop").click()
    expect(page.locator(".xfm-message")).to_have_text("Looking for elements: stopped.")
    expect(work).not_to_contain_text("Waiting")
    expect(looking.button("Find")).to_be_enabled()
    expect(looking.button("Find")).to_be_focused()  # the keyboard goes on where it began
    assert [one for one in task.asked if "stop" in one] == [task.asked[-1]]


def test_a_task_that_fails_says_why(looking):
    Task(looking.page, "fit", state="failed", error="No line of Xx can be excited.")
    looking.tab("Elements")
    looking.button("Find and fit").click()
    message = looking.page.locator(".xfm-message.xfm-error")
    expect(message).to_contain_text("No line of Xx can be excited.")
    message.get_by_role("button", name="Put away").click()
    expect(message).to_be_empty()


def test_excitation(looking):
    """It goes with each fit, is part of the address, and can be undone."""
    page = looking.page
    add_elements(looking, "Ca Fe")
    fit = Task(page, "fit")
    field = page.get_by_label("Excitation")
    field.fill("Rh 30 kV")
    field.press("Enter")
    expect(page).to_have_url(re.compile("excitation"))  # the server was asked about it
    assert looking.state["excitation"] == "Rh 30 kV"
    looking.button("Fit these").click()
    looking.button("Stop").click()
    expect(looking.button("Fit these")).to_be_enabled()
    assert fit.asked[0] == {"elements": "Ca,Fe", "excitation": "Rh 30 kV"}
    field.fill("yellow light")
    field.press("Enter")
    expect(page.locator(".xfm-message.xfm-error")).to_contain_text("yellow light")
    expect(field).to_have_attribute("aria-invalid", "true")
    assert looking.state["excitation"] == "Rh 30 kV"
    page.locator(".xfm-map").focus()
    looking.press("Control+z")
    expect(field).to_have_value("")
    assert "excitation" not in looking.state
    looking.wrong.clear()  # the browser tells of the 400


NOTES = [
    {"text": "Fe and Mn overlap.", "kind": "hint"},
    {"text": "Some counts are below 0.", "kind": "warning"},
    {"text": "Counts may be wrong, as ilmenite is not in the fit.", "kind": "warning"},
]


def test_remarks_on_a_fit(looking):
    """The worst is seen at once, the others unfold; none is in the line at the bottom."""
    add_elements(looking, "Ca Fe")
    result = {"maps": ["Fe_K"], "elements": ["Fe"], "notes": NOTES}
    Task(looking.page, "fit", state="done", result=result)
    looking.page.route("**/image?*fit:*", lambda route: route.abort())
    looking.button("Fit these").click()
    worst = looking.page.locator(".xfm-panel .xfm-error")
    expect(worst).to_have_text(f"⚠ {NOTES[2]['text']}")
    expect(worst).to_be_in_viewport()
    notes = looking.page.locator(".xfm-notes")
    expect(notes.locator("summary")).to_have_text("2 more")
    expect(notes.locator("li").first).to_be_hidden()
    notes.locator("summary").focus()
    looking.press("Enter")
    expect(notes.locator("li").first).to_have_text(NOTES[0]["text"])
    expect(notes.locator("strong")).to_have_text(NOTES[1]["text"])
    expect(looking.page.locator(".xfm-message")).to_be_empty()
    looking.wrong.clear()  # of the image that was not answered


def test_classes_that_the_server_has_no_more(looking):
    """They are made once more, and the question is asked again."""
    page, asked = looking.page, []
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, :30] = 1
    header = {"arrays": [{"name": "image", "dtype": "uint8", "shape": SHAPE}]}
    head = json.dumps(header).encode()
    head += b" " * (-(len(head) + 4) % 8)
    body = len(head).to_bytes(4, "little") + head + labels.tobytes()

    def image(route):
        asked.append(query_of(route))
        if len(task.asked) < 2:
            gone = {"error": "They are gone.", "hint": "", "again": "classify"}
            route.fulfill(status=404, json=gone)
        else:
            route.fulfill(body=body, content_type="application/octet-stream")

    result = {"n": 2, "sizes": [2400, 1440], "notes": []}
    task = Task(page, "classify", state="done", result=result)
    page.route("**/image?*class*", image)
    looking.tab("Classes")
    button = looking.button("Find classes")
    if button.is_disabled():
        pytest.skip("the extra learning is not installed")
    page.get_by_label("How many classes").fill("2")
    button.click()
    place = looking.on_map(3, 70)
    page.mouse.move(*place)
    expect(page.locator(".xfm-value")).to_have_text("x 70, y 3: Classes 0")
    assert task.asked == [{"n": "2", "method": "kmeans"}] * 2
    assert asked == [{"of": "class", "n": "2", "method": "kmeans"}] * 2
    assert page.locator(".xfm-message").inner_text() == ""
    looking.wrong.clear()  # the browser tells of the 404


def test_what_the_reader_warns_of(chromium, server):
    """It is read as a whole, and does not come back once it is put away."""
    context = chromium.new_context(viewport={"width": 1024, "height": 640})
    page = context.new_page()

    def info(route):
        answer = route.fetch()
        warned = {"warnings": ["Of this map, half is missing. " * 6]}
        route.fulfill(response=answer, json=answer.json() | warned)

    page.route("**/info*", info)
    page.goto(server.address)
    message = page.locator(".xfm-error > span")
    expect(message).to_contain_text("half is missing")
    assert message.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    page.get_by_role("button", name="Put away").click()
    page.wait_for_url("**#*")
    state = json.loads(unquote(page.url.partition("#")[2])) | {"energy": [0, 0.02]}
    page.evaluate("(hash) => { location.hash = hash; }", quote(json.dumps(state)))
    expect(page.get_by_role("button", name="File's energies")).to_be_visible()
    expect(page.locator(".xfm-message")).to_be_empty()
    context.close()


def test_link_opened_on_the_list_of_maps(chromium, tmp_path, rock):
    """Somebody pastes it into the address bar: only what comes after # is another."""
    for name in ("one.GeoPIXE", "two.GeoPIXE"):
        shutil.copy(rock, tmp_path / name)
    running = rsciio_xfm.explore(tmp_path, browser=False, wait=False)
    with (
        contextlib.closing(running),
        contextlib.closing(chromium.new_context()) as context,
    ):
        page = context.new_page()
        page.goto(running.address)
        link = page.get_by_role("link", name="two.GeoPIXE").get_attribute("href")
        page.evaluate("(hash) => { location.hash = hash; }", link)
        expect(page.get_by_role("heading", name="two.GeoPIXE")).to_be_visible()
        page.get_by_role("button", name="Maps").click()
        page.get_by_role("link", name="one.GeoPIXE").click()
        expect(page.get_by_role("heading", name="one.GeoPIXE")).to_be_visible()


def test_a_line_that_is_none(looking):
    looking.page.mouse.click(*looking.at_energy(6.4))
    looking.button("Take it").click()
    field = looking.page.get_by_label("Another line, such as Fe Ka")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(looking.page.locator(".xfm-message")).to_have_text("Element and line: Pb La.")


def test_values_follow_a_region(looking, counts):
    """While it is dragged, they are those of the size beside them."""
    looking.page.mouse.move(*looking.on_map(5, 10))
    looking.page.mouse.down()
    for y, x in ((7, 13), (9, 19), (24, 39)):
        looking.page.mouse.move(*looking.on_map(y, x), steps=3)
    expect(looking.page.locator(".xfm-regions")).to_contain_text("600 px")
    total = int(counts[5:25, 10:40].sum(dtype=int))
    table = looking.page.locator(".xfm-panel table:visible")
    expect(table).to_contain_text(f"{total:,}".replace(",", "\u202f"))
    looking.page.mouse.up()
    looking.settle()


def test_status_after_keys(looking):
    """Where the region is that was moved, and how large."""
    value = looking.page.locator(".xfm-value")
    looking.press("m", "r", "Enter")
    expect(looking.page.locator(".xfm-hint")).to_contain_text("then Enter")
    looking.press("Shift+ArrowRight", "ArrowDown", "Enter")
    expect(value).to_have_text("Region 1: x 40 to 50, y 24 to 25, 22 pixels")
    looking.press("v", "ArrowLeft", "Alt+ArrowDown")
    expect(value).to_have_text("Region 1: x 39 to 49, y 24 to 26, 33 pixels")
    looking.press("Delete", "ArrowLeft")
    expect(looking.page.locator(".xfm-message")).to_contain_text(
        "the arrow keys move the map"
    )


def test_hint_covers_no_pixel(looking):
    """It is above the map where there is room, else in the line at the bottom."""
    page, hint = looking.page, looking.page.locator(".xfm-hint")
    _, top = looking.on_map(-0.5, 0)
    box = hint.bounding_box()
    assert box["y"] + box["height"] <= top
    page.set_viewport_size({"width": 1800, "height": 640})
    expect(hint).to_be_hidden()
    expect(page.locator(".xfm-value")).to_contain_text("Drag on the map")
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    expect(page.locator(".xfm-value")).not_to_contain_text("Drag on the map")


def test_nothing_is_empty_while_the_map_is_opened(chromium, server):
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.route("**/info*", lambda route: None)  # is not answered
    page.goto(server.address)
    page.locator(".xfm-map").wait_for()
    expect(page.locator(".xfm-work")).to_have_text("The map is being opened ...")
    expect(page.locator(".xfm-hint")).to_be_hidden()
    expect(page.locator(".xfm-banner")).to_be_hidden()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.locator(".xfm-map").click()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.locator(".xfm-plot-box").click()
    for key in ("ArrowLeft", "Enter", "y", "0", "n", "v"):
        page.keyboard.press(key)
    page.mouse.move(200, 300, steps=3)
    for name in ("Elements", "Scatter", "Classes", "Regions"):
        page.get_by_role("tab", name=name).click()
    page.wait_for_timeout(200)
    assert not wrong
    context.close()


def test_file_deleted(chromium, tmp_path, rock):
    """The page says so, keeps what is seen, and goes on where the file is there again."""
    path = tmp_path / "rock.GeoPIXE"
    shutil.copy(rock, path)
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    with contextlib.closing(
        rsciio_xfm.explore(path, browser=False, wait=False)
    ) as server:
        looking = Looking(context.new_page())
        looking.open(server.address)
        path.rename(tmp_path / "elsewhere")
        looking.page.mouse.move(*looking.on_map(5, 10))
        looking.page.mouse.down()
        looking.page.mouse.move(*looking.on_map(24, 39), steps=5)
        looking.page.mouse.up()
        banner = looking.page.locator(".xfm-banner")
        expect(banner).to_contain_text("not there any more")
        banner.get_by_role("button", name="Look again").click()
        expect(looking.page.locator(".xfm-error")).to_contain_text("not there any more")
        expect(banner).to_be_visible()
        (tmp_path / "elsewhere").rename(path)
        banner.get_by_role("button").click()
        expect(banner).to_be_hidden()
        looking.settle()
        assert looking.plot.get_attribute("data-series") == "whole r1"
        context.close()


def test_started_anew_with_another_token(chromium, rock):
    """The new address is pasted into the page, which goes on where it was."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    with contextlib.closing(
        rsciio_xfm.explore(rock, browser=False, wait=False)
    ) as server:
        looking = Looking(context.new_page())
        looking.open(server.address)
        looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
        assert looking.state["regions"]
        context.clear_cookies()
        looking.page.mouse.click(*looking.at_energy(6.4))
        banner = looking.page.locator(".xfm-banner")
        expect(banner).to_contain_text("does not know this page")
        address = banner.get_by_label("The new address of the explorer")
        address.fill("rubbish")
        address.press("Enter")
        expect(address).to_have_attribute("aria-invalid", "true")
        address.fill(server.address)
        looking.button("Go on there").click()
        looking.page.wait_for_selector(".xfm-plot[data-series='whole r1']")
        expect(banner).to_be_hidden()
        context.close()


def test_maximum_is_saved_too(looking, counts, tmp_path):
    looking.button("Max").click()
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    looking.export("All spectra shown").save_as(tmp_path / "spectra.csv")
    lines = (tmp_path / "spectra.csv").read_text(encoding="utf-8-sig").splitlines()
    names = "channel,energy (keV),Whole map,Region 1,Most in any pixel"
    assert lines[0] == names
    table = np.loadtxt(lines[1:], delimiter=",")
    np.testing.assert_array_equal(table[:, -1], counts.max((0, 1)))


def test_the_tabulator_goes_from_left_to_right(looking):
    """Each part is reached in the order in which it is read; what has the keyboard is seen."""
    parts = ["header", ".xfm-left .xfm-bar", ".xfm-tools", ".xfm-map", ".xfm-controls"]
    parts += [".xfm-spectrum .xfm-bar", ".xfm-plot-box", ".xfm-tabs"]
    found = looking.page.evaluate(
        """(parts) => {
            const kinds = "button, input, select, summary, [tabindex]";
            const all = [...document.querySelectorAll(kinds)]
                .filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility());
            return all.map((e) => parts.findIndex((part) => e.closest(part)));
        }""",
        parts,
    )
    order = [k for k in found if k >= 0]
    assert order == sorted(order)
    assert set(order) == set(range(len(parts)))
    looking.page.keyboard.press("Tab")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert looking.page.evaluate(outline) == "solid"


def test_nothing_moves_where_that_is_not_wanted(chromium, server):
    context = chromium.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(server.address)
    page.wait_for_selector("[data-ready=true]")
    moving = page.evaluate(
        """() => [...document.querySelectorAll("*")].filter((e) => {
            const { transitionDuration, animationName } = getComputedStyle(e);
            return transitionDuration !== "0s" || animationName !== "none";
        }).length"""
    )
    assert moving == 0
    context.close()


def test_picture_of_the_documentation(chromium, tmp_path):
    from PIL import Image

    from tests.explore.picture import SIZE, draw

    path = tmp_path / "explorer.png"
    draw(path, chromium)
    assert path.stat().st_size < 300_000
    with Image.open(path) as picture:
        assert picture.size == (SIZE["width"], SIZE["height"])


NOTEBOOK = """
import widget from "./one.js";
import { addressOf } from "./query.js";
const heard = { "msg:custom": [], "change:state": [] };
const kept = { state: {} };
const model = {
  get: (key) => kept[key],
  set(key, value) {
    kept[key] = value;
    document.body.dataset.state = JSON.stringify(value);
  },
  save_changes() {},
  on: (name, f) => heard[name].push(f),
  off() {},
  async send({ id, path, query }) {
    const answer = await fetch("/" + addressOf(path, query));
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    const type = answer.headers.get("content-type");
    const message = { id, status: answer.status, media_type: type };
    heard["msg:custom"].forEach((f) => f(message, [new DataView(shifted.buffer, 1)]));
  },
};
widget.render({ model, el: document.body });
"""


def test_the_same_in_a_notebook(looking, server):
    """One module, questions as messages: with a model as anywidget gives it."""
    from rsciio_xfm.explore import page as files

    page = looking.page
    styles = f"<style>{files.widget_style()}</style>"
    bodies = {
        "book": (
            "text/html",
            f'{styles}<body><script type="module" src="book.js"></script>',
        ),
        "book.js": ("text/javascript", NOTEBOOK),
        "one.js": ("text/javascript", files.widget_module()),
        "query.js": ("text/javascript", (files.FOLDER / "query.js").read_text("utf-8")),
    }

    def serve(route):
        kind, body = bodies[route.request.url.rpartition("/")[2]]
        route.fulfill(body=body, content_type=f"{kind}; charset=utf-8")

    page.route("**/notebook/*", serve)
    page.goto(server.address.partition("?")[0] + "notebook/book")
    page.wait_for_selector("[data-ready=true]")
    looking.settle()
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    assert looking.plot.get_attribute("data-series") == "whole r1"
    state = json.loads(page.locator("body").get_attribute("data-state"))
    assert state["regions"][0]["region"] == "r:5,10,25,40"


RIPPLE = """key\tvalue
width\t{2}
height\t{1}
depth\t{0}
offset\t0
data-length\t1
data-type\tunsigned
byte-order\tdont-care
record-by\tvector
"""


# The size of each image that is put on a canvas.
PUT = """(() => {
  const canvas = CanvasRenderingContext2D.prototype, { putImageData: put } = canvas;
  window.sizes = [];
  canvas.putImageData = function (data, ...rest) {
    sizes.push([data.height, data.width]);
    return put.call(this, data, ...rest);
  };
})()"""


def test_window_of_a_large_map(chromium, tmp_path):
    """Coarse while it is dragged, and exact in the end."""
    shape = (400, 600, 16)
    counts = np.random.default_rng(3).integers(0, 9, shape, dtype=np.uint8)
    counts.tofile(tmp_path / "large.raw")
    path = tmp_path / "large.rpl"
    path.write_text(RIPPLE.format(shape[2], *shape[:2]), encoding="utf-8")
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    with contextlib.closing(
        rsciio_xfm.explore(path, browser=False, wait=False)
    ) as server:
        looking = Looking(context.new_page())
        page, asked = looking.page, []
        page.add_init_script(PUT)
        page.on("request", lambda r: "/image?" in r.url and asked.append(r.url))
        looking.open(server.address)
        corners = [looking.place(".xfm-map", *at) for at in ((0.4, 0.4), (0.6, 0.6))]
        looking.drag(*corners)
        # The plot is built anew for it, which would end a drag in it.
        expect(looking.plot).to_have_attribute("data-series", "whole r1")
        looking.settle()
        table = page.locator(".xfm-right table")
        before = table.inner_text()
        page.evaluate("sizes.length = 0")
        start, end = (looking.place(".u-over", across, 0.5) for across in (0.2, 0.6))
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*looking.place(".u-over", 0.4, 0.5), steps=6)
        looking.until("sizes.length > 0")
        # As it was sent, and nothing else is drawn anew.
        assert page.evaluate("sizes.every(([y, x]) => y === 200 && x === 300)")
        assert table.inner_text() == before
        page.mouse.move(*end, steps=6)
        page.mouse.up()
        looking.until("sizes.at(-1).join() === '400,600'")
        assert table.inner_text() != before
        first, stop = looking.state["window"]
        assert any("&step=2&" in url for url in asked)
        looking.until(lambda: f"of=w:{first}:{stop}&identity" in unquote(asked[-1]))
        looking.settle()
        page.mouse.move(*looking.place(".xfm-map", 0.5, 0.5))
        text = page.locator(".xfm-value").inner_text()
        x, y = map(int, re.match(r"x (\d+), y (\d+)", text).groups())
        assert text.split()[-1] == str(counts[y, x, first:stop].sum(dtype=int))
        assert not looking.wrong
        context.close()
    server = looking = page = None
    gc.collect()


# The colour of the map in the middle of a pixel that a region covers.
PIXEL = """([x, y]) => {
  const canvas = document.querySelector(".xfm-map");
  const box = canvas.getBoundingClientRect();
  const [sx, sy] = [x - box.left, y - box.top].map((v) => Math.round(v * devicePixelRatio));
  return [...canvas.getContext("2d").getImageData(sx, sy, 1, 1).data];
}"""


def test_regions_leave_the_colours_of_classes(looking):
    """Over classes and three images, they are outlines; elsewhere, they have a tint."""
    page = looking.page
    looking.page.wait_for_selector("[data-ready=true]")
    add_elements(looking, "Ca Fe Ti")
    looking.tab("Classes")
    button = looking.button("Find classes")
    if button.is_disabled():
        pytest.skip("the extra learning is not installed")
    button.click()
    page.get_by_title("Make a region of class 1").wait_for()
    looking.settle()
    place = looking.on_map(14, 24)
    image = page.get_by_label("Image", exact=True)

    def colour():
        looking.settle()
        return page.evaluate(PIXEL, place)

    plain = {"class": colour()}
    image.select_option("counts")
    plain["counts"] = colour()
    looking.button("RGB").click()
    plain["rgb"] = colour()
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    assert colour() == plain["rgb"]
    looking.button("Image").click()
    image.select_option("class")
    assert colour() == plain["class"]
    legend = page.locator(".xfm-controls")
    expect(legend).to_have_text(re.compile("Classes01234"))
    image.select_option("counts")
    assert colour() != plain["counts"]
    expect(legend).to_contain_text("gamma")


@pytest.mark.parametrize("width", [400, 700])
def test_narrow_screen(looking, width):
    """One line of header, nothing beyond the border, what is said is read as a whole."""
    page = looking.page
    page.set_viewport_size({"width": width, "height": 800})
    looking.settle()
    assert page.locator("header").bounding_box()["height"] < 50
    page.locator("summary", has_text="Export").click()
    for item in page.get_by_role("menuitem").all():
        box = item.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
    looking.press("Escape")
    assert page.evaluate("document.querySelector('.xfm').scrollWidth") <= width
    looking.button("Help and keys (?)").click()
    expect(page.get_by_role("heading", name="How to look at a map")).to_be_in_viewport()
    looking.button("Close").click()
    looking.tab("Elements")
    page.get_by_label("Excitation").fill("yellow light")
    looking.press("Enter")
    message = page.locator(".xfm-error > span")
    expect(message).to_contain_text("electrons 20 kV")
    expect(message).to_be_in_viewport(ratio=1)
    assert message.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    looking.wrong.clear()  # the browser tells of the 400


def test_eight_browsers_drag_windows(chromium, server, counts):
    """All at once: each has its own image in the end, and nobody is told of trouble."""
    contexts = [
        chromium.new_context(viewport={"width": 1280, "height": 720}) for _ in range(8)
    ]
    all_ = [Looking(context.new_page()) for context in contexts]
    for looking in all_:
        looking.open(server.address)
    starts = [0.05 + 0.03 * k for k in range(8)]
    for looking, start in zip(all_, starts, strict=True):
        looking.page.mouse.move(*looking.place(".u-over", start, 0.5))
        looking.page.mouse.down()
    for step in range(1, 11):
        for looking, start in zip(all_, starts, strict=True):
            where = looking.place(".u-over", start + 0.004 * step, 0.5)
            looking.page.mouse.move(*where)
    for looking in all_:
        image = looking.page.get_by_label("Image", exact=True)
        expect(image.locator("option:checked")).to_contain_text("keV")  # while dragged
        looking.page.mouse.up()
    for looking in all_:
        looking.settle()
        first, stop = looking.state["window"]
        assert looking.state["image"] == f"w:{first}:{stop}"
        looking.page.mouse.move(*looking.on_map(20, 30))
        value = looking.page.locator(".xfm-value")
        total = int(counts[20, 30, first:stop].sum(dtype=int))
        expect(value).to_have_text(re.compile(rf" keV {total}$"))
        expect(looking.page.locator(".xfm-message")).to_be_empty()
        expect(looking.page.locator(".xfm-banner")).to_be_hidden()
        looking.button("Undo (Ctrl Z)").click()  # the whole drag is one step
        assert "window" not in looking.state
        assert not looking.wrong
    for context in contexts:
        context.close()


def open_session(looking, path):
    looking.page.locator("summary", has_text="Export").click()
    with looking.page.expect_file_chooser() as chooser:
        looking.page.get_by_role("menuitem", name="Open a session").click()
    chooser.value.set_files(path)
    looking.settle()


def test_open_a_session_of_many_things(looking, tmp_path):
    """All that was seen comes back, in one step that undo takes back; rubbish is told."""
    page = looking.page
    add_elements(looking, "Ca Fe Ti")
    looking.button("RGB").click()
    page.get_by_label("Gamma").fill("2")
    looking.press("Enter")
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    looking.tab("Scatter")
    looking.button("Show").click()
    page.locator(".xfm-scatter[data-ready=true]").wait_for()
    looking.button("√").click()
    page.locator(".u-over").dblclick()
    state = looking.state
    looking.export("Session (JSON)").save_as(tmp_path / "session.json")
    page.goto("about:blank")
    looking.open(looking.address)
    assert "rgb" not in looking.state
    looking.tab("Elements")
    open_session(looking, tmp_path / "session.json")
    assert looking.state == state
    expect(page.locator(".xfm-tile")).to_have_count(3)
    assert looking.plot.get_attribute("data-series") == "whole r1"
    page.mouse.move(*looking.on_map(3, 3))
    expect(page.locator(".xfm-value")).to_contain_text("Ti Kα")
    looking.button("Undo (Ctrl Z)").click()
    assert "rgb" not in looking.state
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39))
    regions = looking.state["regions"]
    message = page.locator(".xfm-error")
    for rubbish in ("[1, 2", "5", "null", '{"v": 2}', '{"regions": [{"id": "r1"}]}'):
        (tmp_path / "rubbish.json").write_text(rubbish, encoding="utf-8")
        open_session(looking, tmp_path / "rubbish.json")
        expect(message).to_contain_text("neither a session nor regions")
        looking.button("Put away").click()
        assert looking.state["regions"] == regions  # they are not lost
