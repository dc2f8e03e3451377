# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of containers in their control groups, and what a look makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Callable, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import (
    containers,
    helpers,
    processes,
    units,
    visit,
)
from ansible_collections.phased.keys.plugins.module_utils._host.proc import Process
from ansible_collections.phased.keys.plugins.module_utils._host.rules import containers as rules
from ansible_collections.phased.keys.plugins.module_utils._host.rules import keepers, variables
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.order import Order, Token
from fake_engine import Fake, entry, labelled

KEY, OTHER = "a-key-that-is-no-secret-1", "a-key-that-is-no-secret-2"
SLEEP = ["/bin/sleep", "59.25"]


# --- which processes ---------------------------------------------------------------


def process(pid: int, parent: int, cgroup: str = "/", command: str = "[python]") -> Process:
    return Process(pid, parent, pid, float(pid), -1, -1, command, (cgroup,))


def table(*rows: Process) -> Dict[int, Process]:
    return {row.pid: row for row in rows}


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process is in a PID namespace of its own."""
    monkeypatch.setattr(processes, "inner", lambda pid: {"machine": "m", "pid": 1})


ID = f"{sum(map(ord, 'shop')):064x}"


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    "group",
    [
        f"/system.slice/docker-{ID}.scope",
        f"/docker/{ID}",
        f"/machine.slice/libpod-{ID}.scope/container",
        f"/a.service/libpod-payload-{ID}",
    ],
)
def test_the_processes_are_those_of_the_control_group(fake: Fake, group: str) -> None:
    fake.install("docker", entry(pid=10))
    everybody = table(
        process(1, 0), process(9, 1, "/shim"), process(10, 9, group, "[docker-init]"), process(11, 10, group), process(12, 11, group + "/below"),
        process(13, 9, group), process(14, 13, group), process(20, 1, group.replace(ID, "e" * 64)), process(21, 11, "/elsewhere"),
    )  # fmt: skip
    found = containers.Containers(everybody).named("shop", (None, None))
    assert found.pids == [10, 11, 12, 13, 14, 21]
    assert found.guests == {13: 10, 14: 10, 10: 11}, "what exec has started, and the init"


def test_without_a_group_of_its_own_the_processes_are_its_descendants(fake: Fake) -> None:
    fake.install("docker", entry(pid=10))
    everybody = table(process(1, 0), process(10, 1), process(11, 10), process(12, 1))
    found = containers.Containers(everybody).named("shop", (None, None))
    assert (found.pids, found.guests) == ([10, 11], {})


def test_a_project_by_its_services(fake: Fake) -> None:
    more = [labelled("shop", "web", pid=10), labelled("shop", "db", pid=11), labelled("other", "web", pid=12)]
    more[0]["Config"]["Labels"] = {rules.PROJECT[1]: "shop", rules.SERVICE[0]: "web"}
    fake.install("docker", *more)
    everybody = table(process(1, 0), *(process(pid, 1) for pid in (10, 11, 12)))
    for services, pids in ((None, [10, 11]), (["web"], [10]), (["web", "db"], [10, 11]), (["web", "queue"], [10])):
        boxes = containers.Containers(everybody)
        assert boxes.of_project("shop", services, (None, None)).pids == pids
        assert list(boxes.missing) == ["container of the service queue of shop"] * ("queue" in (services or []))
    boxes = containers.Containers(everybody)
    assert boxes.of_project("nowhere", None, (None, None)).pids == []
    assert list(boxes.missing) == ["container of the compose project nowhere"]


UNIT = units.Unit("shop.service", "loaded", "active", "running", "/a.service", 0)


@pytest.fixture
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program is what it calls itself."""
    monkeypatch.setattr(helpers, "is_engine", lambda process: helpers.called(process) in helpers.ENGINES)


