# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation measured of the arms, to stand beside what readers said, as in Table 5.1 of the thesis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.reader_study.design import Design
from mededit_monai.reader_study.images import rows_named
from mededit_monai.reports.evaluation_folder import EvaluationFolder

#: The thesis's columns that need no reader.
COLUMNS = ("combined", "fid", "dice")


def measured_columns(folder: str | Path, design: Design) -> dict[str, Any]:
    """
    The columns combined, FID and Dice of the first table that has a row for each method of a study.

    Args:
        folder: of ``mededit evaluate``.

    Returns:
        ``table``, ``columns`` (``key``, ``label``) and ``arms``: name → key → ``value``, ``low``, ``high`` and
        ``published``, or None where it was not measured.

    Raises:
        InputError: no such folder, or no such table.
    """
    source = EvaluationFolder(folder)
    methods = [arm.name for arm in design.arms if not arm.real]
    for table in source.tables:
        rows = {row["row"]: row for row in table["rows"]}
        named = {arm: rows_named(arm, rows) for arm in methods}
        if any(len(own) != 1 for own in named.values()):
            continue
        columns = [c for c in table["columns"] if c["key"].removesuffix("_radimagenet") in COLUMNS]
        arms = {arm: {c["key"]: _figure(rows[own[0]], c["key"]) for c in columns} for arm, own in named.items()}
        told = [{"key": c["key"], "label": c["label"]} for c in columns]
        return {"table": str(table["table"]), "columns": told, "arms": arms}
    raise InputError(f"--evaluation: {source.folder} has no table with a row for each of {', '.join(methods)}.")


def _figure(row: dict[str, Any], key: str) -> dict[str, Any] | None:
    figure, published = row["figures"].get(key), row["published"].get(key)
    if figure is None and published is None:
        return None
    known = {name: (figure or {}).get(name) for name in ("value", "low", "high")}
    return known | {"published": published}
