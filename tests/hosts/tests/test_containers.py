# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications in containers of real podman and real docker on a real host: whole rollouts, and what goes wrong with containers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from errors import HostsError
from playbook_run import Run
from played import Played

pytestmark = pytest.mark.hosts

SYSTEM = "/etc/systemd/system"
# Two processes, as a server with one worker has.
TWO = "sh -c 'sleep infinity & exec sleep infinity'"
# No registry is reached: an image of a shell and what it needs.
IMAGE = r"""
systemctl start docker
files="/bin/sh /bin/sleep $(ldd /bin/sh /bin/sleep | grep -o '/[^ :]*' | grep '\.so' | sort -u)"
tar -chP $files | docker import - shop:1 >&2
docker save shop:1 | podman load >&2
"""
# Prints what every `sleep` in a container was given, as JSON.
GIVEN = """
import glob, json
found = []
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        called, text = open(path.replace("environ", "comm")).read(), open(path).read()
    except OSError:
        continue
    values = dict(entry.partition("=")[::2] for entry in text.split(chr(0)))
    if called.strip() == "sleep" and values.get("APPLICATION") == "NAME":
        found.append([values.get("SECRET_KEY", ""), values.get("SECRET_KEY_FALLBACKS", "")])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def fleet(bring_up: Callable[..., Played]) -> Played:
    try:
        found = bring_up(1, workers=1, no_key=True, engines=True)
    except HostsError as error:
        if "engines" in str(error):
            pytest.skip(f"container engines cannot be had here: {str(error)[-300:]}")
        raise
    found.sh("web1", IMAGE)
    return found


class Application:
    """An application in containers, with an env file and a key of its own."""

    def __init__(self, fleet: Played, name: str, **variables: Any) -> None:
        self.fleet, self.name = fleet, name
        self.file = f"/etc/{name}.env"
        self.keyring = fleet.folder / f"{name}.yml"
        self.key = secrets.token_urlsafe(40)
        self.variables = {
            "app_keys_name": name,
            "app_keys_env_file": self.file,
            "app_keys_env_format": "docker",
            "app_keys_service": [],
            "app_keys_keyring": str(self.keyring),
            "app_keys_app_check": "trust",
            **variables,
        }
        self.write(self.file, f"APPLICATION={name}\nSECRET_KEY={self.key}\n")

    def write(self, path: str, text: str) -> None:
        self.sh(f"umask 077; mkdir -p $(dirname {path}); cat > {path} <<'END'\n{text}END\n")

    def sh(self, script: str) -> str:
        return self.fleet.sh("web1", script)

    def run(self, playbook: str, **more: Any) -> Run:
        return self.fleet.run(playbook, **{**self.variables, **more})

    def given(self) -> set[tuple[str, str]]:
        code = GIVEN.replace("NAME", self.name)
        return {tuple(entry) for entry in json.loads(self.sh(f"python3 - <<'END'\n{code}END\n"))}

    def rolled(self) -> None:
        """See that one rollout was done, and every process has the new key alone."""
        old, new = self.fleet.keyring(self.keyring)["keys"][-2:]
        assert (old["state"], new["state"]) == ("retired", "primary")
        assert self.given() == {(new["secret"], "")}


def container(name: str, engine: str = "docker", *options: str) -> str:
    """A command that makes a container anew."""
    words = " ".join(options)
    return f"{engine} rm -f {name} >&2 ; {engine} run -d --name {name} --network host --env-file /etc/{name}.env {words} shop:1 {TWO}"


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_container_by_name_that_is_only_restarted_and_then_recreated(fleet: Played, engine: str) -> None:
    name = f"shop-{engine}"
    app = Application(fleet, name, app_keys_processes={"container": name})
    app.sh(container(name, engine, "--init", "--restart always"))
    app.run("adopt").ended(0)
    only = app.run("prepare", app_keys_restart_command=f"{engine} restart -t 1 {name}")
    only.ended(-1).says(
        f"container {name} was created",
        "before the env file was written",
        "recreate it (",
        "a restart keeps the environment",
    )
    # Nobody lost anything: it has what it had.
    assert app.given() == {(app.key, "")} and app.key not in only.text
    app.variables["app_keys_restart_command"] = container(name, engine, "--init", "--restart always")
    # A second application with the same command line beside it is another one's business.
    other = Application(fleet, f"beside-{engine}")
    app.sh(container(other.name, engine))
    app.run("rollout").ended(0).says("retire: 1 of 1 host have let go of")
    app.rolled()
    assert other.given() == {(other.key, "")}
    # One that holds a key of ours is named, with its container.
    app.sh(f"cp {app.file} {other.file}; {container(other.name, engine)}")
    app.run("rollout", app_keys_new=True).ended(-1).lists("web1", "(sleep in container ", "are not among")
    app.sh(f"{engine} rm -f {other.name}")
    app.variables["app_keys_processes"] = {"container": "nowhere"}
    app.run("rollout", app_keys_new=True).ended(-1).says("there is no container nowhere", "correct app_keys_processes")


def test_a_project_of_compose_and_a_stopped_container_of_it_that_comes_back(fleet: Played) -> None:
    app = Application(
        fleet,
        "stall",
        app_keys_processes={"compose": "stall", "services": ["web", "queue"]},
        app_keys_env_format="compose",
    )
    service = {"image": "shop:1", "network_mode": "host", "env_file": app.file, "restart": "always",
               "command": ["sh", "-c", "sleep infinity & exec sleep infinity"]}  # fmt: skip
    app.write(
        "/srv/stall/docker-compose.yml",
        json.dumps({"version": "2.4", "services": {"web": service, "queue": service}}) + "\n",
    )
    compose = "docker-compose -f /srv/stall/docker-compose.yml up -d -t 1"
    app.sh(f"{compose} --scale web=2 >&2")
    app.variables["app_keys_restart_command"] = f"{compose} --scale web=2"
    app.run("adopt").ended(0)
    app.run("prepare").ended(0).says("prepare: 1 of 1 host accept")
    # The queue is stopped, and nothing that is visited starts it; docker does, as soon as it starts itself.
    app.sh("docker stop -t 1 stall_queue_1")
    app.variables["app_keys_restart_command"] = f"{compose} --scale web=2 web"
    said = "container stall_queue_1 does not run, and comes back (its restart policy is always)"
    app.run("promote").ended(-1).says(said, "recreate it (docker compose up -d queue), a restart keeps the environment")
    app.sh("systemctl restart docker; sleep 1")
    # The visit has put back what it had found: nothing is lost while the queue is back with the keys of before.
    assert len(app.given()) == 1
    app.variables["app_keys_restart_command"] = f"{compose} --scale web=2"
    app.run("rollout").ended(0).says("retire: 1 of 1 host have let go of")
    app.rolled()
    app.sh("docker-compose -f /srv/stall/docker-compose.yml down -t 1 >&2")


def test_the_engine_is_stopped_in_the_middle_of_a_visit(fleet: Played) -> None:
    app = Application(fleet, "cut", app_keys_processes={"container": "cut"})
    again = container("cut", "docker", "--restart always")
    app.sh(again)
    app.run("adopt").ended(0)
    stop = "systemctl stop docker.socket docker.service"
    refused = app.run("prepare", app_keys_restart_command=f"{again}; {stop}").ended(-1)
    refused.says("docker does not say which containers there are", "Cannot connect to the Docker daemon")
    app.run("rollout", app_keys_restart_command=again).ended(-1).says("docker does not say which containers there are")
    app.sh("systemctl start docker; sleep 1")
    app.run("rollout", app_keys_restart_command=again).ended(0).says("retire: 1 of 1 host have let go of")
    app.rolled()
    app.sh("docker rm -f cut")


RUN = "--network host --env-file /etc/{name}.env"
# As podman generate systemd --new writes it, as Quadlet does (but for the removal of the cidfile, for podman before 4.4), and as people do for docker.
UNITS = {
    "new": "Type=notify\nNotifyAccess=all\nExecStart=/usr/bin/podman run --cidfile=%t/%n.ctr-id --cgroups=no-conmon --rm --sdnotify=conmon -d "
           f"--replace --name {{name}} {RUN} --init shop:1 {TWO}\nExecStop=/usr/bin/podman stop -t 1 --ignore --cidfile=%t/%n.ctr-id\n"
           "ExecStopPost=/usr/bin/podman rm -f --ignore -t 1 --cidfile=%t/%n.ctr-id\nExecStartPre=/bin/rm -f %t/%n.ctr-id",
    "quadlet": "Type=notify\nNotifyAccess=all\nKillMode=mixed\nDelegate=yes\nSyslogIdentifier=%N\nEnvironment=PODMAN_SYSTEMD_UNIT=%n\n"
               "ExecStartPre=/bin/rm -f %t/%N.cid\n"
               f"ExecStart=/usr/bin/podman run --name={{name}} --cidfile=%t/%N.cid --replace --rm --cgroups=split --sdnotify=conmon -d {RUN} "
               f"shop:1 {TWO}\nExecStop=/usr/bin/podman rm -f -t 1 -i --cidfile=%t/%N.cid\nExecStopPost=-/usr/bin/podman rm -f -t 1 -i --cidfile=%t/%N.cid",
    "docker": "ExecStartPre=-/usr/bin/docker rm -f {name}\n"
              f"ExecStart=/usr/bin/docker run --rm --name {{name}} {RUN} shop:1 {TWO}\nExecStop=/usr/bin/docker stop -t 1 {{name}}",
}  # fmt: skip


@pytest.mark.parametrize("kind", UNITS)
def test_a_unit_that_runs_a_container(fleet: Played, kind: str) -> None:
    name = f"unit-{kind}"
    app = Application(fleet, name, app_keys_service=f"{name}.service")
    app.write(f"{SYSTEM}/{name}.service", f"[Service]\n{UNITS[kind].format(name=name)}\n")
    app.sh(f"systemctl daemon-reload; systemctl start {name}; sleep 1")
    assert app.given() == {(app.key, "")}
    app.run("adopt").ended(0)
    app.run("rollout").ended(0).says("retire: 1 of 1 host have let go of")
    app.rolled()
    # Started again with keys of before, by hand, it is found.
    new = app.fleet.keyring(app.keyring)["keys"][-1]["fingerprint"]
    app.sh(f"cp {app.file} {app.file}.new; echo APPLICATION={name} > {app.file}; echo SECRET_KEY={app.key} >> {app.file}; "
           f"systemctl restart {name}; sleep 1; cat {app.file}.new > {app.file}")  # fmt: skip
    old = fingerprint(app.key)
    app.run("status", app_keys_strict=True).ended(-1).says(old, f"{name}.service")
    assert new != old
    app.sh(f"systemctl stop {name}")


def test_a_container_of_a_user_is_read_by_root_and_its_owner_is_told_why_not(fleet: Played) -> None:
    """Rootless podman does not stop a container here, where the host may give no control group away: it is adopted and not rolled."""
    app = Application(
        fleet, "own", app_keys_processes={"container": "own", "user": "deploy"}, app_keys_env_owner="deploy"
    )
    runtime = "/run/user/$(id -u deploy)"
    app.sh("useradd --create-home --shell /bin/sh --user-group deploy")
    app.sh(f"install -d -m 700 -o deploy -g deploy {runtime}; chown deploy {app.file}")
    app.sh("docker save shop:1 > /home/deploy/shop.tar; chown deploy /home/deploy/shop.tar")
    # Neither a PID namespace nor a control group of its own.
    start = container("own", "podman", "--pid host", "--user 5").replace(TWO, "sleep infinity")
    app.write("/home/deploy/start", f"podman load -q < /home/deploy/shop.tar\n{start}\n")
    app.sh(
        f"cd /; chmod 755 /home/deploy/start; exec setpriv --reuid=deploy --regid=deploy --init-groups env HOME=/home/deploy USER=deploy "
        f"XDG_RUNTIME_DIR={runtime} sh /home/deploy/start >&2"
    )
    app.run("adopt").ended(0)
    app.run("status", app_keys_strict=True).ended(0).says(fingerprint(app.key))
    own = {"ansible_become_user": "deploy", "app_keys_state_dir": "/home/deploy/state"}
    refused = app.run("adopt", app_keys_keyring=str(fleet.folder / "owner.yml"), **own).ended(-1)
    refused.lists("web1", "container own as uid", "only root may read", "run with become as root (-b)")
