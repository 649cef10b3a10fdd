# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every page of docs/ is in the site's navigation, or named as one that is not; needs no mkdocs, as the build does."""

from __future__ import annotations

import re
from fnmatch import fnmatch

from conftest import REPOSITORY


def test_every_page_is_in_the_site():
    listed = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    shown, left_out = listed.split("\nnot_in_nav: |\n")
    named = set(re.findall(r"(\S+\.md)$", shown, flags=re.MULTILINE))
    patterns = left_out.split()
    pages = {path.relative_to(REPOSITORY / "docs").as_posix() for path in (REPOSITORY / "docs").rglob("*.md")}
    assert pages and len(patterns) > 2
    assert {page for page in pages - named if not any(fnmatch(page, pattern) for pattern in patterns)} == set()
