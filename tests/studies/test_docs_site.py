# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Links of the site lead to pages of the site; needs mkdocs, the extra 'docs'."""

from __future__ import annotations

import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("griffe")

from studies.docs_site import OUTSIDE, REPOSITORY, Roles, with_links  # noqa: E402


@pytest.mark.parametrize(
    "page, text, wanted",
    [
        ("how_to/train.md", "[a](release.md#b)", "[a](release.md#b)"),
        ("how_to/train.md", "[a](../../bundles/stroke/docs/README.md)", "[a](../bundles/stroke.md)"),
        ("index.md", "[a](../integrations/slicer/README.md#use)", "[a](integrations/slicer.md#use)"),
        ("concepts/geometry.md", "[`a.py`](../../mededit_monai/a.py)", "`a.py` (`mededit_monai/a.py`)"),
        (
            "bundles/stroke.md",
            "[a](../../../docs/index.md) [b](data_license.txt)",
            "[a](../index.md) b (`bundles/stroke/docs/data_license.txt`)",
        ),
        ("index.md", "![a](images/b.png) [c](https://d.e) [f](#g)", "![a](images/b.png) [c](https://d.e) [f](#g)"),
    ],
)
def test_links(page, text, wanted):
    assert with_links(text, page) == wanted


def test_pages_from_outside_are_there():
    assert all((REPOSITORY / source).is_file() for source in OUTSIDE)


def test_roles_of_docstrings():
    class Thing:
        docstring = type("D", (), {"value": "See :func:`~a.b.c`, :class:`D`, ``e``."})()

    Roles().on_object(obj=Thing)
    assert Thing.docstring.value == "See `a.b.c`, `D`, ``e``."
