#!/usr/bin/python
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Count the proven members of a fleet, and open a step
version_added: 0.1.0
author:
  - The phased.keys contributors (@phased-keys)
description:
  - Holds the evidence of the whole fleet against the rules, and is the only thing that opens a step of a rollout.
  - Members that are unreachable, skipped, outside C(--limit), vanished from the inventory, or whose evidence is missing, of
    another survey or too old, are not proven. A refusal counts the proven members and names each other with what was seen and what to do.
  - What the operator says about hosts and keys (C(app_keys_release), C(app_keys_waive), C(app_keys_compromised)) goes into the keyring first,
    and into its journal.
  - It is written for the playbooks of this collection. Evidence is what their tasks registered in the same run.
options:
  do:
    description:
      - V(fleet) says which hosts the fleet is, and gives the run its nonce.
      - V(ask) opens a step that has anything to do, after waiting for a soak that is shorter than C(app_keys_wait); where the fleet has
        to be looked at first it says so and opens nothing.
      - V(open) opens the step after that look, or goes on with one that is open.
      - V(batch) lets a batch begin only if nothing was lost in those before it.
      - V(count) says whether evidence proves the fleet, and what a look at it is to search for.
      - V(close) counts the fleet and closes the step.
      - V(status) shows who signs with what, who accepts what, and what is next.
    type: str
    required: true
    choices: [fleet, ask, open, batch, count, close, status]
  step:
    description:
      - The phase that is meant. V(current) is the step that the keyring is at; V(retire) and V(rollback) may open a withdraw.
    type: str
    default: current
    choices: [current, prepare, promote, retire, rollback]
  goal:
    description:
      - What the playbook is to reach. With V(rollout) a step that is not due is passed over; with the name of a step it is refused.
    type: str
    default: rollout
  final:
    description:
      - With O(do=batch) and V(false), evidence that has only grown old is not refused yet; C(stale) says who looks at whom again.
      - With O(do=close) and V(false), a fleet that is not proven yet is not refused; C(look) says that it is to be looked at once more.
    type: bool
    default: true
  nonce:
    description:
      - Nonce of the run, as O(do=fleet) returned it. Evidence with another is not counted.
    type: str
requirements:
  - cryptography on the controller, with which Ansible Vault opens and seals the keyring
seealso:
  - module: phased.keys.keyring_info
  - module: phased.keys.active_fingerprint
  - module: phased.keys.env_keys
attributes:
  check_mode:
    description: Says what would be opened, opens nothing, and fails where the real run would refuse now.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
  platform:
    description: Runs on the controller.
    support: full
    platforms: posix
  bypass_host_loop:
    description: Runs once for all hosts of the play.
    support: full
"""

EXAMPLES = r"""
- name: Say who signs with what
  phased.keys.gate:
    do: status
    nonce: "{{ survey_nonce }}"
"""

RETURN = r"""
go:
  description: Whether a step is open and there are hosts to visit.
  returned: for O(do=ask) and O(do=open)
  type: bool
look:
  description: Whether the fleet has to be looked at first.
  returned: for O(do=ask), O(do=count) and O(do=close)
  type: bool
known:
  description: Fingerprints of the keyring, for the look.
  returned: for O(do=ask), O(do=count) and O(do=close)
  type: list
  elements: str
stale:
  description: Members to look at again, by the host of the batch that does it.
  returned: for O(do=batch)
  type: dict
plain:
  description: Whether nothing has to come before the visits of the batch, neither task files nor a look at others for a host without a record.
  returned: for O(do=batch)
  type: bool
members:
  description: The hosts of the fleet. Who is to be visited says P(phased.keys.run#lookup).
  returned: for O(do=fleet)
  type: list
  elements: str
nonce:
  description: Nonce of the run.
  returned: for O(do=fleet)
  type: str
status:
  description: What was shown.
  returned: for O(do=status)
  type: str
proven:
  description: The members that are proven at the open step.
  returned: for O(do=status)
  type: list
  elements: str
"""
