# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units in number on one real host: each kind is proven as a whole, and one stale unit of several is found."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from played import Played

pytestmark = pytest.mark.hosts

# Two processes, as a server with one worker has.
TWO = "ExecStart=/bin/sh -c 'sleep infinity & exec sleep infinity'"
GUNICORN = "/srv/shop/venv/bin/python -m gunicorn --workers 1 --preload --worker-tmp-dir /dev/shm --no-control-socket"
SYSTEM = "/etc/systemd/system"
# Prints what each process of some units was given, as JSON.
GIVEN = """
import json, subprocess, sys
found = []
for unit in sys.argv[2:]:
    group = subprocess.check_output(["systemctl", *sys.argv[1].split(), "show", "--value", "-p", "ControlGroup", unit], text=True)
    for pid in open("/sys/fs/cgroup" + group.strip() + "/cgroup.procs").read().split():
        pairs = (entry.partition("=") for entry in open(f"/proc/{pid}/environ").read().split(chr(0)))
        values = {name: value for name, _equals, value in pairs}
        found.append([unit, values.get("SECRET_KEY", ""), values.get("SECRET_KEY_FALLBACKS", "")])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def fleet(bring_up: Callable[..., Played]) -> Played:
    return bring_up(1, workers=1)


class Application:
    """An application of its own on the one host: units, env files and a key that no other test knows."""

    def __init__(self, fleet: Played, name: str, files: list[str], units: list[str], **variables: Any) -> None:
        self.fleet, self.name, self.files, self.units = fleet, name, files, units
        self.keyring = fleet.folder / f"{name}.yml"
        self.key = secrets.token_urlsafe(40)
        self.systemctl = "systemctl"
        self.user = "root"
        self.variables = {
            "app_keys_name": name,
            "app_keys_env_file": files,
            "app_keys_service": units,
            "app_keys_keyring": str(self.keyring),
            "app_keys_app_check": "trust",
            **variables,
        }
        for path in files:
            self.write(path, f"# {name}\nSHOP_LIFE=100\nDJANGO_SETTINGS_MODULE=shop.settings\nSECRET_KEY={self.key}\n")

    def write(self, path: str, text: str) -> None:
        self.sh(f"umask 077; mkdir -p $(dirname {path}); cat > {path} <<'END'\n{text}END\n")

    def sh(self, script: str) -> str:
        # An own session has what systemctl --user needs in its environment, but sshd has no login of this user.
        as_user = f"exec setpriv --reuid={self.user} --regid={self.user} --init-groups env HOME=/home/{self.user} " \
                  f"XDG_RUNTIME_DIR=/run/user/$(id -u {self.user}) sh -eu <<'AS_USER'\n"  # fmt: skip
        return self.fleet.sh("web1", script if self.user == "root" else f"{as_user}{script}\nAS_USER\n")

    def do(self, verb: str, *units: str) -> None:
        self.sh(f"{self.systemctl} {verb} {' '.join(units)}")

    def run(self, playbook: str) -> Any:
        return self.fleet.run(playbook, **self.variables)

    def keep(self) -> None:
        """Keep the env files as they are."""
        self.sh("; ".join(f"cp -p {path} {path}.before" for path in self.files))

    def make_stale(self, unit: str) -> None:
        """Let one unit run with the settings that were kept, as if it had never been restarted since."""
        aside = "; ".join(f"mv {path} {path}.now; mv {path}.before {path}" for path in self.files)
        back = "; ".join(f"mv {path}.now {path}" for path in self.files)
        self.sh(f"{aside}; {self.systemctl} restart {unit}; {back}")

    def given(self) -> list[tuple[str, str, str]]:
        command = f"python3 - '{self.systemctl.removeprefix('systemctl').strip()}' {' '.join(self.units)}"
        return [tuple(entry) for entry in json.loads(self.sh(f"{command} <<'END'\n{GIVEN}END\n"))]

    def done(self) -> None:
        """See that one rollout was done, and every process of every unit has the new key alone."""
        old, new = self.fleet.keyring(self.keyring)["keys"]
        assert (old["state"], new["state"]) == ("retired", "primary")
        assert old["fingerprint"] == fingerprint(self.key)
        given = self.given()
        assert {unit for unit, _key, _fallbacks in given} == set(self.units)
        assert {(key, fallbacks) for _unit, key, fallbacks in given} == {(new["secret"], "")}
        for path in self.files:
            text = self.sh(f"cat {path}")
            assert new["secret"] in text and self.key not in text


def sleeping(env: str) -> str:
    return f"[Service]\nEnvironmentFile={env}\n{TWO}\n"


def roll_past_a_stale_unit(app: Application, stale: str) -> None:
    """Adopt, prepare, meet one unit that was left behind, restart that one, and finish."""
    app.run("adopt").ended(0)
    app.keep()
    app.run("prepare").ended(0).says("prepare: 1 of 1 host accept")
    app.make_stale(stale)
    pids = app.sh(f"{app.systemctl} show --value -p ControlGroup {stale}")
    pids = app.sh(f"cat /sys/fs/cgroup{pids}/cgroup.procs").split()
    refused = app.run("promote").ended(-1).says("promote is not safe yet: 0 of 1 host accept")
    named = ", ".join(pids if len(pids) <= 3 else pids[:2])
    refused.lists("web1", f"pid{'s' if len(pids) > 1 else ''} {named}", "started", "not accept")
    assert len(app.fleet.keyring(app.keyring)["keys"]) == 2
    app.do("restart", stale)
    app.run("rollout").ended(0).says("retire: 1 of 1 host have let go of")
    app.done()


def test_several_services_on_one_env_file(fleet: Played) -> None:
    app = Application(fleet, "together", ["/etc/together.env"], ["front.service", "queue.service"])
    for unit in app.units:
        app.write(f"{SYSTEM}/{unit}", sleeping("/etc/together.env"))
    app.do("start", *app.units)
    roll_past_a_stale_unit(app, "queue.service")


def test_several_env_files_on_one_host(fleet: Played) -> None:
    app = Application(
        fleet, "apart", ["/etc/apart/left.env", "/etc/apart/right.env"], ["left.service", "right.service"]
    )
    for unit in ("left", "right"):
        app.write(f"{SYSTEM}/{unit}.service", sleeping(f"/etc/apart/{unit}.env"))
    app.do("start", *app.units)
    # A key that only one of the files has is no key of the fleet.
    app.sh("sed -i s/SECRET_KEY=/SECRET_KEY=another-/ /etc/apart/right.env")
    app.run("adopt").ended(-1).says("cannot be adopted").lists("web1", "/etc/apart/right.env")
    app.sh("sed -i s/SECRET_KEY=another-/SECRET_KEY=/ /etc/apart/right.env")
    roll_past_a_stale_unit(app, "left.service")


def test_template_units(fleet: Played) -> None:
    app = Application(fleet, "template", ["/etc/template.env"], ["cart@1.service", "cart@2.service"])
    app.write(f"{SYSTEM}/cart@.service", sleeping("/etc/template.env"))
    app.do("start", *app.units)
    roll_past_a_stale_unit(app, "cart@2.service")
    app.variables["app_keys_service"] = ["cart@*.service"]
    app.run("rollout").ended(-1).says("'cart@*.service' is not the name of a unit")


def test_a_drop_in_that_wins_over_the_env_file(fleet: Played) -> None:
    """It has the same key, so every worker is right, and prepare would pass: promote could not."""
    app = Application(fleet, "bazaar", ["/etc/bazaar.env"], ["bazaar.service"])
    conf = f"{SYSTEM}/bazaar.service.d/local.conf"
    app.write(f"{SYSTEM}/bazaar.service", sleeping("/etc/bazaar.env"))
    app.write("/etc/local.env", f"SECRET_KEY={app.key}\n")
    restart = "systemctl daemon-reload; systemctl restart bazaar.service"

    def overridden() -> None:
        app.write(conf, "[Service]\nEnvironmentFile=-/etc/local.env\n")
        app.sh(restart)

    said = "bazaar.service takes SECRET_KEY from /etc/local.env (EnvironmentFile= in"
    overridden()
    app.run("adopt").ended(-1).lists(
        "web1", said, conf, "which wins over /etc/bazaar.env", "take the setting out there"
    )
    app.sh(f"rm {conf}; {restart}")
    app.run("adopt").ended(0)
    overridden()
    app.run("prepare").ended(-1).says("prepare is not safe yet").lists("web1", said, conf)
    assert len(fleet.keyring(app.keyring)["keys"]) == 1
    # Before our file it loses, and is nobody's business; nor is the unit's own line.
    app.write(
        conf,
        "[Service]\nEnvironmentFile=\nEnvironmentFile=/etc/local.env\nEnvironmentFile=/etc/bazaar.env\nEnvironment=SECRET_KEY=x\n",
    )
    app.sh(restart)
    app.run("rollout").ended(0).says("retire: 1 of 1 host have let go of")
    app.done()


def test_a_unit_that_a_socket_starts(fleet: Played) -> None:
    app = Application(fleet, "lazy", ["/etc/lazy.env"], ["lazy.service"])
    app.write(f"{SYSTEM}/lazy.socket", "[Socket]\nListenStream=/run/lazy.sock\n")
    start = f"ExecStart={GUNICORN} shop.wsgi"
    app.write(
        f"{SYSTEM}/lazy.service",
        f"[Service]\nType=notify\nEnvironmentFile=/etc/lazy.env\nWorkingDirectory=/srv/shop\n{start}\n",
    )
    app.do("start", "lazy.socket")

    def signs() -> str:
        ask = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/lazy.sock'); s.settimeout(20); "
        ask += "s.sendall(b'GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n'); print(b''.join(iter(lambda: s.recv(999), b'')).decode())"
        answer = app.sh(f'python3 -c "{ask}"')
        return str(json.loads(answer.splitlines()[-1])["key"])

    def active() -> str:
        return app.sh("systemctl is-active lazy.service || true")

    # Idle until the first request: written without a restart, and proven on disk.
    app.run("adopt").ended(0)
    app.run("prepare").ended(0).says("prepare: 1 of 1 host accept")
    assert active() == "inactive"
    old = fingerprint(app.key)
    assert signs() == old and active() == "active"
    # It runs now: restarted, and its processes are proven.
    app.keep()
    app.run("promote").ended(0).says("promote: 1 of 1 host sign with")
    new = fleet.keyring(app.keyring)["keys"][1]["fingerprint"]
    assert signs() == new
    app.make_stale("lazy.service")
    time.sleep(3)  # the soak
    refused = app.run("retire").ended(-1).lists("web1", f"with {old} and not with {new}")
    refused.lists("web1", "restart lazy.service")
    # And idle again, as after a time without requests: nothing has to be started for a key to roll.
    app.do("stop", "lazy.service")
    app.run("rollout").ended(0).says("retire: 1 of 1 host have let go of")
    assert active() == "inactive"
    assert signs() == new
    app.done()
    # A service that was stopped together with its socket is down, and not idle.
    app.do("stop", "lazy.socket", "lazy.service")
    app.variables["app_keys_new"] = True
    app.run("rollout").ended(-1).says("no worker runs", "start the application")


def test_what_is_no_worker_of_a_unit(fleet: Played) -> None:
    """systemd leaves `(sd-pam)` in a unit with PAMName=, and helpers may be given nothing at all."""
    app = Application(fleet, "helped", ["/etc/helped.env"], ["helped.service"])
    start = "ExecStart=/bin/sh -c 'env -i sleep infinity & exec sleep infinity'"
    app.write(
        f"{SYSTEM}/helped.service", f"[Service]\nUser=www-data\nPAMName=su\nEnvironmentFile=/etc/helped.env\n{start}\n"
    )
    app.do("start", *app.units)
    pids = "cat /sys/fs/cgroup$(systemctl show --value -p ControlGroup helped.service)/cgroup.procs"
    assert sorted(app.sh(f"for pid in $({pids}); do cat /proc/$pid/comm; done").split()) == [
        "(sd-pam)",
        "sleep",
        "sleep",
    ]
    app.run("adopt").ended(0)
    app.run("rollout").ended(0).says("retire: 1 of 1 host have let go of")
    # One that pretends to be the manager's and hides what it was given is not believed.
    title = "import ctypes, time; open('/proc/self/comm', 'w').write('(sd-pam)'); f = open('/proc/self/stat').read().rpartition(')')[2].split(); "
    title += "start, end = int(f[45]), int(f[48]); ctypes.memset(start, 0, end - start); ctypes.memmove(start, b'(sd-pam)', 8); time.sleep(9999)\n"
    app.write("/srv/liar.py", title)
    app.write(
        f"{SYSTEM}/helped.service",
        "[Service]\nEnvironmentFile=/etc/helped.env\nExecStart=/bin/sh -c 'python3 /srv/liar.py & exec sleep infinity'\n",
    )
    app.do("daemon-reload")
    app.do("restart", *app.units)
    app.variables["app_keys_new"] = True
    app.run("rollout").ended(-1).says("((sd-pam)): pid", "has overwritten its environment", "SPT_NOENV=1")


def test_units_of_a_user(fleet: Played) -> None:
    fleet.sh("web1", "useradd --create-home --shell /bin/sh --user-group seller")
    # The image has no libpam-systemd, which would set this.
    runtime = "/etc/systemd/system/user@.service.d/runtime.conf"
    fleet.sh(
        "web1", f"mkdir -p $(dirname {runtime}); echo '[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i' > {runtime}"
    )
    fleet.sh("web1", "systemctl daemon-reload")
    env = "/home/seller/stall.env"
    fleet.sh("web1", "mkdir -p /var/lib/systemd/linger")
    own = {
        "app_keys_service_scope": "user",
        "app_keys_state_dir": "/home/seller/.local/state/phased.keys",
        "ansible_become_user": "seller",
    }
    app = Application(fleet, "stall", [], ["stall.service", "till.service"], **own)
    app.user, app.systemctl = "seller", "systemctl --user"
    app.files.append(env)
    app.write(env, f"SECRET_KEY={app.key}\n")
    app.run("adopt").ended(-1).lists("web1", "loginctl enable-linger")
    fleet.sh("web1", "touch /var/lib/systemd/linger/seller; systemctl start user@$(id -u seller).service")
    for unit in app.units:
        app.write(f"/home/seller/.config/systemd/user/{unit}", sleeping(env))
    app.do("start", *app.units)
    roll_past_a_stale_unit(app, "till.service")
    assert app.sh(f"stat -c '%U %a' {env} {own['app_keys_state_dir']}/stall.json").split() == ["seller", "600"] * 2
