# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The page of a reader study in a real browser, by keyboard and touch; nothing leaves the machine (``pages.py``)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reader_study.toy import DESIGN, FIVE, VOLUME, YES_NO, write_design, write_images

from mededit_monai.reader_study.analyse import analyse
from mededit_monai.reader_study.make import make_study
from mededit_monai.reader_study.ratings import check_ratings, read_ratings
from mededit_monai.reader_study.rehearse import rehearse
from studies.rate_in_chromium import DRAWN, begin, rate_all, rate_image, read_answers, save, until

pytestmark = pytest.mark.browser

#: The darkest and the brightest grey on the first canvas.
RANGE = """(() => {
    const canvas = document.querySelector('canvas');
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const grey = pixels.filter((_, k) => k % 4 === 0);
    return [grey.reduce((a, b) => Math.min(a, b)), grey.reduce((a, b) => Math.max(a, b))];
})()"""

#: Whether everything that is no text has a name for who cannot see it.
NAMED = """[...document.querySelectorAll('canvas, [role=radiogroup], input')].every(
    one => one.ariaLabel || one.getAttribute('aria-labelledby'))"""

SIZES, SIZED = [(1280, 720), (768, 1024), (1024, 768)], ["desk", "tablet", "turned"]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("study")
    make_study(write_design(root), root / "study", images=write_images(root / "images"), seed=5)
    return root / "study"


@pytest.fixture(scope="module")
def answers(study) -> dict:
    """Rater → code → scale → answer."""
    return dict(map(read_answers, rehearse(study, study.parent / "rehearsal")))


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def fits(page) -> bool:
    """Whether a page shows all that it has, without a bar to scroll."""
    sizes = "[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]"
    return all(size <= 0 for size in page.evaluate(sizes))


def test_rated_saved_and_analysed(study, answers, open_page, tmp_path):
    saved = []
    for rater in ("anna", "ben"):
        page = open_page(study / "rating.html")
        begin(page, rater)
        rate_all(page, answers[rater])
        saved.append(save(page, "#save-json", tmp_path))
        as_csv = save(page, "#save-csv", tmp_path)
        one, other = map(read_ratings, (saved[-1], as_csv))
        assert one.ratings == other.ratings and one.simulated and other.simulated  # no person is at the keys
        assert read_answers(saved[-1]) == (rater, answers[rater])
    found = check_ratings(saved, study)
    assert found["missing"] == [] and found["simulated"]
    assert json.loads(saved[0].read_bytes())["finished"]
    analyse(saved, study, tmp_path / "report")
    page = open_page(tmp_path / "report" / "report.html")
    assert page.inner_text("h1") == "Reader study: Toy <study>" and page.evaluate("document.images[0].naturalWidth") > 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_is_lost_when_the_tab_is_closed(study, answers, open_page):
    page = open_page(study / "rating.html")
    begin(page, "ben")
    press(page, "Enter")
    for _ in range(5):
        rate_image(page, answers["ben"])
        press(page, "ArrowRight")
    code = page.get_attribute("#where", "data-code")
    page.reload()
    assert page.get_attribute("#where", "data-code") == code and page.inner_text("#rated") == "5 of 26 rated"
    again = page.context.new_page()  # the tab is closed and the file opened again
    page.close()
    again.goto((study / "rating.html").resolve().as_uri())
    assert again.inner_text("#rated") == "5 of 26 rated"
    press(again, "ArrowLeft")
    value = next(iter(answers["ben"][again.get_attribute("#where", "data-code")].values()))
    assert again.inner_text("[aria-checked=true] b") == str(value)
    rate_all(again, answers["ben"])
    assert again.inner_text("#rated") == "26 of 26 rated"


def test_gaps_are_refused(study, answers, open_page):
    page = open_page(study / "rating.html")
    begin(page, "anna")
    press(page, "Enter", "ArrowRight")
    rate_image(page, answers["anna"])
    press(page, "f")
    assert "14 of 15 are not rated yet: 1, 3, 4" in page.inner_text("#say") and page.inner_text("#where") == "1 of 15"
    press(page, "9")
    assert (
        page.inner_text("#say") == "9 is no answer to this question." and page.inner_text("#rated") == "1 of 26 rated"
    )
    while page.inner_text("#where") != "15 of 15":
        press(page, "ArrowRight")
    press(page, "ArrowRight")
    assert page.inner_text("#where") == "1 of 15" and page.query_selector("#save-json") is None
    press(page, "3", "g")
    assert page.inner_text("#where") == "3 of 15"


def test_a_part_that_is_closed_stays_closed(study, answers, open_page):
    page = open_page(study / "rating.html")
    begin(page, "anna")
    press(page, "Enter")
    while page.query_selector("#close") is None:
        rate_image(page, answers["anna"])
        press(page, "ArrowRight")
    press(page, "Enter", "Enter", "ArrowLeft", "ArrowLeft")
    assert page.inner_text("#where") == "1 of 11" and page.is_disabled("#back")
    page.reload()
    assert page.inner_text("#where") == "1 of 11" and "Part 2 of 2" in page.inner_text("#head")


