# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The checksums that lie beside weights, as ``sha256sum`` writes and checks them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mededit_monai.io.hashing import sha256
from mededit_monai.io.weight_files import released_files

#: In a folder of weights: their SHA-256, one a line; see ``studies/write_checksums.py``.
CHECKSUMS = "SHA256SUMS"

#: Endings of weight files.
WEIGHTS = (".pt", ".safetensors")

OK, ABSENT, CHANGED, UNDECLARED = "ok", "absent", "differs from its checksum", "has no checksum"

#: Absent, and no fault: it is released apart from its bundle.
APART = "released apart"


def weights_states(folder: Path) -> dict[str, str]:
    """
    Compare a folder's weight files with the checksums that are declared beside them, and for those that are released
    apart in the bundle's ``large_files.yml``.

    Returns:
        by name: ``ok``, ``absent``, ``released apart``, ``differs from its checksum`` or ``has no checksum``.
    """
    apart = {name: one.digest for name, one in released_files(folder.parent).items()}
    declared = apart | declared_checksums(folder)
    names = sorted({*declared, *(place.name for place in folder.glob("*.pt"))})
    found = {}
    for name in names:
        if not (folder / name).is_file():
            found[name] = APART if name in apart else ABSENT
        elif name not in declared:
            found[name] = UNDECLARED
        else:
            found[name] = OK if sha256(folder / name) == declared[name] else CHANGED
    return found


def declared_checksums(folder: Path) -> dict[str, str]:
    """SHA-256 by file name, as a folder's ``SHA256SUMS`` has them; nothing where there is none."""
    place = folder / CHECKSUMS
    if not place.is_file():
        return {}
    pairs = [line.split(maxsplit=1) for line in place.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {name.lstrip("*"): digest for digest, name in pairs}


def checksums(folder: Path, without: Collection[str] = ()) -> str:
    """What a folder's ``SHA256SUMS`` should say: a line a weight file, by name; without those declared elsewhere."""
    places = sorted(place for place in folder.iterdir() if place.suffix in WEIGHTS and place.name not in without)
    return "".join(f"{sha256(place)}  {place.name}\n" for place in places)
