# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator

from mededit_monai.core.errors import InputError
from mededit_monai.handlers import CaseTable, EditMetric
from mededit_monai.metrics import (
    Features,
    KIDMetric,
    LesionContrastMetric,
    PreservationMetric,
    VentricleTruthMetric,
    kid,
)

SIZE = 16


def _cases(count: int = 4) -> list[dict]:
    """The \"network\" darkens p by 0.1 · (number + 1): the scan's value at its first pixel."""
    cases = []
    for k in range(count):
        brain, lesion = torch.zeros(1, SIZE, SIZE), torch.zeros(1, SIZE, SIZE)
        brain[:, 1:-1, 1:-1], lesion[:, 10:13, 3:6] = 1, 1
        labels, after = torch.zeros(1, SIZE, SIZE), torch.zeros(1, SIZE, SIZE)
        labels[:, 9, 4:8] = 2
        after[:, 9, 4 : 8 + k] = 2
        cases.append(
            {
                "case_id": f"case_{k}",
                "anatomy": f"brain_{k // 2}",
                "image": 0.5 * brain,
                "label": lesion,
                "prior": 0.5 * brain,
                "pathology": lesion,
                "region": lesion,
                "prior_brain": brain,
                "depth": torch.tensor(0.1 * (k + 1)),
                "prior_ventricles": labels,
                "ventricles": after,
                "judged": labels,
                "judged_prior_ventricles": labels,
            }
        )
    return cases


def _evaluator(handlers, decollate=False, batch_size=3, cases=None, **kwargs) -> SupervisedEvaluator:
    def iteration(engine, batch):
        shade = batch["depth"].reshape(-1, 1, 1, 1)
        engine.state.output = {"image": batch["image"], "pred": 2 * (batch["prior"] - shade * batch["pathology"]) - 1}
        return engine.state.output

    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(cases or _cases()), batch_size=batch_size),
        network=torch.nn.Identity(),
        iteration_update=iteration,
        val_handlers=handlers,
        decollate=decollate,
        **kwargs,
    )


def _unit(edit: torch.Tensor) -> torch.Tensor:
    return (edit + 1) / 2


DROPS = [0.1, 0.2, 0.3, 0.4]


def test_metrics_and_the_table(tmp_path):
    handlers = [
        CaseTable(tmp_path / "out"),  # first in the list, and complete all the same
        EditMetric(LesionContrastMetric(), "lesion", pred_transform=_unit),
        EditMetric(PreservationMetric(), "kept", keys={"brain": "prior_brain"}, pred_transform=_unit),
        EditMetric(VentricleTruthMetric(2.0), "ventricles", keys={"pred_ventricles": "judged"}, pred_transform=_unit),
    ]
    evaluator = _evaluator(handlers)
    evaluator.run()
    found = evaluator.state.metrics
    assert found["lesion"] == found["lesion_lesion_drop"] == pytest.approx(np.mean(DROPS))
    assert found["kept_change_outside"] == pytest.approx(0, abs=1e-6)
    assert found["ventricles_ventricle_change_true"] == 4.0 * np.mean([0, 1, 2, 3])
    rows = list(csv.DictReader((tmp_path / "out" / "cases.csv").open()))
    assert [r["case_id"] for r in rows] == [f"case_{k}" for k in range(4)]
    assert [r["anatomy"] for r in rows] == ["brain_0", "brain_0", "brain_1", "brain_1"]
    assert [float(r["lesion_lesion_drop"]) for r in rows] == pytest.approx(DROPS)
    assert [float(r["ventricles_ventricle_change_true"]) for r in rows] == [0, 4, 8, 12]
    assert [float(r["ventricles_ventricle_change_predicted"]) for r in rows] == [0] * 4
    assert "patient" not in rows[0]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    drop = summary["figures"]["lesion_lesion_drop"]
    assert (summary["group"], summary["cases"], drop["n_groups"], drop["n_cases"]) == ("anatomy", 4, 2, 4)
    assert drop["value"] == pytest.approx(0.25) and 0.1 <= drop["low"] < 0.25 < drop["high"] <= 0.4001


def test_decollated_cases_and_a_second_run_give_the_same(tmp_path):
    tables = []
    for decollate in (False, True):
        handlers = [
            EditMetric(LesionContrastMetric(), "lesion", pred_transform=_unit),
            CaseTable(tmp_path / str(decollate)),
        ]
        evaluator = _evaluator(handlers, decollate=decollate)
        evaluator.run()
        evaluator.run()
        tables.append((tmp_path / str(decollate) / "cases.csv").read_text())
    assert tables[0] == tables[1] and tables[0].count("\n") == 5


def test_as_the_evaluators_key_metric():
    metric = EditMetric(LesionContrastMetric(), pred_transform=_unit)
    evaluator = _evaluator([], key_val_metric={"drop": metric})
    evaluator.run()
    assert evaluator.state.metrics["drop"] == pytest.approx(0.25)
    assert evaluator.state.best_metric == pytest.approx(0.25)


