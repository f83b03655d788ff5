"""The explorer in JupyterLab, in a browser: the page is the output of a cell."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import rsciio_xfm
from rsciio_xfm import data
from tests.chromium import MARKS, start_chromium
from tests.explore.test_browser import SHAPE, Looking

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed"
)
pytest.importorskip("anywidget", reason="the extra explore is not installed")
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
pytestmark = MARKS
CELLS = (
    "import hyperspy.api as hs\n"
    "s = hs.load('rock.GeoPIXE', lazy=True)\n"
    "page = s.explore()\n"
    "page",
    "print('counts', int(s.inav[10:40, 5:25].sum().data.sum()), list(page.state))",
)
PATIENCE = 120  # seconds


def notebook(cells):
    return {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell{k}",
                "source": source,
                "metadata": {},
                "execution_count": None,
                "outputs": [],
            }
            for k, source in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    data.thin_section(folder / "rock.GeoPIXE", SHAPE, n_detectors=1)
    text = json.dumps(notebook(CELLS))
    (folder / "map.ipynb").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lab(folder):
    """The address of a JupyterLab of this environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    options = (
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
        "--IdentityProvider.token=",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    )
    package = str(Path(rsciio_xfm.__file__).parents[1])
    own = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "PYTHONPATH": package}
    with (folder / "lab.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=folder,
            env={**os.environ, **own},
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(f"{address}/api", folder / "lab.log")
        yield address
    finally:
        process.terminate()
        process.wait(60)


def wait_for(address, log):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(address):
            return
        time.sleep(0.3)
    raise TimeoutError(log.read_text(encoding="utf-8"))


@pytest.fixture
def looking(lab, folder):
    with start_chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{lab}/lab/tree/map.ipynb")
        yield Looking(page)
        page.screenshot(path=folder / "notebook.png")


def run_cell(page, number):
    """Run a cell, as soon as there is a kernel that takes it."""
    cell = page.locator(".jp-CodeCell").nth(number)
    prompt = cell.locator(".jp-InputPrompt")
    select = page.locator(".jp-Dialog button.jp-mod-accept")
    for _ in range(PATIENCE):
        if select.count():  # which kernel: it was not there yet
            select.first.click()
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(1000)
        if prompt.inner_text() != "[ ]:":
            return cell
    raise TimeoutError(f"Cell {number} is not run: {prompt.inner_text()}")


def test_a_region_in_the_output_of_a_cell(looking, folder):
    from rsciio_xfm.formats.geopixe import file_reader

    page = looking.page
    page.locator(".jp-CodeCell").first.wait_for(timeout=PATIENCE * 1000)
    run_cell(page, 0)
    page.locator(".xfm-plot[data-series=whole]").wait_for(timeout=PATIENCE * 1000)
    page.locator(".xfm-map").scroll_into_view_if_needed()
    looking.settle()
    looking.drag(looking.on_map(5, 10), looking.on_map(24, 39), steps=8)
    sync_api.expect(looking.plot).to_have_attribute("data-series", "whole r1")
    page.wait_for_timeout(500)  # until the state has reached the kernel
    output = run_cell(page, 1).locator(".jp-OutputArea-output")
    sync_api.expect(output).to_contain_text("counts", timeout=PATIENCE * 1000)
    counts = file_reader(str(folder / "rock.GeoPIXE"))[0]["data"]
    text = output.inner_text()
    assert text.startswith(f"counts {int(counts[5:25, 10:40].sum())} ")
    assert "'regions'" in text
