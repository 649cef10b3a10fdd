# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The default editor's folds: figures by hand, folds that are done elsewhere, and what is refused."""

from __future__ import annotations

import json

import pytest
import yaml
from simulation.small_brains import label_maps

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import bundle_root
from mededit_monai.io.hashing import sha256
from mededit_monai.simulation.plan import Recipe
from studies import folds as module
from studies.error_by_samples import samples_seen
from studies.folds import FILES, FOLDS, folds, table_of
from studies.folds_page import OWN, SHIPPED, mean_of, summary
from studies.known_brains import RATIOS


def ratios(value: float) -> dict[str, float]:
    return {name: value for name in RATIOS}


def fold(part: int, own: dict[str, float], shipped: dict[str, float]) -> dict:
    sides = {OWN: own, SHIPPED: shipped}
    return {"fold": part, "ratios": {k: {b: ratios(v) for b, v in side.items()} for k, side in sides.items()}}


def test_means_and_tests_by_hand():
    found = mean_of([0.5, 0.75, None, 1.25, 0.5])
    assert found["mean"] == 0.75 and found["n"] == 4 and found["below"] == 3
    assert found["low"] <= 0.75 <= found["high"] and (found["lowest"], found["highest"]) == (0.5, 1.25)
    assert mean_of([0.5] * 6)["p"] == pytest.approx(2 / 2**6)  # the smallest that six brains give
    assert mean_of([1.0, 1.0])["p"] == 1


def test_summary_by_hand():
    done = [fold(1, {"a": 0.6, "b": 0.8}, {"a": 0.5, "b": 0.4}), fold(2, {"c": 0.4, "d": 1.2}, {"c": 0.3, "d": 0.2})]
    found = summary(done, ["a", "c"])
    first = found["figures"]["end-point error"]
    assert first["mean"] == pytest.approx(0.75) and first["folds"] == pytest.approx([0.7, 0.8]) and first["below"] == 3
    assert set(found["shipped"]) == {"a", "c"} and found["fold_of"] == {"a": 1, "b": 1, "c": 2, "d": 2}
    beside = found["beside"]["end-point error"]
    assert (beside[OWN]["mean"], beside[SHIPPED]["mean"]) == pytest.approx((0.5, 0.4))
    assert beside["difference"]["mean"] == pytest.approx(-0.1) and beside["difference"]["below"] == 2
    assert summary(done, [])["beside"] == {}


