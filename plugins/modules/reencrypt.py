#!/usr/bin/python
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name, which sends our own program to the host; no module of Ansible runs there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reencrypt
short_description: Have an application encrypt anew what it stores, and show that no other key is needed
version_added: 0.1.0
author:
  - The phased.keys contributors (@phased-keys)
description:
  - Runs the commands of C(app_keys_reencrypt), once for the fleet, on the host and for the key that P(phased.keys.gate#module) has named in
    this run (O(phased.keys.gate#module:do=reencrypt)); everywhere else it refuses and does nothing.
  - Both run as the application's user and with its environment, without any right of root's. The proof has the key that signs and no other,
    as after retire.
  - What came of it is told by O(phased.keys.gate#module:do=reencrypted). One that was cut off is run again by the next run.
extends_documentation_fragment:
  - phased.keys.application
options: {}
requirements:
  - Python 3.8 or later on the host, of which the standard library alone is used
seealso:
  - module: phased.keys.gate
  - module: phased.keys.active_fingerprint
attributes:
  check_mode:
    description: Does nothing.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
  platform:
    description: Platforms on which it works.
    support: full
    platforms: linux
"""

EXAMPLES = r"""
- name: Encrypt anew what is at rest, where the gate said
  hosts: "{{ query('phased.keys.run', 'reencrypts') }}"
  gather_facts: false
  tasks:
    - name: Have the application encrypt anew, and show that it did
      phased.keys.reencrypt:
        nonce: "{{ lookup('phased.keys.run', 'nonce') }}"
      ignore_unreachable: true

    - name: Tell the gate what came of it
      phased.keys.gate:
        do: reencrypted
        nonce: "{{ lookup('phased.keys.run', 'nonce') }}"
      run_once: true
"""
