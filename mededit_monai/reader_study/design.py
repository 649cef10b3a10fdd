# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a reader study asks of whom, as its YAML file says."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.paths import user_path
from mededit_monai.io.tables import read_yaml

#: What a stage can show: the image that is judged, the scan it was made from, and that scan with the lesion outlined.
PARTS = ("image", "prior", "mask")
STRATIFIED = ("proportional", "equal", "none")

#: Names that stand in files and in the page: of arms, scales and raters.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ENTRIES = {
    "design": ("name", "title", "dims", "arms", "images", "stages"),
    "arm": (),
    "stage": ("title", "shows", "scales"),
    "scale": ("question", "values"),
}
_OPTIONAL = {
    "design": ("strata", "same_cases", "repeats", "raters", "slices", "pixel_mm"),
    "arm": ("label", "real", "published"),
    "stage": ("text", "arms"),
    "scale": ("label", "asks_real"),
}


@dataclass(frozen=True)
class Arm:
    """
    Where images come from: real scans, or a method.

    Args:
        name: in files; label: for people.
        real: whether the images are scans of patients.
        published: scale → mean that was published, to stand beside ours.
    """

    name: str
    label: str
    real: bool = False
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """
    A question with its answers.

    Args:
        name: in files; label, question: for people.
        values: answer, a whole number from 0 to 9 → its words.
        asks_real: whether 1 says that the image is real, and 0 that it is synthetic.
    """

    name: str
    label: str
    question: str
    values: Mapping[int, str]
    asks_real: bool = False


@dataclass(frozen=True)
class Stage:
    """
    A round through the images.

    Args:
        title, text: for people.
        shows: some of :data:`PARTS`.
        arms: names; scales: what is asked of every image.
    """

    title: str
    text: str
    shows: tuple[str, ...]
    arms: tuple[str, ...]
    scales: tuple[Scale, ...]


@dataclass(frozen=True)
class Design:
    """
    A reader study.

    Args:
        name: in files; title: for people.
        dims: 2 (slices) or 3 (volumes).
        arms, stages: in order.
        images: of each arm.
        strata: how lesion sizes are mixed: ``proportional`` to the cases there are, ``equal``, or ``none``.
        same_cases: whether all arms show the same cases.
        repeats: so many images of a stage are shown twice, to see whether raters agree with themselves.
        raters: their names.
        slices: of a volume, in each of the three planes.
        pixel_mm: side that all images are resampled to; None: all have the same already.
    """

    name: str
    title: str
    dims: int
    arms: tuple[Arm, ...]
    images: int
    stages: tuple[Stage, ...]
    strata: str = "proportional"
    same_cases: bool = False
    repeats: int = 0
    raters: tuple[str, ...] = ("reader_1",)
    slices: int = 24
    pixel_mm: float | None = None

    @property
    def scales(self) -> dict[str, Scale]:
        """All that is asked, by name."""
        return {scale.name: scale for stage in self.stages for scale in stage.scales}

    def arm(self, name: str) -> Arm:
        """An arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)

    def parts(self, arm: str) -> set[str]:
        """What has to be there of an arm's images."""
        return {part for stage in self.stages if arm in stage.arms for part in stage.shows}

    def changed(self, images: int | None = None, raters: Sequence[str] | None = None) -> Design:
        """
        The same with another number of images an arm, or other raters.

        Raises:
            InputError: names the option.
        """
        if images is not None and not 1 <= images <= 1000:
            raise InputError(f"--per_arm: got {images}, wanted a whole number from 1 to 1000.")
        names = _raters("--rater", list(raters)) if raters else self.raters
        return replace(self, images=images or self.images, raters=names)


def designs() -> dict[str, Path]:
    """Name → file of the shipped designs, from a clone and from an installed wheel alike."""
    package = Path(__file__).parents[1]
    homes = [package / "configs" / "reader_studies", package.parent / "configs" / "reader_studies"]
    home = next((one for one in homes if one.is_dir()), homes[0])
    return {path.stem: path for path in sorted(home.glob("*.yaml"))}


