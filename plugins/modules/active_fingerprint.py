#!/usr/bin/python
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of this name, which sends our own program to the host; no module of Ansible runs there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: active_fingerprint
short_description: Prove which keys the running workers of an application sign with and accept
version_added: 0.1.0
author:
  - The phased.keys contributors (@phased-keys)
description:
  - Reads every running worker of the application on this host, the env files on disk and the host's record, and returns them as evidence.
  - Keys are named by their fingerprints. A secret is never returned in clear.
  - Changes nothing.
extends_documentation_fragment:
  - phased.keys.application
options:
  expect:
    description:
      - Wait up to O(timeout) until every worker does this, and fail with what was seen if it does not come true.
    type: dict
    suboptions:
      signs:
        description: Fingerprint of the key that every worker must sign with.
        type: str
      accepts:
        description: Fingerprints of keys that every worker must accept.
        type: list
        elements: str
        default: []
  member:
    description:
      - Host of the inventory whose variables are meant, for a task that is delegated to it. Default is the task's own host.
    type: str
  app_check:
    description:
      - A check that the application verifies what a fallback signed, with throw-away keys in a process of its own.
      - A mapping of C(python) and C(manage) for Django, or a command.
    type: raw
  packages:
    description:
      - Whether to look which packages the application has, of those with which its framework is broken or that use its key too.
      - Their metadata is read as the application's user, and of an application of root's as nobody.
    type: bool
    default: false
  cross:
    description:
      - The host's part of a cross-proof (C(app_keys_cross_proof)) in a run of the collection's own playbooks. With V(sign) the application makes a
        token, with V(verify) it says which tokens of others it verifies. Neither is in the result.
    type: str
    choices: [sign, verify]
requirements:
  - Python 3.8 or later on the host, of which the standard library alone is used
seealso:
  - module: phased.keys.env_keys
  - module: phased.keys.gate
  - module: phased.keys.keyring_info
attributes:
  check_mode:
    description: Works in check mode as it does otherwise, since it changes nothing.
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
- name: See what the workers of the shop sign with
  phased.keys.active_fingerprint:
    name: shop
    env_file: /etc/shop.env
    processes:
      - unit: shop.service
  register: shop

- name: Wait until every worker signs with a certain key
  phased.keys.active_fingerprint:
    expect:
      signs: 7c1f0a52b6e94d33
"""

RETURN = r"""
evidence:
  description:
    - What was seen on this host, in fingerprints. C(workers) with C(pid), C(started), C(signs), C(accepts) and C(problem),
      C(files) with the same of the env files, C(others) for processes outside the named ones that hold a key, C(pools) with
      how many generations of workers are below each main process, C(units) with what else they take the settings from,
      C(record), C(visit) (the pid of a visit in flight), C(settled), and the C(nonce) of the survey.
    - Only at C(-vv) or higher, and never in what a run of our playbooks goes by.
  returned: at C(-vv)
  type: dict
signs:
  description: Fingerprint that every worker signs with. Null where they disagree, or where nothing runs.
  returned: always
  type: str
accepts:
  description: Fingerprints that every worker accepts.
  returned: always
  type: list
  elements: str
idle:
  description: Whether no worker runs.
  returned: always
  type: bool
"""
