# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What made an output: options, seed, hashes, versions; and whether an output is already there."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mededit_monai.io.atomic import write_json
from mededit_monai.io.finished import is_complete
from mededit_monai.io.hashing import sha256

__all__ = ["DISCLAIMER", "PROVENANCE_FILE", "is_done", "is_finished", "sha256", "versions", "write_provenance"]

PROVENANCE_FILE = "provenance.json"
DISCLAIMER = "Synthetic image. Research use only, not a medical device."


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
    write_json(folder / PROVENANCE_FILE, json.loads(json.dumps(content, default=str)), indent=2)


def is_finished(folder: Path, request: Mapping[str, Any]) -> bool:
    """Whether a folder holds the whole result of a request: every file that was written, with the bytes it had."""
    return is_done(folder, request) and is_complete(folder, (PROVENANCE_FILE,))


def is_done(folder: Path, request: Mapping[str, Any]) -> bool:
    """Whether what a folder holds was made by the same request (options and input bytes)."""
    try:
        found = json.loads((folder / PROVENANCE_FILE).read_bytes())
    except (OSError, ValueError):  # absent, not JSON, not even text
        return False
    wanted = json.loads(json.dumps(request, default=str))
    return isinstance(found, dict) and all(found.get(key) == value for key, value in wanted.items())
