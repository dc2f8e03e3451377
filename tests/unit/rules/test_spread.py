# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who learn late, and those of whom only their word is to be had: what promote and retire wait for."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import (
    external,
    gate,
    next_step,
    progress,
    spread,
    steps,
    wording,
)
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.gate import PhaseRequest
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from builders import (
    CLOSED,
    DAY,
    FLEET,
    HOUR,
    MINUTE,
    NEW,
    NEXT,
    OLD,
    SECRETS,
    SOAK,
    T0,
    at,
    fleet_of,
    opened,
    record,
    rolled,
    seen,
    survey,
    surveyed,
)  # fmt: skip

TEN = {"seconds": 10 * MINUTE, "source": "app_keys_spread"}
CLOSES = T0 + 3 * HOUR
OVER = CLOSES + 10 * MINUTE
PROMOTE = PhaseRequest("promote", "rollout", nonce="n9", soak=SOAK, spread=TEN)


def prepared() -> Dict[str, Any]:
    """A keyring whose staged key some learn of ten minutes late."""
    keyring = steps.open_step(at("adopted"), "prepare", CLOSES - HOUR, "n2", SECRETS[2], spread=TEN)
    return steps.close_step(keyring, CLOSES)


def decided(keyring: Any, now: float, phase: str = "promote", verifiers: Any = ()) -> Any:
    return next_step.decide(keyring, phase, "rollout", now, verifiers=verifiers)


@pytest.mark.parametrize(
    ("said", "profile", "found"),
    [
        (None, None, None),
        (None, "10m", {"seconds": 600.0, "source": "the default of jwks"}),
        ("5m", "10m", {"seconds": 300.0, "source": "app_keys_spread"}),
        (300.0, None, {"seconds": 300.0, "source": "app_keys_spread"}),
        (0.0, "10m", None),
    ],
)
def test_how_late_some_learn_is_the_variables_word_or_else_the_profiles(said, profile, found):
    assert spread.length(said, "jwks", profile) == found


def test_promote_waits_from_prepares_closing_count_on():
    keyring = prepared()
    early = decided(keyring, OVER - 1)
    assert (early.action, early.until, early.waits) == ("wait", OVER, "spread")
    assert early.text.startswith(f"waiting for the spread of {NEW} (app_keys_spread): promote is due in 1s")
    assert decided(keyring, OVER).action == "open"
    assert decided(at("prepared"), CLOSED["prepare"]).action == "open", "nobody learns late"
    assert progress.due_at(keyring) == OVER
    assert next_step.upcoming(keyring, OVER - 60).due == OVER
    # Counted again, for members that joined: those who verify read the others.
    assert spread.over_at(keyrings.find(steps.close_step(keyring, OVER), NEW)) == OVER
    look = survey()._replace(clock=OVER - 60)
    assert f"{NEW}  staged; may sign at" in wording.status(surveyed(keyring, FLEET, fleet_of(keyring), look))


@pytest.mark.parametrize(("visited", "outcome"), [(-10 * MINUTE, "visit"), (-9 * MINUTE, "stay")])
def test_10_the_controllers_clock_alone_does_not_end_it(visited, outcome):
    """`visited`: when the last host was proven to accept the key, by its own clock, which is another than the controller's."""
    keyring, off = prepared(), 5 * HOUR
    hosts = fleet_of(
        keyring,
        web_2=seen(
            keyring,
            now=OVER + off,
            machine="boot-1/1",
            state="boot-1/2:3",
            record=record(keyring, at=OVER + off + visited),
        ),
    )
    for host in ("web-1", "web-3"):
        hosts[host].update(now=OVER, record=record(keyring, at=OVER - HOUR))
    verdict = gate.opening(surveyed(keyring, FLEET, hosts, survey()._replace(clock=OVER)), PROMOTE)
    assert verdict.outcome == outcome, verdict.text
    if outcome == "stay":
        assert "promote: waiting for the spread on 1 of 3 hosts" in verdict.text and "web-2" in verdict.text


