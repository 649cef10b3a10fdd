# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Cases shared out to workers: the same bytes whatever the cluster, whoever is killed, and wherever it is stopped."""

from __future__ import annotations

import _thread
import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import REPOSITORY, write_head
from synthesis.heads import label_array, write_label

from mededit_monai import edit
from mededit_monai.core.errors import InputError, SomeFailed
from mededit_monai.io.hashing import sha256
from mededit_monai.networks import save_weights
from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.pool import one_thread
from mededit_monai.simulation.simulate import simulate_cohort
from mededit_monai.workflows import bundle_content, synthesize

pytest.importorskip("distributed")

QUICK = {"method": "mededit", "slice_index": "auto", "steps": 2, "resample": 1, "progress": False, "device": "cpu"}


@pytest.fixture(scope="module", autouse=True)
def as_workers_do() -> Iterator[None]:
    """One thread, as a worker has: the last bits of a convolution depend on their number."""
    with one_thread():
        yield


#: A folder of a result that is being written, whose name tells by which process.
BEGUN = re.compile(r"\..+\.[0-9a-f]{8}(?P<process>[0-9a-f]{8})[0-9a-f]{4}\.unfinished")


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> Path:
    """Four cases, of which one has no lesion."""
    folder = tmp_path_factory.mktemp("listed")
    cases = []
    for name in ("a", "b", "c", "d"):
        head = write_head(folder / name, spacing=(2.0, 2.0, 4.0 + ord(name) / 1000))
        cases.append({"case_id": name, "scan": str(head.scan), "pathology": str(head.pathology)})
    empty = nib.Nifti1Image(np.zeros(head.image.shape, np.uint8), nib.load(folder / "c" / "pathology.nii.gz").affine)
    nib.save(empty, folder / "c" / "pathology.nii.gz")
    (folder / "cases.json").write_text(json.dumps(cases))
    return folder / "cases.json"


def images(folder: Path) -> dict[str, str]:
    """Digests of every image and picture below a folder."""
    found = sorted(p for p in folder.rglob("*") if p.name.endswith((".nii.gz", ".png", ".npz", "effects.json")))
    return {p.relative_to(folder).as_posix(): sha256(p) for p in found}


def edited(listed: Path, out: Path, **options) -> list[str]:
    """Edit the list, of which one case must fail."""
    with pytest.raises(SomeFailed, match="1 of 4 cases failed, the others are done") as caught:
        edit(datalist=str(listed), output_dir=out, **QUICK, **options)
    assert [one["case_id"] for one in caught.value.failed] == ["c"]
    assert "is empty" in json.loads((out / "failed.json").read_text())[0]["failed"]
    assert not list(out.glob(".*.unfinished")) and not (out / ".mededit.runs").exists()
    return [folder.name for folder in caught.value.written]


@pytest.fixture(scope="module")
def alone(listed, tmp_path_factory) -> Path:
    """The list edited without a cluster."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert edited(listed, out) == ["a", "b", "d"]
    return out


@contextmanager
def when_one_begins(out: Path, do: Callable[[int], None]) -> Iterator[list[int]]:
    """Do something to the process that is seen writing a result; what comes out lists it."""
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set() and not seen:
            for place in out.glob(".*.unfinished") if out.is_dir() else ():
                if (found := BEGUN.fullmatch(place.name)) and not seen:
                    seen.append(int(found["process"], 16))
                    do(seen[0])
            time.sleep(0.005)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.mark.slow
@pytest.mark.parametrize("word", ["local:1", "local:2"])
def test_the_same_bytes_whatever_the_cluster(listed, alone, tmp_path, capfd, word):
    assert edited(listed, tmp_path / "out", cluster=word, html=True) == ["a", "b", "d"]
    assert images(tmp_path / "out") == images(alone) and (tmp_path / "out" / "a" / "viewer.html").is_file()
    own, other = ((tmp_path / "out" / "a", alone / "a")[k] / "provenance.json" for k in (0, 1))
    facts = [json.loads(place.read_text()) for place in (own, other)]
    assert facts[0]["options"] == facts[1]["options"] and facts[0]["warnings"] == facts[1]["warnings"]
    assert facts[0]["inputs"] == facts[1]["inputs"]
    said = capfd.readouterr().err.splitlines()
    assert len(said) == len(set(said)) and not any("it/s" in line or "Traceback" in line for line in said)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(listed, alone, tmp_path):
    with when_one_begins(tmp_path / "out", lambda process: os.kill(process, signal.SIGKILL)) as killed:
        assert edited(listed, tmp_path / "out", cluster="local:2") == ["a", "b", "d"]
    assert killed and killed[0] != os.getpid() and images(tmp_path / "out") == images(alone)


@pytest.mark.slow
def test_a_run_that_is_interrupted_goes_on(listed, alone, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), when_one_begins(out, lambda _: _thread.interrupt_main()):
        edit(datalist=str(listed), output_dir=out, cluster="local:2", **QUICK)
    assert not list(out.glob(".*.unfinished")) and not (out / ".mededit.runs").exists()
    assert len(edited(listed, out, cluster="local:2", batch_size=2)) <= 3 and images(out) == images(alone)


@pytest.mark.slow
def test_a_fault_in_all_cases_ends_the_run(listed, tmp_path):
    with pytest.raises(InputError, match="weights.pt"):
        (tmp_path / "weights.pt").write_bytes(b"none")
        edit(
            datalist=str(listed),
            output_dir=tmp_path / "out",
            cluster="local:1",
            weights=tmp_path / "weights.pt",
            **QUICK,
        )
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("?"))


@pytest.mark.slow
def test_a_synthesis(tmp_path):
    given = {"channels": [8, 8, 8], "norm_num_groups": 4, "num_head_channels": 8, "side": 32, "depth": 32, "steps": 2}
    (network,) = bundle_content(REPOSITORY / "bundles" / "semantic_synthesis", ("network_def",), **given)
    save_weights(network, tmp_path / "model.pt")
    cases = [{"case_id": k, "label": str(write_label(tmp_path / f"{k}.nii.gz", label_array()))} for k in "ab"]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    given |= {"datalist": str(tmp_path / "cases.json"), "weights": tmp_path / "model.pt", "progress": False}
    for name, more in (("alone", {}), ("shared", {"cluster": "local:2"})):
        made = synthesize(output_dir=tmp_path / name, device="cpu", **given, **more)
        assert [folder.name for folder in made] == ["a", "b"]
    assert images(tmp_path / "shared") == images(tmp_path / "alone")
    with pytest.raises(InputError, match="--cluster: got 'local:2' with a single mask"):
        synthesize(tmp_path / "a.nii.gz", tmp_path / "no", cluster="local:2")


@pytest.mark.slow
def test_a_cohort(tmp_path):
    recipe = Recipe("stroke", 12)
    simulate_cohort(recipe, tmp_path / "alone", progress=False)
    simulate_cohort(recipe, tmp_path / "shared", progress=False, cluster="local:2")
    trees = [
        {p.relative_to(tmp_path / n): sha256(p) for p in (tmp_path / n).rglob("*.nii*")} for n in ("alone", "shared")
    ]
    assert trees[0] == trees[1] and trees[0]
    shutil.rmtree(tmp_path / "shared")
    with pytest.raises(InputError, match="--cluster: got 'local:2' with --workers 3"):
        simulate_cohort(recipe, tmp_path / "shared", 3, cluster="local:2")
