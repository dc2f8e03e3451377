# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Says in `hosts:` and `serial:` what the run that is under way is about."""

from __future__ import annotations

DOCUMENTATION = r"""
name: run
author:
  - The phased.keys contributors (@phased-keys)
version_added: 0.1.0
short_description: What the run of P(phased.keys.gate#module) that is under way is about
description:
  - C(hosts:) and C(serial:) of a play see neither the variables of the inventory nor what earlier plays registered. This lookup answers there,
    and everywhere else, what C(do=fleet) of P(phased.keys.gate#module) has found.
  - Before that, or where that task was stepped over, it answers with the host V(localhost), one host a batch and an empty nonce, so that the
    first task of the play says what is wrong.
options:
  _terms:
    description:
      - V(members) are the members of the fleet; V(visits) those that the gate has said are to be visited, in their order; V(serial) the batches;
        V(nonce) the run's nonce; V(to_look_at) the members if the gate asked for a look at them, else nobody; V(looks) the members that the
        task's host is to look at before its batch begins.
      - V(open), V(status) and V(close) are the hosts for a play that asks the gate so. They are all members, and for V(close) nobody where
        the gate said that nobody is to be visited.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Visit what the gate has opened
  hosts: "{{ query('phased.keys.run', 'visits') }}"
  serial: "{{ query('phased.keys.run', 'serial') }}"
  tasks:
    - name: Visit the host
      phased.keys.env_keys:
        converge: true
        nonce: "{{ lookup('phased.keys.run', 'nonce') }}"
"""

RETURN = r"""
_list:
  description: The hosts or batches, or the nonce as its one entry.
  type: list
  elements: raw
"""

from typing import Any, Dict, List, Mapping, Optional

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ..plugin_utils import _run_folder as run_folder

# By term; where no run is under way, or the task that begins one was stepped over.
WITHOUT_A_RUN: Dict[str, List[Any]] = {
    **dict.fromkeys(("members", "visits", "open", "status", "close", "to_look_at"), ["localhost"]), "serial": [1], "nonce": [""], "looks": []
}  # fmt: skip


def answers(run: Mapping[str, Any], host: str) -> Dict[str, List[Any]]:
    """Return the answer to every term, for a task on this host."""
    members = run["members"]
    return {
        "members": members,
        "open": members,
        "status": members,
        "close": members if run["visits"] else [],
        "visits": run["visits"],
        "to_look_at": members if run.get("needs_look") else [],
        "serial": run["serial"],
        "nonce": [run["nonce"]],
        "looks": run.get("looks", {}).get(host, []),
    }


class LookupModule(LookupBase):
    """Answer from the run folder."""

    def run(self, terms: List[str], variables: Optional[Dict[str, Any]] = None, **kwargs: Any) -> List[Any]:
        """Return what the terms ask for, one after the other."""
        self.set_options(var_options=variables, direct=kwargs)
        unknown = [term for term in terms if term not in WITHOUT_A_RUN]
        if unknown:
            raise AnsibleError(f"{', '.join(unknown)}: the run has {', '.join(WITHOUT_A_RUN)}")
        run = run_folder.current()
        found = answers(run, str((variables or {}).get("inventory_hostname"))) if "members" in run else WITHOUT_A_RUN
        return [one for term in terms for one in found[term]]
