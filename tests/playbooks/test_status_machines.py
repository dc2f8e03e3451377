# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status for machines: documented results, a strict status, and files for a monitoring from every run."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
from light_fleet import Fleet

After = Callable[..., Fleet]


def told(fleet: Fleet, **more: Any) -> Dict[str, Path]:
    """Have a fleet write its files, in the working directory by relative paths."""
    fleet.vars.update(app_keys_status_json="out/shop.json", app_keys_status_prometheus="out/shop.prom", **more)
    out = fleet.folder / "elsewhere" / "out"
    out.mkdir(exist_ok=True)
    return {"json": out / "shop.json", "prom": out / "shop.prom"}


def read(path: Path) -> Dict[str, Any]:
    return json.loads(path.read_text())


def test_status_writes_how_the_fleet_stands_in_check_mode_too(after: After) -> None:
    fleet = after("retire")
    files = told(fleet)
    for mode in ([], ["--check"]):
        fleet.run("status", *mode).ended(0)
        found = read(files["json"])
        assert (found["kind"], found["name"], found["ok"], found["why"]) == ("phased.keys/status", "shop", True, [])
        assert (found["phase"], found["step_open"], found["members"], found["members_proven"]) == (
            "retire",
            False,
            2,
            2,
        )
        assert (found["unproven"], found["signing"]) == ([], fleet.key("primary"))
        assert found["looked_at"] is not None
        assert 'phased_keys_ok{name="shop"} 1\n' in files["prom"].read_text()
        for path in files.values():
            assert stat.S_IMODE(path.stat().st_mode) == 0o644
            path.unlink()


def test_a_refusal_is_written_with_what_to_do(after: After) -> None:
    fleet = after("prepare")
    files = told(fleet)
    fleet[1].stop()
    fleet.run("promote", "--check").ended(2)
    assert not files["json"].exists()
    fleet.run("promote").ended(2).says("promote is not safe yet")
    found = read(files["json"])
    assert (found["ok"], found["phase"], found["members_proven"]) == (False, "prepare", 1)
    assert [told["host"] for told in found["unproven"]] == ["web2"]
    assert all(told["seen"] and told["advice"] for told in found["unproven"])
    assert "promote is not safe yet" in found["why"][0]


@pytest.mark.parametrize("strict", ["true", "false"])
def test_a_strict_status_that_is_not_well_fails_after_it_has_shown_everything(after: After, strict: str) -> None:
    fleet = after("prepare")
    files = told(fleet)
    run = fleet.run("status", "-e", f"app_keys_strict={strict}").ended(2 if strict == "true" else 0)
    run.says("next: promote is next")
    assert read(files["json"])["why"] == ["promote is next: run phased.keys.rollout, or phased.keys.promote"]
    said = "shop is not well, and app_keys_strict is true: promote is next: run phased.keys.rollout"
    assert (said in run.text) == (strict == "true")
