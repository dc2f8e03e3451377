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
  - Evidence is what M(phased.keys.active_fingerprint) and M(phased.keys.env_keys) brought back in the same run of C(ansible-playbook), given
    the run's nonce. It lies in a folder of that run, which no variable, fact or registered result can speak for.
extends_documentation_fragment:
  - phased.keys.controller
options:
  do:
    description:
      - V(fleet) begins a run and finds the fleet. It is the first task of a playbook, in a play on C(all).
      - V(open) opens the step, after waiting for a soak that is shorter than C(app_keys_wait), or goes on with one that is open.
      - V(batch) lets a batch of visits begin only if nothing was lost in those before it.
      - V(close) counts the fleet and closes the step.
      - V(reencrypt) names the host that is to encrypt anew what is at rest, if every member signs with the new key, and V(reencrypted) takes in what
        P(phased.keys.reencrypt#module) has brought back from there.
      - V(status) shows who signs with what, who accepts what, and what is next.
    type: str
    required: true
    choices: [fleet, open, batch, close, reencrypt, reencrypted, status]
  step:
    description:
      - The phase that is meant by O(do=open). V(current) is the step that the keyring is at; V(retire) and V(rollback) may open a withdraw.
    type: str
    default: current
    choices: [current, prepare, promote, retire, rollback]
  goal:
    description:
      - For O(do=fleet), what the playbook is to reach. With V(rollout) a step that is not due is passed over; with the name of a step it is refused.
    type: str
    default: rollout
  final:
    description:
      - With V(false) the gate is asked first. It decides where fresh evidence is enough for that, and else returns RV(needs_look) and decides nothing.
        Then the hosts are looked at, and it is asked again.
      - With O(do=open), O(do=close), O(do=reencrypt) and O(do=status) all members are looked at (P(phased.keys.run#lookup) names the play's hosts), with
        O(do=batch) those that C(looks) of that lookup has for each host of the batch.
    type: bool
    default: true
  nonce:
    description:
      - Nonce of the run, from P(phased.keys.run#lookup). Required for all but O(do=fleet).
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
"""

EXAMPLES = r"""
# A playbook of one's own that prepares, with nothing around its visits. The playbooks of the collection do the same with more care.
- name: Find the fleet
  hosts: all
  gather_facts: false
  tasks:
    - name: Begin a run
      phased.keys.gate:
        do: fleet
        goal: prepare
      run_once: true

- name: Open the step
  hosts: "{{ query('phased.keys.run', 'open') }}"
  gather_facts: false
  tasks:
    - name: Look at every worker of every member
      phased.keys.active_fingerprint:
        nonce: "{{ lookup('phased.keys.run', 'nonce') }}"
      ignore_unreachable: true

    - name: Open the step, or say who is not ready
      phased.keys.gate:
        do: open
        step: prepare
        nonce: "{{ lookup('phased.keys.run', 'nonce') }}"
      run_once: true

- name: Visit the hosts
  hosts: "{{ query('phased.keys.run', 'visits') }}"
  serial: "{{ query('phased.keys.run', 'serial') }}"
  gather_facts: false
  tasks:
    - name: See that nothing was lost before this batch
      phased.keys.gate:
        do: batch
        nonce: "{{ lookup('phased.keys.run', 'nonce') }}"
      run_once: true

    - name: Bring the host to the keys that it should have
      phased.keys.env_keys:
        converge: true
        nonce: "{{ lookup('phased.keys.run', 'nonce') }}"

- name: Close the step
  hosts: "{{ query('phased.keys.run', 'close') }}"
  gather_facts: false
  tasks:
    - name: Look at every worker of every member
      phased.keys.active_fingerprint:
        nonce: "{{ lookup('phased.keys.run', 'nonce') }}"
      ignore_unreachable: true

    - name: Count the fleet
      phased.keys.gate:
        do: close
        nonce: "{{ lookup('phased.keys.run', 'nonce') }}"
      run_once: true
"""

RETURN = r"""
needs_look:
  description: Whether hosts have to be looked at before the gate decides.
  returned: always
  type: bool
visit:
  description: Whether there are hosts to visit. P(phased.keys.run#lookup) names them.
  returned: for O(do=open) and O(do=close) when the gate has decided
  type: bool
text:
  description: What the gate said.
  returned: for O(do=open) and O(do=close) when the gate has decided
  type: str
nonce:
  description: Nonce of the run.
  returned: for O(do=fleet)
  type: str
progress:
  description:
    - How far the rollout is. C(phase) is the O(step) that was asked for, C(step) the one that the keyring is at, and C(open) whether it is open.
    - C(proven) and C(total) count the members at that step; both are null where the fleet was not looked at.
    - C(due_at) is when the next spread or soak is over, in seconds since 1970, null where there is neither. C(next) says what comes next.
  returned: where the keyring was read, and the gate does not refuse
  type: dict
  sample: {phase: promote, step: promote, open: true, proven: 118, total: 120, due_at: null, next: "promote is open since 2026-11-23T10:02:11Z"}
status:
  description: What was shown.
  returned: for O(do=status) when hosts were looked at, unless C(app_keys_strict) ends it with an error
  type: str
proven:
  description: The members that are proven at the last step.
  returned: as RV(status)
  type: list
  elements: str
keyring:
  description: The keyring, without a secret.
  returned: as RV(status)
  type: dict
name:
  description: The application.
  returned: for O(do=fleet), and for O(do=status) when hosts were looked at
  type: str
ok:
  description:
    - Whether all is well. Every member is proven at the last step, no step is open, nothing that was begun waits for a person (a staged key,
      a soak that is over, a key that has leaked and is still accepted), and no waiver has run out.
    - A rollout that is due by C(app_keys_max_age) is no harm; RV(due_at) tells of it.
  returned: for O(do=status) when hosts were looked at
  type: bool
why:
  description: What is not well, in a sentence each, with what to do.
  returned: for O(do=status) when hosts were looked at
  type: list
  elements: str
phase:
  description: The last step by its name (V(adopt), V(prepare), V(promote), V(retire), V(rollback) or V(withdraw)).
  returned: for O(do=status) when hosts were looked at
  type: str
step_open:
  description: Whether that step is still open.
  returned: for O(do=status) when hosts were looked at
  type: bool
due_at:
  description: Since when, or from when on, the next step or rollout is to be done (UTC); null for nothing.
  returned: for O(do=status) when hosts were looked at
  type: str
  sample: "2026-12-12T10:05:40Z"
next:
  description: What comes next, and what to do for it.
  returned: for O(do=status) when hosts were looked at
  type: str
members:
  description: How many members the fleet has, by inventory and keyring together.
  returned: for O(do=status) when hosts were looked at
  type: int
members_proven:
  description: How many of them are proven at the last step.
  returned: for O(do=status) when hosts were looked at
  type: int
unproven:
  description: Why the others are not, one entry for each finding.
  returned: for O(do=status) when hosts were looked at
  type: list
  elements: dict
  contains: &findings
    host:
      description: The host.
      type: str
    seen:
      description: What was seen of it.
      type: str
    advice:
      description: What to do.
      type: str
noted:
  description: What is to be known of a host, and stands in nobody's way.
  returned: for O(do=status) when hosts were looked at
  type: list
  elements: dict
  contains: *findings
waived:
  description: The members that are set aside now, asserted to serve no traffic.
  returned: for O(do=status) when hosts were looked at
  type: list
  elements: dict
  contains:
    host:
      description: The host.
      type: str
    until:
      description: When the waiver runs out (UTC).
      type: str
    reason:
      description: The reason that was given.
      type: str
signing:
  description: Fingerprint of the key that signs.
  returned: for O(do=status) when hosts were looked at
  type: str
accepted:
  description: Fingerprints of all keys that hosts are to accept.
  returned: for O(do=status) when hosts were looked at
  type: list
  elements: str
key_age:
  description: How many seconds ago the key that signs was made or adopted.
  returned: for O(do=status) when hosts were looked at
  type: int
last_rollout:
  description: When a retire closed last (UTC); null if none has.
  returned: for O(do=status) when hosts were looked at
  type: str
looked_at:
  description: Since when what is said of hosts is known, the earliest of the looks at them (UTC).
  returned: for O(do=status) when hosts were looked at
  type: str
at:
  description: When this was said (UTC).
  returned: for O(do=status) when hosts were looked at
  type: str
"""
