# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What guards a bundle run: MONAI takes any ``--key value`` and adds it to the config, where it changes nothing and says
nothing. Whatever has no effect is refused here, before anything is built.
"""

from __future__ import annotations

import difflib
import inspect
import pydoc
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS

from mededit_monai.core.errors import InputError, called_from_python, find_input_error, reporting_bad_input
from mededit_monai.core.paths import config_homes
from mededit_monai.core.plain_values import as_written, shown
from mededit_monai.core.program import report_what_ends_this_process
from mededit_monai.core.running import files_read

#: Ids that MONAI itself reads, so that nothing in a config has to refer to them.
MONAI_IDS = (
    {"imports", "initialize", "finalize", "run", "training", "inference", "evaluating", "_meta_", "dataset_dir"}
    | {
        p["id"].replace("::", "#")
        for group in (TrainProperties, InferProperties, MetaProperties)
        for p in group.values()
    }
    | {key for settings in DEFAULT_EXP_MGMT_SETTINGS.values() for key in settings["configs"]}
)


def check_run(parser: ConfigParser, declared: Collection[str] = (), files: Sequence[str] = ()) -> None:
    """
    Refuse options that nothing in the config refers to, naming the nearest known one.

    An id that no other item refers to, and that MONAI does not read, has no effect; that is what is refused.

    Args:
        parser: of the run.
        declared: options that are read by name, and referred to nowhere.
        files: options that name files.
    """
    if not called_from_python():
        report_what_ends_this_process()
    config = {k: v for k, v in parser.get().items() if k != "_meta_"}
    text = " ".join(_strings(config))
    known = set(declared) | MONAI_IDS | {key for key in config if _referred(key, text)}
    candidates = dict(config)
    for section, content in config.items():
        # The members of a plain section (train, validate) are options of their own unless it is used as a whole.
        if isinstance(content, dict) and "_target_" not in content and not re.search(rf"@{section}(?![\w#:])", text):
            candidates |= {f"{section}#{key}": value for key, value in content.items()}
            known |= {section} | {f"{section}#{k}" for k in content if _referred(f"{section}#{k}", text)}
    # An override inside a component may have cut the last reference to an option that a file has; that is no mistake.
    said = said_by_files(parser) if set(candidates) - known else {}
    known |= {name for name, unchanged in said.items() if unchanged}
    with reporting_bad_input():
        for name, value in candidates.items():
            if name not in known and name in said:
                raise InputError(f"--{name}: got {shown(value)!r}, but nothing in this run looks at it; leave it out.")
            if name not in known:
                near = difflib.get_close_matches(name, sorted(known & set(candidates)), n=1)
                hint = f"did you mean --{near[0]}?" if near else "see the bundle's config for the known ones."
                raise InputError(f"--{name}: unknown option (value {shown(value)!r}); {hint}")
        for name, component in config.items():
            _check_arguments(name, component)
        _check_expressions(parser, files)
    _read_words(parser)


def _check_expressions(parser: ConfigParser, files: Sequence[str]) -> None:
    """
    Refuse names of files that MONAI reads as expressions and cannot evaluate.

    ``python -m monai.bundle`` takes values in the config's language, which is how MONAI has it; `mededit` takes names.
    """
    for name in files:
        raw = parser.get(name)
        if not isinstance(raw, str) or not raw.startswith("$"):
            continue
        try:
            parser.get_parsed_content(name)
        except Exception as error:
            if find_input_error(error) is not None:
                raise
            raise InputError(
                f"--{name}: got '{raw}', which a bundle run reads as an expression and cannot evaluate; give a file "
                f"whose name begins with $ to mededit instead."
            ) from error


#: What words on a shell stand for. MONAI reads Python there (``False``, ``None``), everyone writes YAML, and the text
#: 'false' would count as true.
WORDS = {"true": True, "false": False, "null": None}


def _read_words(parser: ConfigParser) -> None:
    """Give top-level options that came as the text 'true', 'false' or 'null' the value that was meant."""
    for name, value in parser.get().items():
        if isinstance(value, str) and value in WORDS:
            parser.get()[name] = WORDS[value]
            parser.ref_resolver.items[name].update_config(WORDS[value])  # nothing but the imports is resolved yet


def check_sections(names: Sequence[str], configs: Sequence[str]) -> None:
    """
    Refuse overrides of a section that no config has, which MONAI ends with a KeyError.

    Args:
        names: of the overrides, ``section#key``; configs: files that are read.

    Raises:
        InputError: names the section and the nearest one.
    """
    sections = {name: name.replace("::", "#").split("#")[0] for name in names if "#" in name or "::" in name}
    if not sections:
        return
    known = {str(key).split("#")[0] for path in configs for key in ConfigParser.load_config_file(path)}
    for name, section in sections.items():
        if section not in known:
            near = difflib.get_close_matches(section, sorted(known), n=1)
            hint = f"did you mean --{near[0]}#…?" if near else "see the bundle's config for the known ones."
            raise InputError(f"--{name}: no config has a section '{section}'; {hint}")


def unused_options(parser: ConfigParser, names: Collection[str], read: Collection[str] = ()) -> set[str]:
    """
    Those of some options that nothing in a config refers to, or nothing but what is itself not referred to.

    Args:
        parser: of the run; names: of the options; read: what is read by name.
    """
    alive = {name: item for name, item in parser.get().items() if name != "_meta_"}
    kept = {name.split("#")[0] for name in MONAI_IDS} - set(names) | set(read)
    while True:
        text = " ".join(_strings(alive))
        dead = {name for name in alive if name not in kept and not _referred(name, text)}
        if not dead:
            return set(names) - set(alive)
        alive = {name: item for name, item in alive.items() if name not in dead}


def said_by_files(parser: ConfigParser) -> dict[str, bool]:
    """
    The top-level ids, and members of plain sections, of the config files of this run → whether they have the value that
    the last of them gives them, or any where their order is not known: nobody changed them.
    """
    found: dict[str, bool] = {}
    in_order = bool(files_read(parser))
    for content in _contents(parser):
        for key, value in content.items():
            name = _id(key)
            items = {name: value}
            if isinstance(value, Mapping) and "_target_" not in value:
                items |= {f"{name}#{member}": one for member, one in value.items()}
            for one, of in items.items():
                # What is added to an item of the files before cannot be told from the whole, and what is changed inside
                # a component is checked there.
                open_ended = str(key).startswith("+") or _has_component(of)
                unchanged = open_ended or as_written(shown(parser.get(one))) == as_written(of)
                found[one] = unchanged or (found.get(one, False) and not in_order)
    return found


def _contents(parser: ConfigParser) -> Iterator[Mapping[str, Any]]:
    """
    The config files of this run. Where nobody says which they are, those of the bundle and the shipped overlays whose
    top-level ids are all in its config: what was read is there to the last id.
    """
    said = [Path(file) for file in files_read(parser)]
    root = shown(parser.get("bundle_root"))
    homes = [Path(root, "configs")] if isinstance(root, str) else []
    for path in said or [file for home in (*homes, *config_homes()) for file in sorted(home.glob("*.yaml"))]:
        try:
            content = ConfigParser.load_config_file(str(path))
        except Exception:
            continue  # where the run stands, which is bundle_root by default, other files may lie
        if isinstance(content, Mapping) and (said or {_id(key).split("#")[0] for key in content} <= set(parser.get())):
            yield content


def _id(key: Any) -> str:
    """An id as a config file writes it, without what MONAI shall do with it."""
    return str(key).removeprefix("+").replace("::", "#")


def _has_component(value: Any) -> bool:
    return isinstance(value, Mapping) or isinstance(value, (list, tuple)) and any(map(_has_component, value))


def _check_arguments(name: str, item: Any) -> None:
    """Refuse arguments of a component that its class or function does not take, such as ``--inferer#stepz 3``."""
    if isinstance(item, (list, tuple)):
        item = dict(enumerate(item))
    if not isinstance(item, Mapping):
        return
    for key, value in item.items():
        _check_arguments(f"{name}#{key}", value)
    target = item.get("_target_")
    made = pydoc.locate(target) if isinstance(target, str) and "." in target else None
    if not callable(made):
        return  # a short name of MONAI's, or an expression: known when it is built
    try:
        parameters = inspect.signature(made).parameters.values()
    except ValueError:
        return  # one of Python's own, which does not say
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = {p.name for p in parameters}
    for key in item:
        if not str(key).startswith("_") and key not in known:
            near = difflib.get_close_matches(str(key), sorted(known), n=1)
            hint = f"did you mean --{name}#{near[0]}?" if near else f"it takes {', '.join(sorted(known))}."
            raise InputError(f"--{name}#{key}: {target} takes no such argument; {hint}")


def _referred(name: str, text: str) -> bool:
    return re.search(rf"@{re.escape(name)}(?!\w)", text.replace("::", "#")) is not None


def _strings(item: Any) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    elif isinstance(item, Mapping):
        for value in item.values():
            yield from _strings(value)
    elif isinstance(item, (list, tuple)):
        for value in item:
            yield from _strings(value)
