# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Names in pictures and tables as they are: matplotlib reads ``$…$`` as formulas, Markdown ``|`` as the next cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

#: For every text in a figure that holds a name from outside.
PLAIN = {"parse_math": False}


def plain_legend(owner: Any, handles: Sequence[Any], names: Sequence[str], **keywords: Any) -> Any:
    """
    The legend of axes or of a figure, with names that stay as they are; matplotlib leaves out those that begin with _.

    Args:
        owner: axes or figure.
        handles, names: what is shown under which name.
        keywords: of ``legend``.
    """
    legend = owner.legend(list(handles), ["-"] * len(names), **keywords)
    for text, name in zip(legend.get_texts(), names):
        text.set(text=str(name), **PLAIN)
    return legend


def table_cell(text: Any) -> str:
    """A text as a cell of a Markdown table."""
    return str(text).replace("|", "\\|").replace("\r", " ").replace("\n", " ")


def markdown_table(heads: Sequence[Any], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table; every cell as its text is."""
    lines = ["| " + " | ".join(map(table_cell, cells)) + " |" for cells in [heads, *rows]]
    return [lines[0], "|" + "---|" * len(heads), *lines[1:]]
