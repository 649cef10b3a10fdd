# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The list of mistakes stays true to the code, and the program that tries them out tells which of them survive."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import REPOSITORY

from studies import mutants
from studies.mutants import BROKEN, KILLED, LOST, SURVIVED, Mutant, read_mutants, try_all


@pytest.mark.parametrize("mutant", read_mutants(), ids=lambda mutant: mutant.name)
def test_a_mistake_can_be_made(mutant):
    """Its text stands in the file once: an entry that no longer does is changed with the code, or taken out."""
    assert mutant.times(REPOSITORY) == 1, f"{mutant.file}: {mutant.text!r}"
    assert mutant.instead != mutant.text and mutant.why.endswith(".")
    for test in mutant.tests:
        assert (REPOSITORY / test.split("::")[0]).exists(), test


def test_the_core_rooms_have_mistakes_each():
    rooms = {mutant.name.split("/")[0] for mutant in read_mutants()}
    assert rooms >= {"config", "handlers", "io", "methods", "metrics", "prepare", "sampling", "space", "training"}
    assert len(read_mutants()) >= 60


def entry(name: str = "a/b", **other: str) -> str:
    fields = {"file": "x.py", "text": "1", "instead": "2", "tests": "[tests]", "why": "So.", **other}
    return f"- name: {name}\n" + "".join(f"  {key}: {value}\n" for key, value in fields.items() if value)


@pytest.mark.parametrize(
    "content, words", [(entry() + entry(), "names twice: a/b"), (entry(why=""), "a/b"), (entry(whi="x"), "whi")]
)
def test_a_faulty_list_says_where(tmp_path, content, words):
    (tmp_path / "list.yaml").write_text(content)
    with pytest.raises(ValueError, match=words):
        read_mutants(tmp_path)


def small_repository(folder: Path) -> Path:
    """A package of the same name with one module, and tests of half of it."""
    files = {
        "mededit_monai/__init__.py": "",
        "mededit_monai/sums.py": "def add(a, b):\n    return a + b\n\n\ndef less(a, b):\n    return a - b\n",
        "tests/test_sums.py": "from mededit_monai.sums import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n",
        ".gitignore": "left_out\n",
        "left_out": "",
        "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def mistake(name: str, text: str, instead: str) -> Mutant:
    return Mutant(name, "mededit_monai/sums.py", text, instead, ("tests/test_sums.py",), "Sums are wrong.")


def test_what_is_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "REPOSITORY", small_repository(tmp_path / "from"))
    (tmp_path / "from" / "link").symlink_to("pyproject.toml")
    mutants.copy_tree(tmp_path / "to")
    copied = {path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*") if path.is_file()}
    assert copied == {"mededit_monai/__init__.py", "mededit_monai/sums.py", "tests/test_sums.py"} | {
        ".gitignore",
        "pyproject.toml",
        "link",
    }
    assert (tmp_path / "to" / "link").is_symlink()


@pytest.mark.slow
def test_what_becomes_of_a_mistake(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "REPOSITORY", small_repository(tmp_path))
    found = try_all(
        [
            mistake("a/killed", "a + b", "a * b"),
            mistake("a/survived", "a - b", "b - a"),
            mistake("a/killed_too", "a + b", "a - b"),
            mistake("a/lost", "a ^ b", "a | b"),
            mistake("a/broken", "def add(a, b):", "def add(a, b:"),
        ],
        jobs=1,
        progress=False,
    )
    assert [one.what for one in found] == [KILLED, SURVIVED, KILLED, LOST, BROKEN]
    assert (
        found[0].by == "tests/test_sums.py::test_add"
        and [one.good for one in found] == [True, False, True] + [False] * 2
    )
    assert (tmp_path / "mededit_monai" / "sums.py").read_text().count("a + b") == 1  # nothing was done to the original


@pytest.mark.slow
def test_tests_that_fail_by_themselves_kill_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "REPOSITORY", small_repository(tmp_path))
    (tmp_path / "tests" / "test_sums.py").write_text("def test_nothing():\n    assert False\n")
    with pytest.raises(RuntimeError, match="without any mistake: .*test_nothing"):
        try_all([mistake("a/killed", "a + b", "a * b")], jobs=1, progress=False)
