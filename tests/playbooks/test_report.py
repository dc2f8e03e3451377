# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of real runs: written whenever the gate has decided or refused something, and never at the cost of a run."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, Callable

import pytest
from light_fleet import Fleet
from page_read import Page, read

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

After = Callable[..., Fleet]


def reporting(fleet: Fleet, **more: Any) -> Path:
    """Have a fleet write its report, in the working directory."""
    fleet.vars.update(app_keys_report="shop.html", **more)
    return fleet.folder / "elsewhere" / "shop.html"


def standing(page: Page, host: str) -> str:
    """What the matrix says of a host's standing."""
    (row,) = [row for row in page.tables["fleet"] if row[0] == host]
    return row[1]


def test_status_shows_the_fleet_and_so_it_does_in_check_mode(after: After) -> None:
    fleet = after("promote")
    path = reporting(fleet)
    for mode in ([], ["--check"]):
        fleet.run("status", *mode).ended(0)
        page = read(path.read_text())
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert (
            page.title == "shop: This needs attention (phased.keys)" or page.title == "shop: All is well (phased.keys)"
        )
        assert page.tables["fleet"][0][2:-1] == [f"{fleet.key('primary')} primary", f"{fleet.key('retiring')} retiring"]
        for row in page.tables["fleet"][1:]:
            assert row[1:-1] == ["\u2713 proven", "\u25cf signs", "\u25cb accepts"]
        assert [row[2] for row in page.tables["journal"]][1:3] == [
            "promote closed: all 2 members are proven",
            "promote opened",
        ]
        path.unlink()


def test_a_refusal_is_on_the_page_with_what_to_do_and_check_mode_writes_none(after: After) -> None:
    fleet = after("prepare")
    path = reporting(fleet)
    fleet.down(1)
    fleet[1].stop()
    fleet.run("promote", "--check").ended(2)
    assert not path.exists()
    fleet.run("promote").ended(2).says("promote is not safe yet")
    page = read(path.read_text())
    assert page.title.startswith("shop: Refused")
    assert "promote is not safe yet: 1 of 2 hosts accept" in page.text
    assert standing(page, "web2") == "\u2298 unreachable" and standing(page, "web1") == "\u2713 proven"
    assert "Connection refused" in page.text and "-e app_keys_waive=web2" in page.text


def test_a_rollout_leaves_its_visits_on_the_page(after: After) -> None:
    fleet = after("adopt")
    path = reporting(fleet, app_keys_soak="1h")
    fleet.run("rollout").ended(0)
    page = read(path.read_text())
    assert "Visits of this run 2 hosts in 2 batches; UTC" in page.text
    assert "promote, batch 1: proven" in page.text and "promote, batch 2: proven" in page.text
    assert "retire is due in" in page.text and "ansible-playbook -i INVENTORY phased.keys.rollout" in page.text


@pytest.mark.parametrize("host", [0, 1])
def test_a_visit_that_fails_is_on_the_page_be_it_the_whole_batch(after: After, host: int) -> None:
    fleet = after("adopt")
    path = reporting(fleet)
    fleet[host].tell("keeps")
    fleet.run("rollout", "--check").ended(0)
    assert not path.exists()
    fleet.run("rollout").ended(2)
    page = read(path.read_text())
    name = fleet[host].name
    assert page.title == "shop: Prepare: stopped (phased.keys)"
    assert f"{name}: " in page.text
    assert standing(page, name) == "\u2715 not proven"
    assert f"prepare, batch {host + 1}: not proven" in page.text
    assert standing(page, fleet[1 - host].name) == ("\u2713 proven" if host else "\u2026 to be visited")


def test_a_host_that_is_lost_in_its_visit_is_on_the_page(after: After) -> None:
    fleet = after("adopt")
    path = reporting(fleet)
    fleet.over_ssh()
    (fleet[0].folder / "down-after").write_bytes(fleet.keyring_path.read_bytes())
    fleet.run("rollout").ended(4)
    page = read(path.read_text())
    assert page.title == "shop: Prepare: stopped (phased.keys)"
    assert "web1: " in page.text and standing(page, "web1") == "\u2298 unreachable"


def test_a_stop_between_batches_is_on_the_page(after: After) -> None:
    fleet = after("adopt", names=("web1", "web2", "web3", "web4"))
    path = reporting(fleet, app_keys_serial=[2])
    fleet[1].tell("broken", "once")
    fleet.run("prepare").ended(2).says("prepare stops here: ")
    page = read(path.read_text())
    assert page.title == "shop: Prepare: stopped (phased.keys)"
    assert "prepare stops here: " in page.text and "exit code 1" in page.text
    assert standing(page, "web2") == "\u2715 not proven" and standing(page, "web4") == "\u2026 to be visited"


def test_a_page_that_cannot_be_written_is_a_warning_and_the_rollout_goes_on(after: After) -> None:
    fleet = after("adopt")
    fleet.vars.update(app_keys_report="/nowhere/at/all/shop.html", app_keys_soak="1h")
    run = fleet.run("rollout").ended(0)
    run.says("app_keys_report: /nowhere/at/all/shop.html is not written: ")
