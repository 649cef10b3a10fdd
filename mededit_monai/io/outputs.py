# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Whose a file is: every folder that is written to carries ``.mededit.json``, the list of what was written there.

Only listed files are ever replaced or removed. A file that is not listed, or that was changed after it was written, is
somebody's: it stays, and who would have to replace it says so and stops.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mededit_monai import __version__
from mededit_monai.core.errors import InputError
from mededit_monai.io.atomic import remove_unfinished, write_bytes, write_json
from mededit_monai.io.hashing import sha256
from mededit_monai.io.whole import is_whole

MARKER = ".mededit.json"
NOTE = "Written by mededit: the files listed here, and no others, may be replaced or removed by it."

#: Name of a written file, relative to its folder → SHA-256; None where the file goes on changing, as a log does.
Files = dict[str, str | None]


def written_files(folder: str | Path) -> Files | None:
    """What the folder's marker lists; None where there is no (readable) marker."""
    return _files(_marker(Path(folder)))


def marker_facts(folder: str | Path) -> dict[str, Any]:
    """What else a marker says, such as which scan a result belongs to."""
    return {k: v for k, v in (_marker(Path(folder)) or {}).items() if k != "files"}


def facts_in(place: Path) -> dict[str, Any]:
    """
    What a JSON file says of the folder that it is in; nothing, if it holds something else than an object.

    Raises:
        InputError: it is no JSON.
    """
    try:
        found = json.loads(place.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{place}: is not valid JSON ({error}); remove the folder or choose another with -o."
        ) from error
    return found if isinstance(found, dict) else {}


def list_files(folder: str | Path, files: Mapping[str, str | None], **facts: Any) -> None:
    """Add files to a folder's marker; facts stand beside the list."""
    folder = Path(folder)
    found = _marker(folder) or {}
    kept = {name: digest for name, digest in (_files(found) or {}).items() if os.path.lexists(folder / name)}
    listed = dict(sorted((kept | dict(files)).items()))
    if found.get("files") != listed or any(found.get(key) != value for key, value in facts.items()):
        start = {"program": "mededit_monai", "version": __version__, "note": NOTE}
        facts = {k: v for k, v in ({k: v for k, v in found.items() if k not in start} | facts).items() if v is not None}
        write_json(folder / MARKER, start | facts | {"files": listed})


