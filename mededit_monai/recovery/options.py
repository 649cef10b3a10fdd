# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What ``mededit recovery`` is asked, declared once; light to import."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.core.options import option, options_of, refuse_unknown
from mededit_monai.core.paths import user_path

_what = partial(option, group="What is put where")
_who = partial(option, group="Who looks for it")
_run = partial(option, group="The run itself")

#: What the command of a segmenter must name.
PLACEHOLDERS = ("{image}", "{output}")


@dataclass(frozen=True)
class RecoveryOptions:
    """Everything that can be said about a recovery."""

    scans: str | None = _what(
        None, "Scans without lesion: a folder of them, or a datalist ('scan', perhaps 'brain', 'patient').", file=True
    )
    lesions: tuple[str, ...] | None = _what(
        None,
        "Lesions, each put into every scan: words as of edit --lesion, a mask in MNI space or a folder of such masks; "
        "default: the datalist's own, else small, medium and large.",
        several=True,
    )
    bundle: str = _what("stroke", "stroke, tumor, a bundle's folder, or hf:ORG/NAME.")
    spatial_dims: int | None = _what(
        None, "As of edit: axial slices, or the volume as a whole.", choices=(2, 3), recorded=True
    )
    seed: int = _what(0, "Seed of places, outlines and noise.", least=0, most=2**63 - 1)
    output_dir: str = _what("out/recovery", "Run again with it to go on.", file=True, short="-o")

    segmenter: str | None = _who(
        None,
        "Command that reads the scan {image} and writes the mask {output} (.nii.gz), run without a shell; default: the "
        "embedded judge.",
    )
    lesion_labels: str | None = _who(
        None, "Labels of the lesion in {output}, as in 1,2,3; default: all that are no ventricle."
    )
    ventricle_labels: str | None = _who(None, "Labels of the ventricles in {output}, as in 4,43; default: it has none.")

    device: Any = _run(None, "cpu, cuda, cuda:1, …; by default a GPU if there is one.")
    progress: bool = _run(True, "Show a progress bar.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RecoveryOptions:
        """
        Options from values by name, checked one by one.

        Raises:
            InputError: no such option, a value that it cannot have, or one without use.
        """
        known = options_of(cls)
        refuse_unknown(tuple(values), tuple(known), "a recovery")
        values = dict(values)
        if isinstance(values.get("lesions"), str):
            values["lesions"] = (values["lesions"],)
        for name, value in values.items():
            known[name].check(value)
        found = cls(**values | ({"lesions": tuple(values["lesions"])} if values.get("lesions") else {}))
        if found.scans is None:
            raise InputError("--scans: is missing; give a folder of scans without lesion, or a datalist.")
        for name in ("lesion_labels", "ventricle_labels"):
            if getattr(found, name) is not None and found.segmenter is None:
                raise InputError(
                    f"--{name}: got '{getattr(found, name)}', but the embedded judge has labels of its own; leave it "
                    f"out, or give --segmenter."
                )
        both = set(found.labels("lesion_labels")) & set(found.labels("ventricle_labels"))
        if both:
            raise InputError(f"--lesion_labels: has the label {min(both)} of --ventricle_labels too; name it once.")
        found.words()
        return found

    def labels(self, name: str) -> tuple[int, ...]:
        """
        Numbers of an option that lists labels; none where it was not given.

        Raises:
            InputError: anything that is no list of whole numbers from 1.
        """
        text = getattr(self, name)
        if text is None:
            return ()
        parts = [part.strip() for part in str(text).split(",")]
        if not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise InputError(f"--{name}: got '{text}', wanted whole numbers from 1 with commas between, as in 4,43.")
        return tuple(map(int, parts))

    def words(self) -> list[str] | None:
        """
        The segmenter's command, split as a shell splits it; None: the embedded judge.

        Raises:
            InputError: no command, one that cannot be split, or one that leaves out ``{image}`` or ``{output}``.
        """
        if self.segmenter is None:
            return None
        try:
            words = shlex.split(self.segmenter)
        except ValueError as error:
            raise InputError(f"--segmenter: got '{self.segmenter}', which cannot be split ({error}).") from None
        missing = [name for name in PLACEHOLDERS if not any(name in word for word in words)]
        if missing or not words:
            raise InputError(
                f"--segmenter: got '{self.segmenter}', which does not say {' and '.join(missing)}; give a command such "
                f"as 'python segment.py {{image}} {{output}}'."
            )
        return words

    def asked(self) -> list[str]:
        """Lesions in the words of ``mededit edit --lesion``; empty: the datalist's own."""
        return [_words(one) for one in self.lesions or ()]


def _words(text: str) -> str:
    """A file or folder as the words that name it; anything else is words already."""
    path = user_path(text)
    if not path.exists():
        return text
    quote = '"' if '"' not in str(path) else "'"
    named = f"{quote}{Path(path).absolute()}{quote}"
    return f"random {named}" if path.is_dir() else f"mask {named} mni"
