"""A reader opens notebook 01 in a real browser, runs it, moves a slider, and sees the picture
change.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from lab import TOKEN, jupyterlab

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_see_aliasing.ipynb"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
SECOND = 1000  # playwright counts milliseconds
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
]

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)"
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("jupyterlab") is None, reason="jupyterlab is not installed"
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="playwright is not installed"
    ),
]

# What the reader sees: the title, and every panel's caption with its pixels.
SEEN = """() => {
  const live = document.querySelector(".deqlab-canvas");
  const panels = [...live.querySelectorAll("figure")].map((f) =>
    [f.querySelector("figcaption").textContent, f.querySelector("canvas").toDataURL()]);
  const title = live.querySelector(".deqlab-title").textContent;
  return {title, panels: Object.fromEntries(panels)};
}"""
READY = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.isReady === true"
# A canvas that was drawn has its picture's size; an untouched one is 300 x 150.
DRAWN = """() => {
  const canvases = [...document.querySelectorAll(".deqlab-canvas canvas")];
  const ready = (c) => c.width === c.height && c.getBoundingClientRect().width > 50;
  return canvases.length > 0 && canvases.every(ready);
}"""
IDLE = (
    "() => window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
)


@pytest.fixture
def lab_page(tmp_path):
    from playwright.sync_api import sync_playwright

    folder, scratch = tmp_path / "notebooks", tmp_path / "scratch"
    folder.mkdir(), scratch.mkdir()
    shutil.copy(NOTEBOOK, folder / "live.ipynb")
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with jupyterlab(folder, scratch) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=QUIET + sandbox, timeout=120 * SECOND
        )
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(180 * SECOND)
        page.goto(f"{address}/lab/tree/live.ipynb?token={TOKEN}", wait_until="domcontentloaded")
        yield page
        browser.close()


def test_moving_the_slider_changes_the_picture_and_its_title(lab_page):
    page = lab_page
    page.wait_for_function(READY)
    # Not awaited: the call returns at once, and the next line waits for what the reader waits for.
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_function(DRAWN)
    page.wait_for_function(IDLE)
    before = page.evaluate(SEEN)
    assert before["title"]
    assert len(set(before["panels"].values())) == len(before["panels"]) > 1, (
        "two panels show the same picture"
    )

    handle = page.locator(".widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(old) => document.querySelector('.deqlab-title').textContent !== old", arg=before["title"]
    )
    after = page.evaluate(SEEN)

    if screenshots := os.environ.get("DEQLAB_SCREENSHOTS"):
        page.screenshot(path=str(Path(screenshots) / "live_picture.png"))
    assert after["title"] != before["title"]
    assert after["panels"].keys() == before["panels"].keys()
    unchanged = [
        name for name, pixels in after["panels"].items() if pixels == before["panels"][name]
    ]
    assert not unchanged, f"the slider left these panels as they were: {unchanged}"
