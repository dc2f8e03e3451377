# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault, one after the other on one fleet: nobody is logged out, no key is lost, and the next runs finish."""

from __future__ import annotations

import importlib
import os
import time

import envfile
import pytest
from faults import FAULTS, Fault, in_order
from field import Fields
from fleet import new_key
from host_seen import ENV
from runs import until
from share import parsed

pytestmark = pytest.mark.hosts

# Each of these adds its faults to the list.
for kind in (
    "clock", "connection", "controller", "damage", "deploy", "files", "fleet", "host", "killed", "people", "processes", "units",
):  # fmt: skip
    importlib.import_module(f"faults_{kind}")
SHARE = parsed(os.environ.get("SHARE") or "1/1")
CASES = in_order(FAULTS, full=os.environ.get("FULL") == "1", share=SHARE)


@pytest.mark.parametrize(("fault", "phase"), CASES, ids=[f"{phase}-{fault.strike.__name__}" for fault, phase in CASES])
def test_fault(fields: Fields, keep: dict, fault: Fault, phase: str) -> None:
    field = fields.field()
    began = time.monotonic()
    try:
        field.begin(phase)
        happened = fault.strike(field)
        assert field.note["proof"], "nothing proves that the fault struck"
        runs = field.finish()
        field.settled()
    except BaseException:
        fields.give_up()
        raise
    keep.update(
        fault=fault.name, phase=phase, promised=fault.promised, happened=happened, runs=runs,
        seconds=round(time.monotonic() - began, 1), **field.note,
    )  # fmt: skip


def test_that_a_naive_rotation_is_seen(fields: Fields) -> None:
    """The way of Django ticket 35400, on one host: were it not seen, all of the above would prove nothing."""
    field = fields.field()
    try:
        field.to("prepare")
        old = envfile.parse(field.web1.sh(f"cat {ENV}"))["SECRET_KEY"]
        text = f"SECRET_KEY={envfile.quote(new_key())}\nSECRET_KEY_FALLBACKS={envfile.quote(old)}\n"
        field.web1.path(ENV).write_text(field.web1.sh(f"sed /^SECRET_KEY/d {ENV}") + "\n" + text)
        field.web1.sh("systemctl restart shop.service")
        until(lambda: field.watch.broken, "the watch to see it")
        until(field.load.lost, "the clients to lose a session")
        with pytest.raises(AssertionError, match="does not accept it"):
            field.served()
    finally:
        fields.give_up()
