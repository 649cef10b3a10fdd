# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A bundle that is quickly shared: the tumour bundle's files, with links, and weights of a few bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from conftest import REPOSITORY

from mededit_monai.io.checksums import CHECKSUMS, checksums

NAME = "brain_mri_tumor_counterfactual_editing"


def write_bundle(folder: Path) -> Path:
    """The folder ``tumor`` in ``folder``; its configs are links, its weights two small tensors a file."""
    root = folder / "tumor"
    source = REPOSITORY / "bundles" / "tumor"
    shutil.copytree(source, root, ignore=shutil.ignore_patterns("models", "configs", "large_files.yml"))
    (root / "configs").mkdir()
    for place in sorted((source / "configs").iterdir()):
        (root / "configs" / place.name).symlink_to(place.resolve())
    (root / "models").mkdir()
    for name in ("model", "paint"):
        state = {"weight": torch.arange(6.0).reshape(2, 3).t().half(), "count": torch.tensor(3)}  # not contiguous
        torch.save(state, root / "models" / f"{name}.pt")
    (root / "models" / CHECKSUMS).write_text(checksums(root / "models"))
    return root
