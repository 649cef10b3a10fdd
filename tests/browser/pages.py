# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Pages in a real browser: the system's Chromium without a window, drawing by software, with no way to the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Where Chromium is looked for; MEDEDIT_CHROMIUM names another program.
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: WebGL 2 by software, so that every machine draws the same.
DRAWING = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
#: What stays on the machine.
LOCAL = ("file:", "data:", "blob:", "about:")


@contextmanager
def started_chromium() -> Iterator[Any]:
    """A browser of Playwright's."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("MEDEDIT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"none of {', '.join(NAMES)} is installed; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=DRAWING)
        yield browser
        browser.close()


@contextmanager
def watched_pages(browser: Any) -> Iterator[Callable[..., Any]]:
    """
    Opens a file as ``open_page(path, size=(1280, 720), **context)`` and returns Playwright's page.

    ``context`` is what ``browser.new_context`` takes, such as ``has_touch``. At the end the pages must have asked for
    nothing that is not on the machine, and neither raised nor logged an error.
    """
    contexts, requests, faults = [], [], []

    def open_page(path: Path, size: tuple[int, int] = (1280, 720), **context: Any) -> Any:
        width, height = size
        made = browser.new_context(viewport={"width": width, "height": height}, offline=True, **context)
        contexts.append(made)
        made.on("request", lambda request: requests.append(request.url))
        page = made.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("websocket", lambda socket: requests.append(socket.url))
        page.goto(Path(path).resolve().as_uri())
        return page

    try:
        yield open_page
    finally:
        for made in contexts:
            made.close()
    elsewhere = [url[:200] for url in requests if not url.startswith(LOCAL)]
    assert not elsewhere, f"asked for {elsewhere}"
    assert not faults, f"failed: {faults}"
