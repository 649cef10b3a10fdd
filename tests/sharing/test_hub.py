# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`--bundle hf:ORG/NAME` and `monai.bundle download`, from a hub on this machine."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, write_head
from monai.bundle import download
from promises.verbs import mededit, tree  # noqa: F401
from sharing.hub_mirror import COMMIT, TAG, hub_mirror
from sharing.toy_bundle import NAME, write_bundle

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import bundle_root
from mededit_monai.sharing import hub
from mededit_monai.sharing.export import export_bundle


@pytest.fixture()
def shared(tmp_path) -> Path:
    """What an upload of the toy bundle holds."""
    export_bundle(write_bundle(tmp_path / "here"), "hf", tmp_path / "shared", hub_id="ORG/tumor")
    return tmp_path / "shared" / NAME


@pytest.fixture()
def mirror(shared, tmp_path, monkeypatch):
    """The hub, and a cache with nothing in it; huggingface_hub reads both from the environment as it is imported."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    hub.fetched_bundle.cache_clear()
    with hub_mirror({"ORG/tumor": shared}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield address
    hub.fetched_bundle.cache_clear()


def test_a_bundle_is_fetched_and_known(mirror, shared, mededit):  # noqa: F811
    root = bundle_root("hf:ORG/tumor")
    found, wanted = tree(root), tree(shared)
    assert found == {name: data for name, data in wanted.items() if not name.endswith(".safetensors")}
    assert root == bundle_root("hf:ORG/tumor") and root.name == COMMIT
    assert bundle_root(f"hf:ORG/tumor@{TAG}") == bundle_root(f"hf:ORG/tumor@{COMMIT}") == root
    facts = json.loads(mededit("info", "--bundle", "hf:ORG/tumor", "--json").out)
    assert facts["version"] == "0.1.0" and set(facts["weights"]) == {"model.pt", "paint.pt"}


def test_without_a_connection_the_cache_will_do(shared, mirror, monkeypatch):
    root = bundle_root("hf:ORG/tumor")
    hub.fetched_bundle.cache_clear()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert bundle_root("hf:ORG/tumor") == root
    with pytest.raises(InputError, match="hf:ORG/tumor@other is not in the cache and the hub cannot be reached; check"):
        bundle_root("hf:ORG/tumor@other")


@pytest.mark.parametrize(
    "given, words",
    [
        ("hf:ORG/none", "is not on the hub, or not for you"),
        ("hf:ORG/tumor@2.0", "has no revision '2.0'"),
        ("hf:tumor", "--bundle: got 'tumor', wanted ORG/NAME"),
        ("hf:../../etc", "wanted ORG/NAME"),
        ("hf:", "wanted ORG/NAME"),
    ],
)
def test_what_is_not_there(mirror, mededit, given, words):  # noqa: F811
    done = mededit("edit", "--bundle", given, "--scan", "a.nii", "--pathology", "b.nii", "-o", "out")
    assert done.refused(words), done.said


@pytest.mark.parametrize(
    "what, words",
    [
        ("changed", "models/paint.pt of hf:ORG/tumor: differs from its checksum; remove "),
        ("absent", "models/paint.pt of hf:ORG/tumor: absent; remove "),
        ("undeclared", "models/paint.pt of hf:ORG/tumor is not in models/SHA256SUMS"),
        ("none", "holds no weights in models/"),
        ("no bundle", "has no configs/inference.yaml"),
    ],
)
def test_weights_are_compared_with_their_checksums(shared, mirror, what, words):
    if what == "changed":
        content = bytearray((shared / "models" / "paint.pt").read_bytes())
        content[-30] ^= 1
        (shared / "models" / "paint.pt").write_bytes(content)
    elif what == "absent":
        (shared / "models" / "paint.pt").unlink()
    elif what == "undeclared":
        lines = (shared / "models" / "SHA256SUMS").read_text().splitlines(keepends=True)
        (shared / "models" / "SHA256SUMS").write_text("".join(line for line in lines if "paint.pt" not in line))
    elif what == "none":
        for place in (shared / "models").iterdir():
            place.unlink()
    else:
        (shared / "configs" / "inference.yaml").unlink()
    with pytest.raises(InputError, match=f"--bundle: .*{words}"):
        bundle_root("hf:ORG/tumor")


def test_without_the_hubs_library(mirror, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"hf:ORG/tumor needs huggingface_hub; run pip install 'mededit_monai\[hub\]'"):
        bundle_root("hf:ORG/tumor")


def test_monai_downloads_it_too(mirror, shared, tmp_path, monkeypatch):
    """It gives the hub's library no address, which has read its own from the environment by now."""
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", mirror)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", mirror)
    template = mirror + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    download(name=NAME, source="huggingface_hub", repo="ORG/tumor", bundle_dir=str(tmp_path / "got"), progress=False)
    found = {name: data for name, data in tree(tmp_path / "got" / NAME).items() if not name.startswith(".cache")}
    assert found == tree(shared)


