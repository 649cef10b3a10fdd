# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where bundles and caches are; light, so that a verb that only looks need not import MONAI."""

from __future__ import annotations

import os
from pathlib import Path

from mededit_monai.core.errors import InputError
from mededit_monai.core.lazy import Later

#: Who gets what ``hf:ORG/NAME`` names: a bundle on Hugging Face.
_fetched_bundle = Later("mededit_monai.sharing.hub:fetched_bundle")


def bundle_root(bundle: str | Path) -> Path:
    """
    Folder of a bundle by name (``stroke``) or path, from a clone and from an installed wheel alike; or of one on
    Hugging Face (``hf:ORG/NAME``, ``hf:ORG/NAME@REVISION``), which is fetched.

    Raises:
        InputError: if there is none; names the known ones.
    """
    if str(bundle).startswith("hf:"):
        return _fetched_bundle(str(bundle))  # type: ignore[no-any-return]
    homes = bundle_homes()
    for candidate in [*(home / str(bundle) for home in homes), user_path(bundle)]:
        if (candidate / "configs" / "inference.yaml").is_file():
            return candidate
    names = sorted({p.parent.parent.name for home in homes for p in home.glob("*/configs/inference.yaml")})
    raise InputError(f"--bundle: '{bundle}' is neither a known bundle ({', '.join(names)}) nor a bundle's folder.")


def bundle_homes() -> list[Path]:
    """Where bundles may lie: in an installed wheel, and in a clone."""
    package = Path(__file__).parents[1]
    return [package / "bundles", package.parent / "bundles"]


def config_homes() -> list[Path]:
    """Where overlays over the bundles' configs may lie: in an installed wheel, and in a clone."""
    return [home.with_name("configs") for home in bundle_homes()]


def user_path(given: str | Path) -> Path:
    """
    A path as a person gave it, ``~`` expanded; links are left as they are.

    Raises:
        InputError: an empty one, which would mean the current folder.
    """
    if not os.fspath(given):
        raise InputError("An empty path was given, wanted a file or folder; is a variable unset? '.' is this folder.")
    return Path(os.path.expanduser(given))


def default_cache() -> Path:
    """
    Where simulated cohorts and prepared anatomies are kept: ``$MEDEDIT_CACHE``, else the user's cache folder.

    Raises:
        InputError: neither is known.
    """
    if base := os.environ.get("MEDEDIT_CACHE"):
        return user_path(base)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return user_path(caches) / "mededit_monai"
    try:
        return Path.home() / ".cache" / "mededit_monai"
    except RuntimeError:
        raise InputError(
            "MEDEDIT_CACHE: is not set, and this user has no home directory to keep a cache in; set it to a folder."
        ) from None
