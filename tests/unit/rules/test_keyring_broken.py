# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring in which anything stands where something else belongs: it is refused where it is read, or does no harm."""

from __future__ import annotations

import contextlib
import copy
from typing import Any, Dict, Iterator, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import gate, membership, next_step, steps, wording
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from builders import DAY, FLEET, NEW, OLD, SECRETS, SOAK, T0, at, counting, fleet_of, opened, record, survey, surveyed

NOW = T0 + 40 * DAY
GONE = object()
ODD = (GONE, None, "", "x", -1, 1.5, float("nan"), True, [], [None], [[]], {}, 10**30, SECRETS[1])
WAIVED = membership.waive(at("promoted"), ["web-2"], "its disk is dead", 90 * DAY, T0 + 20 * DAY)
RINGS = {
    "adopt": at("adopt"),
    "rollback": opened(at("promoted"), "rollback", T0 + 3 * DAY),
    "retire": steps.mark_compromised(at("retire"), OLD, T0 + 20 * DAY),
    "waived and released": membership.release(WAIVED, ["web-3"], FLEET[:2], T0 + 21 * DAY),
}
Path = Tuple[Any, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a document; of the journal's many entries the last two."""
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    if isinstance(value, list):
        for number in range(len(value))[-2:] if path == ("journal",) else range(len(value)):
            yield from places(value[number], (*path, number))


def damaged(keyring: Dict[str, Any]) -> Iterator[Tuple[Path, Any, Any]]:
    """Every place, what is put there, and the document with it."""
    for path in places(keyring):
        for odd in ODD:
            document: Any = copy.deepcopy(keyring)
            place = document
            for part in path[:-1]:
                place = place[part]
            if not path:
                document = odd
            elif odd is GONE:
                del place[path[-1]]
            else:
                place[path[-1]] = odd
            yield path, odd, document


def use(keyring: Dict[str, Any], good: Dict[str, Any]) -> None:
    """Decide, count, show and write it in every way."""
    evidence, look = fleet_of(good), survey()._replace(clock=NOW)
    keyrings.public(keyring), keyrings.token(keyring), keyrings.secrets(keyring, keyrings.order(keyring).may_accept)
    membership.for_visits(keyring), membership.vouchers(keyring, "web-9", FLEET)
    membership.vouched(keyring, "web-9", {"web-1": record(good)})
    next_step.may_begin(keyring, 0, NOW)
    wording.status(counting(keyring, surveyed(keyring, FLEET, evidence, look).count, evidence, NOW), DAY)
    for phase in ("current", "prepare", "retire", "rollback"):
        for goal in ("rollout", phase):
            wish = gate.PhaseRequest(phase, goal, "nonce", new=True, soak=SOAK, new_key=SECRETS[6])
            gate.ask(keyring, wish, NOW)
            gate.closing(
                surveyed(gate.opening(surveyed(keyring, FLEET, evidence, look), wish).keyring, FLEET, evidence, look)
            )
    (
        membership.register(keyring, ["web-9"], NOW),
        membership.end_waivers(keyring, ["web-2"], NOW),
        steps.close_step(keyring, NOW),
    )
    for said in (
        lambda: membership.release(keyring, ["web-3"], FLEET[:2], NOW),
        lambda: membership.waive(keyring, ["web-2"], "its disk is dead", DAY, NOW),
        lambda: steps.mark_compromised(keyring, NEW, NOW),
    ):
        with contextlib.suppress(KeyringError):
            said()


@pytest.mark.parametrize("name", RINGS)
def test_a_damaged_keyring_is_refused_without_a_secret_or_can_be_used_without_an_error(name):
    good, refused = RINGS[name], 0
    for path, odd, document in damaged(good):
        try:
            keyring = keyrings.check(document, "shop")
        except KeyringError as error:
            refused += 1
            assert not [secret for secret in SECRETS if secret in str(error)], (path, odd)
            continue
        try:
            use(keyring, good)
        except KeyringError:
            pass
        except Exception as error:
            raise AssertionError(f"{path} = {odd!r}") from error
    assert refused > 500
