# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A result that is a folder: it appears whole, replaces its own older self alone, and can be seen to be done."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.io.atomic import is_unfinished, remove_unfinished
from mededit_monai.io.claims import RUNS, exclusive
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import MARKER, list_files, make_folder, was_changed, written_files

#: Folders that are being written, whose names tell by which process on which host, and older results on their way out.
#: Names, and not a file in them: it would have to be written after the folder is made, and taken out after it is named.
_BEGUN = re.compile(
    r"\.(?P<name>.+)\.(?:(?P<host>[0-9a-f]{8})(?P<process>[0-9a-f]{8})[0-9a-f]{4}\.unfinished|[0-9a-f]{8}\.old)"
)


@contextmanager
def finished_folder(final: str | Path, overwrite: bool = False, clear: bool = True, **facts: Any) -> Iterator[Path]:
    """
    A new folder to write a result to; at the end it takes the place of ``final`` in one go, its files listed.

    If anything goes wrong, it is removed and ``final`` stays as it was.

    Args:
        overwrite: as in :func:`require_own_folder`.
        clear: look for what killed runs left of it, which takes a look at all that lies beside ``final``; who makes
            thousands of folders does that once.
        facts: for the marker.

    Raises:
        InputError: ``final`` is not ours to replace.
    """
    final = Path(final)
    if clear:
        clear_up(final.parent, {final.name})
    require_own_folder(final, overwrite)
    make_folder(final.parent)
    unfinished = final.with_name(f".{final.name}.{_host()}{os.getpid():08x}{secrets.token_hex(2)}.unfinished")
    unfinished.mkdir()
    try:
        yield unfinished
        files = {name: sha256(unfinished / name) for name in _contents(unfinished)}
        list_files(unfinished, files, **facts)
        _put_in_place(unfinished, final, overwrite)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)  # made here, under a name of its own
        raise


def require_own_folder(folder: str | Path, overwrite: bool = False) -> None:
    """
    Refuse to replace a folder with anything in it that mededit did not write, or that was changed since.

    What a run that was killed left half-written in it, as of a page about the result, is mededit's own.

    Args:
        overwrite: whether files that mededit wrote may go though they were changed since.

    Raises:
        InputError: names what is in the way.
    """
    folder = Path(folder)
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(
            f"{folder}: is in the way of the result and no folder of mededit's; choose another --output_dir."
        )
    contents = _contents(folder)
    if not contents and not (folder / MARKER).exists() and not any(folder.iterdir()):
        return
    files = written_files(folder)
    if files is None:
        raise InputError(
            f"{folder}: is a folder that mededit did not write (it has no {MARKER}), so it is not replaced; choose "
            f"another --output_dir or another case name."
        )
    contents = [name for name in contents if not _is_left_over(name)]
    strange = [name for name in contents if name not in files]
    if strange:
        raise InputError(
            f"{folder / strange[0]}: was not written by mededit and would have to go for the new result; move it away "
            f"or choose another --output_dir."
        )
    changed = [] if overwrite else [n for n in contents if was_changed(folder / n, files[n])]
    if changed:
        raise InputError(
            f"{folder / changed[0]}: was changed after mededit wrote it, so it is not replaced; move it away, choose "
            f"another --output_dir, or give --overwrite."
        )


def is_complete(folder: str | Path, wanted: Collection[str] = ()) -> bool:
    """Whether a finished folder holds every file that its marker lists, with the bytes that were written."""
    folder = Path(folder)
    files = written_files(folder)
    if not files or not set(wanted) <= set(files):
        return False
    try:
        return all(digest is not None and sha256(folder / name) == digest for name, digest in files.items())
    except OSError:
        return False


def remove_listed(folder: str | Path) -> None:
    """Remove the files that a folder's marker lists, the folders that are empty then, and, last, the marker."""
    folder = Path(folder)
    for name in written_files(folder) or {}:
        with suppress(OSError):
            (folder / name).unlink()
    for place in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        with suppress(OSError):
            place.rmdir()
    (folder / MARKER).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def clear_up(folder: str | Path, names: Collection[str], done: Collection[str] = (), anywhere: bool = False) -> None:
    """
    Remove what runs that were killed had begun of these results, and put back what they had moved out of the way.

    Folders of processes at work stay.

    Args:
        names: of results that are to be made, which the caller claims.
        done: of those that are there, whose older selves a killed run had no time to remove.
        anywhere: whether what was begun on other hosts goes too, of which nobody here knows whether it is at work: for
            who had workers there, and waits for none of them any more.
    """
    folder = Path(folder)
    wanted, found = {*names, *done}, []
    if folder.is_dir():
        found = [(match, folder / match[0]) for p in folder.iterdir() if (match := _BEGUN.fullmatch(p.name))]
    for match, place in found:
        if match["name"] not in wanted:
            continue
        final = folder / match["name"]
        if match["process"]:
            here = match["host"] == _host()
            if not _is_running(int(match["process"], 16)) if here else anywhere:
                shutil.rmtree(place, ignore_errors=True)  # made by us, under a name of its own
        elif written_files(place) is None:
            with suppress(OSError):
                place.rmdir()  # nothing is left in it
        elif os.path.lexists(final):
            remove_listed(place)
        elif match["name"] in names:
            os.rename(place, final)


def _host() -> str:
    """This host, in eight letters that every file system takes."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    """Whether another process is at work; one of our own number was an earlier one, as in a container that restarts."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # there, but somebody else's
        return True
    return process != os.getpid()


def _put_in_place(unfinished: Path, final: Path, overwrite: bool) -> None:
    if not os.path.lexists(final):
        os.rename(unfinished, final)
        return
    require_own_folder(final, overwrite)  # once more: computing took a while
    if any(_is_left_over(name) for name in _contents(final)):
        with exclusive(final):  # who adds a page to a result holds this while it does
            remove_unfinished(final)
    old = final.with_name(f".{final.name}.{secrets.token_hex(4)}.old")
    os.rename(final, old)
    try:
        os.rename(unfinished, final)
    except BaseException:
        os.rename(old, final)
        raise
    remove_listed(old)


def _is_left_over(name: str) -> bool:
    """Whether a file of a finished folder, relative, is of a run that added to it and was killed."""
    return name.startswith(f"{RUNS}/") or is_unfinished(name)


def _contents(folder: Path) -> list[str]:
    """Everything in a folder that is no folder, relative, without the marker of the folder itself."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    return sorted(name for name in found if name != MARKER)
