# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A reader study rated in a real browser by the keyboard alone, with the answers of simulated raters.

    mededit study rehearse --study out/study -o out/rehearsal
    python -m studies.rate_in_chromium --study out/study --answers out/rehearsal -o out/ratings

Nobody looks at the images: this shows that the page works, not what anybody sees. Needs the extra 'browser' and
Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Answers = Mapping[str, Mapping[str, int]]


#: Whether the picture on the page is that of the image which is asked about.
DRAWN = "document.querySelector('canvas').dataset.drawn === document.querySelector('#where').dataset.code"


def until(page: Any, true: str) -> None:
    """
    Wait until a JavaScript expression is true. Playwright's own wait has the page evaluate text, which the page's
    content policy forbids.

    Raises:
        AssertionError: it is not within ten seconds.
    """
    for _ in range(200):
        if page.evaluate(true):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {true}")


def read_answers(path: Path) -> tuple[str, dict[str, dict[str, int]]]:
    """The rater's name and code → scale → answer of a file of ratings."""
    content = json.loads(path.read_bytes())
    found: dict[str, dict[str, int]] = {}
    for row in content["ratings"]:
        found.setdefault(row["item"], {})[row["scale"]] = row["value"]
    return content["rater"], found


def begin(page: Any, rater: str) -> None:
    """From the first screen to the text of the first part."""
    page.focus("#rater")
    page.keyboard.type(rater)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#go")


def rate_image(page: Any, answers: Answers) -> str:
    """Answer all questions about the image that is shown; returns its code."""
    code = str(page.get_attribute("#where", "data-code"))
    for scale in page.eval_on_selector_all("[data-scale]", "all => all.map(one => one.dataset.scale)"):
        page.keyboard.press(str(answers[code][scale]))
    return code


def rate_all(page: Any, answers: Answers, look: Callable[[Any, str], None] = lambda page, name: None) -> None:
    """
    From wherever the page is to its last screen.

    Args:
        look: called with the page and a name at the first sight of every screen, and of every rated image.
    """
    while page.query_selector("#save-json") is None:
        if page.query_selector("#go"):
            look(page, "part")
            page.keyboard.press("Enter")
        elif page.query_selector("#close"):
            look(page, "close")
            page.keyboard.press("Enter")
        else:
            rate_image(page, answers)
            until(page, DRAWN)
            look(page, "rate")
            page.keyboard.press("ArrowRight")
    look(page, "end")


def save(page: Any, button: str, folder: Path) -> Path:
    """What a button of the last screen saves."""
    with page.expect_download() as waited:
        page.click(button)
    place = folder / waited.value.suggested_filename
    waited.value.save_as(place)
    return place


def main() -> None:
    """Rate a study for every file of answers."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True, help="folder of mededit study make")
    parser.add_argument("--answers", type=Path, required=True, help="folder of mededit study rehearse")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every screen, 1280x720")
    parser.add_argument("-o", "--output_dir", type=Path, required=True, help="folder for what the page saves")
    given = parser.parse_args()
    given.output_dir.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("MEDEDIT_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for number, path in enumerate(sorted(given.answers.glob("ratings_*.json"))):
            rater, answers = read_answers(path)
            page = browser.new_context(viewport={"width": 1280, "height": 720}, offline=True).new_page()
            page.goto((given.study / "rating.html").resolve().as_uri())
            seen: dict[str, int] = {}

            def look(page: Any, name: str, first: bool = number == 0, seen: dict[str, int] = seen) -> None:
                """A picture of every kind of screen of the first rater: of images, the third of each part."""
                kind = f"{name}_{page.evaluate('state.stage') + 1}"
                seen[kind] = seen.get(kind, 0) + 1
                if first and given.pictures and seen[kind] == (3 if name == "rate" else 1):
                    page.screenshot(path=given.pictures / f"{kind}.png")

            if given.pictures:
                given.pictures.mkdir(parents=True, exist_ok=True)
            begin(page, rater)
            rate_all(page, answers, look)
            print(save(page, "#save-json", given.output_dir))
        browser.close()


if __name__ == "__main__":
    main()