def require_writable(path: str | Path, overwrite: bool = False) -> None:
    """
    Refuse to replace a file that mededit did not write, or that was changed since.

    Args:
        path: a file that is to be written; it need not exist.
        overwrite: whether a file that mededit wrote may be replaced though it was changed since.

    Raises:
        InputError: names the file and the way out.
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    if path.is_dir():
        raise InputError(f"{path}: is a folder, wanted the name of a file to write; choose another.")
    files = written_files(path.parent)
    if files is None or path.name not in files:
        raise InputError(
            f"{path}: is there already and was not written by mededit (no {MARKER} beside it lists it), so it is not "
            f"replaced; choose another name or move it away."
        )
    if not overwrite and was_changed(path, files[path.name]):
        raise InputError(
            f"{path}: was changed after mededit wrote it, so it is not replaced; choose another name, or give "
            f"--overwrite."
        )


def write_output(path: str | Path, content: bytes, overwrite: bool = False, inputs: Iterable[str | Path] = ()) -> None:
    """
    Write a single file and list it in its folder.

    The same content over the same file is no change; other content replaces a file of ours with ``overwrite`` alone.

    Raises:
        InputError: a file that is not ours, or an input, is in the way.
    """
    path = Path(path)
    require_apart(path, inputs)
    if _is_written(path, content):
        return
    require_replaceable(path, content, overwrite)
    from mededit_monai.io.claims import exclusive  # which makes its folder by a function of ours

    make_folder(path.parent)
    with exclusive(path.parent):  # others may be adding to the same list
        remove_unfinished(path.parent, (path.name, MARKER))  # of a run that was killed
        list_files(path.parent, {path.name: None})
        write_bytes(path, content)
        list_files(path.parent, {path.name: sha256(path)})


def require_replaceable(path: str | Path, content: bytes, overwrite: bool = False) -> None:
    """
    Refuse what :func:`write_output` would refuse, for who writes several files and wants all of them or none.

    Raises:
        InputError: a file that is not ours is in the way, or one of ours with other content and no ``overwrite``.
    """
    path = Path(path)
    if _is_written(path, content):
        return
    require_writable(path, overwrite)
    if path.exists() and not overwrite and path.read_bytes() != content:
        raise InputError(f"{path}: is there already, with other content; choose another name, or give --overwrite.")


def _is_written(path: Path, content: bytes) -> bool:
    """Whether nothing is left to do: the file is there with these bytes, and listed with them."""
    same = path.is_file() and path.read_bytes() == content
    return same and (written_files(path.parent) or {}).get(path.name) == sha256(path)


def require_apart(path: str | Path, inputs: Iterable[str | Path]) -> None:
    """
    Refuse an output that would land on an input, or in whose place an input lies; links are followed.

    Raises:
        InputError: names both.
    """
    path = Path(path)
    for given in inputs:
        other = Path(given)
        if not other.exists():
            continue
        if (path.exists() and path.samefile(other)) or path.resolve() in (other.resolve(), *other.resolve().parents):
            raise InputError(f"{path}: would be written over the input {other}; choose another place for the result.")


def require_outside(output: str | Path, folder: str | Path, what: str = "the cohort") -> None:
    """
    Refuse to write into, or over, a folder that is read: the next run would take its results for what it reads. Links
    are followed; a folder that is a file, or is not there, holds nothing.

    Args:
        what: the folder is, for the sentence.

    Raises:
        InputError: names both.
    """
    own, read = Path(output).resolve(), Path(folder).resolve()
    if read.is_dir() and read in (own, *own.parents):
        raise InputError(f"--output_dir: {output} lies in {folder}, {what}; choose a folder beside it.")


class OutputFolder:
    """
    A folder that a verb writes many files to, on its own and by other libraries.

    Args:
        path: of the folder; made when the first names are reserved.
        inputs: files and folders that nothing may be written over.
        overwrite: whether files of ours that were changed by hand may be replaced.
    """

    def __init__(self, path: str | Path, inputs: Iterable[str | Path | None] = (), overwrite: bool = False) -> None:
        self.path, self.overwrite = Path(path), overwrite
        self.inputs = [Path(given) for given in inputs if given]
        self.begun: Files = {}  # what was listed before digests were set aside; see ``held_folder``

    def require_free(self, names: Iterable[str]) -> None:
        """
        Refuse, before anything is computed, what :meth:`write` would refuse: files of these names (relative, ``/``
        between folders) that mededit did not write, or that were changed since.

        Raises:
            InputError: names the first one.
        """
        names = list(names)
        self._require_ours(names)
        if not self.overwrite:
            self.require_unchanged(names)

    def _require_ours(self, names: Iterable[str]) -> None:
        if os.path.lexists(self.path) and not self.path.is_dir():
            raise InputError(f"{self.path}: is a file, wanted a folder; choose another output folder.")
        known = written_files(self.path) or {}
        for name in names:
            place = self.path / name
            if not os.path.lexists(place):
                continue
            require_apart(place, self.inputs)
            if name not in known:  # another process of the same run may have listed it just now
                known = written_files(self.path) or {}
            if name not in known:
                raise InputError(
                    f"{place}: is there already and was not written by mededit ({self.path / MARKER} does not list "
                    f"it), so it is not replaced; choose another output folder."
                )

    def reserve(self, names: Iterable[str], **facts: Any) -> None:
        """
        List names before they are written, so that a run that was killed knows its own files.

        Raises:
            InputError: a file that mededit did not write is in the way.
        """
        names = list(names)
        self._require_ours(names)
        make_folder(self.path)
        known = written_files(self.path) or {}
        list_files(self.path, known | {name: known.get(name) for name in names}, **facts)

    def require_unchanged(self, names: Iterable[str]) -> None:
        """
        Refuse if a listed file of these names was changed after it was written.

        Raises:
            InputError: names the first one.
        """
        known = written_files(self.path) or {}
        for name in names:
            if not was_changed(self.path / name, known.get(name) or self.begun.get(name)):
                continue
            known = written_files(self.path) or {}  # another process of the same run may have written it just now
            if was_changed(self.path / name, known.get(name) or self.begun.get(name)):
                raise InputError(
                    f"{self.path / name}: was changed after mededit wrote it, so it is not replaced; move it away or "
                    f"choose another output folder."
                )

    def write(self, contents: Mapping[str, bytes]) -> None:
        """
        Write files and list them with their bytes; the same bytes are no change.

        Raises:
            InputError: one of them is not ours to replace, or was changed since; none is written then.
        """
        new = {n: c for n, c in contents.items() if not (self.path / n).is_file() or (self.path / n).read_bytes() != c}
        self.require_free(new)
        self.reserve(contents)
        if new:
            list_files(self.path, dict.fromkeys(new))  # while a file is written, its old digest says nothing
        for name, content in new.items():
            write_bytes(self.path / name, content)
        list_files(self.path, {name: sha256(self.path / name) for name in contents})


def make_folder(folder: str | Path) -> None:
    """
    Make a folder and its parents.

    Raises:
        InputError: a file is in the way.
        OSError: it cannot be made.
    """
    folder = Path(folder)
    for _ in range(10):  # another run may just be taking away a folder that it had made for nothing
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return
        except (FileExistsError, NotADirectoryError) as error:
            there = next((p for p in (folder, *folder.parents) if os.path.lexists(p) and not p.is_dir()), None)
            if there is not None:
                sentence = f"{there}: is a file, wanted a folder to write to; choose another output folder."
                raise InputError(sentence) from error
        except FileNotFoundError:
            pass
    folder.mkdir(parents=True, exist_ok=True)


def remove_listed_file(path: str | Path) -> None:
    """Remove a file if its folder's marker lists it; a marker that lists nothing more goes with it."""
    path = Path(path)
    files = written_files(path.parent) or {}
    if path.name not in files:
        return
    path.unlink(missing_ok=True)
    if set(files) == {path.name}:
        (path.parent / MARKER).unlink(missing_ok=True)
    else:
        list_files(path.parent, {})


def was_changed(path: Path, digest: str | None) -> bool:
    """Whether somebody saved another file here: whole, but not the one written. A damaged file is no one's work."""
    return digest is not None and path.exists() and sha256(path) != digest and is_whole(path)


def _marker(folder: Path) -> dict[str, Any] | None:
    try:
        content = json.loads((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("program") == "mededit_monai" else None


def _files(marker: dict[str, Any] | None) -> Files | None:
    files = None if marker is None else marker.get("files")
    return dict(files) if isinstance(files, dict) else None
