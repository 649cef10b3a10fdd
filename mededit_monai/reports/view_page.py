# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The page in which a scan and its counterfactual are looked at: one HTML file that needs nothing else.

What draws is NiiVue, as its npm package has it (``viewer/niivue.txt``); ``viewer/viewer.js`` connects it to the page.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader

from mededit_monai.reports.view_volumes import ViewCase, packed

#: In the title, on the page, and within every picture of a counterfactual.
MARK = "SYNTHETIC – research use only, not a medical device"


def viewer_page(case: ViewCase) -> str:
    """The page about a case, HTML."""
    environment = Environment(
        loader=PackageLoader("mededit_monai.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    data = packed(case)
    return environment.get_template("viewer.html").render(
        mark=MARK,
        case=case,
        data={key: value for key, value in data.items() if key != "notes"} | {"mark": MARK.replace("–", "-")},
        notes=data["notes"],
        names=[step["name"] for step in data["steps"]],
        moves=any(step["displacement"] for step in data["steps"]),
        niivue=shipped("niivue.umd.js"),
        script=shipped("viewer.js"),
        style=shipped("viewer.css"),
        licences=shipped("niivue_licences.txt"),
    )


@lru_cache(maxsize=8)
def shipped(name: str) -> str:
    """A text of the folder ``viewer``."""
    text = (files("mededit_monai.reports") / "viewer" / name).read_text(encoding="utf-8")
    ends = {".js": ("</script", "<!--"), ".css": ("</style",)}.get(name[name.rindex(".") :], ())
    assert not any(end in text.lower() for end in ends), f"{name}: cannot stand within a page"
    return text
