# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What stands under the tables is true of them: the method of a control, and what the thesis did."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace

import pytest

from mededit_monai.core.paths import bundle_root
from mededit_monai.evaluation.notes import table_notes
from mededit_monai.evaluation.rows import planned_rows
from mededit_monai.evaluation.tables import Table, known_tables, read_table, tables_folder
from mededit_monai.reports.evaluation_tables import table_view

RELEASE = {path.stem: path for path in tables_folder().glob("release_*.yaml")}


def notes(
    table: Table,
    flat: bool = True,
    judge: bool | None = None,
    cohort: Mapping[str, object] = MappingProxyType({}),
    known: Mapping[str, object] = MappingProxyType({}),
    **options,
) -> list[str]:
    """The notes of a table whose rows could all be measured; cohort, known: facts of the cohort and the judge."""
    cohort = {"name": "simulated", "synthetic": True, "disease": table.bundle, **cohort}
    counts = {"paired": {"triplets": 8, "available": 9, "strata": {"small": 8}, "groups": 2, "partly_outside": 1}}
    asked = {"preset": "quick", "steps": None, "limit": None, "batch_size": 16} | options
    return table_notes(
        SimpleNamespace(
            options=SimpleNamespace(**asked),
            cohort=cohort,
            tables=[table],
            rows=planned_rows([table], asked["preset"], bundle_root(table.bundle)),
            counts=counts,
            judge={"name": "a judge", **known} if (flat if judge is None else judge) else {},
            extractors={"": "a judge's"},
            real=9,
            fitted=7,
            flat=flat,
            among=None,
        ),
        table,
    )


@pytest.mark.parametrize("path", RELEASE.values(), ids=list(RELEASE))
def test_a_control_is_of_its_own_method(path):
    table = read_table(path)
    told = [note for note in notes(table) if "set to zero" in note]
    methods = {
        "deformation and paint": "deformation and paint, the default,",
        "MedEdit": "MedEdit on the same region",
    }
    measured = {
        row.label for row in planned_rows([table], "quick", bundle_root(table.bundle)).values() if not row.reason
    }
    wanted = {f"{name}, told of no lesion": method for name, method in methods.items()}
    assert told == [
        f"{name}: {method} with all pathology channels set to zero."
        for name, method in wanted.items()
        if name in measured
    ]


def test_a_judge_that_knows_the_anatomies_is_said_to():
    table = read_table(RELEASE["release_stroke"])
    here = {"anatomies": ["a", "b", "c"]}

    def told(learned: list[str]) -> str:
        found = notes(table, cohort=here, known={"learned_from": learned})
        return next(note for note in found if note.startswith("Judge: "))

    assert told(["a", "c", "x"]).endswith(" It learned from 2 of the 3 anatomies here, which flatters it.")
    assert "flatters" not in told(["x"]) and "flatters" not in told([])


def test_a_control_without_its_method_in_the_table_names_the_method():
    table = read_table(RELEASE["release_stroke"])
    alone = Table(**vars(table) | {"rows": tuple(row for row in table.rows if row.name == "morph_p0")})
    (told,) = (note for note in notes(alone) if "told of no lesion" in note)
    assert told.endswith(": method 'morph', with all pathology channels set to zero.")


@pytest.mark.parametrize("preset", ["quick", "full"])
@pytest.mark.parametrize("path", RELEASE.values(), ids=list(RELEASE))
def test_a_table_of_our_own_says_nothing_of_the_thesis(path, preset):
    table = read_table(path)
    said = notes(table, preset=preset)
    assert not any("the thesis used" in note or "Published figures" in note for note in said)
    assert any(f"{table.presets[preset]['cases']} test masks. Seconds" in note for note in said)
    assert table_view({"table": table.table, "rows": []})["thesis"] is None


@pytest.mark.parametrize("number", list(known_tables()))
def test_the_thesiss_tables_say_what_the_thesis_did(number):
    table = read_table(known_tables()[number])
    masks = {"stroke": 54, "tumor": 126}[table.bundle]
    assert (table.presets["full"]["steps"], table.presets["full"]["cases"]) == (1000, masks)
    (said,) = (note for note in notes(table, steps=7, limit=5) if note.startswith("Preset quick: 7 noise levels"))
    assert f"at most 5 by --limit; the thesis used 1000 levels and {masks} masks." in said
    assert table_view({"table": number, "rows": []})["thesis"] == number


def test_of_volumes_nothing_is_said_of_a_judge():
    table = read_table(known_tables()["5.1"])
    told, flat = notes(table, flat=False), notes(table)
    assert any("Cases are volumes: no judge looks at them" in note for note in told)
    judged = notes(table, flat=False, judge=True)
    assert any("Judge:" in note for note in judged) and any("by the judge" in note for note in judged)
    assert not any("FID" in note or "Judge:" in note for note in told) and any("Judge:" in note for note in flat)
