# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The thesis's tables as their YAML files say: which rows, with which settings, and what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.paths import user_path
from mededit_monai.diseases import DISEASES
from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.evaluation.folder import require_folder_name
from mededit_monai.io.tables import read_yaml

KINDS = ("methods", "kernel", "resampling")
PRESETS = ("quick", "every", "full")

#: More test masks than any cohort has.
EVERY = 1_000_000

#: Noise levels and test masks of the thesis, by disease.
THESIS_LEVELS, THESIS_MASKS = 1000, {"stroke": 54, "tumor": 126}


@dataclass(frozen=True)
class TableRow:
    """
    One row of a table.

    Args:
        name: within the table's bundle and condition; rows of the same name are edited once for all tables.
        label: for people.
        settings: options of the bundle's ``evaluate.yaml``; they win over the preset's.
        presets: settings of this row in one preset.
        published: figures of the thesis, by the key of our column that they stand beside.
    """

    name: str
    label: str
    settings: Mapping[str, Any]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """
    A table of the thesis, or another one in the same form.

    Args:
        table: its number, such as ``5.1``, or name.
        title, bundle, condition, kind: what it is about.
        columns: keys of :data:`mededit_monai.evaluation.columns.COLUMNS`.
        presets: name → ``cases`` and settings that all rows share; ``every``, where a file does not say it, is
            ``quick`` on every test mask.
        rows: in the order of the table.
        file: that it is from.
    """

    table: str
    title: str
    bundle: str
    condition: str
    kind: str
    columns: tuple[str, ...]
    presets: Mapping[str, Mapping[str, Any]]
    rows: tuple[TableRow, ...]
    file: Path

    @property
    def option(self) -> str:
        """What ``--table`` calls it: a number, or a file as seen from a clone of this repository; others by name."""
        shipped = tables_folder() / self.file.name
        if not shipped.is_file() or shipped.read_bytes() != self.file.read_bytes():
            return self.file.name
        return self.table if shipped == known_tables().get(self.table) else f"configs/tables/{shipped.name}"

    @property
    def of_thesis(self) -> bool:
        """Whether it is one of the thesis's tables: others have settings and rows of their own."""
        return self.table in known_tables()

    @property
    def stem(self) -> str:
        """Start of its files' names."""
        return f"table_{self.table.replace('.', '_')}"

    def row_key(self, row: TableRow) -> str:
        """Name of a row over all tables."""
        return f"{Path(self.bundle).name}_{self.condition}_{row.name}"

    def settings(self, row: TableRow, preset: str, steps: int | None = None) -> dict[str, Any]:
        """
        Options of a row: the preset's, the row's own, the row's own in this preset.

        Args:
            steps: noise levels in place of the preset's; rows with levels of their own keep them.
        """
        shared = {k: v for k, v in self.presets[preset].items() if k != "cases"}
        if steps is not None:
            shared["steps"] = steps
        like = "quick" if preset == "every" and preset not in row.presets else preset
        return {**shared, **row.settings, **row.presets.get(like, {})}


def tables_folder() -> Path:
    """Folder of the shipped table files, from a clone and from an installed wheel alike."""
    package = Path(__file__).resolve().parents[1]
    homes = [package / "configs" / "tables", package.parent / "configs" / "tables"]
    return next((home for home in homes if home.is_dir()), homes[0])


def known_tables() -> dict[str, Path]:
    """Number → file of the shipped tables."""
    found = sorted(tables_folder().glob("table_*.yaml"))
    return {path.stem.removeprefix("table_").replace("_", "."): path for path in found}


