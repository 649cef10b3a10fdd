# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What lesion is asked for, from options or from words."""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.paths import user_path
from mededit_monai.diseases.record import STRATA
from mededit_monai.lesions.territories import SIDES, TERRITORIES

SHAPES = ("irregular", "sphere", "ellipsoid", "box")
SPACES = ("native", "mni")

#: Radii in mm and world coordinates (mm, either sign) that can be meant.
RADII, FARTHEST = (0.1, 200.0), 1000.0

#: ml that can be meant; more than a brain has.
MOST_ML = 2000.0

#: What can be said, for a sentence.
WORDS = (
    f"{', '.join(STRATA)}; {' or '.join(SIDES)}; {', '.join(TERRITORIES)}; sphere X Y Z R, ellipsoid X Y Z A B C, box "
    f"X Y Z A B C or irregular X Y Z R (mm); mask FILE; random FOLDER, perhaps with ml as in 5-50ml; native or mni"
)

_ML = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)ml")


@dataclass(frozen=True)
class Wanted:
    """
    One lesion. Without shape, mask and folder it is drawn in a territory.

    Args:
        shape: one of ``SHAPES``; centre: mm; radii: mm along x, y, z.
        space: whose mm a shape's or a mask's are: the scan's own (``native``) or those of ICBM 152 (``mni``). None:
            native for shapes, and for masks the scan's grid.
        mask: file; folder: of masks in MNI space, of which one is taken at random.
        stratum, side, territory: small, medium, large; left, right; ACA, MCA, PCA, VB. None: any.
        volume_ml: least and most of a mask from the folder.
    """

    shape: str | None = None
    centre: tuple[float, float, float] | None = None
    radii: tuple[float, float, float] | None = None
    space: str | None = None
    mask: str | None = None
    folder: str | None = None
    stratum: str | None = None
    side: str | None = None
    territory: str | None = None
    volume_ml: tuple[float, float] | None = None

    @property
    def kind(self) -> str:
        """``mask``, ``random``, ``drawn`` (in a territory) or the shape."""
        return "mask" if self.mask else "random" if self.folder else self.shape or "drawn"

    @property
    def in_mni(self) -> bool:
        """Whether it is placed in MNI space."""
        return self.kind in ("random", "drawn") or self.space == "mni"

    def asked(self) -> dict[str, Any]:
        """What was said, for JSON."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) is not None}

    def beside(self, folder: Path) -> Wanted:
        """With its file and folder taken from another folder, where their paths are relative."""
        named = {name: getattr(self, name) for name in ("mask", "folder")}
        return replace(self, **{name: str(folder / user_path(one)) for name, one in named.items() if one})

    def check(self) -> Wanted:
        """
        Refuse what cannot be meant, before a file is read.

        Raises:
            InputError: names an option.
        """
        for name, known in (("shape", SHAPES), ("space", SPACES), ("stratum", STRATA), ("side", SIDES)):
            if getattr(self, name) is not None:
                require_choice(name, getattr(self, name), known)
        if self.territory is not None:
            require_choice("territory", self.territory, TERRITORIES)
        self._check_sources()
        if self.centre is not None and not _numbers(self.centre, 3, -FARTHEST, FARTHEST):
            raise InputError(
                f"--centre: got {self.centre}, wanted three numbers from {-FARTHEST:g} to {FARTHEST:g}: x y z in world "
                f"mm, RAS+."
            )
        least, most = RADII
        if self.radii is not None and not _numbers(self.radii, 3, least, most):
            one = len(set(self.radii)) == 1
            what = f"--radius: got {self.radii[0]}" if one else f"--radii: got {self.radii}"
            raise InputError(f"{what}, wanted a positive number of mm, from {least:g} to {most:g}.")
        if self.volume_ml is not None and not (
            _numbers(self.volume_ml, 2, 0, MOST_ML) and self.volume_ml[0] < self.volume_ml[1]
        ):
            raise InputError(
                f"--volume: got {self.volume_ml}, wanted the least and the most of ml, from 0 to {MOST_ML:g}."
            )
        return self

    def _check_sources(self) -> None:
        named = {"--mask": self.mask, "--lesions": self.folder, "--shape": self.shape}
        given = [name for name, value in named.items() if value]
        if len(given) > 1:
            raise InputError(
                f"{given[0]}: was given together with {given[1]}; say in one way where the lesion is to be."
            )
        about = {"--stratum": self.stratum, "--side": self.side, "--territory": self.territory}
        unused: dict[str, Any] = {}
        if self.kind in ("mask", *SHAPES):
            unused |= about
        if self.kind != "random":
            unused["--volume"] = self.volume_ml
        if self.kind in ("random", "drawn"):
            unused |= {"--centre": self.centre, "--radius": self.radii, "--space": self.space}
        if self.kind == "mask":
            unused |= {"--centre": self.centre, "--radius": self.radii}
        for name, value in unused.items():
            if value is not None:
                kinds = {"mask": "a mask", "random": "a random mask", "drawn": "a lesion drawn in a territory"}
                raise InputError(
                    f"{name}: got {value!r}, but {kinds.get(self.kind, f'the shape {self.kind!r}')} takes none; leave "
                    f"it out."
                )
        if self.kind in SHAPES[1:] and (self.centre is None or self.radii is None):
            missing = "--centre" if self.centre is None else "--radius"
            raise InputError(
                f"{missing}: is missing; a {self.shape} wants --centre X Y Z and --radius (or --radii), in mm."
            )


def from_words(text: Any) -> Wanted:
    """
    Read words in any order: ``MCA left large``, ``sphere 38 -24 23 14``, ``random masks right 5-50ml``.

    A path with blanks stands between quotation marks.

    Raises:
        InputError: names the word that is not understood, and those that are.

    Example:
        >>> from_words("large MCA left").asked()
        {'stratum': 'large', 'side': 'left', 'territory': 'MCA'}
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"--lesion: got {text!r}, wanted words: {WORDS}.")
    words, found = _split(text), {}
    while words:
        word = words.pop(0)
        for name, value in _read(word, words, text).items():
            if name in found:
                raise InputError(f"--lesion: '{word}' in '{text}' says the {name} a second time; say each thing once.")
            found[name] = value
    try:
        return Wanted(**found).check()
    except InputError as error:  # which names options of 'mededit lesion'
        about = str(error).replace("--lesions", "random").replace("--", "")
        raise InputError(f"--lesion: '{text}': {about}") from None


