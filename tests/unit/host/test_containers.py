# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers as the two engines describe them (recorded), their processes in control groups, and what a look makes of both."""

from __future__ import annotations

import json
import os
import pathlib
import pwd
import subprocess
import sys
from typing import Any, Callable, Dict, List, Optional, Sequence

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import (
    containers,
    engines,
    helpers,
    processes,
    units,
    visit,
)
from ansible_collections.phased.keys.plugins.module_utils._host.problems import Unusable
from ansible_collections.phased.keys.plugins.module_utils._host.proc import Process
from ansible_collections.phased.keys.plugins.module_utils._host.rules import containers as rules
from ansible_collections.phased.keys.plugins.module_utils._host.rules import keepers, variables
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.order import Order, Token

HERE = pathlib.Path(__file__).parent / "recorded"
RECORDED = {
    name: json.loads((HERE / f"{name}-{version}.json").read_text())[0]
    for name, version in {"docker": "20.10", "podman": "4.3"}.items()
}
KEY, OTHER = "a-key-that-is-no-secret-1", "a-key-that-is-no-secret-2"
SLEEP = ["/bin/sleep", "59.25"]
# What a client does, by what it finds in a folder: `answer` is what `ps` and `inspect` know.
CLIENT = """#!{python}
import json, os, sys, time
known = json.load(open({folder!r} + "/" + os.path.basename(sys.argv[0]) + ".json"))
if known["does"]:
    exec(known["does"])
open({folder!r} + "/asked", "a").write(json.dumps([sys.argv, dict(os.environ)]) + "\\n")
entries = known["entries"]
if sys.argv[1] == "ps":
    label, value = [word for word in sys.argv if word.startswith("label=")][0].split("=", 2)[1:]
    print("\\n".join(one["Id"] for one in entries if one["Config"]["Labels"].get(label) == value))
else:
    found = [one for one in entries if one["Name"].lstrip("/") in sys.argv or any(one["Id"].startswith(word) for word in sys.argv[3:])]
    print(json.dumps(found))
    if not found:
        sys.exit("Error: no such container " + sys.argv[-1])
"""


def entry(
    engine: str = "docker", name: str = "shop", pid: int = 0, env: Sequence[str] = (), **state: Any
) -> Dict[str, Any]:
    """What an engine says of a container, as it was recorded but for this."""
    found = json.loads(json.dumps(RECORDED[engine]))
    found.update(Name=f"/{name}" if engine == "docker" else name, Id=f"{sum(map(ord, name)):064x}")
    found["State"].update(Pid=pid, Status="running" if pid else "exited", Running=bool(pid), **state)
    found["Config"].update(Env=list(env), Labels={})
    return dict(found)


def labelled(project: str, service: str, **more: Any) -> Dict[str, Any]:
    found = entry(name=f"{project}_{service}_1", **more)
    found["Config"]["Labels"] = {rules.PROJECT[0]: project, rules.SERVICE[0]: service}
    return found


