# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A folder that a run writes many files to: its own for as long as that takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mededit_monai.io.atomic import remove_unfinished
from mededit_monai.io.claims import ALL, claim, exclusive
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import MARKER, OutputFolder, list_files, make_folder, written_files


@contextmanager
def held_folder(
    folder: str | Path,
    names: Iterable[str] = (),
    inputs: Iterable[str | Path | None] = (),
    claimed: Collection[str] = (ALL,),
    overwrite: bool = False,
    sealed: bool = True,
) -> Iterator[OutputFolder]:
    """
    Claim a folder and list the names that will be written there; at the end what was not written is forgotten.

    A file of these names that somebody changed is refused here, before anything is computed, and not at the end.

    Who holds all of it removes what a run that was killed left half-written. A run that failed before it wrote anything
    leaves neither marker nor folder.

    Args:
        names: of files, relative; more can be reserved in the block.
        inputs: files and folders that nothing may be written over.
        claimed: see :func:`mededit_monai.io.claims.claim`; who claims a part leaves the list as it is at the end, since
            others may be about to write what is on it.
        overwrite: whether files of ours that were changed by hand may be replaced.
        sealed: whether at the end all files of these names are listed with their bytes, however they were written, so
            that the next run sees what somebody changed; not where they go on changing, as those of a training do.

    Raises:
        InputError: another run is at work there, or a file of these names is not ours, was changed or is an input.
    """
    folder, names = Path(folder), list(names)
    output = OutputFolder(folder, inputs, overwrite)
    with claim(folder, claimed):
        output.require_free(names)
        reserve_together(output, names)
        if ALL in claimed:
            for place in {folder, *((folder / name).parent for name in written_files(folder) or ())}:
                remove_unfinished(place)
            if sealed and names:  # until they are written, their old digests hold here alone: a run may be killed
                output.begun = written_files(folder) or {}
                list_files(folder, dict.fromkeys(names))
        try:
            yield output
        finally:
            if ALL in claimed:
                with suppress(OSError):  # a full disk has been told of already
                    _forget_unwritten(folder)
                    if sealed:
                        _seal(folder, names)


def reserve_together(output: OutputFolder, names: Collection[str]) -> None:
    """As :meth:`OutputFolder.reserve`, in a folder to whose list other runs may be adding."""
    if names:
        make_folder(output.path)
        with exclusive(output.path):
            output.reserve(names)


def _seal(folder: Path, names: Iterable[str]) -> None:
    """List files with their bytes where the list does not say what they are."""
    open_ones = [name for name, digest in (written_files(folder) or {}).items() if digest is None]
    digests = {name: sha256(folder / name) for name in set(names) & set(open_ones) if (folder / name).is_file()}
    if digests:
        list_files(folder, digests)


def _forget_unwritten(folder: Path) -> None:
    """Take names off a folder's list whose files are not there; a list of nothing goes too."""
    if written_files(folder) is None:
        return
    list_files(folder, {})
    if not written_files(folder):
        (folder / MARKER).unlink(missing_ok=True)
