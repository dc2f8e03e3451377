#!/usr/bin/python
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring one host to the keys that the open step asks for, and prove it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: env_keys
short_description: Bring one host to the keys that the open step asks for, and prove it
version_added: 0.1.0
author:
  - The phased.keys contributors (@phased-keys)
description:
  - One visit of one host, as a transaction. It rewrites the key settings in the env file and nothing else, restarts the application,
    and proves every worker in two looks. A visit that cannot prove the host puts the settings of before back where the open step allows that.
  - Only a step that the gate has opened is ever written. The settings come straight from the keyring, on the controller, and never pass through a variable.
  - The host refuses a visit that is late, or that comes from a copy of the keyring. A host that has no record yet is held against the
    records of others.
  - A value that the keyring does not know is never overwritten.
extends_documentation_fragment:
  - phased.keys.application
options:
  host:
    description:
      - Given by the action plugin. Name of the host in the inventory, by which it knows its own record from one that came with an image.
    type: str
    default: ''
  converge:
    description:
      - With V(true) the host is brought to the settings of the open step, as the playbooks do it.
      - With V(false), for a deploy, it is changed only if its present settings are not admissible at the open step.
    type: bool
    default: false
  first:
    description:
      - Used by the role C(app_keys). What has to come before the visit. Then nothing is done, and it is returned as C(first).
    type: str
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
  order:
    description: Given by the action plugin. What the open step asks of every host, in fingerprints.
    type: dict
  token:
    description: Given by the action plugin. The token of the open step.
    type: dict
  step:
    description: Given by the action plugin. Name of the open step.
    type: str
  secrets:
    description: Given by the action plugin, straight from the keyring.
    type: dict
  vouched:
    description: Given by the action plugin. Whether the record of another host says that the keyring is the one of the fleet.
    type: bool
    default: false
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
- name: Bring the shop to the keys that it should have
  phased.keys.env_keys:
"""

RETURN = r"""
joining:
  description: The host has no record and was left alone. One of RV(vouchers) has to be looked at first, as the role does.
  returned: when a host joins
  type: bool
vouchers:
  description: Members whose records tell whether the keyring is the one that the fleet was last rolled with.
  returned: when a host joins
  type: list
  elements: str
needed:
  description: Whether the host had to be changed, or in check mode has to be.
  returned: always
  type: bool
proven:
  description: Whether every worker and every env file does what it should.
  returned: always
  type: bool
did:
  description:
    - What was done. C(written) lists the files, C(restarted), C(restored) and C(down) are truth values, C(took) is how many seconds it
      took from the restart to the proof.
  returned: always
  type: dict
evidence:
  description: What was seen at the end, as M(phased.keys.active_fingerprint) returns it.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host.answers import answer, masked
from ..module_utils.host.arguments import ENV_KEYS


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ENV_KEYS, supports_check_mode=True)
    result = masked(
        answer("env_keys", module.params, module.check_mode), list((module.params["secrets"] or {}).values())
    )
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
