#!/usr/bin/python
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: keyring_info
short_description: Read the keyring of an application
version_added: 0.1.0
author:
  - The phased.keys contributors (@phased-keys)
description:
  - Returns what the keyring on the controller says, without a secret. Keys are named by their fingerprints.
  - It asks no host. What the hosts really do is told by M(phased.keys.active_fingerprint), and the whole by C(phased.keys.status).
  - It runs once for all hosts of the play. The fleet, and with it the keyring, is that of the inventory's C(app_keys_*) variables.
extends_documentation_fragment:
  - phased.keys.controller
options: {}
requirements:
  - cryptography on the controller, with which Ansible Vault opens the keyring
seealso:
  - module: phased.keys.keyring
  - module: phased.keys.active_fingerprint
  - module: phased.keys.gate
attributes:
  check_mode:
    description: Works in check mode as it does otherwise, since it changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Read the keyring of the shop
  phased.keys.keyring_info:
  register: shop_keyring

- name: Build no new image while a key is on its way
  ansible.builtin.assert:
    that: not shop_keyring.step.open
    fail_msg: "{{ shop_keyring.step.name }} is open: finish it with phased.keys.rollout"
"""

RETURN = r"""
name:
  description: Name of the application.
  returned: success
  type: str
signing:
  description: Fingerprint of the key that the open step, or the last one, has every worker sign with.
  returned: success
  type: str
accepted:
  description: Fingerprints of the keys that it has every worker accept, the signing one first.
  returned: success
  type: list
  elements: str
step:
  description:
    - The step that the keyring is at. C(name), C(counter) (which grows by one with each step), C(open), C(opened) and C(closed)
      (null while it is open).
  returned: success
  type: dict
members:
  description: The hosts that belong to the fleet by the keyring.
  returned: success
  type: list
  elements: str
keyring:
  description: The whole keyring without its secrets, as the file has it.
  returned: success
  type: dict
"""
