# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A bundle of a few bytes, of whose two weight files one is released apart."""

from __future__ import annotations

from pathlib import Path

import torch

from studies.write_checksums import lists


def write_released(root: Path) -> Path:
    """The folder ``root`` with ``model.pt`` and ``palette.pt``, the latter in its ``large_files.yml``."""
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    for value, name in enumerate(("model", "palette")):
        torch.save({"weight": torch.full((2,), float(value))}, root / "models" / f"{name}.pt")
    for place, text in lists(root / "models").items():
        place.write_text(text, encoding="utf-8")
    return root
