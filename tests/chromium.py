"""Chromium, in which tests look at pages as their readers do."""

import contextlib
import gc
import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
MARKS = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    # playwright's own loop is closed by its own thread.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@contextlib.contextmanager
def start_chromium():
    """Start it, and give what playwright has for it."""
    from playwright import sync_api

    sync_api.expect.set_options(timeout=60_000)  # machines are shared
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
    gc.collect()  # here, where its warnings are ignored, and not in the test of another
