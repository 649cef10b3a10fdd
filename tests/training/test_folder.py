# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The folder of a training: whose its files are, two trainings at once, and names that spell something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training.small_cases import TOY, small_cases

from mededit_monai.core.errors import InputError
from mededit_monai.io.claims import claim
from mededit_monai.io.outputs import written_files
from mededit_monai.networks import MaskConditionedUNet, save_weights
from mededit_monai.training.folder import TRAINING_FILES, training_folder
from mededit_monai.workflows import train


@pytest.fixture()
def datalist(tmp_path) -> str:
    return str(small_cases(tmp_path / "data"))


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", [*TRAINING_FILES, "previews/epoch_0001.png"])
def test_a_users_own_file_survives_and_the_training_is_refused(tmp_path, datalist, name):
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    with pytest.raises(InputError, match="was not written by mededit") as caught:
        train(output_dir=tmp_path / "out", datalist=datalist, **TOY)
    assert str(mine) in str(caught.value)
    assert files(tmp_path / "out") == {name: b"years of work"}


@pytest.mark.slow
def test_files_of_other_names_stay_and_own_files_are_gone_on_with(tmp_path, datalist):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / ".0123abcd.unfinished.model.pt").write_text("half of it, from a run that was killed")
    train(output_dir=out, datalist=datalist, **(TOY | {"preview_interval": 1, "cache": "disk"}))
    first = files(out)
    assert first.pop("notes.txt") == b"mine" and ".0123abcd.unfinished.model.pt" not in first
    listed = set(written_files(out))
    assert {*TRAINING_FILES, "previews/epoch_0001.png"} <= listed and "notes.txt" not in listed
    mine = {name for name in first if not name.startswith("prepared/")} - {".mededit.json"}
    assert mine == listed  # TensorBoard's too
    prepared = {name.removeprefix("prepared/") for name in first if name.startswith("prepared/")}
    assert prepared - {".mededit.json"} == set(written_files(out / "prepared"))
    train(output_dir=out, datalist=datalist, **(TOY | {"max_epochs": 2, "cache": "disk"}))
    assert (out / "checkpoint.pt").read_bytes() != first["checkpoint.pt"]
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_a_prepared_case_that_is_damaged_is_prepared_again(tmp_path, datalist):
    options = {"output_dir": tmp_path / "out", "datalist": datalist, **TOY, "cache": "disk"}
    train(**options)
    place = sorted((tmp_path / "out" / "prepared").glob("*.pt"))[0]
    whole = place.read_bytes()
    place.write_bytes(whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :])
    train(**(options | {"max_epochs": 2}))
    assert set(torch.load(place, weights_only=True)) >= {"image", "brain", "pathology"}


@pytest.mark.parametrize("name", ["model.pt", "checkpoint.pt"])
def test_a_damaged_file_is_one_sentence(tmp_path, datalist, name):
    options = {"output_dir": tmp_path / "out", "datalist": datalist, **TOY}
    train(**options)
    place = tmp_path / "out" / name
    raw = bytearray(place.read_bytes())
    raw[len(raw) // 2] ^= 1
    place.write_bytes(raw)
    if name == "model.pt":
        options |= {"output_dir": tmp_path / "other", "init_weights": str(place)}
    with pytest.raises(InputError, match=f"{name}: (is damaged .checksum of|cannot be read as)") as caught:
        train(**(options | {"max_epochs": 2}))
    assert "\n" not in str(caught.value) and place.read_bytes() == bytes(raw)


def test_an_output_that_lands_on_an_input_is_refused(tmp_path, datalist):
    out = tmp_path / "out"
    train(output_dir=out, datalist=datalist, **TOY)
    before = (out / "model.pt").read_bytes()
    with pytest.raises(InputError, match="would be written over the input"):
        train(output_dir=out, datalist=datalist, init_weights=str(out / "model.pt"), **TOY)
    assert (out / "model.pt").read_bytes() == before
    with pytest.raises(InputError, match="is the folder of the data"):
        train(output_dir=tmp_path / "data", dataset_dir=str(tmp_path / "data"), **TOY)
    with pytest.raises(InputError, match="datalist.json: is a file, wanted a folder"):
        train(output_dir=datalist, datalist=datalist, **TOY)


def test_a_training_at_a_time_and_the_next_one_after_a_failure(tmp_path, datalist):
    out = tmp_path / "out"
    with claim(out), pytest.raises(InputError, match="another run is writing it"):
        train(output_dir=out, datalist=datalist, **TOY)
    assert not out.exists()
    for _ in range(2):
        with pytest.raises(InputError, match="nowhere.json") as kept:  # as long as it is held, so is its traceback
            train(output_dir=out, datalist=str(tmp_path / "nowhere.json"), **TOY)
    assert not out.exists()
    train(output_dir=out, datalist=datalist, **TOY)
    train(output_dir=out, datalist=datalist, **(TOY | {"max_epochs": 2}))
    assert not (out / ".mededit.runs").exists() and kept is not None


def test_what_is_listed_and_given_back(tmp_path):
    with pytest.raises(RuntimeError), training_folder(tmp_path / "out", ["a", "b"]):
        (tmp_path / "out" / "a").touch()
        raise RuntimeError
    assert set(written_files(tmp_path / "out")) == {"a"}
    with pytest.raises(RuntimeError), training_folder(tmp_path / "empty", ["a", "b"]):
        raise RuntimeError
    assert not (tmp_path / "empty").exists()


NASTY = "$open('pwned','w').close() @x %y #z"


def test_names_that_spell_something_are_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / NASTY
    datalist = small_cases(folder, f"{NASTY}.json")
    start = folder / f"{NASTY}.pt"
    save_weights(MaskConditionedUNet(**{k: v for k, v in TOY.items() if k in NETWORK_OPTIONS}), start)
    options = {"datalist": str(datalist), "init_weights": str(start), "output_dir": folder / "out"}
    train(cache_dir=str(folder / "$prepared"), **(TOY | options | {"cache": "disk", "preview_interval": 1}))
    assert (folder / "out" / "model.pt").is_file() and (folder / "out" / "previews" / "epoch_0001.png").is_file()
    assert (folder / "$prepared" / ".mededit.json").is_file()
    assert [p.name for p in tmp_path.iterdir()] == [NASTY]


#: A process of its own, which imports MONAI for seconds.
SLOW = pytest.mark.slow

NETWORK_OPTIONS = ("channels", "attention_levels", "norm_num_groups", "num_head_channels")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(["--output_dir", "{data}/datalist.json"], "is a file, wanted a folder", marks=SLOW),
        pytest.param(["--learning_rate", "-1"], "--learning_rate: got -1, wanted a positive number", marks=SLOW),
        pytest.param(["--device", "cuda:7"], "--device: got 'cuda:7'", marks=SLOW),
    ],
)
def test_monais_own_command_ends_in_a_sentence(tmp_path, datalist, repository, options, sentence):
    root = repository / "bundles" / "stroke"
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--bundle_root", str(root)]
    command += ["--config_file", str(root / "configs" / "train.yaml"), "--datalist", datalist, "--output_dir", "out"]
    command += [word.format(data=tmp_path / "data") for word in options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    said = [line for line in done.stderr.splitlines() if line.startswith("mededit:")]
    assert done.returncode == 2 and len(said) == 1 and sentence in said[0] and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
