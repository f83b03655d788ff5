"""The explorer's picture in the documentation.

``python -m tests.explore.picture docs/explorer.png``; it needs Chromium and playwright.
"""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import rsciio_xfm
from rsciio_xfm import data
from tests.chromium import start_chromium

SIZE = {"width": 1280, "height": 720}
ELEMENTS = ["Ca", "Ti", "Cr", "Mn", "Fe", "Ni", "Cu", "K", "Sr", "Zr"]
REGIONS = {
    "Ilmenite": ("#d55e00", "o:32.5,8.5,7.5,7.5"),
    "Olivine": ("#0072b2", "r:12,46,24,58"),
}
STATE = {
    "image": "e:Fe_Ka",
    "elements": ELEMENTS,
    "regions": [
        {"id": f"r{k}", "name": name, "colour": colour, "on": True, "region": region}
        for k, (name, (colour, region)) in enumerate(REGIONS.items(), 1)
    ],
    "active": "r2",
    "spectrum": {"y": "log", "x": [2.9, 9.4], "per": "pixel"},
}


def draw(path: Path, chromium) -> None:
    """Write the picture, in few colours, so that it is small."""
    from PIL import Image

    context = chromium.new_context(viewport=SIZE, color_scheme="light")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        rock = Path(folder) / "rock.GeoPIXE"
        data.thin_section(rock, (96, 160), n_detectors=1)
        server = rsciio_xfm.explore(rock, browser=False, wait=False)
        stack.enter_context(contextlib.closing(server))
        page = context.new_page()
        page.goto(f"{server.address}#{quote(json.dumps(STATE))}")
        page.wait_for_selector("[data-ready=true]")
        page.get_by_role("tab", name="Elements").click()
        page.wait_for_selector(".xfm-tile canvas[width='160'] >> nth=9")
        page.wait_for_selector(".xfm-plot[data-exact=true][data-series='whole r1 r2']")
        box = page.locator(".xfm-map").bounding_box()
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.55 * box["height"])
        page.wait_for_timeout(1000)  # until the last picture is painted
        taken = page.screenshot()
    context.close()
    with Image.open(io.BytesIO(taken)) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small.save(path, optimize=True)


if __name__ == "__main__":
    with start_chromium() as browser:
        draw(Path(sys.argv[1]), browser)
