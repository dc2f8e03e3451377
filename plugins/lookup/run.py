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
    first task of the play says what is wrong. In a playbook of the collection whose tasks C(--tags), C(--skip-tags) or C(--start-at-task) step
    over it is an error.
options:
  _terms:
    description:
      - V(members) are the members of the fleet; V(visits) those that the gate has said are to be visited, in their order; V(serial) the batches;
        V(nonce) the run's nonce; V(to_look_at) the members if the gate asked for a look at them, else nobody; V(looks) the members that the
        task's host is to look at before its batch begins; V(waiting) the hosts of this batch whose visits wait for something; V(reencrypts) the
        one host that the gate has named to encrypt anew what is at rest, or nobody.
      - V(open), V(status), V(close) and V(reencrypt) are the hosts for a play that asks the gate so. They are all members, and for V(close)
        nobody where the gate said that nobody is to be visited, for V(reencrypt) nobody where nothing is to be encrypted anew. V(cross) are all
        members where the step closes with a cross-proof, and else nobody.
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

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible import context
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ..plugin_utils import _run_folder as run_folder
from ..plugin_utils import _stepped_over as stepped_over

NO_HOST = ["localhost"]


class Task(NamedTuple):
    """The run, and the task that asks: its host, and the hosts of its batch."""

    run: Mapping[str, Any]
    host: str
    batch: Sequence[str]


class Term(NamedTuple):
    """What a term is answered with, and with what where no run is under way or the task that begins one was stepped over."""

    answer: Callable[[Task], List[Any]]
    without_a_run: List[Any]


TERMS: Dict[str, Term] = {
    "members": Term(lambda task: task.run["members"], NO_HOST),
    "open": Term(lambda task: task.run["members"], NO_HOST),
    "status": Term(lambda task: task.run["members"], NO_HOST),
    "close": Term(lambda task: task.run["members"] if task.run["visits"] or task.run.get("cross") else [], NO_HOST),
    "cross": Term(lambda task: task.run["members"] if task.run.get("cross") else [], []),
    "reencrypt": Term(lambda task: task.run["members"] if task.run.get("at_rest") else [], NO_HOST),
    "reencrypts": Term(lambda task: [task.run["reencrypt"]["host"]] if task.run.get("reencrypt") else [], NO_HOST),
    "visits": Term(lambda task: task.run["visits"], NO_HOST),
    "to_look_at": Term(lambda task: task.run["members"] if task.run.get("needs_look") else [], NO_HOST),
    "serial": Term(lambda task: task.run["serial"], [1]),
    "nonce": Term(lambda task: [task.run["nonce"]], [""]),
    "looks": Term(lambda task: task.run.get("looks", {}).get(task.host, []), []),
    "waiting": Term(
        lambda task: [host for host in task.batch if run_folder.one(task.run["nonce"], run_folder.WAIT, host)], []
    ),
}


class LookupModule(LookupBase):
    """Answer from the run folder."""

    def run(self, terms: List[str], variables: Optional[Dict[str, Any]] = None, **kwargs: Any) -> List[Any]:
        """Return what the terms ask for, one after the other."""
        self.set_options(var_options=variables, direct=kwargs)
        unknown = [term for term in terms if term not in TERMS]
        if unknown:
            raise AnsibleError(f"{', '.join(unknown)}: the run has {', '.join(TERMS)}")
        seen, run = variables or {}, run_folder.current()
        # There is no task left that could say it.
        why = None if "members" in run else stepped_over.why(context.CLIARGS)
        if why:
            raise AnsibleError(why)
        task = Task(run, str(seen.get("inventory_hostname")), seen.get("ansible_play_batch") or [])
        return [
            one
            for term in terms
            for one in (TERMS[term].answer(task) if "members" in run else TERMS[term].without_a_run)
        ]
