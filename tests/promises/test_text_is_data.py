# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every option of every verb, given a text that MONAI's parser would run, refer with, or load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from conftest import write_head
from monai.bundle import ConfigWorkflow
from promises.verbs import mededit  # noqa: F401

from mededit_monai import cli
from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import bundle_root

CODE = "$open('pwned', 'w').write('x')"
TEXTS = (CODE, "@bundle_root", "%nowhere.yaml#x", "a::b#0", "$T1.nii.gz")

#: More names of files, tried where there is time.
SLOW, MORE = pytest.mark.slow, ("@scan", "null", "true", "{x}", "$")

#: What each verb needs beside the option that is tried.
NEEDS = {
    "edit": {"scan": "head/scan.nii.gz", "pathology": "head/pathology.nii.gz", "output_dir": "out"},
    "prepare": {"scan": "head/scan.nii.gz", "output_dir": "out"},
    "lesion": {"scan": "head/scan.nii.gz", "output": "drawn.nii.gz"},
    "export": {"bundle": "nowhere", "to": "zoo", "output_dir": "out"},
    "info": {},
    "view": {"folder": "out/scan"},
    "simulate": {"cases": "3", "output_dir": "out"},
    "dataset atlas": {"root": "head", "output_dir": "out"},
    "dataset brats": {"root": "head", "output_dir": "out"},
    "dataset folder": {"root": "table.csv", "disease": "stroke", "output_dir": "out"},
    "dataset pairs": {"datalist": "cohort/datalist.json", "output": "out.json"},
    "dataset slices": {"cohort": "cohort", "output_dir": "out"},
    "synthesize": {"mask": "head/pathology.nii.gz", "output_dir": "out"},
    "train": {"output_dir": "out", "cohort_size": "4", "validation_size": "2"},
    "judge train": {"cohort": "cohort", "output_dir": "out"},
    "judge predict": {"images": "head", "output_dir": "out", "disease": "stroke"},
    "evaluate": {"cohort": "cohort", "table": "5.1", "output_dir": "out", "limit": "2"},
    "bench": {"cohort": "cohort", "output_dir": "out", "row": "morph", "cases": "2"},
    "study make": {"images": "study/images/images.csv", "design": "study/toy.yaml", "output_dir": "out"},
    "study rehearse": {"study": "study/made", "output_dir": "out"},
    "study check": {"ratings": "study/ratings.json", "study": "study/made"},
    "study analyse": {"ratings": "study/ratings.json", "study": "study/made", "output_dir": "out"},
    "recovery": {"scans": "head", "output_dir": "out"},
    "downstream": {"cohort": "cohort", "output_dir": "out", "rows": "real", "folds": "2", "iterations": "1"},
}

#: What stands on the line without the name of an option.
ARGUMENTS = {("info", "file"), ("view", "folder"), ("study check", "ratings"), ("study analyse", "ratings")}

#: What runs a workflow, and what takes long to make.
NOT_RUN = ("imports", "initialize", "run", "training", "inference", "evaluating", "finalize")
NOT_RESOLVED = (*NOT_RUN, "cases", "network", "model", "source", "request")


def commands() -> Iterator[tuple[str, object]]:
    """Every verb, with the parts of those that have any."""
    for name, command in typer.main.get_command(cli.app).commands.items():
        parts = getattr(command, "commands", None)
        yield from ((f"{name} {part}", one) for part, one in parts.items()) if parts else [(name, command)]


def options(command) -> list[str]:
    """Options that take a text of any kind."""
    found = [p for p in command.params if getattr(p, "opts", None) and not getattr(p, "is_flag", False)]
    return [max(p.opts, key=len).lstrip("-") for p in found if p.name != "help"]


def training_options() -> list[str]:
    """Items of train.yaml that are no section, which `mededit train` takes as they are."""
    content = yaml.safe_load((bundle_root("stroke") / "configs" / "train.yaml").read_bytes())
    parts = ("model",)  # made of other items: no option of a person's
    return [key for key, value in content.items() if key not in (*NOT_RUN, *parts) and not isinstance(value, dict)]


EVERY = [(verb, option) for verb, command in commands() for option in options(command)]
TRIED = [one for one in EVERY if one[0] != "train"]
OF_TRAINING = list(
    dict.fromkeys([*(one for one in EVERY if one[0] == "train"), *(("train", name) for name in training_options())])
)

#: Of the options that all take one way, those of each kind; the others are tried where there is time.
QUICK = ("datalist", "init_weights", "cache_dir", "family", "learning_rate", "channels", "resume", "seed")


#: Options that are given texts of every kind: of an edit always, of other verbs where there is time.
FILES = ("scan", "output_dir", "datalist", "weights")


def test_every_verb_is_tried():
    assert {verb for verb, _ in EVERY} == set(NEEDS)
    assert ("edit", "scan") in TRIED and ("train", "learning_rate") in OF_TRAINING
    assert len(TRIED) + len(OF_TRAINING) > 120 and {option for _, option in OF_TRAINING} >= set(QUICK)


