# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real runs of ansible-playbook on a fleet of which one host lies."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.start import unpack
from lies import ESCAPES
from light_fleet import Fleet

LIAR = Path(__file__).resolve().parent / "liar.py"
NAMES = ("web1", "web2", "web3")
# How a host is reached: with pipelining as ever, and without, when our code lies in a file on the host.
WAYS = {"piped": {}, "in a file": {"ansible_pipelining": False, "ansible_ssh_pipelining": False}}


class Liars:
    """A fleet whose members are reached over ssh, and may be told to lie."""

    def __init__(self, folder: Path) -> None:
        self.fleet = Fleet(folder, NAMES)
        self.fleet.write_env()
        self.fleet.restart()
        self.fleet.over_ssh()
        ssh = folder / "ssh"
        hook = f'[ -e "$here/liar" ] && exec {sys.executable} {LIAR} "$here" "$2"\n'
        ssh.write_text(ssh.read_text().replace("exec /bin/sh", f"{hook}exec /bin/sh"))
        ssh.chmod(0o755)

    def hears(self, *numbers: int) -> None:
        """Keep what is sent to these hosts, or to all."""
        for number in numbers or range(len(NAMES)):
            (self.fleet[number].folder / "liar").touch()

    def lies(self, number: int, **lie: Any) -> None:
        """Have a host answer with this in place of what is true (see liar.py)."""
        self.hears(number)
        (self.fleet[number].folder / "lie").write_text(json.dumps(lie))

    def calls(self, number: int) -> List[Tuple[bool, Dict[str, Any]]]:
        """What was sent to a host: of each call whether in check mode, and its arguments."""
        heard = sorted((self.fleet[number].folder / "heard").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        found = []
        for path in heard:
            call = re.search(rb",\n([^,()]*)\n\)\n\Z", path.read_bytes())
            if call:
                told = unpack(call[1].decode().replace('"', "").replace("\n", ""))
                found.append((told["check"], told["arguments"]))
        return found

    def keys_sent(self, number: int) -> List[str]:
        """The fingerprints of the keys that were sent to a host."""
        return sorted({key for _check, given in self.calls(number) for key in given.get("secrets") or {}})


@pytest.fixture
def liars(tmp_path: Path) -> Iterator[Liars]:
    Fleet.bytecode = tmp_path / "bytecode"
    made = Liars(tmp_path / "fleet")
    yield made
    made.fleet.end()


@pytest.fixture
def adopted(liars: Liars) -> Liars:
    liars.fleet.run("adopt").ended(0)
    return liars


def steering(trace: Path) -> Dict[str, Any]:
    """What would run a command as root on another host, or speak for it, if it got into Ansible."""
    command = f"touch {trace}"
    facts = {"app_keys_restart_command": command, "app_keys_name": "other", "__app_keys_converge": True}
    return {
        "ansible_facts": {**facts, "__app_keys_again": {"results": [{"item": "web3", "evidence": "{}"}]}},
        "first": "/etc/passwd", "vouchers": ["web3"], "warnings": [ESCAPES], "add_host": {"host_name": "evil", "groups": ["shop"]},
        "_ansible_delegated_vars": {"ansible_host": "evil"}, "exception": ESCAPES, "msg": ESCAPES,
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_no_host_steers_another_with_a_fact(adopted: Liars, way: str, tmp_path: Path) -> None:
    """A host that joins has others looked at, on its behalf: what they answer is evidence, and lands nowhere."""
    fleet, trace = adopted.fleet, tmp_path / "owned"
    fleet.vars.update(WAYS[way], app_keys_allow_key_in_file=True)
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "cache")}
    fleet.join(2, fleet.secret)
    fleet.open("prepare")
    for number in (0, 1):
        adopted.lies(number, put=steering(trace))
    for _time in range(2):
        run = fleet.deploy(**cache)
    fleet.run("status", **cache).ended(0)
    assert not trace.exists() and "\x1b" not in run.text and "\u202e" not in run.text
    # It joins all the same: the records that vouch for the keyring are true.
    assert fleet[2].record() and fleet[2].file().signs == fleet.old
    cached = "".join(path.read_text() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert "app_keys" not in cached


@pytest.mark.parametrize("prefix", ["", "s1_"], ids=["as before 2.19", "as from 2.19 on"])
def test_a_host_whose_facts_speak_for_the_inventory_is_refused_by_name(
    adopted: Liars, prefix: str, tmp_path: Path
) -> None:
    fleet = adopted.fleet
    cache = tmp_path / "cache"
    cache.mkdir()
    for name, facts in {"web2": {"app_keys_name": "other", "app_keys_soak": "0s"}, "web3": {"harmless": 1}}.items():
        body = {"__payload__": json.dumps(facts)} if prefix else facts
        (cache / f"{prefix}{name}").write_text(json.dumps(body))
    more = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(cache)}
    import ansible.release

    read = (tuple(map(int, ansible.release.__version__.split(".")[:2])) >= (2, 19)) == bool(prefix)
    before = fleet.unchanged()
    run = fleet.run("rollout", **more)
    if not read:
        run.ended(0)  # this core does not read files of that name
        return
    run.ended(-1).lists("web2", "its facts hold app_keys_name, app_keys_soak", "--flush-cache")
    assert "  web3" not in run.text.partition("adopt cannot go on")[2].partition("Nothing was changed")[0]
    fleet.run("status", **more).ended(0).lists("web2", "its facts hold app_keys_name")
    assert fleet.unchanged() == before
    deploy = fleet.deploy(**more)
    assert deploy.recap("failed")["web2"] == 1 and fleet.unchanged() == before
    fleet.run("rollout", "--flush-cache", **more).ended(0)


