# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The rows of all tables asked for, each once, with its settings, and whether this bundle can measure it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.diseases import DISEASES
from mededit_monai.evaluation.controls import asks_network, control_dims
from mededit_monai.evaluation.tables import Table
from mededit_monai.io.hashing import sha256
from mededit_monai.io.weight_files import find_weights
from mededit_monai.methods.record import METHODS, Method, network_named

#: The control that edits nothing: the ventricles' change by a regression on the lesion's area.
AREA = "area_regression"


@dataclass(frozen=True)
class Row:
    """
    What is edited and measured once.

    Args:
        key: name of its folder under ``edits``.
        label: for people, of the first table that has it.
        condition: mask, box or regions.
        settings: options of ``evaluate.yaml``.
        weights: file that the edits depend on; None: none.
        reason: why it cannot be measured, a sentence; None: it can.
        cases: at most so many are edited; None: all.
        effects_weights: of the effects network; None: nothing is displaced.
    """

    key: str
    label: str
    condition: str
    settings: Mapping[str, Any]
    weights: Path | None
    reason: str | None = None
    cases: int | None = None
    effects_weights: Path | None = None

    @property
    def control(self) -> str | None:
        """Word of the control, None for a method."""
        return self.settings.get("control")

    @property
    def method(self) -> str:
        """Name for ``metrics.csv``: the method's, or the control's."""
        return str(self.control or self.settings["method"])

    def facts(self) -> dict[str, Any]:
        """For ``evaluation.json``."""
        files = {"": self.weights, "effects_": self.effects_weights}
        known = {start: file for start, file in files.items() if file is not None and file.is_file()}
        moved = {} if self.effects_weights is None else {"effects_weights": self.effects_weights.name}
        return {
            "label": self.label,
            "condition": self.condition,
            "settings": dict(self.settings),
            "weights": None if self.weights is None else self.weights.name,
            "weights_sha256": None,
            **moved,
            **{f"{start}weights_sha256": sha256(file) for start, file in known.items()},
            "measured": self.reason is None,
            "reason": self.reason,
        }


def planned_rows(
    tables: Sequence[Table], preset: str, root: Path, steps: int | None = None, spatial_dims: int = 2
) -> dict[str, Row]:
    """
    Rows of the tables by their key.

    Args:
        preset: ``quick`` or ``full``; root: the bundle's folder; steps: see :meth:`Table.settings`; spatial_dims: of
            the cohort's cases.

    Raises:
        InputError: two rows of one key with different settings.
    """
    rows: dict[str, Row] = {}
    for table in tables:
        for entry in table.rows:
            key, settings = table.row_key(entry), table.settings(entry, preset, steps)
            row = evaluation_row(key, entry.label, table.condition, settings, root, spatial_dims)
            if key in rows and rows[key].settings != settings:
                raise InputError(
                    f"table {table.table}: row '{entry.name}' has other settings than in a table before it "
                    f"({settings}, {dict(rows[key].settings)}); give it a name of its own."
                )
            rows.setdefault(key, row)
    return rows


def evaluation_row(
    key: str, label: str, condition: str, settings: dict[str, Any], root: Path, spatial_dims: int = 2
) -> Row:
    """
    A row by its settings, with the reason why it cannot be measured, if so.

    Args:
        key, label, condition, settings: as of :class:`Row`; root: the bundle's folder.
        spatial_dims: of the cohort's cases.
    """
    control = settings.get("control")
    if control == AREA or not asks_network(control):
        return Row(key, label, condition, settings, None)
    method = settings.get("method")
    if method not in METHODS:
        return Row(key, label, condition, settings, None, f"not measured (method {method} is not in this version)")
    record = METHODS[str(method)]
    if spatial_dims not in record.spatial_dims:
        return Row(key, label, condition, settings, None, f"not measured (method {method} does not edit volumes)")
    spatial_dims = control_dims(control, spatial_dims)
    name = record.weights_file(condition, spatial_dims)
    weights = None if name is None else _file_of(settings, "weights", root, name)
    effects = _effects_weights(record, condition, settings, root, spatial_dims)
    missing = [file.name for file in (weights, effects) if file is not None and not file.is_file()]
    reason = f"not measured (weights {' and '.join(missing)} missing)" if missing else None
    return Row(key, label, condition, settings, weights, reason, effects_weights=effects)


def _effects_weights(
    record: Method, condition: str, settings: Mapping[str, Any], root: Path, spatial_dims: int
) -> Path | None:
    """Weights of the effects network, if a row displaces the scan."""
    effects = settings.get("effects")
    if effects is None:
        any_disease = DISEASES[DISEASES.names()[0]]  # what a method displaces by default is its own affair
        effects = record.defaults(any_disease, condition, spatial_dims).get("effects", 0.0)
    if not effects:
        return None
    name = network_named("effects").weights_file(condition, spatial_dims)
    return _file_of(settings, "effects_weights", root, name)


def _file_of(settings: Mapping[str, Any], key: str, root: Path, name: str) -> Path:
    """The weight file that a row's settings name, else the bundle's."""
    return user_path(settings.get(key) or find_weights(root, name))
