# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The page of an evaluation in a browser: its pictures are drawn, nothing sticks out, and its links lead to pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from reports.small_evaluation import write_evaluation

from mededit_monai.reports import evaluation_figures
from mededit_monai.reports.evaluation_report import write_report

pytestmark = pytest.mark.browser

#: What sticks out of the page, but for what scrolls by itself.
WIDE = """() => [...document.body.querySelectorAll('*')].filter((one) => !one.closest('.scroll *')
  && one.getBoundingClientRect().right > innerWidth + 0.5).map((one) => one.tagName + '.' + one.className)"""
SIZES = "() => [...document.images].map((one) => Math.min(one.naturalWidth, one.getBoundingClientRect().width))"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    write_evaluation(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_figures, "DRAWS", 40)
        return write_report(folder, html=True)


@pytest.mark.parametrize("size", [(1280, 900), (420, 900)])
def test_it_fits_on_a_desk_and_on_a_telephone(report, open_page, size):
    page = open_page(report, size)
    page.wait_for_load_state("load")
    assert page.evaluate(WIDE) == [] and page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sizes = page.evaluate(SIZES)
    assert len(sizes) == report.read_text(encoding="utf-8").count("<img ") and min(sizes) > 0


def test_its_links_lead_to_the_cases(report, open_page):
    page = open_page(report)
    page.locator('[data-rank="best"] a').first.click()
    page.wait_for_selector("body[data-ready]", timeout=120_000)
    assert page.title().startswith("SYNTHETIC: case_")
    assert "counterfactual" in page.inner_text("#readout")
