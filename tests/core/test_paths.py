# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import bundle_root, default_cache, user_path
from mededit_monai.core.program import exit_code


def test_bundles_by_name_and_folder():
    assert bundle_root("stroke").name == "stroke" and bundle_root(bundle_root("tumor")) == bundle_root("tumor")
    with pytest.raises(
        InputError, match="'strok' is neither a known bundle .semantic_synthesis, stroke, tumor. nor a bundle's folder"
    ):
        bundle_root("strok")


def test_an_empty_path_is_not_the_current_folder(tmp_path, monkeypatch):
    """As `-o "$OUT"` gives it where OUT is not set."""
    with pytest.raises(InputError, match="An empty path was given"):
        user_path("")
    assert user_path(".") == Path(".") and user_path("~") == Path.home()
    monkeypatch.delenv("MEDEDIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # which means the same as if it were not set
    assert default_cache() == Path.home() / ".cache" / "mededit_monai"


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"
    monkeypatch.setenv("MEDEDIT_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "mededit_monai"


def test_a_user_without_a_home(monkeypatch):
    """As a container's user may be, of whom neither HOME nor the list of users tells."""

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("MEDEDIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", staticmethod(nobody))
    with pytest.raises(InputError, match="MEDEDIT_CACHE: is not set.*set it to a folder"):
        default_cache()
    assert exit_code(ZeroDivisionError("x")) == 1  # its traceback goes elsewhere