def documented(page: str, heading: str) -> list[str]:
    """The first command below a heading of a bundle's page."""
    block = page.partition(f"#### {heading}\n")[2].partition("```\n")[2].partition("```")[0]
    words = shlex.split(block.replace("\\\n", " "))
    assert words[:4] == ["python", "-m", "monai.bundle", "run"], block
    return words


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["stroke", "tumor"])
def test_downloaded_into_an_empty_home_and_run_with_its_two_commands(tmp_path, bundle):
    """As somebody does who has the package, and nothing of the repository: their commands are those of the page."""
    export_bundle(bundle, "hf", tmp_path / "shared", hub_id="ORG/it")
    (shared,) = (place for place in (tmp_path / "shared").iterdir() if place.is_dir())
    head = write_head(tmp_path / "head", shape=(60, 72, 20), spacing=(2.5, 2.5, 4.0))
    (tmp_path / "home").mkdir()
    environment = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if key in os.environ}
    environment |= {"HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(REPOSITORY)}

    def run(words: list[str], folder: Path, **more: str) -> None:
        command = [sys.executable, *words[1:]]
        done = subprocess.run(command, cwd=folder, env=environment | more, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]

    with hub_mirror({"ORG/it": shared}) as address:
        get = documented_download(shared / "README.md")
        run(get, tmp_path / "home", HF_ENDPOINT=address)
        scan = ["--scan", str(head.scan), "--pathology", str(head.pathology), "--slice_index", "auto", "--steps", "2"]
        edit = ["python", "-m", "mededit_monai.cli", "edit", "--bundle", "hf:ORG/it", *scan, "-o", "edited"]
        run(edit, tmp_path / "home", HF_ENDPOINT=address)
    assert (tmp_path / "home" / "edited" / "scan" / "edited.nii.gz").is_file()
    home = tmp_path / "home" / shared.name
    page = (home / "docs" / "README.md").read_text()
    run([*documented(page, "Execute inference"), *scan, "--output_dir", "out"], home)
    assert (home / "out" / "scan" / "edited.nii.gz").read_bytes() == (
        tmp_path / "home" / "edited" / "scan" / "edited.nii.gz"
    ).read_bytes()
    sizes = "--cohort_size 8 --validation_size 4 --batch_size 4 --max_epochs 1 --preview_interval 0 --channels [8,16]"
    sizes += " --attention_levels [False,False] --num_head_channels 8 --norm_num_groups 4 --progress False"
    run([*documented(page, "Execute training"), *sizes.split(), "--output_dir", "trained"], home)
    assert (home / "trained" / "model.pt").is_file()


def documented_download(card: Path) -> list[str]:
    """MONAI's command on a model card."""
    (line,) = (one for one in card.read_text().splitlines() if "monai.bundle download" in one)
    return shlex.split(line)
