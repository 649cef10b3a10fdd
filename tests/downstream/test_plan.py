# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Who learns from whom: no patient on both sides, whatever a synthetic case was made of."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from downstream.toy import write_cohort, write_edits

from mededit_monai.core.errors import InputError
from mededit_monai.downstream.options import PRESETS, ROWS, DownstreamOptions
from mededit_monai.downstream.plan import folds_of, make_plan

#: Scan and mask of one patient, of two, and of the same file twice.
PAIRS = {"own": ("p0_0", "p0_0"), "two": ("p1_0", "p2_0"), "more": ("p3_0", "p4_0"), "last": ("p5_0", "p5_0")}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("downstream")
    cohort = write_cohort(folder / "cohort", 6, 2)
    return cohort, write_edits(folder / "edits", cohort, PAIRS)


def plan_of(places, **options):
    given = {"cohort": str(places[0]), "synthetic": str(places[1]), "progress": False, "folds": 3} | options
    return make_plan(DownstreamOptions.of(given))


def test_no_patient_is_on_both_sides(places):
    plan = plan_of(places)
    assert len(plan.runs) == len(ROWS) * 3 * 3 and plan.real == 12 and len(plan.cases) == 16
    for run in plan.runs:
        learned = {patient for number in run.training for patient in plan.cases[number].patients}
        measured = {patient for number in run.testing for patient in plan.cases[number].patients}
        assert learned and measured and not learned & measured
        assert all(number < plan.real for number in run.testing)  # what is measured is real
    for row in ROWS:
        held_out = Counter(n for run in plan.runs if run.row.key == row and run.seed == 1 for n in run.testing)
        assert held_out == dict.fromkeys(range(12), 1)


def test_simulated_patients_who_share_a_brain_are_one(tmp_path):
    """Each case of a simulated cohort has a patient of its own, and few brains are behind them."""
    cohort = write_cohort(tmp_path / "cohort", 6, 2)
    content = json.loads((cohort / "datalist.json").read_text())
    for case in (*content["training"], *content["testing"]):
        case |= {"anatomy": f"brain_{int(case['patient'][1:]) % 3}", "patient": case["case_id"]}
    (cohort / "datalist.json").write_text(json.dumps(content))
    edits = write_edits(tmp_path / "edits", cohort, {"two": ("p1_0", "p2_0")})
    plan = plan_of((cohort, edits), rows=["real"])
    assert set(plan.folds) == {"brain_0", "brain_1", "brain_2"} and plan.cases[-1].patients == {"brain_1", "brain_2"}
    for run in plan.runs:
        learned, measured = ({p for n in part for p in plan.cases[n].patients} for part in (run.training, run.testing))
        assert len(measured) == 1 and not learned & measured


def test_a_synthetic_case_is_of_all_its_patients(places):
    plan = plan_of(places)
    patients = {case.case_id: sorted(case.patients) for case in plan.cases[plan.real :]}
    assert patients == {
        "synthetic/own": ["p0"],
        "synthetic/two": ["p1", "p2"],
        "synthetic/more": ["p3", "p4"],
        "synthetic/last": ["p5"],
    }
    assert {run.row.key for run in plan.runs if any(n >= plan.real for n in run.training)} == {
        "synthetic",
        "real_synthetic",
    }


def test_rows_learn_alike(places):
    """Steps and batches are the same in every row, and so are the folds in every seed."""
    plan = plan_of(places)
    assert {(plan.request(run)["iterations"], plan.request(run)["batch_size"]) for run in plan.runs} == {(200, 2)}
    for fold in range(3):
        assert len({run.testing for run in plan.runs if run.fold == fold}) == 1
    full = plan_of(places, rows=("real", "flips"), synthetic=None, preset="full")
    assert (full.options.iterations, full.options.seeds) == (PRESETS["full"]["iterations"], PRESETS["full"]["seeds"])
    assert full.options.batch_size == 8  # of 16 slices, what the smallest fold leaves


def test_a_request_knows_its_cases(places, tmp_path):
    other = write_edits(tmp_path / "edits", places[0], PAIRS | {"last": ("p5_1", "p5_1")})
    before, after = plan_of(places), plan_of((places[0], other))
    pairs = zip(before.runs, after.runs)
    changed = {(one.row.key, one.fold) for one, two in pairs if before.request(one) != after.request(two)}
    # Those that learn from the other case, and those that are measured on it.
    held_out = before.folds["p5"]
    learn = {(row, fold) for row in ("synthetic", "real_synthetic") for fold in range(3) if fold != held_out}
    assert changed == learn | {(row, held_out) for row in ("real", "flips", "mixup", "cutmix")}


def test_a_network_of_real_cases_is_shown_synthetic_ones_of_patients_it_has_not_seen(places):
    plan = plan_of(places)
    for run in plan.runs:
        learned = {patient for number in run.training for patient in plan.cases[number].patients}
        shown = {plan.cases[number].case_id for number in run.synthetic}
        if run.row.synthetic:
            assert not shown
        else:
            assert shown == {case.case_id for case in plan.cases[plan.real :] if not case.patients & learned}
    assert any(run.synthetic for run in plan.runs)
    alone = plan_of(places, rows=("real",))  # they may be given to be looked at alone
    assert {run.synthetic for run in alone.runs} == {run.synthetic for run in plan.runs if run.row.key == "real"}


def test_folds_are_dealt():
    names = [f"n{k}" for k in range(10)]
    found = folds_of([*names, *names], 3)
    assert sorted(Counter(found.values()).values()) == [3, 3, 4] and found == folds_of(names[::-1], 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 7}, "--folds: got 7, but the real cases are of 6 patients"),
        ({"split": "testing", "folds": 3}, "--folds: got 3, but the real cases are of 2 patients"),
        ({"split": "validation"}, "has no cases under 'validation'"),
        ({"seeds": 2}, "--seeds: got 2, wanted a whole number of at least 3"),
        ({"iterations": 0}, "--iterations: got 0"),
        ({"batch_size": 5}, "--batch_size: got 5, but --rows synthetic has 2 cases to learn from in fold"),
        ({"preset": "huge"}, "--preset: got 'huge', wanted one of quick, full"),
        ({"rows": ("real", "mixed")}, "--rows: got 'mixed', wanted one of real, synthetic"),
        ({"rows": ()}, "--rows: got none"),
        ({"synthetic": None}, "--synthetic: is missing, but --rows synthetic learns from synthetic cases"),
        ({"cohort": None}, "--cohort: is missing"),
        ({"fold": 3}, "--fold: a downstream experiment knows no such option; did you mean folds?"),
    ],
)
def test_what_cannot_be(places, options, said):
    with pytest.raises(InputError) as caught:
        plan_of(places, **options)
    assert said in str(caught.value)