@pytest.mark.parametrize("size", SIZES, ids=SIZED)
def test_everything_is_in_sight(study, answers, open_page, size):
    """By touch, from the first screen to the last."""
    page = open_page(study / "rating.html", size, has_touch=True)
    assert fits(page)
    page.tap("#begin")
    assert fits(page)
    page.tap("#go")
    assert fits(page)
    page.tap("#keys")
    help_box = page.locator("#help").bounding_box()
    assert help_box["y"] >= 0 and help_box["y"] + help_box["height"] <= size[1]
    page.tap("#help button")
    while page.query_selector("#close") is None:
        page.tap(f"#answer-0-{answers['anna'][page.get_attribute('#where', 'data-code')]['realism']}")
        page.tap("#next")
    assert fits(page)
    page.tap("#close")
    page.tap("#go")
    until(page, "document.querySelectorAll('canvas[data-drawn]').length === 3")
    in_sight(page, size)
    while page.query_selector("#close") is None:
        page.tap(f"#answer-0-{answers['anna'][page.get_attribute('#where', 'data-code')]['fidelity']}")
        page.tap("#next")
    page.tap("#close")
    assert fits(page) and page.locator("#save-json").is_visible()


def in_sight(page, size) -> None:
    """Images are large enough to be judged, buttons to be touched, and none is cut off."""
    assert fits(page)
    for box in (one.bounding_box() for one in page.query_selector_all("canvas, main button, main input")):
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0] and box["y"] + box["height"] <= size[1]
    for box in (one.bounding_box() for one in page.query_selector_all("canvas")):
        assert min(box["width"], box["height"]) > 150
    assert all(one.bounding_box()["height"] >= 40 for one in page.query_selector_all("main button"))


def test_what_is_drawn_is_the_image_of_the_code(study, answers, open_page):
    """The picture on the screen is the one that the page holds under the code, and others differ."""
    page = open_page(study / "rating.html")
    begin(page, "anna")
    press(page, "Enter")
    seen = set()
    for _ in range(4):
        until(page, DRAWN)
        dark, bright = page.evaluate(RANGE)
        assert dark == 0 and bright > 200
        seen.add(page.evaluate("document.querySelector('canvas').toDataURL()"))
        press(page, "ArrowRight")
    assert len(seen) == 4


def test_by_tab_and_space(study, answers, open_page):
    """Whoever uses neither digits nor arrows gets along with Tab and Space, and the focus stays where it was."""
    page = open_page(study / "rating.html")
    begin(page, "ben")
    press(page, "Enter", "Tab", "Tab", "Space")
    assert page.evaluate("document.activeElement.id") == "answer-0-1"
    assert page.inner_text("[aria-checked=true] b") == "1"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert page.evaluate(NAMED)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory) -> Path:
    """A study of volumes: real or synthetic, and vessels."""
    root = tmp_path_factory.mktemp("volumes")
    arms = {name: {"real": name == "real"} for name in DESIGN["arms"]}
    scales = {
        "real": {"question": "Real?", "values": YES_NO, "asks_real": True},
        "vessels": {"question": "Where they belong?", "values": FIVE},
    }
    stages = [DESIGN["stages"][0] | {"scales": scales}]
    design = write_design(root, dims=3, slices=6, strata="none", stages=stages, arms=arms, repeats=0)
    make_study(design, root / "study", images=write_images(root / "images", 4, VOLUME))
    return root / "study"


def test_volumes_are_scrolled(volumes, open_page):
    page = open_page(volumes / "rating.html")
    begin(page, "anna")
    press(page, "Enter")
    page.wait_for_selector("canvas[data-drawn]")
    look = "document.querySelector('canvas').toDataURL()"
    first = page.evaluate(look)
    press(page, "]")
    assert page.inner_text("#slice-number") == "5 / 6" and page.evaluate(look) != first
    press(page, "[")
    assert page.inner_text("#slice-number") == "4 / 6" and page.evaluate(look) == first
    press(page, "p", "PageUp")
    assert page.inner_text("#planes .main") == "coronal" and page.inner_text("#slice-number") == "3 / 6"
    page.hover("#panels")
    page.mouse.wheel(0, 100)
    until(page, "document.querySelector('#slice-number').textContent === '4 / 6'")
    assert fits(page)


@pytest.mark.parametrize("size", SIZES, ids=SIZED)
def test_volumes_by_touch(volumes, open_page, size):
    page = open_page(volumes / "rating.html", size, has_touch=True)
    page.tap("#begin")
    page.tap("#go")
    for number, plane in ((1, "coronal"), (2, "sagittal"), (0, "axial")):
        page.tap(f"#plane-{number}")
        page.wait_for_selector("canvas[data-drawn]")
        assert page.inner_text("#planes .main") == plane
        in_sight(page, size)
    box = page.locator("#slice").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    assert page.inner_text("#slice-number") == "6 / 6"
    page.tap("#answer-0-1")
    page.tap("#answer-1-4")
    assert page.inner_text("#rated") == "1 of 12 rated"
