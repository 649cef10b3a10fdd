# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where the bundles are; light, so that a verb that only looks need not import MONAI."""

from __future__ import annotations

from pathlib import Path

from mededit_monai.errors import InputError


def bundle_root(bundle: str | Path) -> Path:
    """
    Folder of a bundle by name (``stroke``) or path, from a clone and from an installed wheel alike.

    Raises:
        InputError: if there is none; names the known ones.
    """
    package = Path(__file__).parent
    homes = [package / "bundles", package.parent / "bundles"]
    for candidate in [*(home / str(bundle) for home in homes), Path(bundle)]:
        if (candidate / "configs" / "inference.yaml").is_file():
            return candidate
    names = sorted({p.parent.parent.name for home in homes for p in home.glob("*/configs/inference.yaml")})
    raise InputError(f"--bundle: '{bundle}' is neither a known bundle ({', '.join(names)}) nor a bundle's folder.")
