# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alerts, the dashboard and the page are about what is exported, and Prometheus' own tool takes them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, get_type_hints

import debian
import pytest
import yaml
from ansible_collections.phased.keys.plugins.module_utils._rules import standing as standings
from ansible_collections.phased.keys.plugins.module_utils._rules.exposition import METRICS, PREFIX, exposition

DOCS = Path(__file__).resolve().parents[3] / "docs"
EXAMPLES = DOCS / "examples" / "monitoring"
RULES = EXAMPLES / "phased_keys.rules.yml"
ALERTS: List[Dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
DASHBOARD: Dict[str, Any] = json.loads((EXAMPLES / "dashboard.json").read_text())
PAGE = (DOCS / "monitoring.md").read_text()
EXPORTED = {PREFIX + name for name in METRICS}
PROMTOOL = debian.found("promtool")
with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool here: `make promtool` gets Debian's")


def metrics(text: str) -> List[str]:
    return re.findall(rf"\b{PREFIX}\w+", text)


def queries() -> List[str]:
    """What the dashboard asks."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def stands(**changes: Any) -> standings.Standing:
    """How a fleet stands that is well, but for these fields."""
    well: Dict[str, Any] = {
        **standings.without_a_keyring("shop", ["web1", "web2"], 0, ""), "ok": True, "phase": "retire", "step_open": False,
        "members_proven": 2, "signing": "0123456789abcdef", "key_age": 60, "due_at": "1970-01-01T00:00:00Z",
        "last_rollout": "1970-01-01T00:00:00Z", "looked_at": "1970-01-01T00:00:00Z",
    }  # fmt: skip
    return standings.Standing(**{**well, **changes})


def promtool(*arguments: str, given: Optional[str] = None) -> None:
    """See that promtool has nothing to say against it."""
    run = subprocess.run(
        [str(PROMTOOL), *arguments], input=given, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_metric_that_is_asked_for_is_exported():
    assert {metric for alert in ALERTS for metric in metrics(alert["expr"])} <= EXPORTED
    assert {metric for query in queries() for metric in metrics(query)} <= EXPORTED
    assert all(map(metrics, [alert["expr"] for alert in ALERTS] + queries()))


def test_the_dashboard_shows_all_that_is_exported_and_the_page_explains_it():
    assert {metric for query in queries() for metric in metrics(query)} == EXPORTED
    table = PAGE.split("| metric |")[1].split("\n\n")[0]
    assert set(metrics(table)) == EXPORTED


def test_every_metric_has_one_help_of_its_own():
    texts = [metric.text for metric in METRICS.values()]
    assert len(set(texts)) == len(texts) and not [text for text in texts if "\n" in text or "\\" in text]


def test_the_panels_lie_side_by_side_and_have_numbers_of_their_own():
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells) and max(cells)[0] < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_the_page_s_example_has_every_field():
    example = json.loads(PAGE.split("```json\n")[1].split("```")[0])
    assert list(example) == ["kind", "schema", *get_type_hints(standings.Standing)]
    assert {name for told in example["unproven"] for name in told} == set(get_type_hints(standings.HostFinding))


@with_promtool
def test_promtool_takes_the_alerts_and_what_the_dashboard_asks(tmp_path: Path):
    promtool("check", "rules", str(RULES))
    rules = [
        {"record": f"test:{number}", "expr": query.replace("$name", ".*")} for number, query in enumerate(queries())
    ]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "asked.yml"))


@with_promtool
@pytest.mark.parametrize(
    "host", ["web1", 'a"} 1\nphased_keys_ok{name="x"} 1\n#', "\\", "\\n", "\udcff", "\r\x85\u2028", ""]
)
def test_promtool_takes_what_is_exported_whatever_a_host_is_called(host: str):
    told: standings.HostFinding = {"host": host, "seen": host, "advice": host}
    promtool("check", "metrics", given=exposition(stands(unproven=[told])))
    promtool("check", "metrics", given=exposition(stands(ok=None, looked_at=None, members_proven=None)))


def series(standing: standings.Standing, minutes: int) -> Iterator[Dict[str, str]]:
    """What Prometheus would see of a file that lies there unchanged for so long."""
    for line in exposition(standing).splitlines():
        if not line.startswith("#"):
            name, _space, value = line.rpartition(" ")
            yield {"series": name, "values": f"{value}+0x{minutes}"}


# What is written at the hour 0 and stays, the hour at which it is asked, and which alerts there are then.
CASES = [
    ({}, 1, []),
    ({"ok": False}, 1, []),
    ({"ok": False}, 2, ["PhasedKeysNotWell"]),
    ({"ok": False, "looked_at": None}, 2, ["PhasedKeysNotWell"]),
    ({}, 4, ["PhasedKeysNotLookedAt"]),
    ({"due_at": None, "last_rollout": None}, 2, []),
    ({"looked_at": "1970-01-02T02:00:00Z", "at": "1970-01-02T02:00:00Z"}, 26, ["PhasedKeysOverdue"]),
    (None, 1, ["PhasedKeysUnknown"]),
]


@with_promtool
@pytest.mark.parametrize("changes, hour, names", CASES)
def test_an_alert_is_there_when_it_should_be_and_not_else(tmp_path: Path, changes: Any, hour: int, names: List[str]):
    found = [] if changes is None else list(series(stands(**changes), 60 * hour + 30))
    asked = []
    for alert in ALERTS:
        firing = alert["alert"] in names
        labels = {"severity": "warning", **({"name": "shop"} if alert["alert"] != "PhasedKeysUnknown" else {})}
        asked.append(
            {"eval_time": f"{hour}h20m", "alertname": alert["alert"], "exp_alerts": [{"exp_labels": labels}] * firing}
        )
    # What an alert says is not what is tested: promtool would want the whole of it.
    bare = [{key: value for key, value in alert.items() if key != "annotations"} for alert in ALERTS]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": bare}]}))
    tests = [{"interval": "1m", "input_series": found, "alert_rule_test": asked}]
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": tests}))
    promtool("test", "rules", str(tmp_path / "test.yml"))
