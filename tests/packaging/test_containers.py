# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The recipes for containers, read: there is no Docker where the tests run."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import typer

from mededit_monai import cli


@pytest.fixture(scope="module")
def dockerfile(repository) -> list[tuple[str, str]]:
    """Instructions and what they are given, lines joined."""
    text = (repository / "docker" / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    found = [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]
    assert {name for name, _ in found} <= {"FROM", "ARG", "RUN", "ENV", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}
    return found


@pytest.fixture(scope="module")
def definition(repository) -> dict[str, str]:
    """Sections of Apptainer's recipe, its head under ''."""
    text = (repository / "docker" / "mededit.def").read_text(encoding="utf-8")
    parts = re.split(r"^%(\w+)\s*\n", text, flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2]))


def given(instructions, name: str) -> list[str]:
    return [value for one, value in instructions if one == name]


def test_dockers_base_is_pinned_and_all_that_is_run_can_be_read(dockerfile):
    (base,) = given(dockerfile, "FROM")
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    for command in given(dockerfile, "RUN"):
        words = shlex.split(command)  # quotes that do not match raise
        assert "apt-get" not in words and "sudo" not in words and "curl" not in words


def test_docker_installs_the_wheel_as_constrained(dockerfile):
    (install,) = [shlex.split(one) for one in given(dockerfile, "RUN") if "pip install" in one]
    mounts = [dict(re.findall(r"(\w+)=([^,]+)", word)) for word in install if word.startswith("--mount=")]
    places = {mount["source"]: mount["target"] for mount in mounts}
    assert install[install.index("-c") + 1] == places["constraints.txt"] and install[-1] == f"{places['dist']}/*.whl"
    assert "--no-cache-dir" in install and install[install.index("--extra-index-url") + 1] == "${TORCH_INDEX}"
    (argument,) = given(dockerfile, "ARG")
    assert argument == "TORCH_INDEX=https://download.pytorch.org/whl/cpu"


def test_docker_runs_mededit_without_rights(dockerfile):
    names = [name for name, _ in dockerfile]
    (user,) = given(dockerfile, "USER")
    assert user not in ("root", "0") and f"useradd --create-home --uid 1000 {user}" in given(dockerfile, "RUN")
    assert names.index("USER") > max(index for index, name in enumerate(names) if name == "RUN")
    assert [json.loads(value) for value in given(dockerfile, "ENTRYPOINT")] == [["mededit"]]


def test_apptainer_installs_the_wheel_as_constrained(definition, dockerfile):
    assert set(definition) == {"", "arguments", "files", "post", "environment", "runscript", "test", "help"}
    head = dict(re.findall(r"^(\w+): (\S+)$", definition[""], re.MULTILINE))
    assert head == {"Bootstrap": "docker", "From": given(dockerfile, "FROM")[0]}
    places = dict(line.split() for line in definition["files"].splitlines() if line.strip())
    post = re.sub(r"\\\n", " ", definition["post"])
    (install,) = [shlex.split(line) for line in post.splitlines() if "pip install" in line]
    assert install[install.index("-c") + 1] == places["constraints.txt"] and install[-1] == f"{places['dist']}/*.whl"
    assert "apt-get" not in post and "set -eu" in post and "rm -r /opt/build" in post
    assert definition["arguments"].strip() == given(dockerfile, "ARG")[0]
    assert "{{ TORCH_INDEX }}" in install and definition["runscript"].strip() == 'exec mededit "$@"'


def test_every_verb_that_is_named_exists(repository, dockerfile, definition):
    page = (repository / "docs" / "how_to" / "containers.md").read_text(encoding="utf-8")
    text = definition["help"] + definition["test"] + page
    verbs = set(re.findall(r"(?:mededit(?::\w+)?|\.sif) ([a-z]+) ", text.replace("\n", " ") + " "))
    known = set(typer.main.get_command(cli.app).commands)
    assert {"edit", "doctor"} <= verbs and verbs - {"exec"} <= known, verbs
    assert [json.loads(value) for value in given(dockerfile, "CMD")] == [["--help"]]


def test_only_what_is_installed_is_sent_to_docker(repository):
    lines = (repository / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert lines == ["*", "!constraints.txt", "!dist/*.whl"]
