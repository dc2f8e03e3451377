# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the named processes and those beside them hold, however they are made."""

from __future__ import annotations

from typing import Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils.host import workers
from ansible_collections.phased.keys.plugins.module_utils.host.processes import Process
from ansible_collections.phased.keys.plugins.module_utils.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils.rules.frameworks import profile

OURS, OTHER = "our-key-abcdefghijklmnop", "another-key-abcdefghijkl"


@pytest.mark.parametrize(
    "values, found",
    [
        ({"SECRET_KEY": OURS}, True),
        ({"SECRET_KEY": OURS, "SECRET_KEY_FALLBACKS": "a,"}, True),
        ({"SECRET_KEY_FALLBACKS": f"{OTHER},{OURS}"}, True),
        ({"SECRET_KEY": OTHER, "SECRET_KEY_FALLBACKS": OTHER}, False),
        ({"SECRET_KEY": "", "SECRET_KEY_FALLBACKS": ""}, False),
        ({"ANOTHER_SETTING": OURS}, False),
    ],
)
def test_a_held_key_is_found_however_malformed_the_list_is(values: Dict[str, str], found: bool) -> None:
    held = [fingerprint(OURS)]
    assert workers.any_keys(profile("django"), values, held) == (held if found else [])


@pytest.mark.parametrize(
    "command, called",
    [
        ("/usr/bin/python3 /srv/shop/worker.py --password=hunter2", "python3 /srv/shop/worker.py"),
        ("celery -b amqp://user:hunter2@rabbit/", "celery"),
        ("python -c print('hunter2')", "python"),
    ],
)
def test_a_process_is_called_without_arguments_that_may_be_secrets(command: str, called: str) -> None:
    assert workers.called(Process(1, 0, 1, 1.0, 0, 0, command, ())) == called