def design_file(word: str | Path) -> Path:
    """
    The YAML file of a design by its name or path.

    Raises:
        InputError: neither a shipped design nor a file.
    """
    known = designs()
    if not str(word).endswith((".yaml", ".yml")):
        require_choice("design", str(word), tuple(known))
        return known[str(word)]
    path = user_path(word)
    if not path.is_file():
        raise InputError(f"--design: {path} not found; wanted one of {', '.join(known)} or a YAML file.")
    return path


def read_design(path: str | Path) -> Design:
    """
    A design from its YAML file.

    Raises:
        InputError: no YAML, or an entry that is missing, unknown or cannot be; names the file and the entry.
    """
    return design_of(read_yaml(path), str(path))


def design_of(content: Any, place: str) -> Design:
    """
    A design from the content of its file.

    Args:
        place: what messages name.

    Raises:
        InputError: as :func:`read_design`.
    """
    _require_entries(content, "design", place)
    _require(type(content["dims"]) is int and content["dims"] in (2, 3), place, "dims", content["dims"], "2 or 3")
    found = content.get("arms")
    _require(isinstance(found, Mapping) and bool(found), place, "arms", found, "a mapping of names")
    arms = tuple(_arm(name, one or {}, place) for name, one in content["arms"].items())
    _require(isinstance(content["stages"], list) and content["stages"], place, "stages", content["stages"], "a list")
    stages = tuple(_stage(one, tuple(arm.name for arm in arms), place) for one in content["stages"])
    names = [scale.name for stage in stages for scale in stage.scales]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"{place}: asks for '{twice}' twice; every scale needs a name of its own.")
    for arm in arms:
        unknown = set(arm.published) - set(names)
        if unknown:
            raise InputError(f"{place}: arm '{arm.name}' has published '{min(unknown)}'; wanted {', '.join(names)}.")
    numbers = {"images": (1, 1000), "repeats": (0, 1000), "slices": (1, 256)}
    whole = {name: _whole(content[name], name, place, *limits) for name, limits in numbers.items() if name in content}
    strata, same = content.get("strata", "proportional"), content.get("same_cases", False)
    _require(strata in STRATIFIED, place, "strata", strata, ", ".join(STRATIFIED))
    _require(isinstance(same, bool), place, "same_cases", same, "true or false")
    pixel = content.get("pixel_mm")
    is_size = pixel is None or (isinstance(pixel, (int, float)) and not isinstance(pixel, bool) and 0.1 <= pixel <= 10)
    _require(is_size, place, "pixel_mm", pixel, "a number from 0.1 to 10")
    return Design(
        name=_name(content["name"], "name", place),
        title=str(content["title"]),
        dims=content["dims"],
        arms=arms,
        stages=stages,
        strata=strata,
        same_cases=same,
        raters=_raters(f"{place}: raters", content.get("raters", ["reader_1"])),
        pixel_mm=None if pixel is None else float(pixel),
        **whole,
    )


def design_content(design: Design) -> dict[str, Any]:
    """What :func:`design_of` reads, with every default filled in."""
    arms = {a.name: {"label": a.label, "real": a.real, "published": dict(a.published)} for a in design.arms}
    stages = [
        {
            "title": stage.title,
            "text": stage.text,
            "shows": list(stage.shows),
            "arms": list(stage.arms),
            "scales": {
                s.name: {"label": s.label, "question": s.question, "values": dict(s.values), "asks_real": s.asks_real}
                for s in stage.scales
            },
        }
        for stage in design.stages
    ]
    names = ("name", "title", "dims", "images", "strata", "same_cases", "repeats", "slices", "pixel_mm")
    plain = {name: getattr(design, name) for name in names}
    return plain | {"raters": list(design.raters), "arms": arms, "stages": stages}


def _arm(name: Any, one: Any, place: str) -> Arm:
    name = _name(name, "arm", place)
    _require_entries(one, "arm", f"{place}: arm '{name}'")
    published, real = one.get("published", {}), one.get("real", False)
    is_figures = isinstance(published, Mapping) and all(map(_is_finite, published.values()))
    _require(is_figures, place, f"published of '{name}'", published, "a mapping of scales to finite numbers")
    _require(isinstance(real, bool), place, f"real of '{name}'", real, "true or false")
    return Arm(name, str(one.get("label", name)), real, {str(key): float(v) for key, v in published.items()})


