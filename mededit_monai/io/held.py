# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A folder that a run writes many files to: its own for as long as that takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mededit_monai.io.atomic import remove_unfinished
from mededit_monai.io.claims import ALL, claim, exclusive
from mededit_monai.io.outputs import MARKER, OutputFolder, list_files, make_folder, written_files


@contextmanager
def held_folder(
    folder: str | Path,
    names: Iterable[str] = (),
    inputs: Iterable[str | Path | None] = (),
    claimed: Collection[str] = (ALL,),
) -> Iterator[OutputFolder]:
    """
    Claim a folder and list the names that will be written there; at the end what was not written is forgotten.

    Who holds all of it removes what a run that was killed left half-written. A run that failed before it wrote anything
    leaves neither marker nor folder.

    Args:
        names: of files, relative; more can be reserved in the block.
        inputs: files and folders that nothing may be written over.
        claimed: see :func:`mededit_monai.io.claims.claim`; who claims a part leaves the list as it is at the end, since
            others may be about to write what is on it.

    Raises:
        InputError: another run is at work there, or a file of these names is not ours or is an input.
    """
    folder, names = Path(folder), list(names)
    output = OutputFolder(folder, inputs)
    with claim(folder, claimed):
        reserve_together(output, names)
        if ALL in claimed:
            for place in {folder, *((folder / name).parent for name in written_files(folder) or ())}:
                remove_unfinished(place)
        try:
            yield output
        finally:
            if ALL in claimed:
                with suppress(OSError):  # a full disk has been told of already
                    _forget_unwritten(folder)


def reserve_together(output: OutputFolder, names: Collection[str]) -> None:
    """As :meth:`OutputFolder.reserve`, in a folder to whose list other runs may be adding."""
    if names:
        output.require_free(names)
        make_folder(output.path)
        with exclusive(output.path):
            output.reserve(names)


def _forget_unwritten(folder: Path) -> None:
    """Take names off a folder's list whose files are not there; a list of nothing goes too."""
    if written_files(folder) is None:
        return
    list_files(folder, {})
    if not written_files(folder):
        (folder / MARKER).unlink(missing_ok=True)
