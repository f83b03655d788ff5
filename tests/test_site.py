"""The site: built without its gallery, and looked at in a browser as its readers do.

``python -m tests.test_site HTML FOLDER`` draws pages of a site that is built, at three widths,
light and dark, into a folder.
"""

import contextlib
import functools
import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.chromium import MARKS, start_chromium

bs4 = pytest.importorskip("bs4")
pytest.importorskip("pydata_sphinx_theme", reason="the extra doc is not installed")
pytest.importorskip("sphinx_gallery", reason="the extra doc is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = MARKS
ROOT = Path(__file__).parents[1]
TELEPHONE = 400
CAPTIONS = ["Start", "Use", "Formats", "Reference", "Develop"]
# What is looked for, and a page that has to be among the first that are found.
SEARCHES = {
    "Fe": "lines.html",
    "iron": "lines.html",
    "sulphur": "lines.html",
    "element map": "element_maps.html",
    "get_element_maps": "api/elements.html",
    "bcf": "formats/bruker.html",
    ".GeoPIXE": "formats/geopixe.html",
    "spd": "formats/edax.html",
    "h5oina": "formats/oxford.html",
    "navigation_shape": "formats/hdf5_maps.html",
    "--mask": "command_options.html",
    "excitation": "element_maps.html",
    "live time": "dead_time.html",
    "percentile": "questions.html",
    "scale bar": "questions.html",
    "RGB": "questions.html",
    "overlap": "questions.html",
}
# Boxes that are cut off: wider than the window, and not within something that scrolls.
CUT_OFF = """() => {
  const scrolls = e => e && (/auto|scroll/.test(getComputedStyle(e).overflowX)
    || scrolls(e.parentElement));
  const boxes = document.querySelectorAll(
    "article table, article pre, article img, article .math");
  return [...boxes]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e))
    .map(e => e.outerHTML.slice(0, 120));
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(folder):
    """Serve a folder to this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site but for the outputs of its gallery; nothing is written beside the sources."""
    folder = tmp_path_factory.mktemp("site")
    unwanted = shutil.ignore_patterns("_build", "gallery", "_*.txt")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=unwanted)
    options = ("-q", "-D", "plot_gallery=0", "-b", "html")
    command = [sys.executable, "-W", "ignore", "-m", "sphinx", *options]
    built = subprocess.run(
        [*command, folder / "docs", folder / "html"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    # But for the pictures of the gallery, which are not made here.
    lines = [line for line in built.stderr.splitlines() if "WARNING" in line]
    assert [line for line in lines if "gallery" not in line] == []
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    """All pages but those of the source code."""
    every = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    return [page for page in every if not page.startswith(("_modules", "_static"))]


@pytest.fixture(scope="module")
def address(site):
    with serving(site) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    with start_chromium() as browser:
        yield browser


def test_sections_are_beside_every_page(site, pages):
    assert len(pages) > 60
    for page in pages:
        soup = bs4.BeautifulSoup((site / page).read_text(encoding="utf-8"), "html.parser")
        captions = soup.select("#pst-primary-sidebar p.caption")
        assert [caption.get_text() for caption in captions] == CAPTIONS, page
        here = soup.select("#pst-primary-sidebar a[aria-current=page]")
        own = page not in (
            "index.html",
            "genindex.html",
            "py-modindex.html",
            "search.html",
        )
        assert len(here) == own, page


def test_pictures_say_what_they_show(site, pages):
    for page in pages:
        soup = bs4.BeautifulSoup((site / page).read_text(encoding="utf-8"), "html.parser")
        # The card of an example has its title below the picture.
        pictures = soup.select("article img:not(.sphx-glr-thumbcontainer img)")
        silent = [str(i) for i in pictures if not i.get("alt")]
        assert silent == [], page


def test_pages_fit_a_telephone_and_fetch_nothing(chromium, address, pages):
    context = chromium.new_context(viewport={"width": TELEPHONE, "height": 800})
    page = context.new_page()
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    for name in [*pages, "search.html?q=iron"]:
        page.goto(f"{address}/{name}")
        if "?" in name:
            page.wait_for_selector("#search-results p.context")
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= TELEPHONE, name
        assert page.evaluate(CUT_OFF) == [], name
    assert [url for url in fetched if not url.startswith((address, "data:"))] == []
    context.close()


@pytest.mark.parametrize("wanted", SEARCHES)
def test_search(chromium, address, wanted):
    page = chromium.new_page()
    page.goto(f"{address}/search.html?q={wanted.replace(' ', '+')}")
    page.wait_for_selector("#search-results .search-summary:has-text('found')")
    page.wait_for_selector("#search-results ul.search li")
    links = page.locator("#search-results ul.search li > a").all()[:6]
    found = [str(link.get_attribute("href")) for link in links]
    page.close()
    assert any(SEARCHES[wanted] in link for link in found), found


def draw(site, folder):
    """Draw pages at three widths, light and dark."""
    names = ["index", "install", "first_map", "element_maps", "maps", "formats/index"]
    names += ["formats/hdf5_maps", "benchmarks", "compared", "robustness", "api"]
    names += ["gallery/index", "gallery/element_maps", "questions", "explorer_class"]
    names += ["search"]
    folder.mkdir(parents=True, exist_ok=True)
    with serving(site) as address, start_chromium() as browser:
        for scheme in ("light", "dark"):
            for width in (400, 900, 1400):
                size = {"width": width, "height": 900}
                context = browser.new_context(viewport=size, color_scheme=scheme)
                page = context.new_page()
                for name in names:
                    page.goto(f"{address}/{name}.html?q=iron")
                    page.wait_for_timeout(300)
                    drawn = f"{name.replace('/', '_')}_{width}_{scheme}.png"
                    page.screenshot(path=folder / drawn)
                context.close()


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
