#!/usr/bin/python
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: keyring
short_description: Start or show the keyring of an application
version_added: 0.1.0
author:
  - The phased.keys contributors (@phased-keys)
description:
  - The keyring is a YAML file on the controller, encrypted with Ansible Vault by the vault secrets that C(ansible-playbook) was given.
  - It is started with the key that every running worker and env file of the fleet has, or with a fresh one where no host has any.
    Hosts that disagree are listed, and nothing is written. A keyring that exists is never overwritten.
options:
  state:
    description:
      - V(planned) says whether the fleet can be adopted, and from which member its key is to be read.
      - V(adopted) writes the keyring. It reads the key on the host of the task, so the task is delegated to that member.
      - V(shown) returns the keyring without its secrets.
    type: str
    default: shown
    choices: [planned, adopted, shown]
  nonce:
    description:
      - Nonce of the run, as M(phased.keys.gate) returned it. Evidence with another is not counted.
    type: str
attributes:
  check_mode:
    description: Says what would be adopted, and writes nothing.
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
- name: See which keys there are, and in which state
  phased.keys.keyring:
    state: shown
  register: shop_keyring
"""

RETURN = r"""
keyring:
  description: The keyring without a secret.
  returned: for O(state=shown)
  type: dict
source:
  description: The member that the key is read from.
  returned: for O(state=planned)
  type: str
adoptable:
  description: Whether there is a keyring to write.
  returned: for O(state=planned)
  type: bool
"""
