# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Decathlon-style JSON datalists: where training and editing get their cases from."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.io.tables import named_path, read_text

#: Of a slice that was cut from a volume: the volume's files.
VOLUME_KEYS = ("volume_prior", "volume_brain", "volume_pathology", "volume_regions")

#: The same with its place in the volume, and the volume's intensity that became 1.
CUT_KEYS = (*VOLUME_KEYS, "slice_index", "volume_ceiling")

#: Keys that name a file. Relative paths are taken from the datalist's own folder.
FILE_KEYS = (
    *VOLUME_KEYS,
    *("image", "scan", "brain", "pathology", "regions", "prior", "prior_brain"),
    *("ventricles", "prior_ventricles", "tissue", "prior_tissue", "displacement", "displaced"),
    *("t1", "t1ce", "t2", "flair", "label"),
)

#: Keys that name several files, or one.
LIST_KEYS = ("carry",)


def read_datalist(
    datalist: str | Path | Sequence[Mapping[str, Any]] | Mapping[str, Any], section: str | None = None
) -> list[dict]:
    """
    Cases of a datalist, with file paths made absolute; links are kept as they are named.

    Args:
        datalist: JSON file, or the same content in memory: either a list of cases or an object with named lists
            (``training``, ``validation``, …). In memory, relative paths are taken from the current folder; paths and
            NumPy's numbers and texts will do too. The caller's cases are not changed.
        section: the named list wanted; None takes every list in the file, one after the other.

    Raises:
        InputError: missing file, no JSON, no such list, an empty list, or a case without ``case_id``.
    """
    if isinstance(datalist, (str, os.PathLike)):
        path = user_path(os.fspath(datalist))
        place, content, folder = str(path), _read_json(path), path.parent
    else:
        place, content, folder = "datalist", datalist, Path()
    if isinstance(content, Mapping):
        lists = {k: v for k, v in content.items() if _is_list(v) and any(isinstance(c, Mapping) for c in v)}
    else:
        lists = {"cases": content} if _is_list(content) else {}
    if section is not None and section not in lists:
        raise InputError(f"{place}: has no cases under '{section}' (found: {', '.join(lists) or 'none'}).")
    cases = lists[section] if section else [case for one in lists.values() for case in one]
    if not cases:
        raise InputError(f"{place}: holds no cases; list at least one object with 'case_id' and file names.")
    seen: set[str] = set()
    checked = []
    for number, case in enumerate(cases):
        if not isinstance(case, Mapping):
            raise InputError(
                f"{place}: case number {number} is {case!r}, wanted an object with 'case_id' and file names."
            )
        case = {key: _plain(value) for key, value in case.items()}
        name = case["case_id"] = _case_id(case.get("case_id"), place, number)
        if name in seen:
            raise InputError(f"{place}: case_id '{name}' occurs twice; every case needs a name of its own.")
        seen.add(name)
        for key in FILE_KEYS:
            if case.get(key) is None:
                continue
            if not isinstance(case[key], (str, os.PathLike)):
                raise InputError(f"{place}: case '{name}' has {key} = {case[key]!r}, wanted a file name.")
            if case[key] != "":
                case[key] = str(named_path(case[key], folder))
        for key in LIST_KEYS:
            if case.get(key) is not None:
                case[key] = _files(case[key], f"{place}: case '{name}' has {key}", folder)
        checked.append(case)
    return checked


def _files(value: Any, what: str, folder: Path) -> list[str]:
    """A list of files, or one, with their paths made absolute."""
    listed = [value] if isinstance(value, (str, os.PathLike)) else value
    if not _is_list(listed) or not all(isinstance(one, (str, os.PathLike)) and str(one) for one in listed):
        raise InputError(f"{what} = {value!r}, wanted a list of file names.")
    return [str(named_path(one, folder)) for one in listed]


def _read_json(path: Path) -> Any:
    if not os.path.isfile(path):
        raise InputError(f"{path}: datalist not found; give an existing JSON file with --datalist.")
    text = read_text(path, "valid JSON", "write it with a JSON library")
    try:
        # NaN is no JSON, but pandas and Python write it for what is missing.
        return json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not valid JSON ({error}); write it with a JSON library.") from error


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _plain(value: Any) -> Any:
    """NumPy's numbers and texts as Python's own; NaN, which pandas has for what is missing, as None."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and math.isnan(value) else value


def _case_id(value: Any, place: str, number: int) -> str:
    if value is None or value == "":
        raise InputError(f"{place}: case number {number} has no 'case_id'; every case needs a name of its own.")
    if not isinstance(value, (str, int)):
        raise InputError(
            f"{place}: case number {number} has case_id = {value!r}, wanted a text or a whole number; every case needs "
            f"a name of its own."
        )
    name = str(value)
    if name.startswith(".") or set(name) & set("/\\"):
        raise InputError(f"{place}: case_id '{name}' names a folder; wanted no slash and no leading dot.")
    return name
