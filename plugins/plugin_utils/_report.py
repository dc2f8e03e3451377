# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a page: one HTML file that needs no network, no script and no colours. What is in it says `_rules/report.py`."""

from __future__ import annotations

import os
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..module_utils._rules.report import Report

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_templates")
TEMPLATE = "report.html.j2"
BEGINS = "<!DOCTYPE html>\n<!-- phased.keys/report -->\n"  # every such page, and no other
REPLACED = "\ufffd"


def page(report: Report) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(report).lstrip("\n")


def clean(value: Any) -> Any:
    """Return a text without what would turn the words around it, hide them, or be no text at all; anything else as it is.

    Texts of hosts come so through the door. Those of the inventory, of Ansible and of people do not.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(letter if letter.isprintable() or letter == "\n" else REPLACED for letter in value)
