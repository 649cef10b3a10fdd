# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Weights that are released apart: a bundle of a few bytes with one, and those of the repository's bundles."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mededit_monai.core.paths import bundle_root
from mededit_monai.io.weight_files import find_weights, how_to_get
from studies.write_checksums import lists


def shipped(bundle: str, name: str) -> Path:
    """A weight file of a bundle of the repository; the test is skipped if it is released apart and not at hand."""
    place = find_weights(bundle_root(bundle), name)
    if not place.is_file() and (way := how_to_get(place)):
        pytest.skip(f"{name} is not here; {way}.")
    return place


def write_released(root: Path) -> Path:
    """The folder ``root`` with ``model.pt`` and ``palette.pt``, the latter in its ``large_files.yml``."""
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    for value, name in enumerate(("model", "palette")):
        torch.save({"weight": torch.full((2,), float(value))}, root / "models" / f"{name}.pt")
    for place, text in lists(root / "models").items():
        place.write_text(text, encoding="utf-8")
    return root