def _split(text: str) -> list[str]:
    reader = shlex.shlex(text, posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.commenters, reader.escape = True, "", ""
    try:
        return list(reader)
    except ValueError:
        raise InputError(f"--lesion: got '{text}' with a quotation mark that is not closed; close it.") from None


def _read(word: str, rest: list[str], text: str) -> dict[str, Any]:
    """What a word says, by field; takes what belongs to it from the rest."""
    lower = word.lower()
    for name, known in (("stratum", STRATA), ("side", SIDES), ("space", SPACES)):
        if lower in known:
            return {name: lower}
    if word.upper() in TERRITORIES:
        return {"territory": word.upper()}
    if lower in ("mask", "random"):
        if not rest:
            what = "a file" if lower == "mask" else "a folder of masks"
            raise InputError(f"--lesion: '{word}' in '{text}' names no path, wanted {what} after it.")
        return {"mask" if lower == "mask" else "folder": rest.pop(0)}
    if lower in SHAPES:
        numbers = _leading_numbers(rest)
        if len(numbers) not in ((4, 6) if lower in ("ellipsoid", "box") else (4,)):
            wanted = (
                "X Y Z and one radius, or one along each axis"
                if lower in ("ellipsoid", "box")
                else "X Y Z and a radius"
            )
            raise InputError(
                f"--lesion: '{word}' in '{text}' has {len(numbers)} number{'s' * (len(numbers) != 1)} after it, wanted "
                f"{wanted}, in mm."
            )
        del rest[: len(numbers)]
        radii = numbers[3:] if len(numbers) == 6 else 3 * numbers[3:]
        return {"shape": lower, "centre": tuple(numbers[:3]), "radii": tuple(radii)}
    if (ml := _ML.fullmatch(lower)) is not None:
        return {"volume_ml": (float(ml[1]), float(ml[2]))}
    known_words = [*STRATA, *SIDES, *TERRITORIES, *SHAPES, *SPACES, "mask", "random"]
    near = difflib.get_close_matches(lower, [one.lower() for one in known_words], n=1)
    hint = f"did you mean '{near[0]}'? It takes" if near else "it takes"
    raise InputError(f"--lesion: '{word}' in '{text}' is not understood; {hint} {WORDS}.")


def _leading_numbers(words: Sequence[str]) -> list[float]:
    found: list[float] = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            break
    return found


def _numbers(values: Any, count: int, least: float, most: float) -> bool:
    listed = list(values) if isinstance(values, (tuple, list, np.ndarray)) else []
    return len(listed) == count and all(
        isinstance(n, (int, float, np.number)) and not isinstance(n, bool) and math.isfinite(n) and least <= n <= most
        for n in listed
    )
