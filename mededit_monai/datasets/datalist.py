# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Decathlon-style JSON datalists: where training and editing get their cases from."""

from __future__ import annotations

import json
from pathlib import Path

from mededit_monai.errors import InputError

#: Keys that name a file. Relative paths are taken from the datalist's own folder.
FILE_KEYS = (
    *("image", "scan", "brain", "pathology", "regions", "prior", "prior_brain"),
    *("ventricles", "prior_ventricles", "tissue", "prior_tissue", "displacement"),
)


def read_datalist(path: str | Path, section: str | None = None) -> list[dict]:
    """
    Cases of a datalist, with file paths made absolute.

    Args:
        path: JSON file: either a list of cases or an object with named lists (``training``, ``validation``, …).
        section: the named list wanted; None takes every list in the file, one after the other.

    Raises:
        InputError: missing file, no JSON, no such list, an empty list, or a case without ``case_id``.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: datalist not found; give an existing JSON file with --datalist.")
    try:
        content = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not valid JSON ({error}); write it with a JSON library.") from error
    if isinstance(content, list):
        lists = {"cases": content}
    elif isinstance(content, dict):
        lists = {k: v for k, v in content.items() if isinstance(v, list) and any(isinstance(c, dict) for c in v)}
    else:
        lists = {}
    if section is not None and section not in lists:
        raise InputError(f"{path}: has no cases under '{section}' (found: {', '.join(lists) or 'none'}).")
    cases = lists[section] if section else [case for one in lists.values() for case in one]
    if not cases:
        raise InputError(f"{path}: holds no cases; list at least one object with 'case_id' and file names.")
    seen: set[str] = set()
    for number, case in enumerate(cases):
        if not isinstance(case, dict):
            raise InputError(
                f"{path}: case number {number} is {case!r}, wanted an object with 'case_id' and file names."
            )
        if case.get("case_id") in (None, "") or not isinstance(case["case_id"], (str, int)):
            raise InputError(f"{path}: case number {number} has no 'case_id'; every case needs a name of its own.")
        name = case["case_id"] = str(case["case_id"])
        if name.startswith(".") or set(name) & set("/\\"):
            raise InputError(f"{path}: case_id '{name}' names a folder; wanted no slash and no leading dot.")
        if name in seen:
            raise InputError(f"{path}: case_id '{name}' occurs twice; every case needs a name of its own.")
        seen.add(name)
        for key in FILE_KEYS:
            if case.get(key) is not None and not isinstance(case[key], str):
                raise InputError(f"{path}: case '{name}' has {key} = {case[key]!r}, wanted a file name.")
    return [_absolute(case, path.parent) for case in cases]


def _absolute(case: dict, folder: Path) -> dict:
    return {k: str((folder / v).resolve()) if k in FILE_KEYS and v else v for k, v in case.items()}
