# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Prepared anatomies on disk: preparing one takes seconds, reading it back a fraction of one."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from mededit_monai.io.atomic import replacing
from mededit_monai.simulation.prepared import PreparedAnatomy

#: Raise it whenever preparation changes.
FORMAT = 8

_ARRAYS = ("channels", "box", "mni_scale", "mni_offset", "intensity")


def cache_path(folder: Path, files: list[Path]) -> Path:
    """Where the preparation of these files is kept: named by their names, sizes and times of change."""
    facts = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return folder / f"anatomy_{hashlib.sha256(repr((FORMAT, facts)).encode()).hexdigest()[:16]}.npz"


def store(anatomy: PreparedAnatomy, path: Path) -> None:
    """Write an anatomy, losslessly compressed; a reader never sees half a file. A full disk is no reason to stop."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(path) as unfinished,
            zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            for name in (*_ARRAYS, "name", "kind"):
                value = getattr(anatomy, name)
                if value is not None:
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                        np.lib.format.write_array(stream, np.asarray(value))


def recall(path: Path) -> PreparedAnatomy | None:
    """Read an anatomy back; None if it is not there or damaged: then it is prepared again."""
    try:
        with np.load(path) as archive:
            found = {name: archive[name] for name in archive.files}
        found["name"], found["kind"] = str(found["name"]), str(found["kind"])
        return PreparedAnatomy(**found)
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, AttributeError):
        return None
