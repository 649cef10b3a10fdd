# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What made an output: options, seed, hashes, versions; and whether an output is already there."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PROVENANCE_FILE = "provenance.json"
DISCLAIMER = "Synthetic image. Research use only, not a medical device."


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what the result depends on."""
    found = {"python": platform.python_version()}
    for name in ("mededit_monai", "monai", "torch", "numpy", "scipy", "nibabel"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_provenance(folder: Path, request: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """
    Write ``provenance.json``.

    Args:
        request: ``options`` and hashes of ``inputs``; what :func:`is_done` compares.
        facts: seed, nfe, seconds, warnings and whatever else the run found out.
    """
    content = {"synthetic": True, "note": DISCLAIMER, **request, **facts, "versions": versions()}
    (folder / PROVENANCE_FILE).write_text(json.dumps(content, indent=2, default=str) + "\n")


def is_done(folder: Path, request: Mapping[str, Any]) -> bool:
    """Whether a finished output folder was made by the same request (options and input bytes)."""
    try:
        found = json.loads((folder / PROVENANCE_FILE).read_text())
    except (OSError, ValueError):  # absent, not JSON, not even text
        return False
    wanted = json.loads(json.dumps(request, default=str))
    return isinstance(found, dict) and all(found.get(key) == value for key, value in wanted.items())
