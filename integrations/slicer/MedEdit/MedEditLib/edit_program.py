# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
`mededit edit` as another process: its command line, its progress, its end and its files. Nothing of Slicer is imported
here, and nothing of mededit_monai, which has an interpreter of its own; Python 3.9 is enough.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: A bar's share, as tqdm writes it: "denoising:  45%|####".
_SHARE = re.compile(r"(\d{1,3})%\|")

#: What the program says itself begins with this.
_SAID = "mededit: "


@dataclass(frozen=True)
class Edit:
    """
    What is asked of `mededit edit`.

    Args:
        program: how it is started, as on a command line: ``mededit``, its path, or ``PYTHON -m mededit_monai.cli``.
        scan: T1 without the lesion.
        pathology: mask of the lesion, on the scan's grid.
        output_dir: folder for the result.
        bundle: ``stroke`` or ``tumor``, or a bundle's folder.
        brain: mask of the brain on the scan's grid; None: the program finds it.
        carry: label maps and other sequences on the scan's grid, which move as it does.
        seed: same seed, same result.
        effects: strength of what moves; None: the method's own.
        more: further options, as on a command line.
    """

    program: str
    scan: Path
    pathology: Path
    output_dir: Path
    bundle: str = "stroke"
    brain: Path | None = None
    carry: tuple[Path, ...] = ()
    seed: int = 0
    effects: float | None = None
    more: str = ""

    def command(self) -> list[str]:
        """
        The words of the command line.

        Raises:
            ValueError: no program.

        Example:
            >>> Edit("mededit", Path("t1.nii.gz"), Path("lesion.nii.gz"), Path("out")).command()[:2]
            ['mededit', 'edit']
        """
        words = shlex.split(self.program)
        if not words:
            raise ValueError("The program is missing; give the path of mededit.")
        files = {"scan": self.scan, "pathology": self.pathology, "brain": self.brain, "output_dir": self.output_dir}
        words += ["edit", *(f"--{name}={path}" for name, path in files.items() if path is not None)]
        words += [f"--bundle={self.bundle}", f"--seed={self.seed}"]
        if self.effects is not None:
            words.append(f"--effects={self.effects:g}")
        words += [f"--carry={path}" for path in self.carry]
        return [*words, *shlex.split(self.more), "--json"]


@dataclass(frozen=True)
class Result:
    """
    Files of an edit.

    Args:
        folder: the case's.
        volume: the scan with the lesion; of several samples their mean.
        displacement: where each of its points came from, for ITK, in mm; None: nothing moved.
        carried: label maps and sequences that moved along.
        warnings: sentences for a reader.
    """

    folder: Path
    volume: Path
    displacement: Path | None
    carried: tuple[Path, ...]
    warnings: tuple[str, ...]


def read_result(folder: Path) -> Result:
    """
    The files in the folder of a case.

    Raises:
        ValueError: it holds no edit.
    """
    volumes = [*sorted(folder.glob("edited.*")), *sorted(folder.glob("mean.nii.gz"))]
    facts = folder / "provenance.json"
    if not volumes or not facts.is_file():
        raise ValueError(f"{folder} holds no edit; look at the output folder.")
    moved = folder / "displacement.nii.gz"
    carried = sorted((folder / "carried").iterdir()) if (folder / "carried").is_dir() else []
    warnings = json.loads(facts.read_text(encoding="utf-8")).get("warnings", ())
    return Result(folder, volumes[0], moved if moved.is_file() else None, tuple(carried), tuple(map(str, warnings)))


class Run:
    """
    `mededit edit`, running. Look at it now and then: it starts no thread, and blocks nobody.

    Args:
        edit: what is asked.
        log_dir: an existing folder for what the program says.
        environment: of the process; None: this one's. Slicer sets variables by which another Python cannot start, so
            it has to give the environment that it was started with.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(self, edit: Edit, log_dir: Path, environment: Mapping[str, str] | None = None) -> None:
        self._out, self._err = log_dir / "mededit_stdout.txt", log_dir / "mededit_stderr.txt"
        self.cancelled = False
        with open(self._out, "wb") as out, open(self._err, "wb") as err:  # files: a pipe that nobody reads is full soon
            self._process = subprocess.Popen(
                edit.command(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=None if environment is None else dict(environment),
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def progress(self) -> int:
        """Per cent of the step that it is at; 0 before the first."""
        found = _SHARE.findall(self._said())
        return min(int(found[-1]), 100) if found else 0

    def cancel(self, patience: float = 10.0) -> None:
        """
        End it; it clears up after itself, and what it has not finished is not there.

        Args:
            patience: seconds until it is ended by force.
        """
        if not self.running:
            return
        self.cancelled = True
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def result(self) -> Result:
        """
        The files, once it has ended.

        Raises:
            RuntimeError: it still runs, was cancelled, or failed, with the sentence that it said.
        """
        if self.running:
            raise RuntimeError("The edit still runs.")
        if self.cancelled:
            raise RuntimeError("The edit was cancelled.")
        if self._process.returncode != 0:
            raise RuntimeError(self._sentence())
        try:
            written = json.loads(self._out.read_text(encoding="utf-8"))["written"]
            return read_result(Path(written[0]))
        except (ValueError, LookupError, TypeError) as error:
            raise RuntimeError(f"mededit ended without a result that can be read ({error}).") from error

    def _said(self) -> str:
        return self._err.read_text(encoding="utf-8", errors="replace")

    def _sentence(self) -> str:
        """The last sentence of the program; of another one, that cannot speak like it, its last line."""
        lines = [line.strip() for line in re.split(r"[\r\n]+", self._said()) if line.strip()]
        own = [line[len(_SAID) :] for line in lines if line.startswith(_SAID)]
        last = (own or lines or ["it said nothing"])[-1]
        return f"mededit ended with exit code {self._process.returncode}: {last}"
