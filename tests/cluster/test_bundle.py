# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A config is built once, and works on the cases of one job after the other."""

from __future__ import annotations

import pickle

from monai.bundle import ConfigParser

from mededit_monai.cluster.bundle import Part, _put, jobs_of

CONFIG = {
    "datalist": [1, 2, 3],
    "cluster": "local:2",
    "progress": True,
    "network": "$object()",
    "cases": "$list(@datalist)",
    "dataset": {"_target_": "types.SimpleNamespace", "data": "@cases", "network": "@network"},
    "run": {"engine": {"_target_": "types.SimpleNamespace", "sets": [{"a": "@dataset"}]}},
    "first": "$@cases[0]",
}
PART = Part("run#engine", "cases", ("dataset",))


def test_cases_take_the_place_of_cases_and_networks_stay():
    parser, networks = ConfigParser(CONFIG), []
    for cases in ([{"name": "$x"}], [{"name": "@y"}, {"name": "z"}], []):
        _put(parser, PART, cases)
        (found,) = parser.get_parsed_content("run#engine").sets
        assert found["a"].data is cases  # as they are, whatever they spell
        networks.append(found["a"].network)
    assert networks[0] is networks[1] is networks[2]


def test_jobs_are_the_batches_of_the_run():
    jobs = list(jobs_of(ConfigParser(CONFIG), PART, ["a", "b", "c", "d", "e"], 2))
    assert [cases for _, _, cases in jobs] == [["a", "b"], ["c", "d"], ["e"]]
    (config,) = {config for config, _, _ in jobs}
    sent = pickle.loads(config)
    assert (sent["progress"], sent["cluster"], sent["datalist"]) == (False, None, "given")
