# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Registries: order, names that are taken or unknown, and plugins of all kinds, good and bad."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from plugins.loading import loaded

from mededit_monai.core import registry
from mededit_monai.core.errors import InputError
from mededit_monai.core.lazy import Later
from mededit_monai.core.registry import Registry
from mededit_monai.methods.record import METHODS
from mededit_monai.sampling.sampler import SAMPLERS


def plugin(place: Path, text: str) -> Path:
    place.write_text(f"from mededit_monai.sampling.sampler import SAMPLERS, Sampler\n{text}\n")
    return place


def test_looked_up_by_name():
    known: Registry[int] = Registry("kind")
    assert known.add("one", 1) == 1 and known.add("two", 2) == 2
    assert known["two"] == 2 and "one" in known and "three" not in known and 3 not in known
    assert dict(known) == {"one": 1, "two": 2} and len(known) == 2 and known.names() == ("one", "two")
    with pytest.raises(InputError, match="^--kind: got 'tow', wanted one of one, two; did you mean 'two'.$"):
        known["tow"]
    with pytest.raises(InputError, match="^--kind: 'one' is registered twice; rename the one that was added.$"):
        known.add("one", 3)
    assert known["one"] == 1


def test_the_order_does_not_depend_on_what_was_imported_first():
    """Lists that people read, such as the choices in --help, are the same in every process."""
    modules = ("mededit_monai.methods.palette_original", "mededit_monai.sampling.dpm2m", "mededit_monai.diseases.tumor")
    places = {"METHODS": "methods.record", "SAMPLERS": "sampling.sampler", "DISEASES": "diseases"}
    names = "; ".join(f"from mededit_monai.{place} import {name}" for name, place in places.items())
    words = f"import {', '.join(modules)}; {names}; print(*METHODS, *SAMPLERS, *DISEASES)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60)
    methods = ["morph", "mededit", "naive_repaint", "sdedit", "palette", "palette_original"]
    assert done.stdout.split() == [*methods, "ddpm", "ddim", "dpm2m", "stroke", "tumor"], done.stderr


def test_looking_at_methods_and_samplers_is_quick():
    """--help must not wait for torch, SciPy or MONAI."""
    heavy = "{'torch', 'monai', 'scipy', 'nibabel', 'matplotlib'}"
    words = f"import sys, mededit_monai.cli.program; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["set()"], done.stderr


def test_plugins_come_last_and_are_imported_once(tmp_path):
    """Two files; what one leaves behind can be pickled, as worker processes need."""
    count = tmp_path / "count"
    text = f"open({str(count)!r}, 'a').write('x')\nclass Mine(Sampler):\n    pass\nSAMPLERS.add('{{}}', Mine)"
    files = [plugin(tmp_path / f"{name}.py", text.format(name)) for name in ("late", "later")]
    with loaded(*files):
        assert SAMPLERS.names() == ("ddpm", "ddim", "dpm2m", "late", "later")
        assert METHODS.names() and SAMPLERS.names() and count.read_text() == "xx"
        kind = SAMPLERS["late"]
        assert pickle.loads(pickle.dumps(kind)) is kind and kind is not SAMPLERS["later"]
    assert SAMPLERS.names() == ("ddpm", "ddim", "dpm2m")


def test_a_plugin_may_look_at_what_is_there(tmp_path):
    text = "class Mine(SAMPLERS['ddim']):\n    pass\nSAMPLERS.add('mine', Mine)"
    with loaded(plugin(tmp_path / "mine.py", text)):
        assert SAMPLERS["mine"].options == ("eta",)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("none.py", None, "none.py not found; name existing Python files."),
        ("notes.txt", "", "notes.txt is no Python file; name files that end in .py."),
        ("broken.py", "1 / 0", r"broken.py cannot be run \(ZeroDivisionError.*\); mend it."),
        ("syntax.py", "def", r"syntax.py cannot be run \(SyntaxError.*\); mend it."),
        ("taken.py", "SAMPLERS.add('ddim', Sampler)", "--sampler: 'ddim' is registered twice; rename the one that was"),
    ],
)
def test_plugins_that_are_none(name, text, sentence, tmp_path, monkeypatch):
    """Whoever tries again is told again."""
    place = tmp_path / name
    if text is not None:
        plugin(place, text)
    monkeypatch.setenv(registry.PLUGINS_VARIABLE, str(place))
    for _ in range(2):
        with pytest.raises(InputError, match=sentence):
            SAMPLERS.names()
    monkeypatch.delenv(registry.PLUGINS_VARIABLE)
    assert SAMPLERS.names() == ("ddpm", "ddim", "dpm2m")


def test_a_broken_plugin_ends_the_program_in_a_sentence(tmp_path):
    environment = {**os.environ, registry.PLUGINS_VARIABLE: str(plugin(tmp_path / "broken.py", "1 / 0"))}
    command = [sys.executable, "-m", "mededit_monai.cli", "edit", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("mededit: MEDEDIT_PLUGINS: ") and "cannot be run (ZeroDivisionError" in done.stderr


class Entry:
    """What an installed package declares in its metadata."""

    loads = 0

    def load(self) -> None:
        self.loads += 1


def test_installed_packages(monkeypatch):
    """By the entry points of the group, once a process."""
    entry, asked = Entry(), []
    monkeypatch.setattr(registry, "entry_points", lambda group: asked.append(group) or [entry])
    monkeypatch.setattr(registry, "_loaded_plugins", set())
    assert SAMPLERS.names() == SAMPLERS.names() and "ddim" in SAMPLERS
    assert asked == ["mededit_monai.plugins"] and entry.loads == 1


def test_later_is_the_thing_itself():
    assert Later("fractions:Fraction")(3, denominator=6).denominator == 2
    with pytest.raises(AttributeError):
        Later("fractions:Friction")()