@pytest.mark.usefixtures("inside", "believed")
@pytest.mark.parametrize("group", [f"/a.service/libpod-payload-{ID}", f"/machine.slice/libpod-{ID}.scope"])
def test_the_container_of_a_unit_is_found_below_its_monitor_and_no_engine_is_asked(fake: Fake, group: str) -> None:
    everybody = table(
        process(1, 0), process(9, 1, "/a.service", "[conmon]"), process(10, 9, group, "/run/podman-init -- x"), process(11, 10, group),
        process(12, 9, group), process(20, 1, f"/machine.slice/libpod-{'e' * 64}.scope"),
    )  # fmt: skip
    started = UNIT._replace(starts=(("/usr/bin/podman", "run", "--name", "shop"),))
    found = containers.Containers(everybody).of_unit(started, processes.in_cgroup(everybody, "/a.service"))
    assert found.pids == [9, 10, 11, 12]
    assert found.guests == {10: 11, 12: 10, 9: 11}
    assert fake.asked() == []


@pytest.mark.usefixtures("inside", "believed")
def test_the_container_that_a_units_line_starts_is_asked_for(fake: Fake) -> None:
    fake.install("docker", entry(pid=10))
    everybody = table(process(1, 0), process(9, 1, "/a.service", "[docker]"), process(10, 1, f"/docker/{ID}"))
    inside = processes.in_cgroup(everybody, "/a.service")
    for verb, kept in ((("run", "--name"), []), (("start", "-a"), ["container shop"])):
        boxes = containers.Containers(everybody)
        found = boxes.of_unit(UNIT._replace(starts=(("/usr/bin/docker", *verb, "shop"),)), inside)
        assert (found.pids, found.guests) == ([9, 10], {9: 10})
        assert list(boxes.seen) == kept, "what is only started keeps what it was created with"
    assert boxes.seen["container shop"].returns == "shop.service starts it again"


# --- what a look says --------------------------------------------------------------


def test_a_look_at_a_container(shop: Any, fake: Fake) -> None:
    shop.write(KEY)
    pid = shop.run(SLEEP, {"SECRET_KEY": KEY})
    fake.install("docker", entry(pid=pid, env=[f"SECRET_KEY={KEY}", "OTHER=x"]))
    seen = shop.look(processes={"container": "shop"})
    (worker,), (keeper,) = seen["workers"], seen["keepers"]
    assert (worker["pid"], worker["signs"], worker["keeper"]) == (pid, fingerprint(KEY), "container shop")
    assert {**keeper, "made": 0} == {
        "name": "container shop", "there": True, "made": 0, "runs": True, "returns": "its restart policy is always", "way": "docker container",
        "anew": "shop", "signs": fingerprint(KEY), "accepts": [fingerprint(KEY)], "problem": None,
    }  # fmt: skip
    assert KEY not in json.dumps(seen)


def test_a_container_that_is_not_there_and_one_that_is_stopped(shop: Any, fake: Fake) -> None:
    shop.write(KEY)
    fake.install("docker", entry(env=[f"SECRET_KEY={OTHER}"]))
    seen = shop.look(processes=[{"container": "shop"}, {"container": "nowhere"}])
    assert seen["workers"] == []
    assert [(one["name"], one["there"], one["runs"], one["signs"]) for one in seen["keepers"]] == [
        ("container shop", True, False, fingerprint(OTHER)),
        ("container nowhere", False, False, None),
    ]
    assert [one["name"] for one in keepers.missing(seen)] == ["container nowhere"]
    assert [one["name"] for one in keepers.resting(seen)] == ["container shop"]