def test_a_set_metric_among_the_handlers():
    def pixels(images):
        return images.flatten(1)[:, :4]

    real = Features(np.random.default_rng(0).random((9, 4)), "pixels")
    cases = [case | {"anatomy": f"brain_{k}"} for k, case in enumerate(_cases())]
    evaluator = _evaluator([EditMetric(KIDMetric(pixels, "pixels", reference=real), "kid")], cases=cases)
    evaluator.run()
    assert (evaluator.state.metrics["kid_n_edits"], evaluator.state.metrics["kid_n_real"]) == (4, 9)
    assert evaluator.state.metrics["kid_low"] <= evaluator.state.metrics["kid"] <= evaluator.state.metrics["kid_high"]


def test_a_set_metric_knows_who_belongs_together():
    """The real images are of the edits' own brains: no pair of one brain counts."""

    def levels(images):
        return torch.stack([images.flatten(1).mean(dim=1), images.flatten(1).amin(dim=1)], dim=1)

    cases = _cases(8)
    names = [case["anatomy"] for case in cases]
    edits = torch.stack([case["prior"] - case["depth"] * case["pathology"] for case in cases])
    real = Features(np.random.default_rng(0).random((8, 2)), "levels", names)
    wanted = kid(Features(levels(edits), "levels", names), real).value
    assert abs(wanted - kid(Features(levels(edits), "levels"), real).value) > 1e-3
    for decollate in (False, True):
        metric = KIDMetric(levels, "levels", reference=real)
        handlers = [EditMetric(metric, "kid", pred_transform=_unit)]
        _evaluator(handlers, decollate=decollate, cases=_cases(8)).run()
        assert metric.result.value == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("keys, group", [({"patient": "one"}, "patient"), ({}, None)])
def test_cases_without_anatomy_belong_to_their_patient(tmp_path, keys, group):
    engine = Engine(lambda e, batch: {"pred": batch["prior"]})
    EditMetric(LesionContrastMetric(), "lesion").attach(engine)
    CaseTable(tmp_path).attach(engine)
    engine.run(DataLoader(Dataset([{k: v for k, v in (c | keys).items() if k != "anatomy"} for c in _cases(2)]), 2))
    summary = json.loads((tmp_path / "summary.json").read_text())
    drop = summary["figures"]["lesion_lesion_drop"]
    assert (summary["group"], drop["n_groups"], drop["n_cases"]) == (group, 1 if group else 2, 2)


def test_missing_figures_are_empty_cells(tmp_path):
    cases = _cases(2)
    cases[0]["pathology"] = torch.zeros_like(cases[0]["pathology"])
    engine = Engine(lambda e, batch: {"pred": batch["prior"]})
    EditMetric(LesionContrastMetric(), "lesion").attach(engine)
    CaseTable(tmp_path).attach(engine)
    engine.run(DataLoader(Dataset(cases), batch_size=2))
    rows = list(csv.DictReader((tmp_path / "cases.csv").open()))
    assert [r["lesion_lesion_drop"] for r in rows] == ["", "0"]
    assert json.loads((tmp_path / "summary.json").read_text())["figures"]["lesion_lesion_drop"]["n_cases"] == 1


EVALUATE = """
spacing: "$233 / 128"
handlers:
  - _target_: mededit_monai.handlers.EditMetric
    name: truth
    metric_fn: {_target_: mededit_monai.metrics.TruthErrorMetric}
  - _target_: mededit_monai.handlers.EditMetric
    name: change
    metric_fn: {_target_: mededit_monai.metrics.DistanceMetric, spacing: "@spacing", edges: [0, 5, 20]}
    keys: {brain: prior_brain}
    pred_transform: "$to_unit_range"
  - _target_: mededit_monai.handlers.EditMetric
    name: adherence
    metric_fn: {_target_: mededit_monai.metrics.AdherenceMetric}
  - _target_: mededit_monai.handlers.CaseTable
    output_dir: OUT
"""


def test_handlers_in_a_bundles_yaml(tmp_path):
    path = tmp_path / "evaluate.yaml"
    path.write_text(
        "imports: ['$from mededit_monai.space.intensity import to_unit_range']\n"
        + EVALUATE.replace("OUT", str(tmp_path))
    )
    parser = ConfigParser()
    parser.read_config(str(path))
    truth, change, adherence, table = parser.get_parsed_content("handlers")
    evaluator = _evaluator([change, table])
    evaluator.run()
    names = ["change_change_0_5mm", "change_change_5_20mm", "change_change_20_on"]
    assert [n for n in csv.DictReader((tmp_path / "cases.csv").open()).fieldnames if n.startswith("change")] == names
    assert evaluator.state.metrics["change_change_0_5mm"] == pytest.approx(0, abs=1e-6)
    assert (truth.metric_fn.needs[0], adherence.name) == ("image", "adherence")


@pytest.mark.parametrize(
    "handlers, message",
    [
        ([EditMetric(PreservationMetric(), "kept")], "needs 'brain', which neither the batch nor the output holds"),
        ([EditMetric(LesionContrastMetric(), "lesion", keys={"prior": "before"})], "needs 'before'"),
        ([CaseTable("unused", ids=("name",))], "holds no 'name'"),
    ],
)
def test_what_is_missing_is_named(handlers, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the table takes its folder before it looks at the batch
    with pytest.raises(InputError, match=message):
        _evaluator(handlers).run()


def test_a_handler_needs_a_name():
    with pytest.raises(InputError, match="has no name"):
        EditMetric(LesionContrastMetric()).attach(Engine(lambda e, b: b))
