# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an emergency costs, word by word: it is what somebody confirms at 3 a.m."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import PROFILES
from ansible_collections.phased.keys.plugins.module_utils._rules import emergency
from builders import ALIEN, NEW, OLD, T0, at, opened

ENDS = f"ends at once when retire opens: {PROFILES['django']['ends']}"
ROLLBACK = opened(at("promoted"), "rollback", T0)


@pytest.mark.parametrize(
    ("keyring", "leaked", "goal", "text"),
    [
        (
            at("promoted"), NEW, "rollout",
            f"{NEW} signs now. A new key is prepared and promoted on every host, then {NEW} is let go of without a soak. "
            f"What {NEW} signed or encrypted {ENDS}. Until then whoever has the key can still use it",
        ),
        (
            at("promoted"), NEW, "rollback",
            f"{NEW} signs now, and phased.keys.rollback does its own step alone; phased.keys.rollout then lets go of it without a soak. "
            f"What {NEW} signed or encrypted {ENDS}",
        ),
        # A goal matters for the key that signs alone.
        (
            at("promoted"), OLD, "rollback",
            f"{OLD} is accepted everywhere and does not sign after the step that is under way; its soak, which would last until "
            f"2023-11-29T00:23:20Z, is waived. What {OLD} signed or encrypted {ENDS}",
        ),
        (
            at("promote"), OLD, "rollout",
            f"{OLD} is accepted everywhere and does not sign after the step that is under way; its soak is waived. "
            f"What {OLD} signed or encrypted {ENDS}",
        ),
        (at("prepare"), NEW, "rollout", f"{NEW} has never signed. It is taken back from every host, and nothing that anybody holds ends"),
        (at("retire"), OLD, "rollout", f"{OLD} is being let go of already: that step is finished, and nothing else ends"),
        (at("retired"), OLD, "rollout", f"{OLD} is retired: no host is to accept it, and nothing ends. The mark is all that changes"),
        (at("retired"), ALIEN, "rollout", f"{ALIEN} is unknown: no host is to accept it, and nothing ends. The mark is all that changes"),
    ],
)  # fmt: skip
def test_14_what_is_confirmed_says_what_ends_and_when(keyring, leaked, goal, text):
    assert emergency.cost(keyring, leaked, goal) == text


def test_19_of_what_is_at_rest_nothing_ends_before_it_is_encrypted_anew():
    keyring = {**at("promoted"), "settings": {"at_rest": [{"what": "rows"}, {"what": "files"}]}}
    said = emergency.cost(keyring, OLD)
    assert said.endswith(
        f"What {OLD} signed ends at once when retire opens. What it encrypted and is stored (rows; files) is encrypted anew first, or somebody says "
        "with app_keys_reencrypted that it was: whatever is not is lost then"
    )
    assert PROFILES["django"]["ends"] not in said


def test_14_rollout_is_what_is_meant_where_no_goal_is_named():
    assert (
        emergency.cost(ROLLBACK, OLD)
        == emergency.cost(ROLLBACK, OLD, "rollout")
        != emergency.cost(ROLLBACK, OLD, "rollback")
    )
