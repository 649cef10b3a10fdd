# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Folders, options and weights of `mededit judge`: whose files are, what is refused, names that spell something."""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from judges.toy_cohort import case, write_cohort

from mededit_monai.cli import main
from mededit_monai.core.errors import InputError
from mededit_monai.io.claims import claim
from mededit_monai.io.outputs import written_files
from mededit_monai.judges import nnunet
from mededit_monai.judges.embedded import judge_files, judge_network, load_judge
from mededit_monai.judges.judge_files import find_images, judge_images
from mededit_monai.judges.nnunet import DATASET, NNUNetFolder, export_datalist, read_identity, train_nnunet
from mededit_monai.judges.structures import structures
from mededit_monai.judges.train_judge import JudgeOptions, train_judge
from mededit_monai.networks.weights import save_weights, weights_sha256

NASTY = "$open('pwned','w').close() @x %y #z"
QUICK = JudgeOptions(max_epochs=1, batch_size=6, warmup_iterations=1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort") / "cohort")


def slices(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    plane = case(128, np.random.default_rng(0))["image"].astype(np.float32)
    for name in names:
        nib.save(nib.Nifti1Image(plane[..., None], np.eye(4)), folder / f"{name}.nii.gz")
    return folder


def halves(images: np.ndarray) -> dict[str, np.ndarray]:
    left = np.zeros(images.shape, bool)
    left[:, :64] = True
    return {"pathology": left, "ventricles": left.astype(np.uint8)}


def judge(images: Path, output: Path) -> dict:
    return judge_images(images, output, halves, {"judge": "halves"}, progress=False)


@pytest.mark.parametrize("name", ["one_pathology.nii.gz", "one_ventricles.nii.gz", "areas.csv", "preview.png"])
def test_judging_replaces_its_own_files_alone(tmp_path, name):
    images, out = slices(tmp_path / "images", "one"), tmp_path / "out"
    judge(images, out)
    first = {p.name: p.read_bytes() for p in out.iterdir()}
    judge(images, out)
    assert {p.name for p in out.iterdir()} == set(first) and set(written_files(out)) == set(first) - {".mededit.json"}
    shutil.rmtree(out)
    out.mkdir()
    (out / name).write_text("years of work")
    with pytest.raises(InputError, match=f"{name}: is there already and was not written by mededit"):
        judge(images, out)
    assert {p.name: p.read_text() for p in out.iterdir()} == {name: "years of work"}


@pytest.mark.parametrize("name", ["one_pathology.nii.gz", "one_ventricles.nii.gz", "areas.csv"])
def test_judging_keeps_what_was_corrected_by_hand(tmp_path, name):
    images, out = slices(tmp_path / "images", "one"), tmp_path / "out"
    judge(images, out)
    if name.endswith(".csv"):
        (out / name).write_text("corrected by hand")
    else:
        nib.save(nib.Nifti1Image(np.ones((128, 128, 1), np.uint8), np.eye(4)), out / name)
    mine = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(InputError, match=f"{name}: was changed after mededit wrote it"):
        judge(images, out)
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.name != ".mededit.json"} == {
        k: v for k, v in mine.items() if k != ".mededit.json"
    }
    judge_images(images, out, halves, {"judge": "halves"}, progress=False, overwrite=True)
    assert (out / name).read_bytes() != mine[name] and all(written_files(out).values())


@pytest.mark.parametrize("below", [".", "judged", "link"])
def test_masks_do_not_come_to_lie_among_the_images(tmp_path, below):
    """The next run would take them for images."""
    images = slices(tmp_path / "images", "one")
    (tmp_path / "link").symlink_to(images)
    output = tmp_path / "link" if below == "link" else images / below
    with pytest.raises(InputError, match="lies in .*, the folder of the images, so the next run"):
        judge(images, output)
    assert [p.name for p in images.iterdir()] == ["one.nii.gz"]


def test_judging_needs_the_folder_for_itself_and_names_that_differ(tmp_path):
    images = slices(tmp_path / "images", "one")
    with claim(tmp_path / "out"), pytest.raises(InputError, match="another run is writing it"):
        judge(images, tmp_path / "out")
    shutil.copy(images / "one.nii.gz", images / "other.nii.gz")
    nib.save(nib.load(images / "one.nii.gz"), images / "one.nii")
    with pytest.raises(InputError, match="its masks would be called 'one' as those of"):
        find_images(images)


def test_endings_in_capitals(tmp_path):
    """As Windows programs write them; a file of that name alone is taken, too."""
    images = slices(tmp_path / "images", "one", "two")
    (images / "two.nii.gz").rename(images / "TWO.NII.GZ")
    (images / "notes.txt").write_text("no image")
    assert find_images(images) == {"TWO": images / "TWO.NII.GZ", "one": images / "one.nii.gz"}
    judge(images, tmp_path / "out")
    assert (tmp_path / "out" / "TWO_pathology.nii.gz").is_file()


def test_a_damaged_image_is_named_and_nothing_written(tmp_path):
    images = slices(tmp_path / "images", "one", "two")
    raw = bytearray((images / "two.nii.gz").read_bytes())
    raw[-6] ^= 1
    (images / "two.nii.gz").write_bytes(raw)
    with pytest.raises(InputError, match="two.nii.gz: is truncated or damaged"):
        judge(images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["judge_stroke.pt", "model.pt", "held_out.md", "history.csv"])
def test_training_replaces_its_own_files_alone(cohort, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("years of work")
    with pytest.raises(InputError, match=f"{name}: is there already and was not written by mededit"):
        train_judge(cohort, tmp_path / "out", QUICK, progress=False)
    assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == {name: "years of work"}


@pytest.mark.slow
def test_names_that_spell_something_are_names(cohort, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / NASTY
    shutil.copytree(cohort, folder / "cohort")
    out = folder / "judge"
    trained = train_judge(folder / "cohort", out, QUICK, progress=False)
    again = train_judge(folder / "cohort", out, replace(QUICK, max_epochs=2), progress=False)  # it goes on
    assert again.facts["training"]["max_epochs"] == 2 and again.disease == trained.disease
    with pytest.raises(InputError, match="would be written over the input"):
        train_judge(folder / "cohort", out, QUICK, progress=False, init_weights=out / "judge_stroke.pt")
    judge(slices(folder / "images", NASTY.replace("/", ""), "$x$y", "_a^b"), folder / "judged")
    assert (folder / "judged" / "$x$y_pathology.nii.gz").is_file() and (folder / "judged" / "preview.png").is_file()
    assert [p.name for p in tmp_path.iterdir()] == [NASTY]


def test_nothing_is_written_into_the_cohort(cohort, tmp_path):
    for output in (cohort, cohort / "judge"):
        with pytest.raises(InputError, match="--output_dir: .* lies in .*, the cohort"):
            train_judge(cohort, output, QUICK, progress=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_epochs", value) for value in (0, -1, 1.5, math.nan, 10**8)),
        *(("batch_size", value) for value in (0, -4, 65537)),
        *(("learning_rate", value) for value in (0, -1, math.nan, math.inf, 11)),
        *(("ema_decay", value) for value in (-0.1, 1, math.nan)),
        *(("seed", value) for value in (-1, 2**63)),
    ],
)
def test_mad_options_are_refused(cohort, tmp_path, name, value):
    with pytest.raises(InputError, match=f"--{name}: got"):
        train_judge(cohort, tmp_path / "out", replace(QUICK, **{name: value}))
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there(cohort, tmp_path):
    with pytest.raises(InputError, match="--device: got 'cuda:9'"):
        train_judge(cohort, tmp_path / "out", QUICK, device="cuda:9")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    weights, facts = judge_files("stroke", tmp_path)
    save_weights(judge_network("stroke"), weights)
    state = torch.load(weights, weights_only=True)
    state["unet.final_conv.bias"][0] = float("nan")
    torch.save(state, weights)
    facts.write_text(json.dumps({"structures": structures("stroke"), "weights_sha256": weights_sha256(weights)}))
    with pytest.raises(InputError, match="judge_stroke.pt: 'unet.final_conv.bias' holds NaN or infinite values"):
        load_judge("stroke", tmp_path)


@pytest.mark.parametrize("content", ["[]", "{", '"a"', '{"structures": 3}', '{"structures": [], "ceiling": 2}'])
def test_facts_of_a_judge_that_are_damaged(tmp_path, content):
    weights, facts = judge_files("stroke", tmp_path)
    weights.touch()
    facts.write_text(content)
    with pytest.raises(InputError, match="judge_stroke.json: (is not valid JSON|has the structures)"):
        load_judge("stroke", tmp_path)


@pytest.mark.parametrize("name", ["raw", "preprocessed", "results"])
def test_an_nnunet_of_the_users_own_is_left_alone(cohort, tmp_path, name, monkeypatch):
    mine = tmp_path / "nn" / name / DATASET / "plans.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    monkeypatch.setattr(nnunet, "require_nnunet", lambda: None)
    with pytest.raises(InputError, match="was not written by mededit"):
        train_nnunet(cohort / "datalist.json", NNUNetFolder(tmp_path / "nn"), "stroke")
    assert [p for p in (tmp_path / "nn").rglob("*") if p.is_file()] == [mine]


def test_an_exported_data_set_is_known_again(cohort, tmp_path):
    folder = NNUNetFolder(tmp_path / "nn")
    export_datalist(cohort / "datalist.json", folder, "stroke")
    assert f"raw/{DATASET}" in written_files(tmp_path / "nn") and read_identity(folder.root)["disease"] == "stroke"
    folder.reserve()
    (tmp_path / "nn" / "mededit_nnunet.json").write_text("[]")
    with pytest.raises(InputError, match="mededit_nnunet.json: is damaged"):
        export_datalist(cohort / "datalist.json", folder, "stroke")


@pytest.mark.parametrize(
    "changes",
    [
        {"max_epochs": 0},
        {"iterations": -1},
        {"workers": 0},
        {"workers": 257},
        {"device": "cuda:9"},
        {"trainer": "../x"},
    ],
    ids=str,
)
def test_mad_options_of_nnunet(cohort, tmp_path, monkeypatch, changes):
    monkeypatch.setattr(nnunet, "require_nnunet", lambda: None)
    with pytest.raises(InputError, match=f"--{next(iter(changes))}: got"):
        train_nnunet(cohort / "datalist.json", NNUNetFolder(tmp_path / "nn", **changes), "stroke")
    assert not (tmp_path / "nn").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "--judge", "nnunet", "--learning_rate", "0.002"), "--learning_rate: got 0.002, but it applies to"),
        (("train", "--judge", "nnunet", "--trainer", "thesis", "--batch-size", "16"), "--batch_size: got 16, but it"),
        (("train", "--judge", "nnunet", "--init_weights", "a.pt"), "--init_weights: got 'a.pt', but it applies to"),
        (("train", "--judge", "nnunet", "--no_resume"), "--resume: got False, but it applies to"),
        (("train", "--judge", "nnunet", "--trainer", "thesis", "--max_epochs", "3"), "--max_epochs: got 3, but it"),
        (("train", "--iterations", "50"), "--iterations: got 50, but it applies to --judge nnunet"),
        (("train", "--trainer", "short"), "--trainer: got 'short', but it applies to --judge nnunet"),
        (("train", "--workers", "1"), "--workers: got 1, but it applies to --judge nnunet"),
        (("predict", "--disease", "stroke", "--trainer", "short"), "--trainer: got 'short', but it applies to"),
        (("predict", "--disease", "stroke", "--device", "cuda"), "--device: got 'cuda', but it applies to"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(monkeypatch, capsys, tmp_path, words, sentence):
    given = ("--cohort", "none") if words[0] == "train" else ("--images", "none")
    monkeypatch.setattr(sys, "argv", ["mededit", "judge", *words, *given, "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and line.startswith(f"mededit: {sentence}") and line.endswith("leave it out.")
