# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where a bundle's weights are: in its own folder, or, released apart from it, in a folder that was named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.io.hashing import sha256

#: In a bundle's folder: its files too large to be kept with it; ``monai.bundle download_large_files`` fetches them.
LARGE_FILES = "large_files.yml"

#: Names a folder of weights that were released apart, where ``--weights_dir`` is not given.
VARIABLE = "MEDEDIT_WEIGHTS"


@dataclass(frozen=True)
class Released:
    """
    A weight file that is released apart from its bundle.

    Args:
        asset: its name among the files of a release, which tells bundles apart: ``stroke_palette.pt``.
        digest: its SHA-256.
    """

    asset: str
    digest: str


def released_files(root: Path) -> dict[str, Released]:
    """
    Weights that are released apart from a bundle, by their name under ``models/``; nothing where there is no list.

    Args:
        root: the bundle's folder.

    Raises:
        InputError: a list that cannot be read.
    """
    place = root / LARGE_FILES
    if not place.is_file():
        return {}
    try:
        entries = yaml.safe_load(place.read_bytes())["large_files"]
        paths = [(Path(one["path"]), one) for one in entries]
        return {
            path.name: Released(str(one["url"]).rpartition("/")[2], str(one["hash_val"]))
            for path, one in paths
            if path.parent == Path("models")
        }
    except (yaml.YAMLError, KeyError, TypeError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{place}: no list of files with path, url and hash_val ({why}); mend it.") from None


def large_files_list(entries: Iterable[tuple[str, str, str]], url: str) -> str:
    """
    A ``large_files.yml``.

    Args:
        entries: path in the bundle, name of the file at the address, SHA-256; url: web address of their folder.
    """
    files = [
        {"path": path, "url": f"{url.rstrip('/')}/{asset}", "hash_val": digest, "hash_type": "sha256"}
        for path, asset, digest in entries
    ]
    return yaml.safe_dump({"large_files": files}, sort_keys=False)


def find_weights(root: str | Path, name: str, weights_dir: str | None = None) -> Path:
    """
    A weight file of a bundle: the one in its ``models/``, else the released one in the folder that was named.

    Args:
        root: the bundle's folder.
        name: of the file under ``models/``.
        weights_dir: folder with files of a release; None: ``$MEDEDIT_WEIGHTS``, if it is set.

    Returns:
        its path; where there is none, the path under ``models/``, at which it would be (see :func:`how_to_get`).

    Raises:
        InputError: no such folder, or a file in it that is not the released one.
    """
    own, folder = Path(root) / "models" / name, named_folder(weights_dir)
    if own.is_file() or folder is None:
        return own
    released = released_files(Path(root)).get(name)
    if released is None or not (folder / released.asset).is_file():
        return own
    if sha256(folder / released.asset) != released.digest:
        raise InputError(
            f"{folder / released.asset}: differs from its checksum in {Path(root) / LARGE_FILES}; get it from the "
            "release of this version, or give weights of your own with --weights."
        )
    return folder / released.asset


def named_folder(weights_dir: str | None = None) -> Path | None:
    """
    The folder that ``--weights_dir``, else ``$MEDEDIT_WEIGHTS``, names; None: neither does.

    Raises:
        InputError: it is no folder.
    """
    given, how = (weights_dir, "--weights_dir") if weights_dir else (os.environ.get(VARIABLE), VARIABLE)
    if not given:
        return None
    folder = user_path(given)
    if not folder.is_dir():
        raise InputError(f"{how}: {folder} is no folder; name the one that holds the weights of a release.")
    return folder


def how_to_get(place: Path) -> str | None:
    """How to get a file of ``models/`` that is released apart from its bundle, a phrase; None: it is not."""
    released = released_files(place.parent.parent).get(place.name) if place.parent.name == "models" else None
    if released is None:
        return None
    return (
        f"it is released apart from the repository: put {released.asset} of the release into a folder and name that "
        f"with --weights_dir or {VARIABLE}, or train it and give it with --weights"
    )
