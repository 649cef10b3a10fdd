# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What mkdocs has to be told of the pages, beside mkdocs.yml, which names this file: the pages of bundles and integrations
lie outside docs/, links to other files of the repository lead nowhere on a site, and docstrings have Sphinx's roles.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.structure.files import File

REPOSITORY = Path(__file__).resolve().parents[1]

#: Relative links of Markdown, whose text may go over a line's end; not those of pictures.
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")

#: Pages of the repository that are not in docs/ → where they are on the site.
OUTSIDE = {f"bundles/{name}/docs/README.md": f"bundles/{name}.md" for name in ("stroke", "tumor", "semantic_synthesis")}
OUTSIDE |= {f"integrations/{name}/README.md": f"integrations/{name}.md" for name in ("slicer", "monailabel")}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/."""
    for source, target in OUTSIDE.items():
        text = (REPOSITORY / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where their pages are on the site; files of the repository that are no pages become names."""
    return with_links(markdown, page.file.src_uri)


def with_links(markdown: str, page: str) -> str:
    """
    A page with its links as the site needs them.

    Args:
        page: its path on the site, such as ``how_to/train.md``.
    """
    sources = {target: source for source, target in OUTSIDE.items()}
    home = posixpath.dirname(sources.get(page, f"docs/{page}"))

    def led(match: re.Match[str]) -> str:
        text, link, anchor = match[1], match[2], match[3] or ""
        place = posixpath.normpath(posixpath.join(home, link))
        on_site = OUTSIDE.get(place, place[len("docs/") :] if place.startswith("docs/") else None)
        if on_site is None:
            return f"{text} (`{place}`)"
        return f"[{text}]({posixpath.relpath(on_site, posixpath.dirname(page) or '.')}{anchor})"

    return _LINK.sub(led, markdown)


class Roles(griffe.Extension):
    """Sphinx's roles and double backticks in docstrings as Markdown has them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change a docstring as it is found."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", obj.docstring.value)
