# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether an option of a bundle's config arrives where it acts: the config built with it, and looked at."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Any

from conftest import REPOSITORY
from monai.bundle import ConfigParser

import mededit_monai

CONFIGS = REPOSITORY / "bundles" / "stroke" / "configs"

#: The other bundle's folder.
TUMOR = str(REPOSITORY / "bundles" / "tumor")


@cache
def _read(files: tuple[str, ...], configs: Path = CONFIGS) -> dict[str, Any]:
    return ConfigParser.load_config_files([str(configs / name) for name in files])


class Built:
    """
    A bundle's config with options changed; call it with the id of an item to get that item, built.

    Args:
        files: one after the other, later ones over earlier ones.
        options: as on a command line.
        configs: folder of the bundle's configs.
    """

    def __init__(self, files: Sequence[str], options: Mapping[str, Any], configs: Path = CONFIGS) -> None:
        self._parser = ConfigParser()
        self._parser.read_config(deepcopy(_read(tuple(files), configs)))
        self._parser.update({"bundle_root": str(configs.parent), **options})

    def __call__(self, name: str) -> Any:
        return self._parser.get_parsed_content(name)

    def written(self, name: str) -> Any:
        """An item as the config has it."""
        return self._parser.get(name)

    def of(self, name: str, kind: str) -> Any:
        """The one of a list of components, or of a transform's, that is of a class."""
        parts = self(name)
        (found,) = [part for part in getattr(parts, "transforms", parts) if type(part).__name__ == kind]
        return found


class Bench:
    """
    Builds configs and keeps them, since many wires begin at one option and all share what is built without it.

    Args:
        files: as for :class:`Built`.
        options: that make everything small.
        configs: folder of the bundle's configs.
    """

    def __init__(self, files: Sequence[str], options: Mapping[str, Any], configs: Path = CONFIGS) -> None:
        self.files, self.options, self.configs = files, options, configs
        self._known: dict[str, Built] = {}

    def built(self, **options: Any) -> Built:
        """The config with options on top of the small ones."""
        key = repr(sorted(options.items()))
        if key not in self._known:
            self._known[key] = Built(self.files, {**self.options, **options}, self.configs)
        return self._known[key]


def settable(files: Sequence[str], sections: Sequence[str]) -> set[str]:
    """
    What a person can set: the top-level items of the last file without those that only say what is made of them.

    Args:
        sections: names of the latter.
    """
    known = set(_read((files[-1],)))
    assert set(sections) <= known, f"no sections of {files[-1]}: {sorted(set(sections) - known)}"
    return known - set(sections)


@dataclass(frozen=True)
class Wire:
    """
    One way that an option goes.

    Args:
        option: its name; value: another than the default.
        shown: gets :class:`Built`, gives what the component at the end has received.
        wanted: what that must be; ``...`` for ``value`` itself.
        beside: further options, in both cases.
    """

    option: str
    value: Any
    shown: Callable[[Built], Any]
    wanted: Any = ...
    beside: Mapping[str, Any] | None = None

    def check(self, bench: Bench) -> None:
        """The component has the value where the option has it, and another one where the option is left alone."""
        beside, wanted = dict(self.beside or {}), self.value if self.wanted is ... else self.wanted
        found = self.shown(bench.built(**{**beside, self.option: self.value}))
        assert found == wanted, f"--{self.option} {self.value}: the component has {found!r}"
        before = self.shown(bench.built(**beside))
        assert before != wanted, f"--{self.option}: {wanted!r} is what the component has without it, too"


@cache
def import_everything() -> None:
    """Import the whole package: a module first imported while a function is replaced would keep the light one."""
    for found in pkgutil.walk_packages(mededit_monai.__path__, "mededit_monai."):
        if not found.name.endswith("__main__"):
            with suppress(ModuleNotFoundError):  # of an extra
                importlib.import_module(found.name)


def listen(monkeypatch: Any, place: str, answer: Callable[[Mapping[str, Any]], Any]) -> None:
    """
    Put something light in the place of a function that a config calls.

    Args:
        place: ``module:function``.
        answer: gets the arguments by name, as the real function would bind them, and gives the result.
    """
    import_everything()
    module_name, name = place.split(":")
    module = importlib.import_module(module_name)
    real = getattr(module, name)
    signature = inspect.signature(real)

    @wraps(real)
    def heard(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return answer(dict(bound.arguments))

    monkeypatch.setattr(module, name, heard)


def name_of(wire: Wire) -> str:
    """The name of a wire's test: its option."""
    return wire.option