def _stage(one: Any, arms: tuple[str, ...], place: str) -> Stage:
    _require_entries(one, "stage", f"{place}: a stage")
    title, shows, own = str(one["title"]), one["shows"], one.get("arms", list(arms))
    what = f"{place}: stage '{title}'"
    is_parts = _are_of(shows, PARTS) and "image" in shows
    _require(is_parts, what, "shows", shows, f"a list of image and perhaps {', '.join(PARTS[1:])}")
    _require(_are_of(own, arms) and own, what, "arms", own, f"some of {', '.join(arms)}")
    _require(isinstance(one["scales"], Mapping) and one["scales"], what, "scales", one["scales"], "a mapping of names")
    scales = tuple(_scale(name, scale, what) for name, scale in one["scales"].items())
    shown = tuple(part for part in PARTS if part in shows)
    return Stage(title, str(one.get("text", "")), shown, tuple(arm for arm in arms if arm in own), scales)


def _scale(name: Any, one: Any, place: str) -> Scale:
    name = _name(name, "scale", place)
    _require_entries(one, "scale", f"{place}: scale '{name}'")
    values, asks = one["values"], one.get("asks_real", False)
    values = {int(k): v for k, v in values.items()} if _is_whole_keys(values) else values
    is_values = isinstance(values, dict) and all(isinstance(k, int) and 0 <= k <= 9 for k in values)
    _require(
        is_values and len(values) > 1, place, f"values of '{name}'", values, "whole numbers from 0 to 9 with words"
    )
    _require(isinstance(asks, bool), place, f"asks_real of '{name}'", asks, "true or false")
    _require(not asks or set(values) == {0, 1}, place, f"values of '{name}'", values, "0 (synthetic) and 1 (real)")
    ordered = {key: str(values[key]) for key in sorted(values)}
    return Scale(name, str(one.get("label", name)), str(one["question"]), ordered, asks)


def _are_of(names: Any, known: Sequence[str]) -> bool:
    """Whether it is a list of known names; YAML may put anything into a list."""
    return isinstance(names, list) and all(name in known for name in names)


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max


def _is_whole_keys(values: Any) -> bool:
    """JSON, in which a key file keeps a design, has texts for keys."""
    return isinstance(values, Mapping) and all(isinstance(k, str) and k.isdecimal() for k in values)


def _raters(place: str, names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or len(names) > 50:
        raise InputError(f"{place}: got {names!r}, wanted a list of 1 to 50 names.")
    found = tuple(_name(name, "rater", place) for name in names)
    if len(set(found)) < len(found):
        raise InputError(f"{place}: got {', '.join(found)}, wanted every rater once.")
    return found


def _name(value: Any, what: str, place: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InputError(f"{place}: has the {what} {value!r}; wanted letters, digits, '_', '-' and '.', at most 64.")
    return value


def _whole(value: Any, name: str, place: str, least: int, most: int) -> int:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    _require(is_whole, place, name, value, f"a whole number from {least} to {most}")
    return int(value)


def _require(fine: Any, place: str, entry: str, value: Any, wanted: str) -> None:
    if not fine:
        raise InputError(f"{place}: its {entry} is {value!r}; wanted {wanted}.")


def _require_entries(content: Any, kind: str, place: str) -> None:
    wanted, more = _ENTRIES[kind], _OPTIONAL[kind]
    if not isinstance(content, Mapping):
        raise InputError(f"{place}: is {type(content).__name__}; wanted a mapping with {', '.join(wanted or more)}.")
    _refuse_names(set(map(str, content)) - {*wanted, *more}, "has the entry", (*wanted, *more), place)
    _refuse_names(set(wanted) - set(content), "lacks the entry", wanted, place)


def _refuse_names(names: Collection[str], what: str, wanted: Sequence[str], place: str) -> None:
    if names:
        raise InputError(f"{place}: {what} '{min(names)}'; wanted {', '.join(wanted)}.")
