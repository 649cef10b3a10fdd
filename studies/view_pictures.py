# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A picture of a page that mededit view wrote, as it is seen in a browser.

    python -m studies.view_pictures out/view/T1/viewer.html --keys s d --output docs/images/view_stroke.png

Needs the extra ``browser`` and the system's Chromium, as ``make test-browser`` does.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

from mededit_monai.io.atomic import replacing
from tests.browser.pages import started_chromium, watched_pages

#: Colours of the picture: few make it small.
COLOURS = 192


def main() -> None:
    """Open the page, press the keys, keep what is seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="viewer.html of a case")
    parser.add_argument("--keys", nargs="*", default=[], help="to press before, such as s or ArrowUp")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720), help="width and height")
    parser.add_argument("--output", type=Path, required=True, help="PNG")
    given = parser.parse_args()
    with started_chromium() as browser, watched_pages(browser) as open_page:
        page = open_page(given.page, tuple(given.size))
        page.wait_for_selector("body[data-ready]", timeout=600_000)
        for key in given.keys:
            page.keyboard.press(key)
        page.wait_for_timeout(2000)
        seen = Image.open(io.BytesIO(page.screenshot(timeout=300_000))).convert("RGB")
    with replacing(given.output) as unfinished:
        seen.quantize(COLOURS, dither=Image.Dither.NONE).save(unfinished, format="PNG", optimize=True)
    print(f"{given.output}: {given.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
