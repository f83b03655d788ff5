"""The page without a browser: its modules in node, its size, one module for notebooks."""

import itertools
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from rsciio_xfm.explore import page
from rsciio_xfm.explore.regions import to_mask

HERE = page.FOLDER
MODULES = sorted(HERE.glob("*.js"))
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
TESTS = sorted((HERE.parents[2] / "tests" / "explore" / "page").glob("*.test.mjs"))


def node(*arguments, **options):
    return subprocess.run(
        [NODE, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        **options,
    )


@needs_node
def test_modules_without_a_page():
    done = node("--test", *map(str, TESTS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^# pass (2[8-9]|[3-9]\d)$", done.stdout, re.MULTILINE)


@needs_node
def test_regions_have_the_pixels_that_the_server_takes():
    """The page counts and marks the same pixels of which the server sums the spectra."""
    rng = np.random.default_rng(25)
    height, width = 17, 23
    regions = []
    for _ in range(60):
        y, x, ry, rx = rng.uniform(-3, 25, 4).round(rng.integers(0, 3))
        corners = rng.uniform(-4, 27, (rng.integers(3, 9), 2)).round(1)
        polygon = ";".join(f"{a:g},{b:g}" for a, b in corners)
        shapes = [
            f"r:{y:g},{x:g},{y + ry:g},{x + rx:g}",
            f"o:{y:g},{x:g},{abs(ry) + 0.5:g},{abs(rx) + 0.5:g}",
            f"p:{polygon}",
            "t:counts@20,60.5",
            "b:counts@10,90@dead@0.25,0.75",
        ]
        chosen = rng.choice(shapes, rng.integers(1, 4), replace=False)
        signs = rng.choice(["", "-"], len(chosen))
        regions.append("|".join(f"{a}{b}" for a, b in zip(signs, chosen, strict=True)))
    counts = rng.integers(0, 100, (height, width)).astype(float)
    images = {"counts": counts, "dead": rng.uniform(0, 1, (height, width))}
    script = f"""
        import {{ maskOf }} from "{(HERE / "masks.js").as_uri()}";
        import {{ parseRegion }} from "{(HERE / "regions.js").as_uri()}";
        const {{ regions, images }} = JSON.parse(await new Response(process.stdin).text());
        const found = regions.map((text) =>
          [...maskOf(parseRegion(text), {height}, {width}, (of) => images[of])]);
        console.log(JSON.stringify(found));
    """
    given = {
        "regions": regions,
        "images": {k: v.ravel().tolist() for k, v in images.items()},
    }
    done = node("--input-type=module", "-e", script, input=json.dumps(given))
    assert done.returncode == 0, done.stderr
    for region, mask in zip(regions, json.loads(done.stdout), strict=True):
        expected = to_mask(region, (height, width), images.__getitem__)
        np.testing.assert_array_equal(np.reshape(mask, expected.shape), expected, region)


@needs_node
@pytest.mark.parametrize("name", ["boot.js", "maps.js"])
def test_syntax(name, tmp_path):
    """Of those that a notebook does not have; node takes what ends in .mjs as a module."""
    copy = (tmp_path / name).with_suffix(".mjs")
    copy.write_bytes((HERE / name).read_bytes())
    done = node("--check", str(copy))
    assert done.returncode == 0, done.stderr


@needs_node
def test_one_module_for_a_notebook(tmp_path):
    path = tmp_path / "widget.mjs"
    path.write_text(page.widget_module(), encoding="utf-8")
    # What a browser has and uPlot looks for when it is loaded.
    script = f"""
        globalThis.devicePixelRatio = 1;
        const {{ default: widget }} = await import("{path.as_uri()}");
        console.log(Object.keys(widget).join(), typeof widget.render);
    """
    done = node("--input-type=module", "-e", script)
    assert done.stdout == "render function\n", done.stderr
    assert ".xfm" in page.widget_style()


def test_modules_in_a_circle(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = 1;\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = 1;\n')
    with pytest.raises(ValueError, match=r"a\.js -> b\.js -> a\.js"):
        page.widget_module("a.js")


def test_small():
    """What a student's browser loads, and what somebody reads who looks into it."""
    files = [path for path in HERE.rglob("*") if path.suffix in (".js", ".css", ".html")]
    only_notebooks = HERE / "widget.js"
    loaded = [path for path in files if path != only_notebooks]
    assert sum(path.stat().st_size for path in loaded) <= 250_000
    in_a_notebook = page.widget_module() + page.widget_style()
    assert len(in_a_notebook.encode()) <= 260_000
    for path in MODULES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 300, path.name
        assert max(map(len, lines)) <= 130, path.name


def test_modules_are_such_as_the_notebook_understands():
    written = re.compile(r"^\s*import\b", re.MULTILINE)
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert len(written.findall(text)) == len(page._IMPORT.findall(text)), path.name
        for _, name in page._IMPORT.findall(text):
            assert (HERE / name).is_file(), f"{path.name}: {name}"
        assert len(page._EXPORT.findall(text)) + ("export default" in text) == len(
            re.findall(r"^export\b", text, re.MULTILINE)
        ), path.name


def test_nothing_from_elsewhere():
    """The page asks its own server only, and runs under a strict policy."""
    forbidden = r"https?://|//cdn|\beval\(|new Function|innerHTML|<style|style=|\son\w+="
    for path in [*MODULES, HERE / "index.html", HERE / "style.css"]:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(forbidden, text), path.name


def test_licence_of_what_is_vendored():
    text = (HERE / "vendor" / "uPlot.js").read_text(encoding="utf-8")
    (version,) = re.findall(r"uPlot \(v([\d.]+)\)", text[:200])
    assert version in (HERE / "vendor" / "README.md").read_text(encoding="utf-8")
    assert "MIT" in (HERE / "vendor" / "uPlot-LICENSE.txt").read_text(encoding="utf-8")


def colours_of(name):
    """The colours of a list in colours.js."""
    text = (HERE / "colours.js").read_text(encoding="utf-8")
    found = re.search(rf"{name} = \[(.*?)\]", text, re.DOTALL)[1]
    return re.findall(r"#([0-9a-f]{6})", found)


def linear(colour):
    value = np.array([int(colour[k : k + 2], 16) for k in (0, 2, 4)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


# Machado, Oliveira and Fernandes (2009): as people without red or green cones see.
SEEN = {
    "all": np.eye(3),
    "no red": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def oklab(colour, seen):
    """Ottosson (2020): distances are about as people see them."""
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return lab @ np.cbrt(np.clip(cones @ np.clip(seen @ linear(colour), 0, 1), 0, None))


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_are_told_apart(eyes):
    """Regions, classes, and classes from regions; with red-green blindness too."""
    colours = [*colours_of("REGION_COLOURS"), *colours_of("CLASS_COLOURS")]
    assert len(colours) == len(set(colours)) == 16
    for one, other in itertools.combinations(colours, 2):
        apart = np.linalg.norm(oklab(one, SEEN[eyes]) - oklab(other, SEEN[eyes]))
        assert apart > 0.07, (one, other)


def contrast(one, other):
    """WCAG 2: 1 to 21."""
    low, high = sorted(
        float(np.dot([0.2126, 0.7152, 0.0722], linear(c))) for c in (one, other)
    )
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_the_style_sheet():
    """Text has 4.5 to its ground, borders of fields and lines 3, light and dark (WCAG AA)."""
    text = (HERE / "style.css").read_text(encoding="utf-8")
    for selector in (r"\.xfm \{", r'\.xfm\[data-theme="dark"\] \{'):
        block = re.search(selector + r"(.*?)\}", text, re.DOTALL)[1]
        colour = dict(re.findall(r"--([\w-]+): #([0-9a-f]{6})", block))
        for ground in ("ground", "panel"):
            for kind in ("text", "muted", "error"):
                assert contrast(colour[kind], colour[ground]) >= 4.5, (kind, ground)
            for kind in ("accent", "edge"):
                assert contrast(colour[kind], colour[ground]) >= 3, (kind, ground)
        assert contrast(colour["on-accent"], colour["accent"]) >= 4.5
    for part in re.findall(r"--part: #([0-9a-f]{6})", text):
        assert contrast("ffffff", part) >= 4.5
    for own in re.findall(
        r"background: #([0-9a-f]{6}); color: #([0-9a-f]{6})", text
    ):  # banners
        assert contrast(*own) >= 4.5


@needs_node
def test_lines_of_the_spectrum_are_seen():
    """Pale and dark colours of regions are changed until they stand out from the page."""
    script = f"""
        import {{ CLASS_COLOURS, REGION_COLOURS, contrastOf, legible, rgbOf }}
          from "{(HERE / "colours.js").as_uri()}";
        const found = ["#ffffff", "#15181c"].flatMap((ground) =>
          [...REGION_COLOURS, ...CLASS_COLOURS].map((colour) => legible(colour, ground))
            .map((seen) => [ground, seen, contrastOf(rgbOf(seen), rgbOf(ground))]));
        console.log(JSON.stringify(found));
    """
    done = node("--input-type=module", "-e", script)
    assert done.returncode == 0, done.stderr
    for ground, colour, found in json.loads(done.stdout):
        expected = contrast(ground[1:], colour[1:])
        assert found == pytest.approx(expected, rel=0.05)
        assert expected >= 2.95, (ground, colour)


def test_worst_remarks_are_known_by_their_words():
    """The page shows at once what says so, of all that the server says of a fit."""
    from rsciio_xfm.explore.notes import to_notes

    (words,) = re.findall(
        r'text\.includes\("([^"]+)"\)', (HERE / "remarks.js").read_text(encoding="utf-8")
    )
    texts = [
        "The model does not describe the spectra of the map: chi2/n of a pixel is 12.",
        "The model does not describe the spectrum: chi2/n is 1234.",
    ]
    for note in to_notes(texts):
        assert note["kind"] == "warning"
        assert words in note["text"]
