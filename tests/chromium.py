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


PATIENCE = 120_000  # ms: machines are shared


def _patient(make):
    """Let what is waited for in a page, or in all of a context, take long."""

    def made(**options):
        found = make(**options)
        found.set_default_timeout(PATIENCE)
        return found

    return made


@contextlib.contextmanager
def start_chromium():
    """Start it, and give what playwright has for it."""
    from playwright import sync_api

    sync_api.expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=2 * PATIENCE
        )
        browser.new_context = _patient(browser.new_context)
        browser.new_page = _patient(browser.new_page)
        yield browser
        browser.close()
    gc.collect()  # here, where its warnings are ignored, and not in the test of another
