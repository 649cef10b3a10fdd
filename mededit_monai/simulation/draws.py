# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A case's random numbers, a stream for each part of it: one part can be drawn anew while all else stays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

#: choice: which lesion, at which height; person: pose, shape, tissue; lesion: its outline; effects: how far it moves
#: tissue (hidden: nothing in the scan tells); atrophy: global atrophy; looks: contrast and texture; paint: look of the
#: lesion; scanner: field and noise; jitter: place in the window.
STREAMS = ("choice", "person", "lesion", "effects", "atrophy", "looks", "paint", "scanner", "jitter")


@dataclass(frozen=True)
class Draws:
    """
    The streams of one case. What is drawn from one moves no other, in whatever order they are used.

    Args:
        seed, split, index: of the case; nothing else decides it.
        attempt: of drawing it; raised where a draw gave no lesion inside the brain.
        effects_draw, paint_draw: another number draws the lesion's effects, or its look, anew and nothing else.
    """

    seed: int
    split: str
    index: int
    attempt: int = 0
    effects_draw: int = 0
    paint_draw: int = 0

    def of(self, name: str, k: int = 0) -> np.random.Generator:
        """A stream from its start; ``k`` tells several of one part apart."""
        if name not in STREAMS:
            raise ValueError(f"no stream is called '{name}'; there are {', '.join(STREAMS)}.")
        redrawn = {"effects": self.effects_draw, "paint": self.paint_draw}.get(name, 0)
        key = f"{self.seed}/{self.split}/{self.index}/{self.attempt}/{name}/{k}/{redrawn}"
        digest = hashlib.sha256(key.encode()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
