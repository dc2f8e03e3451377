# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole rollout over ssh that tells and keeps all that it can: no secret is anywhere but in the keyring and the env files."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any, Callable, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.plugin_utils import _program
from ansible_collections.phased.keys.plugins.plugin_utils._outputs import OUTPUTS
from canary import SYSLOG, Processes, Search
from light_fleet import Fleet
from playbook_run import Run
from walk import Walk

pytestmark = pytest.mark.slow


def awkward() -> str:
    """A key as Django's get_random_secret_key makes them (it draws from these characters), the awkward ones at both ends."""
    return "#$&(=)^%" + secrets.token_hex(16) + "!@*-_+$(#"


AWKWARD = awkward()


def talkative(fleet: Fleet) -> Dict[str, str]:
    """Settings with which Ansible tells and keeps all that it can."""
    site = fleet.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SYSLOG)
    return {
        "ANSIBLE_PIPELINING": "0",
        "ANSIBLE_LOG_PATH": str(fleet.folder / "ansible.log"),
        "ANSIBLE_GATHERING": "implicit",
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(fleet.folder / "cache"),
        "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "1",
        "PYTHONPATH": str(site),
        "PHASED_TEST_SYSLOG": str(fleet.folder / "syslog"),
    }


class Whole:
    """A rollout from nothing to retired, with all that it said and left."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        fleet.write_env(AWKWARD)
        fleet.over_ssh()
        fleet.restart()
        fleet.vars.update({f"app_keys_{output.variable}": f"out.{output.variable}" for output in OUTPUTS})
        more = talkative(fleet)
        # The keys are looked up after the run: which will be made is not known before.
        with Processes() as processes:
            self.adopted = fleet.run("adopt", "-vvvvv", "--diff", **more)
            self.origin = fleet.keyring() if fleet.keyring_path.exists() else {}
            self.rolled = fleet.run("rollout", "-vvvvv", "--diff", **more)
        self.commands = b"\n".join(processes.seen)
        self.new = fleet.keyring()["keys"][-1]["secret"]
        self.search = Search([AWKWARD, self.new])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, walk: Walk) -> Whole:  # the walk first: it says where bytecode goes
    """Run adopt and a whole rollout."""
    fleet = Fleet(tmp_path_factory.mktemp("canary") / "fleet", ("web1", "web2"))
    try:
        return Whole(fleet)
    finally:
        fleet.end()


def test_adopt_takes_the_key_that_the_fleet_has_whatever_characters_are_in_it(whole: Whole) -> None:
    whole.adopted.ended(0).says("with the key", fingerprint(AWKWARD), "signs on 2 hosts")
    (key,) = whole.origin["keys"]
    assert (key["secret"], key["state"], key["origin"]) == (AWKWARD, "primary", "adopted")


def test_rollout_goes_from_adopt_to_retired_with_one_new_key(whole: Whole) -> None:
    whole.rolled.ended(0).says("retire: 2 of 2 hosts have let go of", "no rollout is in progress")
    old, new = whole.fleet.keyring()["keys"]
    assert (old["fingerprint"], old["state"], old["secret"]) == (fingerprint(AWKWARD), "retired", None)
    assert (new["fingerprint"], new["state"]) == (fingerprint(whole.new), "primary")
    assert [host.file() for host in whole.fleet.hosts] == [(fingerprint(whole.new), [fingerprint(whole.new)])] * 2


@pytest.mark.parametrize("place", ["adopt's output", "rollout's output", "process list", "files"])
def test_no_secret_is_to_be_found(whole: Whole, place: str) -> None:
    fleet = whole.fleet
    if place == "files":
        kept = {host.env for host in fleet.hosts}
        assert whole.search.files(fleet.folder, kept) == {}
        # That nothing was found says something only about files in which something was written.
        assert "Bring the host to the keys" in (fleet.folder / "ansible.log").read_text()
        for output in OUTPUTS:
            assert fingerprint(whole.new) in (fleet.folder / "elsewhere" / f"out.{output.variable}").read_text()
        # No ordinary module ran on a host: each would have told its log what it was called with (see the leak below).
        assert not (fleet.folder / "syslog").exists()
        assert set(whole.search.files(fleet.folder, set())) == {f"hosts/{host.name}/env" for host in fleet.hosts}
        return
    said = {"adopt's output": whole.adopted.text, "rollout's output": whole.rolled.text}
    data = said[place].encode() if place in said else whole.commands
    assert len(data) > 2000
    # Each visit and look is an interpreter that gets all on its stdin.
    assert _program.OPTIONS.encode() in data.replace(b"\0", b" ")
    assert place == "process list" or b"SSH: EXEC" in data
    assert whole.search.text(data) == []


def test_no_file_ever_carries_the_keys_of_a_visit_to_a_host(whole: Whole) -> None:
    # What is piped has no file that a kill could leave behind.
    assert whole.rolled.text.count(_program.OPTIONS) >= 2 * (1 + 3)
    assert "AnsiballZ_" not in whole.rolled.text


def leak(fleet: Fleet, secret: str, more: Dict[str, str]) -> Run:
    """Print, cache, log and pass on a secret, as a careless playbook would."""
    (fleet.folder / "leak.json").write_text(json.dumps({"key": secret}))
    tasks: List[Dict[str, Any]] = [
        {"debug": {"msg": "it is {{ key }}"}},
        {"debug": {"msg": "{{ ('SECRET_KEY=' ~ key) | b64encode }}"}},
        {"set_fact": {"kept": "{{ key }}", "cacheable": True}},
        {"command": {"argv": ["/bin/sh", "-c", "sleep 0.3", "sh", "{{ key }}"]}},
    ]
    play = [{"hosts": "web1", "gather_facts": False, "tasks": tasks}]
    (fleet.folder / "leak.yml").write_text(json.dumps(play))
    return fleet.run(str(fleet.folder / "leak.yml"), "-e", f"@{fleet.folder}/leak.json", **more).ended(0)


def test_the_search_finds_a_secret_that_is_leaked_on_purpose(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet()
    # Not the one that must be found nowhere, at this very time.
    secret = awkward()
    search = Search([secret])
    with Processes() as processes:
        run = leak(fleet, secret, talkative(fleet))
    found = search.files(fleet.folder, set())
    assert {"ansible.log", "syslog", "leak.json", "cache"} <= {path.partition("/")[0] for path in found}
    assert {"secret 0 as it is", "secret 0 its middle"} <= set(search.text(run.text.encode()))
    assert any("base64" in what for what in search.text(run.text.encode()))
    assert search.text(b"\n".join(processes.seen))


@pytest.mark.parametrize(("before", "after"), [("", ""), ("K=", ";"), ("SECRET_KEY=", " and more")])
def test_the_search_knows_a_secret_in_base64_wherever_it_stands(before: str, after: str) -> None:

    text = base64.b64encode(f"{before}{AWKWARD}{after}".encode())
    assert any("base64" in what for what in Search([AWKWARD]).text(text))
