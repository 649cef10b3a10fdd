# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Kept weights as rows of an evaluation: which samples they have seen, and that each is measured with its own."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from evaluation.toy import few_draws, make_toy

from mededit_monai.core.errors import InputError
from studies.error_by_samples import FILES, error_by_samples, kept_weights, main


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    with few_draws():
        yield make_toy(tmp_path_factory.mktemp("toy"))


def training(folder, weights, epochs=(2, 4)) -> None:
    """What is left of a training of four epochs of five steps of 16 cases, the weights of two of them kept."""
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps({"settings": {"batch_size": 16}}))
    (folder / "history.csv").write_text("epoch,iteration\n" + "".join(f"{k},{5 * k}\n" for k in range(1, 5)))
    for epoch in epochs:
        shutil.copy(weights, folder / f"model_epoch_{epoch:05d}.pt")
    shutil.copy(weights, folder / "model_last.pt")


def test_samples_seen(tmp_path):
    (tmp_path / "w.pt").write_text("weights")
    training(tmp_path / "train", tmp_path / "w.pt", (2, 4, 7))  # the last one is of no epoch that the history knows
    found = kept_weights(tmp_path / "train", before=1000)
    assert {seen: place.name for seen, place in found.items()} == {
        1160: "model_epoch_00002.pt",
        1320: "model_epoch_00004.pt",
    }
    with pytest.raises(InputError, match="holds no kept weights of a training; train with --keep_interval"):
        kept_weights(tmp_path)


def test_curve(toy, tmp_path):
    training(tmp_path / "train", toy.bundle / "models" / "model.pt")
    asked = {"bundle": str(toy.bundle), "judge": str(toy.judge), "configs": (str(toy.overlay),), "device": "cpu"}
    lines = error_by_samples(
        toy.cohort, {"mededit": str(tmp_path / "train")}, {"mededit": 40}, tmp_path / "out", 2, 2, **asked
    )
    assert [(line["method"], line["samples"]) for line in lines] == [
        ("mededit", 200),
        ("mededit", 360),
        ("no edit", None),
        ("the truth", None),
    ]
    first, second, idle, truth = lines
    assert first["zone_error"] == second["zone_error"] > 1e-3 > idle["zone_error"]  # the same weights
    assert truth["contrast"] == pytest.approx(1) and idle["contrast"] == 0
    with open(tmp_path / "out" / FILES[1], newline="") as stream:
        assert [line["samples"] for line in csv.DictReader(stream)] == ["200", "360", "", ""]
    page = (tmp_path / "out" / FILES[0]).read_text()
    assert "| mededit | 360 |" in page and "--before mededit=40" in page and str(tmp_path) not in page
    assert (tmp_path / "out" / FILES[2]).stat().st_size > 5000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "mededit=a", "--method", "mededit=b"], "--method: is given 2 times for 'mededit', wanted once"),
        (["--method", "sdedit=a", "--before", "sdedit=1", "--before", "sdedit=2"], "--before: is given 2 times"),
        (["--method", "sdedit=a", "--before", "palette=5"], "--before: is given for 'palette', wanted a method of"),
        (["--method", "mededti=a"], "--method: got 'mededti', wanted one of"),
    ],
)
def test_nothing_that_is_given_is_left_out_without_a_word(words, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--cohort", "c", *words, "-o", str(tmp_path / "out")])
    assert caught.value.code == 2 and said in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--method", "sdedit"], ["--method", "a=b", "--before", "a=many"]])
def test_words_that_are_no_pairs(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--cohort", "c", *words])
    assert caught.value.code == 2 and "wanted METHOD=" in capsys.readouterr().err