class Fake:
    """Clients of engines in a folder that is all there is of PATH."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def install(self, engine: str, *entries: Any, does: str = "") -> None:
        client = self.folder / engine
        client.write_text(CLIENT.format(python=sys.executable, folder=str(self.folder)))
        client.chmod(0o755)
        (self.folder / f"{engine}.json").write_text(json.dumps({"entries": entries, "does": does}))

    def asked(self) -> List[Any]:
        log = self.folder / "asked"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def fake(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(engines, "PATH", str(folder))
    return Fake(folder)


# --- what the engines say ----------------------------------------------------------


@pytest.mark.parametrize("engine", RECORDED)
def test_what_was_recorded_is_read(engine: str) -> None:
    found = rules.read(engine, RECORDED[engine])
    assert (found.name, found.engine) == ({"docker": "shop", "podman": "pod"}[engine], engine)
    assert found.pid == RECORDED[engine]["State"]["Pid"] > 0
    assert found.environment["SECRET_KEY"] == "first-key-no-secret-1"
    assert abs(found.made - 1795860540) < 2, "2026-11-28T10:09:00Z"
    assert (found.returns is None) is (engine == "podman"), "docker's was started with --restart always"


@pytest.mark.parametrize(
    ("policy", "state", "by_hand", "comes"),
    [
        ("no", {"ExitCode": 1}, False, False),
        ("", {}, False, False),
        ("always", {}, True, True),
        ("unless-stopped", {}, False, True),
        ("unless-stopped", {}, True, False),
        ("unless-stopped", {"StoppedByUser": True}, None, False),
        ("on-failure", {"ExitCode": 1}, True, True),
        ("on-failure", {"ExitCode": 0}, False, False),
        ("always", {"StartedAt": "0001-01-01T00:00:00Z"}, False, False),
        ("no", {"Restarting": True}, False, True),
    ],
)
def test_which_container_comes_back_by_itself(
    policy: str, state: Dict[str, Any], by_hand: Optional[bool], comes: bool
) -> None:
    found = entry(**{"ExitCode": 0, **state})
    found["HostConfig"]["RestartPolicy"] = {"Name": policy, "MaximumRetryCount": 0}
    found.update({} if by_hand is None else {"stopped_by_hand": by_hand})
    assert bool(rules.returns(found)) is comes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01T00:01:00.123456789Z", 60.123456789),
        ("1970-01-01T01:01:00.5+01:00", 60.5),
        ("1969-12-31T23:01:00-00:59", 0),
    ],
)
def test_times_of_engines(text: str, seconds: float) -> None:
    assert rules.moment(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "yesterday", "1970-01-01", "1970-01-01T00:01:00", "1970-13-01T00:01:00Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(rules.ContainerError):
        rules.moment(text)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("/usr/bin/podman run --rm --name shop --env-file=/etc/shop.env shop:1", ("podman", "shop", False)),
        ("/usr/bin/docker run --name=shop shop:1", ("docker", "shop", False)),
        ("/usr/bin/docker container run --name=shop shop:1", ("docker", "shop", False)),
        ("/usr/bin/podman start shop", ("podman", "shop", True)),
        ("/usr/bin/docker start --attach shop", ("docker", "shop", True)),
        ("/usr/bin/podman container start -a shop", ("podman", "shop", True)),
        ("/usr/bin/docker run shop:1", None),
        ("/usr/bin/docker run --name", None),
        ("/usr/bin/docker compose up", None),
        ("/usr/bin/docker start", None),
        ("/usr/bin/docker start -a", None),
        ("/usr/bin/sleep run --name shop", None),
        ("", None),
    ],
)
def test_which_container_a_line_of_a_unit_starts(line: str, meant: Any) -> None:
    assert rules.started_by(line.split(" ")) == meant


def test_a_unit_tells_its_lines_that_run_an_engine() -> None:
    shown = {
        "ExecStart": [
            "{ path=/usr/bin/podman ; argv[]=/usr/bin/podman run --name shop shop:1 ; ignore_errors=no ; start_time=[n/a] ; pid=0 }",
            "{ path=/usr/bin/sleep ; argv[]=/usr/bin/sleep 5 ; ignore_errors=no ; pid=0 }",
        ]
    }
    assert units._unit("shop.service", shown).starts == (("/usr/bin/podman", "run", "--name", "shop", "shop:1"),)
    assert units._unit("shop.service", {}).starts == units._unit("shop.service", {"ExecStart": [""]}).starts == ()


def test_a_container_is_found_by_its_whole_name_and_what_the_client_is_given_is_ours(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere")
    monkeypatch.setenv("SECRET_KEY", KEY)
    fake.install("docker", entry(pid=7), entry(name="shop2", pid=8))
    (found,) = engines.Engines().named("shop")
    assert (found.name, found.pid) == ("shop", 7)
    assert engines.Engines().named(found.ident[:60]) == [], "the beginning of an id is no name"
    ((argv, environment), _other) = fake.asked()
    assert argv[1:] == ["container", "inspect", "shop"]
    assert set(environment) - {"LC_CTYPE"} <= {"PATH", "HOME", "USER", "LC_ALL", "DOCKER_HOST", "XDG_RUNTIME_DIR"}
    assert environment["DOCKER_HOST"].startswith("unix://") and environment["PATH"] == engines.PATH


def test_a_docker_that_is_podman_has_the_same_containers(fake: Fake) -> None:
    fake.install("podman", entry("podman", pid=7))
    fake.install("docker", entry("podman", pid=7))
    (found,) = engines.Engines().named("shop")
    assert found.engine == "podman"


def test_two_engines_with_one_name_are_asked_which(fake: Fake) -> None:
    fake.install("podman", entry("podman", pid=7))
    fake.install("docker", {**entry(pid=8), "Id": "f" * 64})
    with pytest.raises(Unusable, match="of docker and of podman is called shop: say engine: podman beside it"):
        containers.Containers({}).named("shop", (None, None))
    assert containers.Containers({}).named("shop", ("docker", None)).pids == []


def test_an_engine_that_does_not_answer_is_passed_over_only_where_another_does(fake: Fake) -> None:
    fake.install(
        "docker", does="sys.exit('Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?')"
    )
    with pytest.raises(
        Unusable, match=r"docker does not say which containers there are \(exit status 1\): Cannot connect"
    ):
        engines.Engines().named("shop")
    fake.install("podman")
    with pytest.raises(Unusable, match="Cannot connect"):
        engines.Engines().named("shop")
    fake.install("podman", entry("podman", pid=7))
    assert [one.engine for one in engines.Engines().named("shop")] == ["podman"]
    with pytest.raises(Unusable, match="Cannot connect"):
        engines.Engines("docker").named("shop")


@pytest.mark.parametrize(
    "does",
    [
        "print('{'); sys.exit(0)",
        "print('[1]'); sys.exit(0)",
        "print('[{}]'); sys.exit(0)",
        "print('[' * 100000); sys.exit(0)",
        'print(\'[{"Id": "x", "Config": {}, "State": {}}]\'); sys.exit(0)',
    ],
)
def test_an_answer_that_describes_no_container_is_refused(fake: Fake, does: str) -> None:
    fake.install("podman", does=does)
    with pytest.raises(Unusable, match="podman container inspect answers with something that describes no container"):
        engines.Engines().named("shop")


def test_an_engine_may_neither_hang_nor_print_without_an_end(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "TIMEOUT", 0.5)
    fake.install("podman", does="time.sleep(59)")
    with pytest.raises(Unusable, match=r"podman did not answer within 0.5 s"):
        engines.Engines().named("shop")
    monkeypatch.setattr(engines, "TIMEOUT", 20.0)
    monkeypatch.setattr(engines, "LARGEST", 100_000)
    fake.install("podman", does="[sys.stdout.write('x' * 1000) for _ in iter(int, 1)]")
    with pytest.raises(Unusable, match="podman prints more than 100,000 bytes"):
        engines.Engines().named("shop")


def test_no_engine_and_no_such_user_are_said(fake: Fake) -> None:
    del fake
    with pytest.raises(Unusable, match="no client of podman nor docker is in"):
        engines.Engines()
    with pytest.raises(Unusable, match="nobody-has-this-name, whom this host does not know"):
        engines.Engines(None, "nobody-has-this-name")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root asks as somebody else")
def test_a_users_engine_names_only_processes_of_that_user(
    fake: Fake, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of that user, and those in a user namespace of that user's, whoever they are in there."""
    real, root = engines._execute, pwd.getpwuid(0)
    # The folder of a test is root's alone.
    monkeypatch.setattr(engines, "_execute", lambda argv, environment, who: real(argv, environment, root))
    theirs = start(SLEEP, user="nobody", group="nogroup").pid
    inside = start(["unshare", "--user", *SLEEP], user="nobody", group="nogroup").pid
    for pid, trusted in ((theirs, True), (inside, True), (os.getpid(), False), (1, False), (2**22 + 1, True)):
        fake.install("podman", entry("podman", pid=pid))
        if trusted:
            assert [one.pid for one in engines.Engines("podman", "nobody").named("shop")] == [pid]
            continue
        with pytest.raises(Unusable, match=f"pid {pid} is in the container shop, and that process is not nobody's"):
            engines.Engines("podman", "nobody").named("shop")
    assert fake.asked()[-1][1]["XDG_RUNTIME_DIR"] == f"/run/user/{pwd.getpwnam('nobody').pw_uid}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root asks as somebody else")
def test_a_client_runs_as_the_owner() -> None:
    said = engines._execute(["/usr/bin/id"], {}, pwd.getpwnam("nobody"))
    assert said.code == 0 and b"uid=65534" in said.out and b"=0(root)" not in said.out


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
