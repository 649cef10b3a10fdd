# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What raters sent: read, and held against the study's key."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, say
from mededit_monai.core.paths import user_path
from mededit_monai.io.tables import read_table, read_text
from mededit_monai.reader_study.blinding import Item
from mededit_monai.reader_study.design import Design, design_of

KEY, CHECKSUM = "key.json", "key.json.sha256"

#: Kind of a file of ratings, in the file itself.
KIND = "ratings of a reader study"

#: What a file of ratings says of itself: whose ratings of what.
HEAD = ("study", "key_sha256", "rater")


@dataclass(frozen=True)
class Study:
    """
    A study by its key.

    Args:
        folder: of the key; content: of it; key_sha256: of its bytes.
    """

    folder: Path
    content: Mapping[str, Any]
    key_sha256: str

    @property
    def name(self) -> str:
        """What page and ratings name."""
        return str(self.content["study"])

    @cached_property
    def design(self) -> Design:
        """As it was when the study was made."""
        return design_of(self.content["design"], str(self.folder / KEY))

    @cached_property
    def items(self) -> dict[str, Item]:
        """By their codes."""
        return {item["code"]: Item(**item) for item in self.content["items"]}

    @property
    def images(self) -> list[dict[str, Any]]:
        """``arm``, ``case``, ``group``, ``stratum`` and ``files`` of each; items name them by number."""
        return list(self.content["images"])

    def scales(self, code: str) -> list[str]:
        """What is asked about an item."""
        return [scale.name for scale in self.design.stages[self.items[code].stage].scales]


@dataclass(frozen=True)
class Rating:
    """An answer: the value of a scale for an item."""

    item: str
    scale: str
    value: int


@dataclass(frozen=True)
class RatingFile:
    """
    What a rater sent.

    Args:
        path: of the file; study, key_sha256, rater: as it says.
        ratings: in the file's order; simulated: whether no person gave them.
    """

    path: Path
    study: str
    key_sha256: str
    rater: str
    ratings: tuple[Rating, ...]
    simulated: bool = False


def read_study(folder: str | Path) -> Study:
    """
    The study of a folder.

    Raises:
        InputError: no key there, or one that was changed after it was written.
    """
    folder = user_path(folder)
    place, checksum = folder / KEY, folder / CHECKSUM
    if not place.is_file():
        raise InputError(f"--study: {folder} has no {KEY}; give the folder that 'mededit study make' wrote.")
    raw = place.read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    told = checksum.read_text(encoding="utf-8", errors="replace").split()[:1] if checksum.is_file() else []
    if told != [digest]:
        found = told[0] if told else "none"
        raise InputError(f"{place}: has the SHA-256 {digest}, but {checksum.name} says {found}; restore both files.")
    try:
        study = Study(folder, json.loads(raw), digest)
        _ = study.name, study.design, study.items, study.images
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{place}: is no key of a study ({error!r}); restore it.") from error
    return study


def read_ratings(path: str | Path) -> RatingFile:
    """
    A file that the page saved, JSON or CSV.

    Raises:
        InputError: no such file, or one of another kind.
    """
    path = user_path(path)
    if not path.is_file():
        raise InputError(f"{path}: not found; give the files that raters saved.")
    try:
        return _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is no file of ratings ({error!r}); give one that the page saved.") from error


def _read_json(path: Path) -> RatingFile:
    content = json.loads(read_text(path, "JSON", "give a file that the page saved"))
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise InputError(f"{path}: is no file of ratings; give one that the page saved.")
    head = [_entry(content, name, str, path) for name in HEAD]
    lines = _entry(content, "ratings", list, path)
    odd = next((line for line in lines if not isinstance(line, Mapping)), None)
    if odd is not None:
        raise InputError(f"{path}: has the rating {odd!r}, wanted an object; give a file that the page saved.")
    ratings = tuple(
        Rating(_entry(line, "item", str, path), _entry(line, "scale", str, path), line["value"]) for line in lines
    )
    simulated = _entry(content, "simulated", bool, path) if "simulated" in content else False
    return RatingFile(path, *head, ratings, simulated)


