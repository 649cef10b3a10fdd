# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The page about a case: what it holds, what it may do, and that texts in it are texts."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from view_cases import small_case

from mededit_monai.reports.view_page import MARK, shipped, viewer_page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \" '"


class Seen(HTMLParser):
    """Tags with their attributes, and texts by the id of their script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.scripts, self._within = [], {}, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._within = dict(attributes).get("id", f"script {len(self.scripts)}") if tag == "script" else None

    def handle_endtag(self, tag):
        self._within = None

    def handle_data(self, text):
        if self._within is not None:
            self.scripts[self._within] = self.scripts.get(self._within, "") + text


@pytest.fixture(scope="module")
def page() -> str:
    return viewer_page(small_case())


def test_niivue_is_shipped_as_its_package_has_it():
    facts = dict(line.split(": ", 1) for line in shipped("niivue.txt").splitlines())
    assert hashlib.sha256(shipped("niivue.umd.js").encode()).hexdigest() == facts["sha256"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["version"]) and facts["name"] == "@niivue/niivue"
    assert "Copyright (c) 2021, Niivue" in shipped("niivue_licences.txt")


def test_it_needs_nothing_else(page):
    seen = Seen(page)
    fetched = [
        one for _, facts in seen.tags for key, one in facts.items() if key in ("src", "href", "srcset", "action")
    ]
    assert fetched == [] and len(seen.scripts) == 3
    policy = next(facts["content"] for tag, facts in seen.tags if facts.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "http" not in policy and "*" not in policy
    assert shipped("niivue.umd.js") in page and shipped("niivue_licences.txt")[:200] in page


def test_it_says_that_it_is_synthetic(page):
    assert "<title>SYNTHETIC: case 7" in page and MARK in page
    assert json.loads(Seen(page).scripts["data"])["mark"] == "SYNTHETIC - research use only, not a medical device"
    assert "addLabel(`counterfactual: ${data.mark}" in shipped("viewer.js")  # by its pixels: tests/browser


def test_texts_are_texts():
    case = small_case(name=HOSTILE, **{HOSTILE: [(HOSTILE, HOSTILE)]})
    case.steps[0].__dict__["name"] = HOSTILE
    case = case.__class__(**{**case.__dict__, "warnings": [HOSTILE]})
    seen = Seen(viewer_page(case))
    assert len(seen.scripts) == 3 and not any("onerror" in facts or tag == "img" for tag, facts in seen.tags)
    assert json.loads(seen.scripts["data"])["steps"][0]["name"] == HOSTILE


def test_what_is_not_there_has_no_control(page):
    single = small_case(1)
    still = single.__class__(**{**single.__dict__, "largest_mm": 0.0})
    assert 'id="step"' in page and 'data-layer="displacement"' in page
    assert 'id="step"' not in viewer_page(single) and 'data-layer="displacement"' not in viewer_page(still)


def test_every_control_has_a_name_and_every_key_is_listed(page):
    listed = set(re.findall(r"<kbd>(.)</kbd>", page.partition('<dialog id="help"')[2]))
    keys = set(re.findall(r"^    (.+?): \(\) =>", shipped("viewer.js"), re.M))
    assert {"B", "S", "L", "R", "D", "M", "C", "W", "?", "[", "]"} <= listed and len(keys) >= 3
    assert page.count("aria-pressed") >= 11 and 'aria-label="Divider' in page
