# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The browser of these tests draws with WebGL 2, and what a page asks for elsewhere is seen and does not leave."""

from __future__ import annotations

import pytest
from browser.pages import watched_pages

pytestmark = pytest.mark.browser


def test_it_draws_without_a_graphics_card(tmp_path, open_page):
    (tmp_path / "page.html").write_text("<canvas></canvas>")
    page = open_page(tmp_path / "page.html")
    assert page.evaluate("!!document.querySelector('canvas').getContext('webgl2')")


@pytest.mark.parametrize(
    ("html", "seen"),
    [
        ("<img src='https://example.org/a.png'>", r"asked for \['https://example.org/a.png'\]"),
        ("<script>throw Error('broken')</script>", r"failed: \['broken'\]"),
    ],
)
def test_a_page_that_asks_for_something_elsewhere_or_fails_is_noticed(tmp_path, chromium, html, seen):
    (tmp_path / "page.html").write_text(html)
    with pytest.raises(AssertionError, match=seen), watched_pages(chromium) as open_page:
        page = open_page(tmp_path / "page.html")
        assert page.evaluate("[...document.images].every(image => image.naturalWidth === 0)")
