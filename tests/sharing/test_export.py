# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What is written for the zoo and for Hugging Face, and what is refused."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from conftest import REPOSITORY
from monai.bundle import push_to_hf_hub
from promises.verbs import mededit, tree  # noqa: F401
from safetensors.torch import load_file
from sharing.toy_bundle import NAME, write_bundle

from mededit_monai.core.errors import InputError
from mededit_monai.io.checksums import weights_states
from mededit_monai.sharing import export
from mededit_monai.sharing.export import export_bundle
from mededit_monai.sharing.pages import alone, from_above


@pytest.fixture()
def bundle(tmp_path) -> Path:
    return write_bundle(tmp_path / "here")


def test_the_zoos_folder(bundle, tmp_path):
    facts = export_bundle(bundle, "zoo", tmp_path / "out", hub_id="ORG/tumor")
    assert (facts["name"], facts["large_files"], facts["undeclared"]) == (NAME, [], [])
    home = tmp_path / "out" / "models" / NAME
    assert not [place for place in (tmp_path / "out").rglob("*") if place.is_symlink()]
    kept = {name for name in tree(bundle) if name not in ("docs/README.md",)}
    assert {name: tree(home)[name] for name in kept} == {name: tree(bundle)[name] for name in kept}
    assert set(tree(home)) == set(tree(bundle))  # nothing else: MONAI's marker of folders is not in it
    test = (tmp_path / "out" / "ci" / "unit_tests" / f"test_{NAME}.py").read_text()
    assert ast.parse(test) and f'"{NAME}"' in test and "BUNDLE_NAME" not in test
    entry = tmp_path / "out" / "hf_models" / NAME
    assert {place.name for place in entry.iterdir()} == {"README.md", "LICENSE", "metadata.json"}
    metadata = json.loads((entry / "metadata.json").read_text())
    assert metadata["huggingface_url"] == "https://huggingface.co/ORG/tumor"
    assert metadata["version"] in metadata["changelog"] and metadata["authors"] == ["the mededit_monai authors"]
    assert "network_data_format" not in metadata and "meta_schema_hf_20250321" in metadata["schema"]


def test_no_entry_without_an_id(bundle, tmp_path):
    export_bundle(bundle, "zoo", tmp_path / "out")
    assert {place.name for place in (tmp_path / "out").iterdir()} == {"models", "ci", ".mededit.json"}


