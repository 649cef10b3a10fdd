# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles from Hugging Face: fetched once, looked at each time."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from mededit_monai.core.errors import InputError
from mededit_monai.core.loudness import is_quiet
from mededit_monai.io.checksums import APART, CHECKSUMS, OK, UNDECLARED, weights_states

#: How a bundle on Hugging Face is told from a name or a folder.
HUB = "hf:"

#: What the option of a pip command needs for everything here.
EXTRA = "mededit_monai[hub]"


def require_hub_id(name: str, given: str) -> None:
    """
    Refuse what cannot be the name of a repository on Hugging Face.

    Args:
        name: of the option.

    Raises:
        InputError: it is not ORG/NAME.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", given, flags=re.ASCII):
        raise InputError(f"--{name}: got '{given}', wanted ORG/NAME, such as MONAI/spleen_ct_segmentation.")


@cache  # one run sees one revision, and asks once
def fetched_bundle(given: str) -> Path:
    """
    Folder of a bundle on Hugging Face, in the cache of ``huggingface_hub``, its weights compared with their checksums.

    ``HF_ENDPOINT`` is another hub than huggingface.co, ``HF_HOME`` another cache; ``HF_HUB_OFFLINE=1`` takes what the
    cache has.

    Args:
        given: ``hf:ORG/NAME``, or ``hf:ORG/NAME@REVISION`` with a tag, branch or commit.

    Raises:
        InputError: no such repository, no connection, no bundle in it, or weights that are not those declared.
    """
    repository, _, revision = given.removeprefix(HUB).partition("@")
    require_hub_id("bundle", repository)
    folder = _snapshot(given, repository, revision or None)
    if not (folder / "configs" / "inference.yaml").is_file():
        raise InputError(f"--bundle: {given} has no configs/inference.yaml; give a bundle that mededit export wrote.")
    require_declared_weights(given, folder / "models")
    return folder


def _snapshot(given: str, repository: str, revision: str | None) -> Path:
    """Everything but the second copy of the weights, which MONAI does not read."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise InputError(f"--bundle: {given} needs huggingface_hub; run pip install '{EXTRA}'.") from error
    if is_quiet():
        disable_progress_bars()
    try:
        endpoint = os.environ.get("HF_ENDPOINT")
        found = snapshot_download(repository, revision=revision, ignore_patterns=["*.safetensors"], endpoint=endpoint)
    except RepositoryNotFoundError as error:
        way = "check the name; for a private one, log in with hf auth login"
        raise InputError(f"--bundle: {given} is not on the hub, or not for you; {way}.") from error
    except RevisionNotFoundError as error:
        raise InputError(f"--bundle: {given}: the repository has no revision '{revision}'; check it.") from error
    except LocalEntryNotFoundError as error:
        way = "check the connection, or download it elsewhere and give the folder"
        raise InputError(f"--bundle: {given} is not in the cache and the hub cannot be reached; {way}.") from error
    except Exception as error:  # of requests, httpx, the file system, …
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"--bundle: {given} cannot be fetched ({why}); try again, or give a folder.") from error
    return Path(found)


def require_declared_weights(given: str, models: Path) -> None:
    """
    Refuse weights that came from elsewhere unless each is the one that the list beside them declares.

    Args:
        given: what the bundle is called, for the sentence; models: its folder of weights.

    Raises:
        InputError: names the first one that is not.
    """
    states = {name: state for name, state in weights_states(models).items() if name.endswith(".pt")}
    if not states:
        raise InputError(f"--bundle: {given} holds no weights in models/; ask who shared it.")
    for name, state in states.items():
        if state == UNDECLARED:
            raise InputError(f"--bundle: models/{name} of {given} is not in models/{CHECKSUMS}; ask who shared it.")
        if state not in (OK, APART):
            way = f"remove {models.parent} and fetch it again, or ask who shared it"
            raise InputError(f"--bundle: models/{name} of {given}: {state}; {way}.")
