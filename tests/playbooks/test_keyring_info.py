# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the keyring from a playbook of one's own: which keys there are, and in which state, without a secret."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict

from light_fleet import Fleet
from playbook_run import Run

After = Callable[..., Fleet]


def read(fleet: Fleet, **options: Any) -> Run:
    """Read the keyring in a playbook, and write what was registered to a file."""
    tasks = [
        {"name": "Read the keyring", "phased.keys.keyring_info": options, "register": "info"},
        {
            "name": "Keep it",
            "ansible.builtin.copy": {"content": "{{ info | to_json }}", "dest": str(fleet.folder / "info.json")},
            "run_once": True,
        },
    ]
    playbook = fleet.folder / "info.yml"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    return fleet.run(str(playbook))


def kept(fleet: Fleet) -> Dict[str, Any]:
    found: Dict[str, Any] = json.loads((fleet.folder / "info.json").read_text())
    return found


def test_the_keyring_is_read_without_a_secret(after: After) -> None:
    fleet = after("promote")
    before = fleet.unchanged()
    read(fleet).ended(0)
    assert fleet.unchanged() == before
    info, keyring = kept(fleet), fleet.keyring()
    new = fleet.key("primary")
    assert (info["name"], info["signing"], info["accepted"]) == ("shop", new, [new, fleet.old])
    assert info["step"] == {
        "name": "promote",
        "counter": keyring["step"]["counter"],
        "open": False,
        "opened": keyring["step"]["opened"],
        "closed": keyring["step"]["closed"],
    }
    assert info["members"] == ["web1", "web2"]
    assert [key["fingerprint"] for key in info["keyring"]["keys"]] == [fleet.old, new]
    text = (fleet.folder / "info.json").read_text()
    assert not [key["secret"] for key in keyring["keys"] if key["secret"] in text]
    # Nothing else is told than what is documented.
    assert set(info) == {"name", "signing", "accepted", "step", "members", "keyring", "changed", "failed"}


def test_an_open_step_is_told_though_no_host_was_visited_for_it(after: After) -> None:
    fleet = after("prepare")
    fleet.open("promote")
    read(fleet).ended(0)
    assert kept(fleet)["step"]["open"] is True and kept(fleet)["step"]["closed"] is None
    assert kept(fleet)["signing"] == fleet.key("primary")


def test_an_option_of_another_module_is_refused(after: After) -> None:
    fleet = after("adopt", ("web1",))
    read(fleet, state="shown").ended(2).says("keyring_info takes no options, and was given state")


def test_without_a_keyring_it_is_said_where_it_should_be(after: After) -> None:
    fleet = after("adopt", ("web1",))
    fleet.keyring_path.unlink()
    read(fleet).ended(2).says(str(fleet.keyring_path))