def test_files_too_large_for_the_zoo_are_listed_and_left_out(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LARGEST", 10**6)
    (bundle / "models" / "paint.pt").unlink()
    torch.save({"weight": torch.zeros(300_000)}, bundle / "models" / "paint.pt")  # 1.2 MB
    (bundle / "models" / "SHA256SUMS").unlink()
    with pytest.raises(InputError, match="--files_url: models/paint.pt is larger than the 1 MB"):
        export_bundle(bundle, "zoo", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    facts = export_bundle(bundle, "zoo", tmp_path / "out", files_url="https://example.org/w/")
    home = tmp_path / "out" / "models" / NAME
    assert facts["large_files"] == ["models/paint.pt"] and facts["undeclared"] == ["model.pt", "paint.pt"]
    assert not (home / "models" / "paint.pt").exists()
    (entry,) = yaml.safe_load((home / "large_files.yml").read_text())["large_files"]
    digest = dict(reversed(line.split()) for line in (home / "models" / "SHA256SUMS").read_text().splitlines())
    wanted = {"path": "models/paint.pt", "url": "https://example.org/w/paint.pt", "hash_type": "sha256"}
    assert entry == wanted | {"hash_val": digest["paint.pt"]}


def test_weights_that_are_released_apart_are_no_fault(bundle, tmp_path, mededit):  # noqa: F811
    shutil.copyfile(REPOSITORY / "bundles" / "tumor" / "large_files.yml", bundle / "large_files.yml")
    apart = ["model_box.pt", "model_regions.pt", "palette.pt", "palette_original.pt"]
    done = mededit("export", "--bundle", bundle, "--to", "zoo", "-o", tmp_path / "out", "--json")
    assert json.loads(done.out)["apart"] == apart and f"{', '.join(apart)}: not in the bundle" in done.err
    assert not list((tmp_path / "out").rglob("large_files.yml"))  # its addresses are open
    export_bundle(bundle, "hf", tmp_path / "hf")
    export_bundle(bundle, "zoo", tmp_path / "web", files_url="https://example.org/w")
    home = tmp_path / "web" / "models" / NAME
    entries = yaml.safe_load((home / "large_files.yml").read_text())["large_files"]
    assert [entry["url"] for entry in entries] == [f"https://example.org/w/tumor_{name}" for name in apart]
    assert {name: state for name, state in weights_states(home / "models").items() if state != "ok"} == dict.fromkeys(
        apart, "released apart"
    )


def test_hugging_faces_folder_is_laid_out_as_monai_does(bundle, tmp_path, monkeypatch):
    export_bundle(bundle, "hf", tmp_path / "out", hub_id="ORG/tumor")
    ours = tree(tmp_path / "out" / NAME)
    sent = {}

    class Api:
        def __init__(self, token=None):
            pass

        def create_repo(self, **_):
            pass

        def upload_folder(self, repo_id, folder_path):
            sent.update(tree(Path(folder_path)))

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    export_bundle(bundle, "zoo", tmp_path / "zoo")
    push_to_hf_hub(repo="ORG/tumor", name=NAME, bundle_dir=str(tmp_path / "zoo" / "models"))
    more = {"models/model.safetensors", "models/paint.safetensors"}
    assert set(ours) == set(sent) | more
    differ = {name for name in sent if ours[name] != sent[name]}
    assert differ == {"README.md", "models/SHA256SUMS"}  # MONAI's card has no way to use it, its list no safetensors
    assert all(weights_states(tmp_path / "out" / NAME / "models")[Path(name).name] == "ok" for name in more)


def test_safetensors_hold_what_pt_does(bundle, tmp_path):
    export_bundle(bundle, "hf", tmp_path / "out")
    models = tmp_path / "out" / NAME / "models"
    state, safe = torch.load(models / "model.pt", weights_only=True), load_file(models / "model.safetensors")
    assert set(state) == set(safe) and all(torch.equal(state[key], safe[key]) for key in state)
    assert {tensor.dtype for tensor in safe.values()} == {torch.float16, torch.int64}


def test_the_model_card(bundle, tmp_path):
    export_bundle(bundle, "hf", tmp_path / "out", hub_id="ORG/tumor")
    card = huggingface_hub.ModelCard.load(tmp_path / "out" / NAME / "README.md")
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        "apache-2.0",
        "monai",
        "image-to-image",
    )
    assert {"monai", "medical", "glioma", "image-editing", "synthetic-data"} <= set(card.data.tags)
    assert "Research use only" in card.text and "mededit edit --bundle hf:ORG/tumor" in card.text
    assert card.text.index("## Use it") < card.text.index("## Authors")
    assert "(docs/data_license.txt)" in card.text and "](../" not in card.text
    without = (export_bundle(bundle, "hf", tmp_path / "no_id"), tmp_path / "no_id" / NAME / "README.md")[1]
    assert "## Use it" not in without.read_text()


def test_a_page_alone():
    text = "\n".join(
        (
            "# A",
            "[model",
            "  card](../../../docs/x.md#y), [data](data_license.txt), [web](https://a.b), "
            "[up](../../stroke/docs/README.md)",
            "`bundles/tumor/models/a.pt`",
            "## MONAI Bundle Commands",
            "From the repository root, with the package installed.",
            "run --config_file bundles/tumor/configs/train.yaml --bundle_root bundles/tumor",
            "",
        )
    )
    page = alone(text, "tumor", "1.2.3")
    assert "model\n  card (`docs/x.md` in the repository of mededit_monai), [data](data_license.txt)" in page
    assert "[web](https://a.b), up (`bundles/stroke/docs/README.md` in" in page
    assert "`bundles/tumor/models/a.pt`" in page  # of the training, which was in the repository
    assert "run --config_file configs/train.yaml --bundle_root .\n" in page and "mededit_monai==1.2.3" in page
    assert "[data](docs/data_license.txt)" in from_above(page) and "[web](https://a.b)" in from_above(page)


@pytest.mark.parametrize("name", ["stroke", "tumor", "semantic_synthesis"])
def test_no_page_of_a_bundle_leads_out_of_it(name):
    text = (REPOSITORY / "bundles" / name / "docs" / "README.md").read_text()
    page = alone(text, name, "0.1.0")
    assert "](.." not in page and page.count("##") == text.count("##")
    assert f"bundles/{name}" not in page.partition("## MONAI Bundle Commands")[2]


def damage(root: Path, what: str) -> None:
    models = root / "models"
    if what == "absent":
        (models / "paint.pt").unlink()
    elif what == "changed":
        torch.save({"weight": torch.ones(2)}, models / "paint.pt")
    elif what == "none":
        shutil.rmtree(models)
    elif what == "more than tensors":
        torch.save({"step": 3}, models / "model.pt")
        (models / "SHA256SUMS").unlink()
    elif what == "no licence":
        (root / "LICENSE").unlink()
    elif what == "no name":
        (root / "configs" / "metadata.json").unlink()
        (root / "configs" / "metadata.json").write_text('{"version": "1"}')


@pytest.mark.parametrize(
    "what, words",
    [
        ("absent", ("paint.pt", "absent", "SHA256SUMS")),
        ("changed", ("paint.pt", "differs from its checksum")),
        ("none", ("model.pt", "train the bundle")),
        ("more than tensors", ("model.pt", "no plain state dict")),
        ("no licence", ("LICENSE", "not found")),
        ("no name", ("metadata.json", "mend it")),
    ],
)
def test_a_bundle_that_is_not_whole(bundle, tmp_path, mededit, what, words):  # noqa: F811
    damage(bundle, what)
    for to in ("zoo", "hf"):
        done = mededit("export", "--bundle", bundle, "--to", to, "-o", tmp_path / "out")
        assert done.refused(*words), done.said
    assert {place.name for place in tmp_path.iterdir()} == {"here"}


def test_a_bundle_that_is_none(tmp_path, mededit):  # noqa: F811
    done = mededit("export", "--bundle", "strok", "--to", "zoo", "-o", tmp_path / "out")
    assert done.refused("'strok' is neither a known bundle")
    assert not list(tmp_path.iterdir())


def test_nothing_is_ever_replaced(bundle, tmp_path, mededit):  # noqa: F811
    words = ("export", "--bundle", bundle, "--to", "hf", "-o", tmp_path / "out")
    (tmp_path / "out").mkdir()
    assert mededit(*words).code == 0  # an empty folder is as good as none
    before = tree(tmp_path / "out")
    assert mededit(*words).refused("--output_dir", "is there already") and tree(tmp_path / "out") == before
    assert mededit(*words[:-1], bundle / "LICENSE").refused("--output_dir")


@pytest.mark.parametrize(
    "given, words",
    [
        (("--to", "ngc"), ("--to", "'ngc'", "zoo, hf")),
        (("--to", "hf", "--hub_id", "tumor"), ("--hub_id", "'tumor'", "ORG/NAME")),
        (("--to", "zoo", "--files_url", "server/weights"), ("--files_url", "https://")),
        (("--to", "hf", "--files_url", "https://a.b"), ("--files_url", "--to zoo")),
    ],
)
def test_options_that_say_nothing_sensible(bundle, tmp_path, mededit, given, words):  # noqa: F811
    assert mededit("export", "--bundle", bundle, "-o", tmp_path / "out", *given).refused(*words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("inner", ["", "share", "docs/share"])
def test_an_export_does_not_go_into_the_bundle(bundle, mededit, inner):  # noqa: F811
    """The next one would take it for a part of the bundle."""
    before = tree(bundle)
    done = mededit("export", "--bundle", bundle, "--to", "hf", "-o", bundle / inner)
    assert done.code == 2 and tree(bundle) == before
    assert not inner or done.refused("--output_dir: ", "lies in", "the bundle"), done.err


def test_what_is_said(bundle, tmp_path, mededit):  # noqa: F811
    (bundle / "models" / "SHA256SUMS").write_text("")
    done = mededit("export", "--bundle", bundle, "--to", "zoo", "-o", tmp_path / "out", "--json")
    facts = json.loads(done.out)
    assert facts["written"] == str(tmp_path / "out") and facts["files"] == len(tree(tmp_path / "out"))
    assert "model.pt, paint.pt: no checksum was declared" in done.err
    assert set(weights_states(tmp_path / "out" / "models" / NAME / "models").values()) == {"ok"}
    done = mededit("export", "--bundle", bundle, "--to", "zoo", "-o", tmp_path / "again")
    assert done.out.startswith(f"{tmp_path / 'again'}: {NAME}, ") and done.code == 0
    help = mededit("export", "--help")
    assert "Example: mededit export --bundle stroke --to hf" in help.out
