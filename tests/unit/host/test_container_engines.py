# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers as the two engines describe them (recorded), and how the engines are asked."""

from __future__ import annotations

import os
import pwd
from typing import Any, Dict, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import (
    containers,
    engines,
    units,
)
from ansible_collections.phased.keys.plugins.module_utils._host.problems import Unusable
from ansible_collections.phased.keys.plugins.module_utils._host.rules import containers as rules
from fake_engine import RECORDED, Fake, entry

KEY, OTHER = "a-key-that-is-no-secret-1", "a-key-that-is-no-secret-2"
SLEEP = ["/bin/sleep", "59.25"]


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