def test_a_retired_key_is_revoked_everywhere_only_so_long_after_retire():
    keyring = steps.open_step(at("promoted"), "retire", T0 + 20 * DAY, "n4", spread=TEN)
    key = keyrings.find(steps.close_step(keyring, T0 + 20 * DAY + HOUR), OLD)
    assert spread.revoked_at(key) == T0 + 20 * DAY + HOUR + 10 * MINUTE
    assert spread.told(key, T0 + 20 * DAY + HOUR).startswith("revoked everywhere at ")
    assert spread.told(key, T0 + 21 * DAY).startswith("revoked everywhere since ")
    closed = steps.close_step(steps.open_step(at("promoted"), "retire", T0 + 20 * DAY, "n4"), T0 + 20 * DAY)
    assert spread.revoked_at(keyrings.find(closed, OLD)) is None
    # The next rollout need not wait for it.
    assert next_step.decide(closed, "prepare", "rollout", T0 + 20 * DAY + 1, new=True).action == "open"


def test_an_emergency_does_not_shorten_it():
    assert decided(steps.mark_compromised(prepared(), OLD, CLOSES), CLOSES + 1).action == "wait"


def test_promote_and_retire_are_refused_until_each_has_confirmed():
    both = ["partner", "function"]
    keyring = at("prepared")
    refused = decided(keyring, T0 + DAY, verifiers=both)
    assert refused.action == "refuse"
    assert refused.text == (
        f"partner, function (app_keys_external) has not confirmed that it has {NEW} and accepts it: ask there, then run it again with "
        """-e '{"app_keys_confirmed": ["partner", "function"]}'"""
    )
    half = external.confirm(keyring, ["partner"], both, T0 + DAY)
    assert decided(half, T0 + DAY, verifiers=both).text.startswith("function (app_keys_external) has not confirmed")
    assert external.confirm(half, ["partner"], both, T0 + DAY) is half, "said twice"
    whole = external.confirm(half, ["function"], both, T0 + DAY)
    assert decided(whole, T0 + DAY, verifiers=both).action == "open"
    assert [entry["event"] for entry in whole["journal"][-2:]] == [
        "partner confirmed that it is accepted", "function confirmed that it is accepted",
    ]  # fmt: skip
    # What was said of the new key says nothing of the old one.
    promoted = steps.close_step(opened(whole, "promote", T0 + DAY), T0 + DAY)
    late = T0 + 30 * DAY
    assert decided(promoted, T0 + DAY, "retire", both).action == "wait", "the soak is first"
    refused = decided(promoted, late, "retire", both)
    assert refused.action == "refuse" and f"needs {OLD} no longer" in refused.text
    done = external.confirm(promoted, both, both, late)
    assert decided(done, late, "retire", both).action == "open"
    assert decided(promoted, late, "retire").action == "open", "nobody is named"


def test_a_confirmation_ends_with_its_rollout():
    keyring = external.confirm(at("prepared"), ["partner"], ["partner"], T0)
    promoted = steps.close_step(opened(keyring, "promote", T0 + DAY), T0 + DAY)
    back = steps.close_step(
        opened(external.confirm(promoted, ["partner"], ["partner"], T0), "rollback", T0 + DAY), T0 + DAY
    )
    assert external.missing(external.asked(back), ["partner"]) == ["partner"]
    again = rolled(external.confirm(promoted, ["partner"], ["partner"], T0), T0 + 2 * DAY, 3)
    assert [key["fingerprint"] for key in external.asked(again) if external.missing([key], ["partner"])] == [NEW]
    assert keyrings.primary(again)["fingerprint"] == NEXT


def test_a_leaked_key_is_let_go_of_without_one():
    leaked = steps.mark_compromised(at("promoted"), OLD, T0 + DAY)
    assert decided(leaked, T0 + DAY, "retire", ["partner"]).action == "open"


@pytest.mark.parametrize(
    ("name", "names", "text"),
    [
        ("prepared", ["partnr"], "app_keys_confirmed names partnr, and app_keys_external names partner"),
        ("adopted", ["partner"], "there is nothing to confirm: no key is staged or soaks"),
        ("promote", ["partner"], "there is nothing to confirm"),
        ("retired", ["partner"], "there is nothing to confirm"),
    ],
)
def test_a_word_about_nothing_or_by_nobody_is_refused(name, names, text):
    with pytest.raises(KeyringError, match=text):
        external.confirm(at(name), names, ["partner"], T0 + DAY)
