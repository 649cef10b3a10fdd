# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which disease a bundle is about."""

from __future__ import annotations

import json
from pathlib import Path

from mededit_monai.core.errors import InputError, reporting_bad_input
from mededit_monai.diseases import DISEASES


def bundle_disease(root: str | Path) -> str:
    """
    The disease that a bundle is about, as its ``metadata.json`` says.

    Args:
        root: the bundle's folder.

    Raises:
        InputError: no bundle there, or metadata without a known ``disease``.
    """
    place = Path(root) / "configs" / "metadata.json"
    with reporting_bad_input():
        if not place.is_file():
            raise InputError(f"{place}: not found; give the bundle's folder with --bundle_root.")
        disease = json.loads(place.read_bytes()).get("disease")
        if disease not in DISEASES:
            raise InputError(f"{place}: 'disease' is {disease!r}, wanted one of {', '.join(DISEASES)}.")
    return str(disease)
