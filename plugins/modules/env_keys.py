#!/usr/bin/python
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name, which sends our own program to the host; no module of Ansible runs there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: env_keys
short_description: Bring one host to the keys that the open step asks for, and prove it
version_added: 0.1.0
author:
  - The phased.keys contributors (@phased-keys)
description:
  - One visit of one host, as a transaction. It rewrites the key settings in the env file and nothing else, restarts the application,
    and proves every worker in two looks. A visit that cannot prove the host restores the previous settings where the open step allows that.
  - Only a step that the gate has opened is ever written. The settings come straight from the keyring, on the controller, and never pass through a variable.
  - The host refuses a visit that is late, or that comes from a copy of the keyring. A host that has no record yet is held against the
    records of others.
  - A value that the keyring does not know is never overwritten.
extends_documentation_fragment:
  - phased.keys.application
options:
  converge:
    description:
      - With V(true) the host is brought to the settings of the open step, as the playbooks do it.
      - With V(false), for a deploy, it is changed only if its present settings are not admissible at the open step.
    type: bool
    default: false
  wait_for:
    description:
      - What is done before a visit where it is needed. The host is then left alone, RV(waits_for) says what it waits for, and the task is
        given again without that entry. The role C(app_keys) does so.
      - With V(looks), looks at members whose evidence has grown old before this batch (C(looks) of P(phased.keys.run#lookup)), after which
        M(phased.keys.gate) is asked with C(do=batch) once more. A visit that does not wait for them fails.
      - With V(vouchers), looks at RV(vouchers), for a host without a record cannot tell the keyring of the fleet from a copy. A visit that
        does not wait for them fails where no other member's record vouches for the keyring.
      - With V(drain), what C(app_keys_before_tasks) does, for a host that has to be changed. A visit that does not wait for it changes the host.
    type: list
    elements: str
    choices: [looks, vouchers, drain]
    default: []
  keyring:
    description:
      - Path of the keyring on the controller. Default is the variable C(app_keys_keyring).
    type: path
  env_owner:
    description:
      - Owner of the env file. Default is the variable C(app_keys_env_owner), and else it stays as it is; that of its folder when new.
      - A file that exists and belongs to somebody else is refused with the command that gives it to this owner.
    type: str
  env_group:
    description: Group of the env file. Default is the variable C(app_keys_env_group), and else it stays as it is; that of its folder when new.
    type: str
  env_mode:
    description: Mode of the env file. Default is the variable C(app_keys_env_mode), and else it stays as it is; V(0600) when new.
    type: str
  replace:
    description:
      - Fingerprints of keys that the keyring does not know and that may be overwritten all the same.
      - Default is the variable C(app_keys_replace).
    type: list
    elements: str
  take_over:
    description:
      - Field managers from which the first visit of a workload takes the entries that hold its keys, once.
      - Default is the variable C(app_keys_take_over).
    type: list
    elements: str
requirements:
  - Python 3.8 or later on the host, of which the standard library alone is used
  - cryptography on the controller, with which Ansible Vault opens the keyring
seealso:
  - module: phased.keys.active_fingerprint
  - module: phased.keys.gate
  - module: phased.keys.keyring_info
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: Shows fingerprints, and never keys.
    support: full
  platform:
    description: Platforms on which it works.
    support: full
    platforms: linux
notes:
  - A visit carries keys, so it goes through pipelining, which is turned on for this call. Where a connection has none it is refused,
    unless C(app_keys_allow_key_in_file) is set, since the keys would lie in a temporary file on the host.
"""

EXAMPLES = r"""
- name: Bring the shop to the keys that it should have, with what the inventory says of it
  phased.keys.env_keys:

- name: The same for an application that the inventory says nothing of, in a deploy
  phased.keys.env_keys:
    name: shop
    keyring: /srv/ansible/.keyrings/shop.yml
    env_file: /etc/shop.env
    service: shop.service
  register: shop

- name: Bring the host to the open step, as the playbooks do it
  phased.keys.env_keys:
    converge: true
    nonce: "{{ lookup('phased.keys.run', 'nonce') }}"
"""

RETURN = r"""
waits_for:
  description: What of O(wait_for) has to be done before the visit. The host was left alone.
  returned: when there is any
  type: str
vouchers:
  description: Members whose records tell whether the keyring is the one that the fleet was last rolled with.
  returned: when a host joins
  type: list
  elements: str
msg:
  description:
    - What the visit did, as a sentence, which is shown at the terminal too. In check mode what it would do.
    - Of a visit that failed, what was seen and what to do.
  returned: where anything was needed, or the visit failed
  type: str
  sample: "web2: wrote 1 file, restarted shop.service, 4 workers proven in 4 s"
needed:
  description: Whether the host had to be changed, or in check mode has to be.
  returned: unless it waits, or could not begin
  type: bool
proven:
  description: Whether every worker and every env file does what it should.
  returned: unless it waits, or could not begin
  type: bool
did:
  description:
    - What was done. C(written) lists the files, C(restarted), C(restored) and C(down) are truth values, C(took) is how many seconds it
      took from the restart to the proof.
  returned: unless it waits, or could not begin
  type: dict
evidence:
  description: What was seen at the end, as M(phased.keys.active_fingerprint) returns it.
  returned: at C(-vv)
  type: dict
"""