def test_samples_are_those_of_the_history(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,iteration\n1,10\n2,20\n")
    for family, seen in (("effects", 80), ("paint", 160)):
        told = {"settings": {"batch_size": 4, "repeats": 2, "family": family}}
        (tmp_path / "training.json").write_text(json.dumps(told))
        assert samples_seen(tmp_path) == {1: seen // 2, 2: seen}


def test_rows_name_the_weights_of_the_fold(tmp_path):
    table = table_of("stroke", {"effects": tmp_path / "e.pt", "paint": tmp_path / "p.pt"})
    own, shipped = (table["rows"][name]["settings"] for name in (OWN, SHIPPED))
    assert (own["effects_weights"], own["weights"]) == (str(tmp_path / "e.pt"), str(tmp_path / "p.pt"))
    assert "weights" not in shipped and yaml.safe_load(yaml.safe_dump(table)) == table


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Folds in which nothing is trained: who was asked for, and the options that all share."""
    asked = []

    def one_fold(part, output, recipe, samples, workers=1, **options):
        asked.append((part, recipe.fold))
        content = fold(part, {f"brain_{part}{k}": 0.5 + part / 100 for k in "ab"}, {f"brain_{part}a": 0.4})
        content["request"] = module.request_of(recipe, samples)
        output.mkdir(parents=True, exist_ok=True)
        (output / module.FOLD_FILE).write_text(json.dumps(content))
        return content

    monkeypatch.setattr(module, "one_fold", one_fold)
    shared = {"disease": "stroke", "anatomies": str(label_maps(tmp_path / "anatomies", 5))}
    return asked, shared


def test_the_page_is_written_once_all_folds_are_there(quick, tmp_path, capsys):
    asked, shared = quick
    assert folds(tmp_path / "o", parts=(2, 4), **shared) is None and not (tmp_path / "o" / FILES[0]).exists()
    assert "folds 1, 3, 5 are not done yet" in capsys.readouterr().err
    content = folds(tmp_path / "o", **shared)
    assert asked == [(part, f"{part}/5") for part in (2, 4, 1, 3, 5)] and content["folds"] == FOLDS
    page = (tmp_path / "o" / FILES[0]).read_text()
    assert "| end-point error | 0.530 (" in page and "| 0.510 0.520 0.530 0.540 0.550 |" in page
    assert "10 of 10" in page and "none below 0.002" in page and "Research use only" in page
    assert (tmp_path / "o" / FILES[2]).read_bytes()[:4] == b"\x89PNG"
    assert folds(tmp_path / "o", **shared) == content and len(asked) == FOLDS


def test_a_fold_that_another_process_did_in_the_meantime_is_not_done_again(quick, tmp_path, monkeypatch):
    asked, shared = quick
    first = module.one_fold

    def one_fold(part, output, recipe, samples, workers=1, **options):
        content = first(part, output, recipe, samples, workers, **options)
        if part == 1:  # meanwhile, elsewhere
            first(2, output.parent / "fold_2", recipe, samples, workers)
        return content

    monkeypatch.setattr(module, "one_fold", one_fold)
    folds(tmp_path / "o", **shared)
    assert [part for part, _ in asked] == [1, 2, 3, 4, 5]


def test_folds_of_other_settings_are_not_mixed(quick, tmp_path):
    _, shared = quick
    folds(tmp_path / "o", parts=(1,), **shared)
    with pytest.raises(InputError, match=r"fold_1.fold\.json: was made with other settings than these"):
        folds(tmp_path / "o", samples=600, **shared)


@pytest.mark.parametrize("before", [{"effects.pt": "old"}, None], ids=["others", "not recorded"])
def test_folds_beside_other_shipped_weights_are_measured_again(quick, tmp_path, monkeypatch, capsys, before):
    """Not refused, which would throw the fold's trainings away, and not mixed."""
    asked, shared = quick
    folds(tmp_path / "o", parts=(1,), **shared)
    place = tmp_path / "o" / "fold_1" / module.FOLD_FILE
    content = json.loads(place.read_text())
    assert set(content["request"][module.SHIPPED_WEIGHTS]) == {"effects.pt", "paint.pt"}
    content["request"].pop(module.SHIPPED_WEIGHTS)
    content["request"] |= {} if before is None else {module.SHIPPED_WEIGHTS: before}
    place.write_text(json.dumps(content))
    assert folds(tmp_path / "o", parts=(2,), **shared) is None and "folds 1, 3, 4, 5" in capsys.readouterr().err
    assert folds(tmp_path / "o", parts=(1,), **shared) is None and "folds 3, 4, 5" in capsys.readouterr().err
    assert [part for part, _ in asked] == [1, 2, 1]


def test_digests_are_of_the_weights_that_an_edit_takes():
    root = bundle_root("tumor") / "models"
    assert module.shipped_weights("tumor") == {name: sha256(root / name) for name in ("effects.pt", "paint.pt")}


@pytest.mark.parametrize(
    "given, said",
    [
        ({"parts": (6,)}, "--fold: got '6', wanted one of 1, 2, 3, 4, 5"),
        ({"samples": 1}, "--samples: got 1, wanted a whole number of at least 20"),
        ({"cases": 0}, "--cases: got 0"),
        ({"disease": "flu"}, "--disease: got 'flu'"),
    ],
)
def test_what_is_refused(given, said, tmp_path):
    with pytest.raises(InputError, match=said):
        folds(tmp_path / "o", **{"disease": "stroke", "anatomies": str(tmp_path)} | given)
    assert not (tmp_path / "o").exists()


def test_networks_are_trained_as_the_shipped_ones_were(monkeypatch, tmp_path):
    asked = {}

    def trained(disease, configs, output_dir, **options):
        asked[disease, output_dir.name] = options
        return output_dir

    monkeypatch.setattr(module, "train", trained)
    monkeypatch.setattr(module, "simulate_cohort", lambda *given, **options: None)
    monkeypatch.setattr(module, "samples_seen", lambda folder: {1: 60})
    monkeypatch.setattr(module, "edited_cases", lambda *given, **options: [])
    monkeypatch.setattr(module, "ratios_of", lambda cases: {})
    for disease in ("stroke", "tumor"):
        recipe = Recipe(disease, 6, str(label_maps(tmp_path / f"{disease}_maps", 5)), counts=(2, 2, 2), fold="1/5")
        (tmp_path / disease).mkdir()
        module.one_fold(1, tmp_path / disease, recipe, samples=600)
        assert {asked[disease, name]["epoch_cases"] for name in ("effects", "paint")} == {60, 30}
        assert "ventricle_weight" not in asked[disease, "paint"]
    assert asked["stroke", "effects"]["ventricle_weight"] == 1.5  # docs of the bundle: the shipped one's command
    assert "ventricle_weight" not in asked["tumor", "effects"]


def test_folds_of_other_options_are_not_mixed(quick, tmp_path, monkeypatch):
    _, shared = quick
    folds(tmp_path / "o", parts=(1,), **shared)
    monkeypatch.setattr(module, "OPTIONS", {})
    with pytest.raises(InputError, match=r"fold_1.fold\.json: was made with other settings than these"):
        folds(tmp_path / "o", **shared)