@pytest.fixture()
def place(tmp_path, monkeypatch, mededit):  # noqa: F811
    """A folder with what the verbs need; a workflow resolves its options and stops there."""
    monkeypatch.chdir(tmp_path)
    write_head(tmp_path / "head")
    row = "a,p,head/scan.nii.gz,head/pathology.nii.gz\n"
    Path("table.csv").write_text("case_id,patient,image,pathology\n" + row)

    def resolve(workflow: ConfigWorkflow) -> None:
        for name, value in workflow.parser.get().items():
            if not isinstance(value, dict) and name not in NOT_RESOLVED:
                workflow.parser.get_parsed_content(name)
        raise InputError("far enough; stop here.")

    def prepare(*_):
        raise InputError("far enough; stop here.")

    monkeypatch.setattr(ConfigWorkflow, "run", resolve)
    monkeypatch.setattr("mededit_monai.prepare.preparation.Preparation.of", prepare)
    return tmp_path


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> Path:
    from mededit_monai.simulation.plan import Recipe
    from mededit_monai.simulation.simulate import simulate_cohort

    folder = tmp_path_factory.mktemp("simulated") / "cohort"
    simulate_cohort(Recipe("stroke", 6), folder, progress=False)
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Path:
    from reader_study.toy import write_design, write_images

    from mededit_monai.reader_study.make import make_study
    from mededit_monai.reader_study.rehearse import rehearse

    folder = tmp_path_factory.mktemp("study")
    make_study(write_design(folder), folder / "made", images=write_images(folder / "images"))
    rehearse(folder / "made", folder / "sent")[0].rename(folder / "ratings.json")
    return folder


ALL = [
    *(pytest.param(*one, id="-".join(one).replace(" ", "_")) for one in TRIED),
    *(pytest.param(*one, id="-".join(one), marks=() if one[1] in QUICK else pytest.mark.slow) for one in OF_TRAINING),
]


@pytest.fixture()
def tried(place, cohort, study, mededit):  # noqa: F811
    """A function that gives an option texts, one after the other, and looks at how its verb ends."""
    Path("cohort").symlink_to(cohort)
    Path("study").symlink_to(study)

    def give(verb: str, option: str, texts: tuple[str, ...]) -> None:
        for text in texts:
            given = NEEDS[verb] | {option: text}
            words = (value if (verb, name) in ARGUMENTS else f"--{name}={value}" for name, value in given.items())
            done = mededit(*verb.split(), *words)
            assert done.code in (0, 2) and "Traceback" not in done.said, done.said
            assert not list(place.rglob("pwned")), f"--{option} was run"

    return give


@pytest.mark.one_in(4)
@pytest.mark.parametrize("verb, option", ALL)
def test_a_text_is_a_text(tried, verb, option):
    tried(verb, option, TEXTS if verb == "edit" and option in FILES else TEXTS[:1])


@pytest.mark.slow
@pytest.mark.parametrize("verb, option", [one for one in EVERY if one[0] != "edit" and one[1] in FILES])
def test_a_text_of_another_kind_is_one_too(tried, verb, option):
    tried(verb, option, TEXTS[1:])


@pytest.mark.parametrize(
    "words",
    [
        ("--train#trainer#_target_=os.system",),
        ("--network_def={_target_: os.system, command: 'touch pwned'}",),
        ('--imports=[\'$open("pwned", "w")\']',),
        ('--initialize=[\'$open("pwned", "w")\']',),
        ("--run=$open('pwned', 'w')",),
        ('--channels=[\'$open("pwned", "w")\']',),
        ("--handlers::0::_target_=os.system",),
    ],
)
def test_options_do_not_decide_what_is_run(place, mededit, words):  # noqa: F811
    done = mededit("train", "-o", "out", "--cohort_size", "4", *words)
    assert done.code == 2 and "Traceback" not in done.said and not list(place.rglob("pwned")), done.said


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", [CODE, "%T1", "a@b#c", "12345", *(pytest.param(n, marks=SLOW) for n in MORE)])
def test_a_scan_of_any_name_is_edited(tmp_path, monkeypatch, mededit, name):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    head = write_head(tmp_path / "head")
    head.scan.rename(f"{name}.nii.gz")
    head.pathology.rename(f"{name}-lesion.nii.gz")
    words = ("--scan", f"{name}.nii.gz", "--pathology", f"{name}-lesion.nii.gz", "--slice_index", "10")
    done = mededit("edit", *words, "-o", f"{name}-out")
    assert done.code == 0, done.said
    assert Path(f"{name}-out", name, "edited.nii.gz").is_file() and not Path("pwned").exists()
    Path(name).mkdir()
    Path(name, "cases.json").write_text(
        f'[{{"case_id": "{name}", "scan": "../{name}.nii.gz", "pathology": "../{name}-lesion.nii.gz"}}]'
        if '"' not in name
        else "[]"
    )
    done = mededit("edit", "--datalist", f"{name}/cases.json", "-o", name, "--slice_index", "10")
    assert done.code == 0 and Path(name, name, "edited.nii.gz").is_file() and not Path("pwned").exists(), done.said
