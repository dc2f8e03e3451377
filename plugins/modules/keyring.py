#!/usr/bin/python
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: keyring
short_description: Start the keyring of an application
version_added: 0.1.0
author:
  - The phased.keys contributors (@phased-keys)
description:
  - The keyring is a YAML file on the controller, encrypted with Ansible Vault by the vault secrets that C(ansible-playbook) was given.
  - It is started with the key that every running worker and env file of the fleet has, or with a fresh one where no host has any.
    Hosts that disagree are listed, and nothing is written. A keyring that exists is never overwritten.
extends_documentation_fragment:
  - phased.keys.controller
options:
  state:
    description:
      - V(planned) says whether the fleet can be adopted, and from which member its key is to be read.
      - V(adopted) writes the keyring. It reads the key on the host of the task, so the task is delegated to that member.
      - V(moved) moves the keyring to the place that C(app_keys_copy_to) names, and V(rekeyed) seals it with the vault secret whose label
        C(app_keys_rekey_to) gives. Neither asks a host, and neither takes O(nonce).
    type: str
    required: true
    choices: [planned, adopted, moved, rekeyed]
  nonce:
    description:
      - Nonce of the run, as M(phased.keys.gate) returned it. Evidence with another is not counted.
    type: str
requirements:
  - cryptography on the controller, with which Ansible Vault seals the keyring
  - Python 3.8 or later on the host that the key is read from
seealso:
  - module: phased.keys.keyring_info
  - module: phased.keys.gate
  - module: phased.keys.active_fingerprint
attributes:
  check_mode:
    description: Says what would be adopted, and writes nothing.
    support: full
"""

EXAMPLES = r"""
# As the playbook phased.keys.adopt does it; read that one for the plays around these tasks.
- name: Find the fleet
  phased.keys.gate:
    do: fleet
    goal: adopt
  register: run

- name: Look at every worker of every member, and ask its application
  phased.keys.active_fingerprint:
    nonce: "{{ run.nonce }}"
    app_check: "{{ app_keys_app_check | default(omit) }}"

- name: See whether the fleet can be adopted
  phased.keys.keyring:
    state: planned
    nonce: "{{ run.nonce }}"
  register: adoption

- name: Write the keyring
  phased.keys.keyring:
    state: adopted
    nonce: "{{ run.nonce }}"
  delegate_to: "{{ adoption.source }}"
  when: adoption.go
"""

RETURN = r"""
source:
  description: The member that the key is read from.
  returned: for O(state=planned)
  type: str
adoptable:
  description: Whether there is a keyring to write.
  returned: for O(state=planned)
  type: bool
"""