def test_one_that_starts_while_it_is_looked_at_is_looked_at_again(
    shop: Any, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write(KEY)
    pid = shop.run(SLEEP, {"SECRET_KEY": KEY})
    fake.install("docker", entry(pid=pid))
    real, late = processes.table, [True]

    def table_before(**options: Any) -> Dict[int, Process]:
        found = real(**options)
        return {one: process for one, process in found.items() if one != pid} if late.pop() else found

    late[:] = [False, True]
    monkeypatch.setattr(processes, "table", table_before)
    assert [worker["pid"] for worker in shop.look(processes={"container": "shop"})["workers"]] == [pid]


def test_no_engine_is_asked_and_nothing_loaded_where_no_place_names_a_container(shop: Any, fake: Fake) -> None:
    fake.install("docker", entry())
    shop.write(KEY)
    shop.run(SLEEP, {"SECRET_KEY": KEY})
    code = (
        "import sys\nfrom ansible_collections.phased.keys.plugins.module_utils._host import arguments, look\n"
        "app = arguments.application({'name': 'shop', 'env_file': [sys.argv[1]], 'processes': {'pid_file': sys.argv[2]}, 'settle': '0s',"
        " 'state_dir': sys.argv[3]})\n"
        "seen = look.look_once(app, [], 'n')\nassert seen['workers'] and 'keepers' not in seen\n"
        "print([name for name in sys.modules if name.endswith(('engines', 'containers'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(shop.env), str(shop.pid_file), str(shop.folder / "state")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
    assert fake.asked() == []


@pytest.mark.parametrize(
    "place",
    [
        {"container": "-x"}, {"container": "a/b"}, {"container": ""}, {"container": 5}, {"container": "a", "engine": "lxc"},
        {"container": "a", "user": 5}, {"container": "a", "user": "-u"}, {"container": "a", "services": ["x"]}, {"compose": "a", "services": []},
        {"compose": "a", "services": "web"}, {"compose": "a", "services": ["web", ""]}, {"compose": "a", "services": [5]}, {"compose": "a b"},
        {"compose": "a", "services": ["--all"]},
    ],
)  # fmt: skip
def test_a_place_that_names_no_container(place: Dict[str, Any]) -> None:
    with pytest.raises(variables.VariableError, match="app_keys_processes "):
        variables.read({"app_keys_processes": place})


@pytest.mark.parametrize(
    "place",
    [
        {"container": "shop_web-1.2"}, {"container": "a", "engine": "podman", "user": "deploy"},
        {"compose": "a", "services": ["web", "worker"]}, {"compose": "a", "engine": "docker"},
    ],
)  # fmt: skip
def test_a_place_that_names_one(place: Dict[str, Any]) -> None:
    assert variables.read({"app_keys_processes": place})["processes"] == [place]


Made = Callable[..., Any]


def asked_for(*keys: str) -> Order:
    names = [fingerprint(key) for key in keys]
    return Order(names[0], names, names, names[:1], names, [fingerprint(KEY), fingerprint(OTHER)], [], False)


def test_a_visit_whose_restart_only_restarts_the_container_says_to_recreate_it(shop: Any, fake: Fake) -> None:
    """What is started anew in it still has what the container was created with."""
    shop.write(KEY)
    again = shop.folder / "again"
    again.write_text(
        f"#!/bin/sh\nkill $(cat {shop.pid_file})\nSECRET_KEY={KEY} setsid {' '.join(SLEEP)} >/dev/null 2>&1 & echo $! > {shop.pid_file}\n"
    )
    again.chmod(0o755)
    shop.run(SLEEP, {"SECRET_KEY": KEY})
    made = entry(env=[f"SECRET_KEY={KEY}"])
    made["Created"] = "2020-01-01T00:00:00Z"
    fake.install("docker", made, does=f"known['entries'][0]['State']['Pid'] = int(open({str(shop.pid_file)!r}).read())")
    app = shop.app(processes={"container": "shop"}, restart_command=[str(again)], timeout="1s")
    request = visit.Request(
        app, asked_for(OTHER, KEY)._replace(may_sign=[fingerprint(KEY), fingerprint(OTHER)], must_accept=[fingerprint(KEY)]),
        Token("ring", 2, "n"), "prepare", "nonce", True, [], {fingerprint(KEY): KEY, fingerprint(OTHER): OTHER}, True,
    )  # fmt: skip
    try:
        answer = visit.visit(request, False)
    finally:
        subprocess.run(["kill", shop.pid_file.read_text().strip()], check=False)
    assert answer["failed"] and answer["did"]["restored"]
    said = "container shop was created 2020-01-01T00:00:00Z, before the env file was written"
    assert said in answer["msg"]
    assert (
        "recreate it (docker rm -f shop, then the docker run that made it), a restart keeps the environment"
        in answer["msg"]
    )
