# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What --cluster can say."""

from __future__ import annotations

from pathlib import Path

import pytest

from mededit_monai.cluster.where import Where, require_cluster
from mededit_monai.core.errors import InputError

SLURM = """\
system: slurm
jobs: 20
queue: gpu
cores: 1
job_cpu: 8
memory: 16GB
walltime: "08:00:00"
job_extra_directives: ["--gres=gpu:1"]
"""


def test_words(tmp_path):
    assert Where.of("local:2") == Where(workers=2)
    for address in ("tcp://10.0.0.1:8786", "tls://head.site:8786", "tcp://[fe80::1]:8786"):
        assert Where.of(address) == Where(address=address)
    (tmp_path / "slurm.yaml").write_text(SLURM)
    found = Where.of(str(tmp_path / "slurm.yaml"))
    assert (found.system, found.jobs, found.settings["memory"], "jobs" in found.settings) == (
        "slurm",
        20,
        "16GB",
        False,
    )
    require_cluster(None)


@pytest.mark.parametrize(
    "word", ["", "local", "local:", "local:two", "local:-1", "tcp://head", "head:8786", "x", 2, True]
)
def test_a_word_that_is_none(word):
    with pytest.raises(InputError, match=r"--cluster: got .*, wanted local:N .* YAML file"):
        require_cluster(word)


@pytest.mark.parametrize(
    "word, why",
    [("local:0", "got 0, wanted a whole number of at least 1"), ("local:5000", "got 5000, wanted at most 4096")],
)
def test_so_many_workers_are_none(word, why):
    with pytest.raises(InputError, match=f"--cluster: {why}"):
        require_cluster(word)


@pytest.mark.parametrize(
    "content, why",
    [
        (None, "not found"),
        ("a: [", "cannot be read as YAML"),
        ("- slurm", "does not say 'system'"),
        ("jobs: 2", "does not say 'system'"),
        ("{system: slum, jobs: 2}", "system: got 'slum', wanted one of slurm, pbs.*did you mean 'slurm'"),
        ("{system: pbs, jobs: 0}", "jobs: got 0, wanted a whole number of at least 1"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, monkeypatch, content, why):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("site.yaml").write_text(content)
    with pytest.raises(InputError, match=f"^--cluster.*site.yaml.*{why}"):
        require_cluster("site.yaml")


def test_the_job_script_of_a_slurm_cluster(tmp_path):
    """What dask-jobqueue would submit, with one thread a worker; nothing is submitted."""
    jobqueue = pytest.importorskip("dask_jobqueue")
    (tmp_path / "slurm.yaml").write_text(SLURM)
    where = Where.of(str(tmp_path / "slurm.yaml"))
    with jobqueue.SLURMCluster(**where.settings) as cluster:
        script = cluster.job_script()
    for line in ("#SBATCH -p gpu", "#SBATCH --cpus-per-task=8", "#SBATCH -t 08:00:00", "#SBATCH --gres=gpu:1"):
        assert line in script.splitlines()
    assert "--nthreads 1 " in script
