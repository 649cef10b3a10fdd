# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The page of promises names tests that there are."""

from __future__ import annotations

import re

import pytest


@pytest.mark.parametrize("page", ["promises", "security"])
def test_every_test_that_is_named_is_there(repository, page):
    text = (repository / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert len(named) >= 2 and [path for path in named if not (repository / path).is_file()] == []


def test_every_promise_has_a_test(repository):
    text = (repository / "docs" / "reference" / "promises.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| **")]
    assert len(rows) > 10 and all("`tests/" in row.split("|")[2] for row in rows)