UNREADABLE: List[Dict[str, Any]] = [
    {"put": {"evidence": {}}},
    {"put": {"evidence.record": [1]}},
    {"put": {"evidence.machine": [1]}},
    {"put": {"evidence.workers.0.pid": "1"}},
    {"put": {"evidence.workers.0.problem": {"kind": "stale", "text": "x" * 2_000_000}}},
    {"raw": '{"changed": false, "evidence": ' + "[" * 50_000},
    {"raw": '{"changed": false} \x1b]0;owned\x07'},
]


def test_what_cannot_be_read_is_a_finding_of_that_host_alone(adopted: Liars) -> None:
    fleet = adopted.fleet
    before = fleet.unchanged()
    for lie in UNREADABLE:
        adopted.lies(1, **lie)
        began = time.monotonic()
        run = fleet.run("status").ended(0).lists("web2", "its answer cannot be read")
        assert "\x1b" not in run.text and len(run.text) < 20_000 and time.monotonic() - began < 20
    run = fleet.run("rollout").ended(-1).lists("web2", "its answer cannot be read", "find out why")
    # Hosts on one machine see each other's workers; here that is all that web3 is told of.
    assert "  web3" not in run.text.partition("adopt cannot go on")[2].partition("Nothing was changed")[0]
    assert fleet.unchanged() == before


def test_a_rollback_goes_on_without_a_host_that_cannot_be_read(adopted: Liars) -> None:
    fleet = adopted.fleet
    fleet.vars.update(app_keys_soak="1h")
    fleet.run("rollout").ended(0)
    adopted.lies(1, put={"evidence.record": None, "evidence.workers": "none"})
    fleet.run("rollback").ended(-1).lists("web2", "its answer cannot be read")
    assert [fleet[number].file().signs for number in (0, 2)] == [fleet.old] * 2


def test_no_key_goes_to_a_host_before_somebody_has_vouched_nor_in_check_mode(adopted: Liars) -> None:
    fleet = adopted.fleet
    fleet.join(2, fleet.secret)
    fleet.open("prepare")
    adopted.hears(2)
    fleet.deploy("--check").ended(0)
    assert adopted.calls(2) and adopted.keys_sent(2) == []
    # Nobody can be asked.
    fleet[0].tell("down")
    fleet[1].tell("down")
    fleet.deploy("--limit", "web3").ended(-1).says("no host that has one vouches for this keyring")
    assert adopted.keys_sent(2) == []
    fleet[0].mend("down")
    fleet[1].mend("down")
    fleet.deploy("--limit", "web3").ended(0)
    assert fleet.old in adopted.keys_sent(2) and fleet[2].file().signs == fleet.old


def test_a_deploy_that_has_nothing_to_do_sends_no_key(adopted: Liars) -> None:
    adopted.hears()
    adopted.fleet.deploy().ended(0)
    assert all(adopted.calls(number) and adopted.keys_sent(number) == [] for number in range(len(NAMES)))


@pytest.mark.parametrize("way", WAYS)
def test_debug_output_never_shows_a_key(liars: Liars, way: str) -> None:
    """Neither does the call that brings a key back go on, nor a visit; what may lie in a file may not be printed."""
    fleet = liars.fleet
    fleet.vars.update(WAYS[way], app_keys_allow_key_in_file=True)
    run = fleet.run("adopt", ANSIBLE_DEBUG="1").ended(-1).says("ANSIBLE_DEBUG prints what is sent to a host")
    assert fleet.secret not in run.text and not fleet.keyring_path.exists()
    fleet.run("adopt").ended(0)
    fleet.open("prepare")
    new = fleet.keyring()["keys"][-1]["secret"]
    run = fleet.run("rollout", ANSIBLE_DEBUG="1").ended(-1)
    run.says("ANSIBLE_DEBUG prints what is sent to a host")
    assert new not in run.text and fleet.secret not in run.text
    assert [host.file().accepts for host in fleet.hosts] == [[fleet.old]] * 3


def test_a_connection_that_hangs_is_given_up(adopted: Liars) -> None:
    fleet = adopted.fleet
    fleet.vars.update(app_keys_timeout="1s")
    fleet.host_vars["web2"]["ansible_ssh_executable"] = str(fleet.folder / "hangs")
    (fleet.folder / "hangs").write_text("#!/bin/sh\nexec sleep 100\n")
    (fleet.folder / "hangs").chmod(0o755)
    began = time.monotonic()
    run = fleet.run("rollout").ended(-1).lists("web2", "the connection hangs: no answer within")
    assert 30 < time.monotonic() - began < 70, run.text
