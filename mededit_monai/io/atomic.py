# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Writing a file whole or not at all."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: Names of what is being written: files as below, folders as in ``outputs.finished_folder``.
_UNFINISHED = re.compile(r"\.[0-9a-f]{8}\.unfinished\.(?P<name>.+)|\..+\.(?:[0-9a-f]{12})?[0-9a-f]{8}\.unfinished")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """
    A path beside ``path`` to write to; renamed to it at the end, removed if anything goes wrong.

    The name is new and ends as that of the file does, for writers that go by the ending.
    """
    path = Path(path)
    unfinished = path.with_name(f".{secrets.token_hex(4)}.unfinished.{path.name}")
    try:
        with naming(path):
            yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Say what is written where the operating system does not, as of a full disk, for the sentence about it."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # libraries hide what was refused in a RuntimeError
        if getattr(error, "filename", None) is None:
            error.filename = str(path)  # type: ignore[union-attr]
        raise


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def written_aside(threads: int = 2) -> Iterator[Callable[..., None]]:
    """
    Write files while the block goes on: compressing a volume takes seconds in which others can compute.

    What the block is given is called with a function that writes, and its arguments; nothing that they hold may change
    any more. At the end of the block all is written, or the first error is raised.
    """
    with ThreadPoolExecutor(threads) as pool:
        jobs: list[Future] = []
        yield lambda write, *arguments: jobs.append(pool.submit(write, *arguments))
    for job in jobs:
        job.result()


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8, line ends as they are, whole or not at all."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: str | Path, content: Any, indent: int = 1) -> None:
    """Write a JSON file whole or not at all."""
    write_bytes(path, json_bytes(content, indent))


def json_bytes(content: Any, indent: int = 1) -> bytes:
    """What :func:`write_json` writes; numbers that are not finite, which JSON does not have, as null."""
    try:
        text = json.dumps(content, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(content), indent=indent, allow_nan=False)
    return (text + "\n").encode("utf-8", "surrogateescape")


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


@contextmanager
def swept(folders: Collection[str | Path]) -> Iterator[None]:
    """What a process that was killed left half-written in the folders goes, now and if the block ends early."""
    for folder in folders:
        remove_unfinished(folder)
    try:
        yield
    except BaseException:
        for folder in folders:
            remove_unfinished(folder)
        raise


def is_unfinished(name: str) -> bool:
    """Whether a file or folder of this name is being written, or was when its process was killed."""
    return _UNFINISHED.fullmatch(name) is not None


def remove_unfinished(folder: str | Path, names: Collection[str] | None = None) -> None:
    """
    Remove what processes that were killed left half-written in a folder.

    Args:
        names: of the files that are meant, which nobody else may be writing; None: all, folders too, for who holds the
            claim on all of it.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        for place in Path(folder).iterdir():
            found = _UNFINISHED.fullmatch(place.name)
            if found is None or (names is not None and found["name"] not in names):
                continue
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)