def _entry(content: Mapping[str, Any], name: str, kind: type, path: Path) -> Any:
    """An entry of a file of ratings; InputError: of another kind. A missing one is a KeyError."""
    if isinstance(content[name], kind):
        return content[name]
    wanted = {str: "a text", bool: "true or false", list: "a list"}[kind]
    raise InputError(f"{path}: has the {name} {content[name]!r}, wanted {wanted}; give a file that the page saved.")


def _read_csv(path: Path) -> RatingFile:
    rows = [row for _, row in read_table(path).rows]
    if not rows:
        raise InputError(f"{path}: holds no ratings; give a file that the page saved.")
    for name in HEAD:
        if len({row[name] for row in rows}) > 1:
            raise InputError(f"{path}: names more than one {name}; give one file a rater.")
    ratings = tuple(Rating(row["item"], row["scale"], int(row["value"])) for row in rows)
    simulated = any(row.get("simulated", "").lower() == "true" for row in rows)
    return RatingFile(path, *(rows[0][name] for name in HEAD), ratings, simulated)


def problems(files: Sequence[RatingFile], study: Study) -> Iterator[str]:
    """A sentence for each thing that keeps files from being analysed together."""
    first: dict[str, Path] = {}
    for one in files:
        if (one.study, one.key_sha256) != (study.name, study.key_sha256):
            yield (
                f"{one.path}: is of the study {one.study} with the key {one.key_sha256[:12]}…, but {study.folder} "
                f"holds {study.name} with {study.key_sha256[:12]}…; give the --study that the page was made with."
            )
            continue
        if one.rater not in study.design.raters:
            names = ", ".join(study.design.raters)
            yield f"{one.path}: is by '{one.rater}', wanted one of the study's raters, {names}; check the file."
        if one.rater in first:
            yield f"{one.path}: is by '{one.rater}', as {first[one.rater]} is; give one file a rater."
        first.setdefault(one.rater, one.path)
        yield from _wrong(one, study)


def _wrong(one: RatingFile, study: Study) -> Iterator[str]:
    """Unknown images and answers, answers given twice, and gaps, of a file."""
    unknown = sorted({r.item for r in one.ratings if r.item not in study.items})
    if unknown:
        yield f"{one.path}: rates {_some(unknown)}, which the study does not have; check the file."
    known = [r for r in one.ratings if r.item in study.items]
    scales = study.design.scales
    bad = [r for r in known if r.scale not in study.scales(r.item) or not _is_answer(r.value, scales[r.scale].values)]
    if bad:
        told = [f"{r.item} {r.scale} = {r.value!r}" for r in bad]
        yield f"{one.path}: holds {_some(told)}, which the design does not allow; check the file."
    counts = Counter((r.item, r.scale) for r in known)
    twice = [f"{item} {scale}" for (item, scale), count in counts.items() if count > 1]
    if twice:
        yield f"{one.path}: answers {_some(twice)} more than once; check the file."
    gaps = [f"{code} {scale}" for code in study.items for scale in study.scales(code) if (code, scale) not in counts]
    if gaps:
        yield f"{one.path}: lacks {_some(gaps)}; let '{one.rater}' open the page again and finish."


def _is_answer(value: Any, values: Mapping[int, str]) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in values


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def checked_ratings(paths: Sequence[str | Path], study: Study) -> list[RatingFile]:
    """
    Files that can be analysed together.

    Raises:
        InputError: the last of their problems; the others are said before it, a sentence each.
    """
    files, found = [], []
    for path in paths:
        try:
            files.append(read_ratings(path))
        except InputError as error:
            found.append(str(error))
    found += problems(files, study)
    for sentence in found[:-1]:
        say(sentence, error=True)
    if found:
        raise InputError(found[-1])
    return files


def check_ratings(paths: Sequence[str | Path], study: str | Path) -> dict[str, Any]:
    """
    Are files complete, of this study and of different raters?

    Returns:
        ``study``, ``raters`` (name → number of ratings), ``missing`` (raters without a file), ``simulated``.

    Raises:
        InputError: as :func:`checked_ratings`.
    """
    known = read_study(study)
    files = checked_ratings(paths, known)
    raters = {one.rater: len(one.ratings) for one in files}
    return {
        "study": known.name,
        "raters": raters,
        "missing": [name for name in known.design.raters if name not in raters],
        "simulated": any(one.simulated for one in files),
    }
