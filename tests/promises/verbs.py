# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit`, run inside the test's own process: importing MONAI for every command would take minutes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mededit_monai.cli import program
from mededit_monai.core.program import exit_code


@dataclass
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything that a person at the screen reads."""
        return self.out + self.err

    def refused(self, *words: str) -> bool:
        """One sentence on stderr, exit code 2, with these words in it."""
        lines = [line for line in self.err.splitlines() if line.startswith("mededit: ")]
        return self.code == 2 and "Traceback" not in self.said and bool(lines) and all(w in lines[-1] for w in words)


@pytest.fixture()
def mededit(monkeypatch, capfd):
    """A function that runs a command of `mededit` as `main` does."""

    def run(*words: object) -> Ended:
        arguments = ["mededit", *map(str, words)]
        monkeypatch.setattr(sys, "argv", arguments)
        capfd.readouterr()
        try:
            program._run_verb()
            code = 0
        except BaseException as error:
            code = exit_code(error)
        streams = capfd.readouterr()
        return Ended(code, streams.out, streams.err)

    return run


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
