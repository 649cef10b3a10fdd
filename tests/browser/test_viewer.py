# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The page about an edit, in a browser: what is shown, by its pixels and readings, and that every key does its work."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from view_cases import LESION, small_case

from mededit_monai.reports.view_page import MARK, viewer_page

pytestmark = pytest.mark.browser

#: A voxel of tissue within the lesion has 600 or 1000; colours that are looked for, as red, green and blue.
AMBER, RED, BLUE = (255, 196, 107), (255, 64, 64), (64, 192, 255)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    place = tmp_path_factory.mktemp("page") / "viewer.html"
    place.write_text(viewer_page(small_case()), encoding="utf-8")
    return place


def ready(page):
    page.wait_for_selector("body[data-ready]", timeout=120_000)
    return page


def pixels(page, selector: str = "#stage") -> np.ndarray:
    """What is seen, HxWx3."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(int)


def near(picture: np.ndarray, colour, tolerance: int = 60) -> int:
    """How many pixels have nearly a colour."""
    return int((np.abs(picture - colour).max(axis=-1) < tolerance).sum())


def reading(page) -> dict[str, float]:
    """Position and values below the crosshair."""
    words = re.findall(r"(x|y|z|prior|counterfactual|difference|moved) (-?[\d.]+)", page.inner_text("#readout"))
    return {name: float(value) for name, value in words}


def pressed(page, selector: str) -> bool:
    return page.get_attribute(selector, "aria-pressed") == "true"


def test_values_below_the_crosshair_are_the_case_s(file, open_page):
    """Through every step of the course; the readings are those of the arrays that the page was made of."""
    page, case = ready(open_page(file)), small_case()
    at = reading(page)
    voxel = tuple(round((at[name] - low) / 2) for name, low in zip("xyz", (-40, -48, -36)))
    assert all(part.start <= one < part.stop for part, one in zip(LESION, voxel))
    for number in (2, 1, 0):
        step = case.steps[number]
        page.locator("#stepname", has_text=re.compile(f"^{step.name}$")).wait_for()
        page.wait_for_timeout(300)
        found = reading(page)
        assert found["prior"] == pytest.approx(case.prior[voxel], abs=3)
        assert found["counterfactual"] == pytest.approx(step.edit[voxel], abs=3)
        assert found["difference"] == pytest.approx(step.edit[voxel] - case.prior[voxel], abs=5)
        assert found["moved"] == pytest.approx(step.displacement[voxel], abs=0.05)
        page.keyboard.press("[")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("PageDown")
    page.keyboard.press("ArrowLeft")
    moved = reading(page)
    assert [moved[name] - at[name] for name in "xyz"] == pytest.approx([2, -2, 2], abs=0.11)
    page.keyboard.press("Home")
    assert [reading(page)[name] for name in "xyz"] == [at[name] for name in "xyz"]


def test_blink_and_swipe_show_both(file, open_page):
    page = ready(open_page(file))
    for key in "lc":
        page.keyboard.press(key)
    edit = pixels(page)
    page.keyboard.press("b")
    prior = pixels(page)
    assert pressed(page, "[data-mode=prior]") and (np.abs(edit - prior).max(axis=-1) > 60).sum() > 500
    page.keyboard.press("b")
    assert np.abs(pixels(page) - edit).max() <= 8
    page.keyboard.press("s")
    both, middle = pixels(page), edit.shape[1] // 2
    left, right = np.s_[60:-60, : middle - 20], np.s_[60:-60, middle + 20 :]
    assert np.abs(both[left] - prior[left]).max() <= 8 and np.abs(both[right] - edit[right]).max() <= 8
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    assert page.get_attribute("#divider", "aria-valuenow") == "100"
    assert np.abs(pixels(page)[60:-60, :-40] - prior[60:-60, :-40]).max() <= 8


def test_the_divider_and_the_crosshair_follow_the_mouse(file, open_page):
    page = ready(open_page(file))
    page.keyboard.press("s")
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 100, steps=4)
    page.mouse.up()
    assert page.get_attribute("#divider", "aria-valuenow") == "25"
    before = reading(page)
    page.mouse.click(box["x"] + box["width"] * 0.35, box["y"] + box["height"] * 0.35)
    after = reading(page)
    assert after["z"] == before["z"] and (after["x"], after["y"]) != (before["x"], before["y"])
    page.mouse.wheel(0, 120)
    page.wait_for_timeout(300)
    assert reading(page)["z"] != before["z"]
    same = page.evaluate("() => document.getElementById('prior').width === document.getElementById('edit').width")
    assert same


def test_what_lies_on_top_goes_on_and_off(file, open_page):
    page = ready(open_page(file))
    page.keyboard.press("c")
    assert near(pixels(page), RED) > 100
    page.keyboard.press("l")
    plain = pixels(page)
    assert near(plain, RED) == 0 and not pressed(page, "[data-layer=lesion]")
    for key, name in (("r", "region"), ("d", "difference"), ("m", "displacement")):
        page.keyboard.press(key)
        shown = pixels(page)
        coloured = (shown.max(axis=-1) - shown.min(axis=-1) > 40).sum() - (
            plain.max(axis=-1) - plain.min(axis=-1) > 40
        ).sum()
        assert coloured > 1000 and pressed(page, f"[data-layer={name}]"), name
        assert name == "region" or page.locator(f"#scale-{name}").is_visible()
        page.keyboard.press(key)
    assert np.abs(pixels(page) - plain).max() <= 8


def test_the_mark_is_within_the_picture_of_the_counterfactual(file, open_page):
    """Not only beside it: in the canvas itself, whichever planes are shown."""
    page = ready(open_page(file))
    assert page.title().startswith("SYNTHETIC") and page.locator("header .mark").inner_text() == MARK
    page.evaluate("() => { document.querySelectorAll('#stage p').forEach((one) => { one.style.opacity = 0 }) }")
    for key in "0123":
        page.keyboard.press(key)
        assert near(pixels(page)[:40], AMBER, 90) > 300, key
    page.keyboard.press("b")
    assert near(pixels(page)[:40], AMBER, 90) == 0


def test_brightness(file, open_page):
    page = ready(open_page(file))
    start = pixels(page)
    page.locator("#level").focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    darker = pixels(page)
    assert darker.mean() < 0.8 * start.mean() and page.input_value("#level") == "80"
    page.keyboard.press("w")
    assert np.abs(pixels(page) - start).max() <= 8 and page.input_value("#level") == "50"


def test_all_of_it_by_keyboard_alone(file, open_page):
    """Tab leads to every control, each says what it is, and nothing holds the focus."""
    page = ready(open_page(file))
    wanted = page.evaluate(
        "() => document.querySelectorAll('button:not(dialog *), input, summary, canvas[tabindex]').length"
    )
    seen = set()
    for _ in range(wanted + 4):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate(
                "() => { const one = document.activeElement; return one.id + '|' + (one.ariaLabel || one.innerText"
                " || one.labels?.[0]?.innerText || '').trim() }"
            )
        )
    named = {one for one in seen if one.partition("|")[2]}
    assert len(named) >= wanted and seen - named <= {"|"}
    page.keyboard.press("?")
    assert page.locator("#help").is_visible() and "Keys" in page.inner_text("#help")
    page.keyboard.press("d")
    assert not pressed(page, "[data-layer=difference]")  # behind the list nothing changes
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.locator("[data-layer=region]").focus()
    page.keyboard.press("Enter")
    assert pressed(page, "[data-layer=region]")


@pytest.mark.parametrize("size", [(1280, 720), (1024, 768), (768, 1024)])
def test_it_fits(file, open_page, size):
    page = ready(open_page(file, size, has_touch=size[0] < 1100))
    wide = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    box = page.locator("#stage").bounding_box()
    assert wide[0] <= wide[1] and box["width"] >= 600 and box["height"] >= 400 and box["y"] + box["height"] <= size[1]
    assert (pixels(page) > 100).all(axis=-1).mean() > 0.1  # tissue fills a good part of it
    cut = page.evaluate(
        "() => [...document.querySelectorAll('button')].filter((b) => b.scrollWidth > b.clientWidth).length"
    )
    assert cut == 0


@pytest.mark.parametrize("size", [(1024, 768), (768, 1024)], ids=["tablet", "turned"])
def test_by_touch(file, open_page, size):
    """All buttons are large enough for a finger; a tap moves the crosshair, a button changes what is shown."""
    page = ready(open_page(file, size, has_touch=True))
    assert all(one.bounding_box()["height"] >= 44 for one in page.query_selector_all("header button, aside button"))
    box, before = page.locator("#stage").bounding_box(), reading(page)
    page.touchscreen.tap(box["x"] + box["width"] * 0.35, box["y"] + box["height"] * 0.3)
    page.wait_for_timeout(300)
    after = reading(page)
    assert after["z"] == before["z"] and (after["x"], after["y"]) != (before["x"], before["y"])
    for selector in ("[data-mode=prior]", "[data-mode=swipe]", "[data-layer=difference]", "[data-plane=coronal]"):
        page.tap(selector)
        assert pressed(page, selector), selector
    assert page.locator("#divider").is_visible()


def test_one_slice_alone(tmp_path, open_page):
    case = small_case(1)
    step, cut = case.steps[0], np.s_[:, :, 17:18]
    flat = replace(step, edit=step.edit[cut], region=step.region[cut], displacement=step.displacement[cut])
    case = replace(case, prior=case.prior[cut], lesion=case.lesion[cut], steps=[flat])
    (tmp_path / "slice.html").write_text(viewer_page(case), encoding="utf-8")
    page = ready(open_page(tmp_path / "slice.html"))
    assert pressed(page, "[data-plane=axial]") and reading(page)["counterfactual"] == 0
    assert (pixels(page) > 100).all(axis=-1).mean() > 0.15 and not page.locator("#step").count()