def chosen_tables(wanted: Sequence[str], disease: str) -> list[Table]:
    """
    The tables asked for.

    Args:
        wanted: numbers, YAML files, or ``all`` for every shipped table of the disease.
        disease: of the cohort.

    Raises:
        InputError: none asked for, an unknown table, one about another disease, or two of one name.
    """
    known = known_tables()
    if not wanted:
        raise InputError(f"--table: is missing; wanted one or more of {', '.join(known)}, or all.")
    tables = []
    for word in dict.fromkeys(wanted):
        if word == "all":
            tables += [t for t in map(read_table, known.values()) if t.bundle == disease]
            continue
        word = str(word)
        own = word.endswith((".yaml", ".yml"))
        if not own:
            require_choice("table", word, (*known, "all"))
        table = read_table(user_path(word) if own else known[word])
        if table.bundle != disease:
            raise InputError(
                f"--table: {table.table} is about '{table.bundle}', the cohort is about '{disease}'; choose another "
                "table or cohort."
            )
        tables.append(table)
    named: dict[str, Table] = {}
    for table in tables:
        other = named.setdefault(table.table, table)
        if other.file != table.file:
            raise InputError(
                f"--table: {other.file.name} and {table.file.name} are both named '{table.table}' in their files; "
                "rename one of them, or evaluate them one by one into folders of their own."
            )
    return list(named.values())


def read_table(path: Path) -> Table:
    """
    A table from its YAML file.

    Raises:
        InputError: a missing file, one that is no YAML, or an entry that is missing or not known.
    """
    if not path.is_file():
        raise InputError(f"--table: {path} not found; wanted one of {', '.join(known_tables())} or a YAML file.")
    content = yaml_entries(path, ("table", "title", "bundle", "condition", "kind", "columns", "presets", "rows"))
    _require(path, "bundle", content["bundle"], tuple(DISEASES))
    _require(path, "condition", content["condition"], ("mask", "box", "regions"))
    _require(path, "kind", content["kind"], KINDS)
    for entry, kind, word in (("columns", list, "list"), ("presets", dict, "mapping"), ("rows", dict, "mapping")):
        if not isinstance(content[entry], kind) or not content[entry]:
            raise InputError(f"{path}: its {entry} are {content[entry]!r}; wanted a {word} that is not empty.")
    require_folder_name(path, "table", str(content["table"]))
    for key in content["columns"]:
        _require(path, "columns", key, tuple(COLUMNS))
    for preset in ("quick", "full"):
        _require_preset(path, preset, content["presets"].get(preset))
    content["presets"].setdefault("every", {**content["presets"]["quick"], "cases": EVERY})
    _require_preset(path, "every", content["presets"]["every"])
    rows = [_row(path, name, row) for name, row in content["rows"].items()]
    content |= {"rows": tuple(rows), "columns": tuple(content["columns"])}
    return Table(**content | {"table": str(content["table"]), "title": str(content["title"])}, file=path.resolve())


def yaml_entries(path: Path, wanted: Sequence[str]) -> dict[str, Any]:
    """
    Content of a YAML file that has these entries and no others.

    Raises:
        InputError: it is no YAML, or has others.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or set(content) != set(wanted):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path}: has the entries {found}; wanted {', '.join(wanted)}.")
    return content


def _require_preset(path: Path, preset: str, found: Any) -> None:
    cases = found.get("cases") if isinstance(found, dict) else None
    if not isinstance(cases, int) or isinstance(cases, bool) or cases < 1:
        raise InputError(f"{path}: its preset '{preset}' does not say how many 'cases'; add it, a whole number.")


def _row(path: Path, name: Any, row: Any) -> TableRow:
    require_folder_name(path, "row", name)
    if not isinstance(row, dict):
        raise InputError(f"{path}: row '{name}' is {row!r}; wanted a mapping with label and settings.")
    if unknown := set(map(str, row)) - {"label", "settings", "presets", "published"}:
        raise InputError(f"{path}: row '{name}' has the entry '{min(unknown)}'; wanted label, settings, …")
    if not {"label", "settings"} <= set(row) or not isinstance(row["settings"], dict):
        raise InputError(f"{path}: row '{name}' has no label and settings; add them.")
    for part in ("presets", "published"):
        if not isinstance(row.get(part, {}), dict):
            raise InputError(f"{path}: row '{name}' has {part} {row[part]!r}; wanted a mapping.")
    return TableRow(name, **row | {"label": str(row["label"])})


def _require(path: Path, entry: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"{path}: its {entry} names '{value}'; wanted one of {', '.join(known)}.")
