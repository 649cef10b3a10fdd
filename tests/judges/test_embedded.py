# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded judge end to end: train, resume, held-out table, load, segment, features, files, command line."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from judges.toy_cohort import case, write_cohort

from mededit_monai.cli import main
from mededit_monai.core.errors import InputError
from mededit_monai.judges import embedded
from mededit_monai.judges.embedded import Judge, judge_network, load_judge, side_of
from mededit_monai.judges.features import embedded_extractor
from mededit_monai.judges.held_out import _pooled, measure_held_out
from mededit_monai.judges.judge_files import find_images, judge_images, read_image
from mededit_monai.judges.samples import cohort_samples
from mededit_monai.judges.structures import structures, without_tissue
from mededit_monai.judges.train_judge import JudgeOptions, start_from, train_judge
from mededit_monai.metrics.realism import fid
from mededit_monai.networks.weights import save_weights, weights_sha256
from studies.judge_held_out import judge_held_out

OPTIONS = JudgeOptions(max_epochs=3, batch_size=6, warmup_iterations=2, ema_decay=0.5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("judge")
    cohort = write_cohort(root / "cohort")
    torch.set_warn_always(True)  # else some warnings come once a process, and another test may have had them
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            judge = train_judge(cohort, root / "out", OPTIONS, progress=False)
    finally:
        torch.set_warn_always(False)
    ours = [one for one in said if one.category is UserWarning and "mededit_monai" in one.filename]
    assert not ours, [str(one.message) for one in ours]
    return root, judge


def test_side_by_hand():
    images = torch.zeros(1, 1, 5, 2)
    images[0, 0, 1:4, 0] = 0.5  # positions -0.5, 0, 0.5: the middle is 0
    assert side_of(images)[0, 0, :, 0].tolist() == [0, -0.5, 0, 0.5, 0] and not side_of(images)[..., 1].any()
    moved = torch.roll(images, 1, dims=2)
    assert torch.allclose(side_of(moved)[0, 0, 2:, 0], torch.tensor([-0.5, 0, 0.5]))
    assert not side_of(torch.zeros(2, 1, 4, 4)).any()


def test_outputs_and_ceiling(trained):
    root, judge = trained
    out = root / "out"
    found = json.loads((out / "held_out.json").read_text())
    assert judge.ceiling == found["ceiling"] and tuple(judge.ceiling) == structures("stroke")
    ventricle = judge.ceiling["ventricle_left"]
    assert ventricle["n_groups"] == 2 and ventricle["n_cases"] == 4
    assert 0 <= ventricle["low"] <= ventricle["value"] <= ventricle["high"] <= 1
    assert found["anatomies_shared_between_splits"] is False and found["false_alarms"]["images"] == 4
    table = (out / "held_out.md").read_text()
    assert "| ventricle_right | lesion-free | all |" in table and "| white | lesion-free | all |" in table
    with open(out / "history.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] and float(rows[-1]["val_loss"]) > 0
    assert (out / "held_out.png").stat().st_size > 1000
    state = torch.load(out / "judge_stroke.pt", weights_only=True)
    assert all(v.dtype == torch.float16 for v in state.values() if v.is_floating_point())
    assert str(root) not in (out / "judge_stroke.json").read_text()  # no path of the machine


def test_finished_training_is_left_alone_and_another_refused(trained):
    root, judge = trained
    again = train_judge(root / "cohort", root / "out", OPTIONS, progress=False)
    assert again.name == judge.name  # nothing left to do
    with pytest.raises(InputError, match="was made with batch_size = 6, now 5"):
        train_judge(root / "cohort", root / "out", replace(OPTIONS, batch_size=5))


def test_held_out_by_hand(trained, monkeypatch):
    root, judge = trained
    samples = cohort_samples(root / "cohort", "testing", "stroke")
    keys = ("pathology", "ventricles", "tissue")
    truths = {name: nib.load(samples[0][name]).get_fdata()[..., 0] for name in keys}

    def half(images):
        lesion = truths["pathology"] > 0
        lesion[np.argwhere(lesion)[: lesion.sum() // 2, 0], np.argwhere(lesion)[: lesion.sum() // 2, 1]] = False
        swapped = np.array([0, 2, 1, 3], np.uint8)[truths["tissue"].astype(int)]
        return {
            "pathology": lesion[None],
            "ventricles": truths["ventricles"].astype(np.uint8)[None],
            "tissue": swapped[None],
        }

    monkeypatch.setattr(judge, "segment", half)
    found = measure_held_out(judge, samples[:1], {"anatomies": {"training": ["a"], "testing": ["a"]}})
    row = next(r for r in found["rows"] if r["structure"] == "lesion" and r["stratum"] == "all")
    true, kept = int((truths["pathology"] > 0).sum()), int(half(None)["pathology"].sum())
    assert row["dice"]["value"] == pytest.approx(2 * kept / (true + kept))
    assert row["area_bias"] == pytest.approx(kept / true - 1)
    assert row["pooled"]["value"] == pytest.approx(2 * kept / (true + kept))  # one case: the same
    assert [found["ceiling"][name]["value"] for name in ("fluid", "gray", "white")] == [0, 0, 1]
    assert found["ceiling"]["ventricle_left"]["value"] == 1 and found["anatomies_shared_between_splits"] is True


def test_whom_a_judge_knows_its_facts_tell(trained):
    root, judge = trained
    assert judge.learned_from == {"training_brain_0", "training_brain_1"}
    for facts in ({}, {"training": None}, {"training": {"cohort": {"anatomies": {"training": "all"}}}}):
        assert Judge("stroke", judge.network, "one", facts=facts).learned_from == set()
    own = judge_held_out(root / "cohort", root / "elsewhere", root / "out")
    assert own["anatomies_shared_between_splits"] is False
    content = json.loads((root / "cohort" / "datalist.json").read_text())
    members = content["anatomies"]
    content["anatomies"] = {"training": ["of another cohort"], "testing": members["training"]}
    shutil.copytree(root / "cohort", root / "turned")
    (root / "turned" / "datalist.json").write_text(json.dumps(content))
    assert judge_held_out(root / "turned", root / "elsewhere2", root / "out")["anatomies_shared_between_splits"] is True
    assert "The judge learned from some of their anatomies" in (root / "elsewhere2" / "held_out.md").read_text()


def test_a_tumour_is_measured_in_parts_and_as_a_whole(tmp_path):
    """A judge that takes every part for edema finds no core and no rim, and all of the tumour."""
    write_cohort(tmp_path, "tumor", (1, 1, 1))
    samples = cohort_samples(tmp_path, "testing", "tumor")
    whole = nib.load(samples[0]["pathology"]).get_fdata()[..., 0] > 0
    empty = np.zeros_like(whole, np.uint8)
    found = {"pathology": whole[None], "regions": 2 * whole[None].astype(np.uint8)}
    found |= {"ventricles": empty[None], "tissue": empty[None]}
    told = {"disease": "tumor", "spatial_dims": 2, "name": "one", "portion": 32, "structures": structures("tumor")}
    judge = SimpleNamespace(segment=lambda images: found, **told)
    measured = measure_held_out(judge, samples[:1], {})
    dice = {name: score["value"] for name, score in measured["ceiling"].items()}
    assert dice["whole"] == 1 and dice["core"] == dice["enhancing"] == 0 < dice["edema"] < 1
    assert list(dice)[:4] == ["core", "edema", "enhancing", "whole"]
    assert {row["stratum"] for row in measured["rows"] if row["structure"] == "whole"} == {"all", "medium"}
    # One that looks for the tumour alone, as nnU-Net does, is measured in that alone.
    alone = SimpleNamespace(**told | {"structures": ("core", "edema", "enhancing")}, segment=lambda images: found)
    less = measure_held_out(alone, samples[:1], {})
    assert {name: score["value"] for name, score in less["ceiling"].items()} == {k: dice[k] for k in list(dice)[:4]}
    assert less["_pictures"] == [] and measured["_cases"]["dice"]["whole"] == [1]


def test_lesions_by_the_folder_of_their_masks(trained, monkeypatch):
    """Found in images of one folder alone: its Dice is 1, the other's 0; of a single folder nothing is said."""
    root, judge = trained
    samples = [s for s in cohort_samples(root / "cohort", "testing", "stroke") if s["shown"] == "lesion"]
    assert {s["source"] for s in samples} == {""}  # a cohort that names no masks
    truths = [(nib.load(s["pathology"]).get_fdata()[..., 0] > 0) * (k % 2) for k, s in enumerate(samples)]
    nothing = np.zeros((len(samples), *truths[0].shape), np.uint8)
    masks = {"pathology": np.stack(truths) > 0, "ventricles": nothing, "tissue": nothing}
    monkeypatch.setattr(judge, "segment", lambda images: masks)
    named = [s | {"source": ("acute", "chronic")[k % 2]} for k, s in enumerate(samples)]
    values = {
        row["stratum"]: row["dice"]["value"]
        for row in measure_held_out(judge, named, {})["rows"]
        if row["structure"] == "lesion"
    }
    assert (values["masks of acute"], values["masks of chronic"]) == (0, 1) and 0 < values["all"] < 1
    one_folder = measure_held_out(judge, [s | {"source": "acute"} for s in samples], {})
    assert not any(row["stratum"].startswith("masks of") for row in one_folder["rows"])


def test_a_mask_s_folder_is_told_by_its_name(tmp_path):
    place = write_cohort(tmp_path / "cohort") / "datalist.json"
    content = json.loads(place.read_text())
    content["testing"][0]["lesion_id"] = "lesymap/Subject_012"
    content["testing"][1]["lesion_id"] = "drawn_3"
    place.write_text(json.dumps(content))
    sources = [s["source"] for s in cohort_samples(tmp_path / "cohort", "testing", "stroke")]
    assert sources == ["lesymap", "lesymap", *[""] * (len(sources) - 2)]


def test_pooled_dice_counts_pixels():
    # a small lesion missed, a large one found: 2 · 90 / (0 + 10 + 100 + 90), while the mean of the cases is 0.47
    assert _pooled(np.array([[0.0, 10, 0], [100, 90, 90]])) == pytest.approx(0.9)
    assert np.isnan(_pooled(np.zeros((2, 3))))


def test_start_from_another_judge(tmp_path, caplog):
    kinds = [judge_network(d, names) for d in ("stroke", "tumor") for names in (structures(d), without_tissue(d))]
    assert len({n.unet.final_conv.out_channels for n in kinds}) == len(kinds)  # rows tell which judge it was
    old = judge_network("stroke", without_tissue("stroke"))
    save_weights(old, tmp_path / "old.pt")
    new = judge_network("tumor")
    before = new.unet.final_conv.weight.detach().clone()
    with caplog.at_level("INFO"):
        assert start_from(new, "tumor", tmp_path / "old.pt") == ["ventricle_left", "ventricle_right"]
    assert "took over ventricle_left, ventricle_right; new: core, edema, enhancing, fluid" in caplog.text
    after, given = new.unet.final_conv.weight.detach(), old.unet.final_conv.weight.detach().half().float()
    assert torch.equal(after[3:5], given[1:3]) and torch.equal(after[[0, 1, 2, 5, 6, 7]], before[[0, 1, 2, 5, 6, 7]])
    rest = (p.detach() for name, p in old.named_parameters() if "final_conv" not in name)
    mine = (p.detach() for name, p in new.named_parameters() if "final_conv" not in name)
    assert all(torch.equal(a.half().float(), b) for a, b in zip(rest, mine))
    save_weights(torch.nn.Linear(2, 2), tmp_path / "other.pt")
    with pytest.raises(InputError, match="other.pt: is not of an embedded judge; give judge_<disease>.pt"):
        start_from(new, "tumor", tmp_path / "other.pt")


@pytest.mark.slow
def test_training_from_weights(trained, tmp_path):
    """A step too small to matter keeps what was given; the same command goes on from its checkpoint."""
    root, judge = trained
    cohort, given = root / "cohort", root / "out" / "judge_stroke.pt"
    options = JudgeOptions(max_epochs=1, batch_size=6, learning_rate=1e-12, ema_decay=0.0)
    made = train_judge(cohort, tmp_path / "out", options, progress=False, init_weights=given)
    for a, b in zip(judge.network.state_dict().values(), made.network.state_dict().values()):
        assert torch.allclose(a, b, atol=1e-4)
    assert made.facts["training"]["init_weights_sha256"] == judge.facts["weights_sha256"]
    again = train_judge(cohort, tmp_path / "out", options, progress=False, init_weights=given)
    assert again.name == made.name  # nothing left to do
    with pytest.raises(InputError, match="was made with init_weights_sha256 = .*, now None"):
        train_judge(cohort, tmp_path / "out", options, progress=False)
    with pytest.raises(InputError, match="judge.pt: weights not found"):
        train_judge(cohort, tmp_path / "out", options, progress=False, init_weights=tmp_path / "judge.pt")


def test_a_judge_from_before_tissue_still_looks(tmp_path):
    names = without_tissue("tumor")
    save_weights(judge_network("tumor", names), tmp_path / "judge_tumor.pt")
    facts = {"structures": names, "weights_sha256": weights_sha256(tmp_path / "judge_tumor.pt")}
    (tmp_path / "judge_tumor.json").write_text(json.dumps(facts))
    masks = load_judge("tumor", tmp_path).segment(np.zeros((2, 32, 32)))
    assert set(masks) == {"pathology", "ventricles", "regions"}
    (tmp_path / "judge_tumor.json").write_text(json.dumps(facts | {"structures": ["core"]}))
    with pytest.raises(InputError, match=r"has the structures \['core'\], wanted"):
        load_judge("tumor", tmp_path)


def test_size_of_the_weights(tmp_path):
    total = 0
    for disease in ("stroke", "tumor"):
        save_weights(judge_network(disease), tmp_path / f"{disease}.pt")
        total += (tmp_path / f"{disease}.pt").stat().st_size
    assert total < 8 * 2**20


def test_refused_weights(trained, tmp_path):
    root, _ = trained
    with pytest.raises(InputError, match="judge_tumor.pt: not found; train a judge"):
        load_judge("tumor", root / "out")
    with pytest.raises(InputError, match="did you mean 'stroke'"):
        load_judge("strok")
    for name in ("judge_stroke.pt", "judge_stroke.json"):
        (tmp_path / name).write_bytes((root / "out" / name).read_bytes())
    facts = json.loads((tmp_path / "judge_stroke.json").read_text())
    (tmp_path / "judge_stroke.json").write_text(json.dumps(facts | {"weights_sha256": "0" * 64}))
    with pytest.raises(InputError, match="is about weights 000000000000, but judge_stroke.pt is"):
        load_judge("stroke", tmp_path)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (np.zeros((1, 30, 32)), "multiples of 16"),
        (np.full((1, 32, 32), 1.5), "values from 1.5 to 1.5"),
        (np.full((1, 32, 32), np.nan), "values from nan"),
        (-np.ones((2, 32, 32)), "wanted 0 … 1"),
    ],
)
def test_refused_images(trained, images, sentence):
    with pytest.raises(InputError, match=sentence):
        trained[1].segment(images)


def test_features_carry_the_judges_name(trained):
    root, judge = trained
    rng = np.random.default_rng(1)
    extractor = embedded_extractor("stroke", root / "out")
    first, second = (extractor.features(rng.random((6, 32, 32))) for _ in range(2))
    assert first.extractor == f"{judge.name}/bottleneck" and first.values.shape == (6, embedded.CHANNELS[2][-2])
    assert fid(first, second).extractor == first.extractor
    batch = torch.rand(3, 1, 32, 32)
    assert (
        torch.allclose(extractor(batch), extractor(batch[:, 0])) and len(judge.network.unet.down_4._forward_hooks) == 0
    )


def big_case(folder, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    plane = case(128, np.random.default_rng(seed))["image"].astype(np.float32)
    nib.save(nib.Nifti1Image(plane[..., None], np.diag([1.5, 2.0, 1.0, 1.0])), folder / "edited_slice.nii.gz")


def test_folder_of_edits(trained, tmp_path):
    big_case(tmp_path / "edits" / "one")
    big_case(tmp_path / "edits" / "two" / "sample_0", 1)
    assert list(find_images(tmp_path / "edits")) == ["one", "two_sample_0"]

    def halves(images):
        left = np.zeros(images.shape, bool)
        left[:, :64, :10] = True
        return {"pathology": left, "ventricles": 2 * left.astype(np.uint8), "tissue": 3 * (~left).astype(np.uint8)}

    found = judge_images(tmp_path / "edits", tmp_path / "out", halves, {"judge": "halves"}, progress=False)
    assert found["areas_mm2"][0] == {
        "name": "one",
        "pathology": 1920.0,
        "ventricle_left": 0.0,
        "ventricle_right": 1920.0,
        "fluid": 0.0,
        "gray": 0.0,
        "white": 3.0 * (128 * 128 - 640),
    }
    tissue = np.asarray(nib.load(tmp_path / "out" / "one_tissue.nii.gz").dataobj)
    assert tissue[0, 0, 0] == 0 and tissue[70, 0, 0] == 3 and tissue.dtype == np.uint8
    mask = nib.load(tmp_path / "out" / "two_sample_0_pathology.nii.gz")
    assert mask.shape == (128, 128, 1) and np.allclose(mask.affine, np.diag([1.5, 2.0, 1.0, 1.0]))
    assert (tmp_path / "out" / "preview.png").is_file() and (tmp_path / "out" / "areas.csv").is_file()


def test_refused_files(tmp_path):
    with pytest.raises(InputError, match="holds neither edits"):
        find_images(tmp_path)
    nib.save(nib.Nifti1Image(np.zeros((10, 12, 3), np.float32), np.eye(4)), tmp_path / "small.nii.gz")
    with pytest.raises(InputError, match=r"small.nii.gz: has shape \(10, 12, 3\)"):
        read_image("small", tmp_path / "small.nii.gz")
    nib.save(nib.Nifti1Image(np.full((128, 128, 1), 300, np.int16), np.eye(4)), tmp_path / "raw.nii.gz")
    with pytest.raises(InputError, match="holds values from 300 to 300"):
        read_image("raw", tmp_path / "raw.nii.gz")


@pytest.fixture
def mededit(monkeypatch, capsys):
    """The program in this process (a fresh one would import MONAI): words → exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mededit", "judge", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
            sys.exit(0)
        said = capsys.readouterr()
        return int(stopped.value.code or 0), said.out, said.err

    return run


def test_command_line(mededit, trained, tmp_path):
    root, judge = trained
    big_case(tmp_path / "edits" / "one")
    words = ("--images", str(tmp_path / "edits"), "--disease", "stroke", "-o", str(tmp_path / "out"))
    code, out, err = mededit("predict", *words, "--weights", str(root / "out"), "--json")
    assert code == 0, err
    assert json.loads(out)["judge"] == judge.name
    assert (tmp_path / "out" / "one_ventricles.nii.gz").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "--cohort", "none", "-o", "o"), "mededit: none/datalist.json: not found"),
        (("predict", "--images", "none", "-o", "o"), "mededit: --disease: is missing"),
        (("train", "--cohort", "none", "-o", "o", "--judge", "nnunett"), "did you mean 'nnunet'"),
        (("predict", "--images", "none", "-o", "o", "--judge", "nnunet"), "mededit: --weights: is missing"),
    ],
)
def test_bad_input_is_one_sentence(mededit, words, sentence):
    code, _, err = mededit(*words)
    assert code == 2 and sentence in err and len(err.strip().splitlines()) == 1


def test_help_has_an_example(mededit):
    for words in (("--help",), ("train", "--help"), ("predict", "--help")):
        code, out, _ = mededit(*words)
        assert code == 0 and "Example: mededit judge" in out
