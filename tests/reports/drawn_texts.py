# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""All that figures say, and names that matplotlib would take for formulas."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

#: Names of files that people have, and what matplotlib's formulas would make of them.
NAMES = ["$x$y", "$\\frac$", "a_b^c", "_hidden", "<b>&amp;", "a|b", "$", "ü {x}"]


def caught_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gets all that is written in the figures that are saved from now on, drawn as plain text."""
    found: list[str] = []
    save = Figure.savefig

    def kept(figure: Figure, *arguments, **keywords):
        save(figure, *arguments, **keywords)
        for text in figure.findobj(lambda artist: hasattr(artist, "get_parse_math")):
            if "$" in text.get_text() and "mathdefault" not in text.get_text():  # the ticks of a log axis
                assert not text.get_parse_math(), text.get_text()
            found.append(text.get_text())

    monkeypatch.setattr(Figure, "savefig", kept)
    return found


PLANE = np.pad(np.random.default_rng(0).uniform(0.2, 1, (40, 40)), 12)
