# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A browser for the tests in this folder, which are marked ``browser`` and run by ``make test-browser`` alone."""

from __future__ import annotations

import pytest
from browser.pages import started_chromium, watched_pages


@pytest.fixture(scope="session")
def chromium():
    with started_chromium() as browser:
        yield browser


@pytest.fixture()
def open_page(chromium):
    """See ``watched_pages``."""
    with watched_pages(chromium) as open_page:
        yield open_page
