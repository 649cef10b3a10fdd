# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison of the synthesis's options at toy size: what it trains, what it keeps, and what it writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from synthesis.heads import write_heads

from mededit_monai.core.errors import InputError
from studies import synthesis_options
from studies.synthesis_options import ROWS, against_first, compare, main

TOY = {"side": 16, "depth": 16, "channels": [8, 8, 8], "norm_num_groups": 4, "num_head_channels": 8}
TOY |= {"autoencoder_channels": [8, 8], "latent_channels": 2}
TRAINED, MEASURED = synthesis_options.train, synthesis_options.evaluate_synthesis


def cohort(folder: Path) -> Path:
    """Heads whose validation list is held out too."""
    place = write_heads(folder, TOY["side"], (3, 4))
    lists = json.loads(place.read_text())
    place.write_text(json.dumps({**lists, "testing": lists["validation"]}))
    return folder


@pytest.fixture()
def heard(monkeypatch):
    """Options of every training and evaluation; both run on the CPU."""
    asked = []

    def train(*given, **options):
        asked.append(("train", options))
        return TRAINED(*given, device="cpu", **options)

    def evaluate(**options):
        asked.append(("evaluate", options))
        return MEASURED(device="cpu", **options)

    monkeypatch.setattr(synthesis_options, "train", train)
    monkeypatch.setattr(synthesis_options, "evaluate_synthesis", evaluate)
    return asked


@pytest.mark.slow
def test_two_rows_one_after_the_other(tmp_path, heard):
    given = {"cohort": cohort(tmp_path), "output_dir": tmp_path / "out", "volumes": 2, **TOY}
    text = compare(rows=["preset"], **given)
    assert text.startswith("# Options of semantic synthesis: small-scale comparison: 32³, 2 volumes, one seed\n")
    assert [kind for kind, _ in heard] == ["train", "evaluate"] and "| l2 |" not in text
    text = compare(rows=["preset", "l2"], held_out=None, **given)
    assert [kind for kind, _ in heard] == ["train", "evaluate"] * 2  # the first was kept
    first, second = (options for kind, options in heard if kind == "train")
    alike = set(first) - {"output_dir"}
    assert {name: first[name] for name in alike} == {name: second[name] for name in alike} and first["seed"] == 0
    assert set(second) - set(first) == {"loss_kind"} and first["epoch_cases"] * first["max_epochs"] == 2
    content = json.loads((tmp_path / "out" / "synthesis_options.json").read_text())
    assert content["synthetic"] is True and list(content["rows"]) == ["preset", "l2"]
    assert content["kind"] == "small-scale comparison: 32³, 2 volumes, one seed"
    row = content["rows"]["l2"]
    assert row["parameters"] > 1000 and row["summary"]["cases"] == 4 and row["summary"]["request"]["steps"] == 10
    mean = row["summary"]["heads"]["mse_t1"]["value"] - content["rows"]["preset"]["summary"]["heads"]["mse_t1"]["value"]
    assert content["error_against_preset"]["l2"]["value"] == pytest.approx(mean, abs=1e-9)  # figures are rounded
    line = next(line for line in text.splitlines() if line.startswith("| l2 |"))
    assert f"| {1000 * row['summary']['heads']['mse_t1']['value']:.3g} [" in line and "L2 in place of L1" in line
    assert (tmp_path / "out" / "synthesis_options.md").read_text() == text
    with pytest.raises(InputError, match="row.json: was made with volumes = 2, now 4; choose another --output_dir"):
        compare(**given | {"volumes": 4})


def test_seconds_of_a_volume(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,iteration,seconds\n1,10,3.5\n2,20,2.5\n")
    assert synthesis_options.trained(tmp_path) == (6.0, 20)


def test_differences_are_paired(tmp_path):
    """Errors that differ much between heads and by 0.5 between rows: no spread in the difference."""
    for name, more in (("first", 0.0), ("second", 0.5)):
        folder = tmp_path / name / "evaluation"
        folder.mkdir(parents=True)
        with open(folder / "cases.csv", "w", encoding="utf-8", newline="") as stream:
            lines = csv.writer(stream)
            lines.writerows([["case_id", "group", "mse_t1"], *([f"c{k}", f"g{k}", k + more] for k in range(5))])
    assert against_first(tmp_path / "second", tmp_path / "first", 0) == {"value": 0.5, "low": 0.5, "high": 0.5}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("preset", "l2")])
def test_every_row_can_be_made(tmp_path, heard, name):
    compare(cohort(tmp_path), tmp_path / "out", 2, [name], **TOY)
    options = {**ROWS[name].network, **ROWS[name].training}
    trained = [given for kind, given in heard if kind == "train"]
    assert options.items() <= trained[-1].items() and len(trained) == 1 + ROWS[name].latent


def test_refusals(tmp_path, capsys):
    given = {"cohort": cohort(tmp_path), "output_dir": tmp_path / "out"}
    for options, words in (
        ({"rows": ["spad"]}, "--rows: got 'spad', wanted one of preset, epsilon, no_guess, l2, .*did you mean 'spade'"),
        ({"volumes": 3001}, "--volumes: got 3001, wanted a multiple of 10"),
        ({"volumes": 0}, "--volumes: got 0"),
        ({"held_out": 1}, "--held_out: got 1, wanted a whole number of at least 2"),
        ({"cohort": tmp_path / "none"}, "--cohort: .*none has no datalist.json; give a folder of mededit simulate"),
    ):
        with pytest.raises(InputError, match=words):
            compare(**given | options)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "synthesis_options.md").write_text("mine")
    with pytest.raises(SystemExit):
        main(["--cohort", str(tmp_path), "-o", str(tmp_path / "out"), "--volumes", "2"])
    assert "synthesis_options.md: is there already and was not written by mededit" in capsys.readouterr().err
