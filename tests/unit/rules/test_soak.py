# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rule 10: the soak cannot be cheated by a clock, nor by a tool that puts an old file back for an hour."""

from __future__ import annotations

import math

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import history
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import DurationError, epoch
from ansible_collections.phased.keys.plugins.module_utils._host.rules.history import ANY
from ansible_collections.phased.keys.plugins.module_utils._rules import next_step, soak
from ansible_collections.phased.keys.plugins.module_utils._rules.evidence import soak_findings
from ansible_collections.phased.keys.plugins.module_utils._rules.soak import due
from builders import (
    ALIEN,
    CLOSED,
    DAY,
    HOUR,
    NEW,
    NEXT,
    OLD,
    PATH,
    SOAK,
    T0,
    at,
    env_file,
    fleet_of,
    identity,
    idle,
    record,
    seen,
    texts,
    worker,
)

RING = at("promoted")
KEY = RING["keys"][0]
STOPPED = CLOSED["promote"]
WRITTEN = T0 - 2 * DAY


def host(now, stopped=None, files=None, workers=None, **changes):
    """A host that was proven to sign with NEW, its record written at STOPPED, its file at WRITTEN."""
    past = {OLD: STOPPED} if stopped is None else stopped
    entry = seen(RING, now=now, record=record(RING, at=STOPPED, signs=NEW, stopped=past), **changes)
    entry["files"] = [env_file(NEW, OLD, changed=WRITTEN)] if files is None else files
    entry["workers"] = [worker(101, NEW, OLD, started=WRITTEN + 1)] if workers is None else workers
    return entry


def rewritten(moment):
    return [env_file(NEW, OLD, changed=moment)]


def started(*moments):
    return [worker(101 + number, NEW, OLD, started=moment) for number, moment in enumerate(moments)]


@pytest.mark.parametrize(
    "days, short",
    # Half a second is too soon as well.
    [(0, True), (13.99, True), (14 - 0.5 / DAY, True), (14, False), (15, False)],
)
def test_10_a_host_soaks_by_its_own_clock(days, short):
    assert bool(soak.shortfall(host(STOPPED + days * DAY), KEY)) is short


def test_10_a_soak_of_no_length_is_over_as_it_begins():
    """The very evidence that closed promote shows it: the key is let go of without another look, and without a pause."""
    none = {**KEY, "soak": {"seconds": 0.0, "source": "app_keys_soak"}}
    keyring = {**RING, "keys": [none if key["fingerprint"] == OLD else key for key in RING["keys"]]}
    began = epoch(none["times"]["soaking"])
    assert due(keyring, began - 0.99) and not due(RING, began)
    assert not due(keyring, began - 1.01), (
        "times are written in whole seconds, rounded up: no more than one is made up for"
    )
    assert soak.shortfall(host(STOPPED), none) is None


def test_14_a_leaked_key_waits_neither_for_the_controllers_clock_nor_for_a_hosts():
    """The very evidence that closed promote is enough, also from a host whose own time was broken a moment ago."""
    leaked = {**KEY, "marks": ["compromised"]}
    keyring = {**RING, "keys": [leaked if key["fingerprint"] == OLD else key for key in RING["keys"]]}
    assert soak.over_at(leaked) < STOPPED
    assert [key["fingerprint"] for key in due(keyring, STOPPED)] == [OLD]
    assert soak.next_due(keyring) < STOPPED
    for seen_then in (
        host(STOPPED),
        host(STOPPED + 1, stopped={OLD: STOPPED + 1}),
        host(STOPPED, files=rewritten(STOPPED)),
    ):
        assert soak.shortfall(seen_then, leaked) is None
        assert soak.shortfall(seen_then, KEY)
    # Before promote is closed something may still sign with it: that is waited for.
    assert soak.over_at({**leaked, "times": {"retiring": KEY["times"]["retiring"]}}) is None


@pytest.mark.parametrize(
    "controller, own, waits",
    [(14, 14, False), (14, 13, True), (13, 14, True), (13, 13, True), (14, -3, True), (400, 13, True), (13, 400, True)],
)
def test_10_the_credit_is_the_lesser_of_both_clocks(controller, own, waits):
    """Both are asked: the keyring for what is due, and each host for what it knows of itself."""
    keys = due(RING, CLOSED["promote"] + controller * DAY)
    short = soak_findings(fleet_of(RING, web_2=host(STOPPED + own * DAY)), keys)
    assert (not keys or bool(short)) is waits


def test_10_a_host_that_stopped_later_than_the_others_holds_the_key_back_and_is_named():
    late = host(STOPPED + 14 * DAY, stopped={OLD: STOPPED + DAY})
    short = soak_findings(
        fleet_of(RING, web_1=host(STOPPED + 14 * DAY), web_2=late, web_3=host(STOPPED + 14 * DAY)), [KEY]
    )
    assert list(short) == ["web-2"]
    assert texts(short) == [
        f"may have signed with {OLD} until 13d ago (by the host's own clock): 1d of its soak remain"
    ]


@pytest.mark.parametrize(
    "what, changes, broken",
    [
        ("nothing happened", {}, None),
        ("a reboot: new workers, and the file of the visit", {"workers": started(T0 + 5 * DAY)}, None),
        ("a restart, and nothing runs just now", {"workers": []}, None),
        ("another tool wrote the file, and nothing has read it", {"files": rewritten(T0 + 5 * DAY)}, None),
        ("another tool wrote the file, and workers started after", {"files": rewritten(T0 + 5 * DAY), "workers": started(T0 + 6 * DAY)}, T0 + 6 * DAY),
        ("one of them did", {"files": rewritten(T0 + 5 * DAY), "workers": started(WRITTEN, T0 + 6 * DAY)}, T0 + 6 * DAY),
        ("the last of them counts", {"files": rewritten(T0 + 5 * DAY), "workers": started(T0 + 6 * DAY, T0 + 7 * DAY)}, T0 + 7 * DAY),
        ("another tool wrote the file, and nothing runs", {"files": rewritten(T0 + 5 * DAY), "workers": []}, T0 + 5 * DAY),
        ("the file is gone, and nothing runs", {"files": [env_file(changed=None, problem="absent")], "workers": []}, T0 + 8 * DAY),
        ("the file is gone, and its workers run on", {"files": [env_file(changed=None, problem="absent")]}, None),
    ],
)  # fmt: skip
def test_10_what_breaks_a_hosts_own_time(what, changes, broken):
    clock = history.clock(host(T0 + 8 * DAY, **changes))
    assert clock.broken == broken and isinstance(clock.reason, str)
    assert bool(clock.reason) is (broken is not None), "and the status says why"


def test_10_a_second_writing_does_not_hide_the_workers_that_ran_from_the_first():
    """An old file is put back and read; then the right one is, and read; then it is written once more."""
    entry = host(T0 + 8 * DAY, files=rewritten(T0 + 7 * DAY), workers=started(T0 + 6 * DAY))
    assert history.clock(entry).broken is not None


def test_10_one_file_of_several_is_enough():
    files = [env_file(NEW, OLD, changed=WRITTEN), env_file(NEW, OLD, path="/etc/queue.env", changed=T0 + 5 * DAY)]
    entry = host(T0 + 8 * DAY, files=files, workers=started(T0 + 6 * DAY))
    entry["record"]["files"]["/etc/queue.env"] = identity(WRITTEN)
    clock = history.clock(entry)
    assert clock.broken == T0 + 6 * DAY
    assert clock.reason.startswith("/etc/queue.env was written by another tool at 2023-11-19T22:13:20Z")


def test_10_of_several_breaks_the_last_counts():
    files = [env_file(NEW, OLD, changed=T0 + 5 * DAY), env_file(NEW, OLD, path="/etc/queue.env", changed=T0 + 6 * DAY)]
    clock = history.clock(host(T0 + 8 * DAY, files=files, workers=[]))
    assert clock.broken == T0 + 6 * DAY
    assert PATH in clock.reason and "/etc/queue.env" in clock.reason
    assert history.clock(host(T0 + 8 * DAY, files=files[::-1], workers=[])).broken == T0 + 6 * DAY


def test_10_a_worker_that_started_in_the_very_moment_of_the_visit_may_have_read_another_file():
    broken = history.clock(host(T0 + 8 * DAY, files=rewritten(T0 + 5 * DAY), workers=started(STOPPED))).broken
    assert broken == STOPPED
    assert (
        history.clock(host(T0 + 8 * DAY, files=rewritten(T0 + 5 * DAY), workers=started(STOPPED - 0.01))).broken is None
    )


@pytest.mark.parametrize("kept", [None, {}, {"stopped": None, "at": STOPPED, "files": {PATH: identity(WRITTEN)}}])
def test_10_a_record_that_says_nothing_of_the_past_says_that_nothing_is_known(kept):
    entry = {**host(T0), "record": kept}
    if kept:
        assert history.stopped(entry, OLD) == -math.inf
    else:
        # Its file is nobody's then, and every worker may have started on another one.
        assert history.stopped(entry, OLD) == WRITTEN + 1


def test_10_a_break_begins_the_soak_again():
    entry = host(STOPPED + 20 * DAY, files=rewritten(STOPPED + 10 * DAY), workers=started(STOPPED + 10 * DAY + HOUR))
    said = soak.shortfall(entry, KEY)
    assert f"{PATH} was written by another tool" in said
    assert "until 9d 23h ago" in said
    assert soak.shortfall({**entry, "now": STOPPED + 24 * DAY + HOUR}, KEY) is None


def test_10_a_break_counts_for_a_key_that_the_host_is_not_known_to_have_signed_with():
    entry = host(T0 + 8 * DAY, stopped={}, files=rewritten(T0 + 5 * DAY), workers=started(T0 + 6 * DAY))
    assert history.stopped(entry, OLD) == T0 + 6 * DAY


def test_10_a_host_that_never_signed_with_a_key_has_soaked():
    assert history.stopped(host(T0, stopped={}), OLD) == -math.inf
    assert soak.shortfall(host(T0, stopped={}), KEY) is None


@pytest.mark.parametrize(
    "what, entry, signs, expected",
    [
        ("promote stops the old key", host(T0), NEXT, {OLD: STOPPED, NEW: T0 + HOUR}),
        ("nothing stops", host(T0), NEW, {OLD: STOPPED}),
        ("a first visit of a host that signs with what it should", seen(RING, record=None), NEW, {ANY: T0 + HOUR}),
        ("a first visit of a host that signs with the old key", seen(RING, OLD, record=None), NEW, {OLD: T0 + HOUR, ANY: T0 + HOUR}),
        ("the file said so, and nothing runs", idle(RING, record=None, files=[env_file(OLD)]), NEW, {OLD: T0 + HOUR, ANY: T0 + HOUR}),
        ("the record said so, and nothing runs any more", idle(RING, files=[], record=record(RING, signs=OLD)), NEW, {OLD: T0 + HOUR}),
        ("one worker still did", seen(RING, workers=[worker(1, NEW, OLD), worker(2, OLD, NEW)]), NEW, {OLD: T0 + HOUR}),
        ("an unknown key that was replaced", seen(RING, ALIEN, record=None), NEW, {ALIEN: T0 + HOUR, ANY: T0 + HOUR}),
        ("back to a key of before", host(T0), OLD, {NEW: T0 + HOUR}),
        ("nothing was known", idle(RING, record=None, files=[env_file(changed=None, problem="absent")]), NEW, {}),
    ],
)  # fmt: skip
def test_10_a_visit_writes_down_what_the_host_no_longer_signs_with(what, entry, signs, expected):
    assert history.after(entry, signs, T0 + HOUR) == expected


def test_10_a_visit_keeps_a_break_in_mind_since_it_writes_the_file_anew():
    entry = host(T0 + 8 * DAY, files=rewritten(T0 + 5 * DAY), workers=started(T0 + 6 * DAY))
    assert history.after(entry, NEW, T0 + 8 * DAY) == {OLD: T0 + 6 * DAY, ANY: T0 + 6 * DAY}
    # One that was later counts on: the file was written and read once more before it.
    entry["record"]["stopped"] = {ANY: T0 + 7 * DAY}
    assert history.after(entry, NEW, T0 + 8 * DAY) == {ANY: T0 + 7 * DAY}


def after_visit(entry, now):
    """The host after a visit that found it right and wrote its record."""
    kept = {
        "signs": NEW,
        "stopped": history.after(entry, NEW, now),
        "files": {file["path"]: file["identity"] for file in entry["files"]},
    }
    return {**entry, "now": now, "record": {**record(RING), **kept}}


def test_10_a_visit_does_not_forget_a_break_for_keys_that_the_record_does_not_name():
    """A joiner never signed with OLD; another tool puts an old file there for a while; then a visit comes."""
    entry = host(T0 + 8 * DAY, stopped={}, files=rewritten(T0 + 5 * DAY), workers=started(T0 + 6 * DAY))
    before = history.stopped(entry, OLD)
    assert history.stopped(after_visit(entry, T0 + 8 * DAY), OLD) >= before


def test_10_a_host_whose_record_was_lost_has_no_time_of_its_own_before_its_next_visit():
    entry = {**host(T0 + 8 * DAY), "record": None}
    assert history.stopped(after_visit(entry, T0 + 8 * DAY), OLD) > -math.inf


def test_10_the_soak_of_the_tests_is_the_one_of_django():
    assert SOAK["seconds"] == 14 * DAY


# --- how long it is ---------------------------------------------------------------


def test_10_what_the_operator_says_comes_before_what_the_framework_says():
    assert soak.length("1h", "django", "14d") == {"seconds": HOUR, "source": "app_keys_soak"}
    assert soak.length(0, "django", "14d") == {"seconds": 0.0, "source": "app_keys_soak"}
    assert soak.length(None, "django", "14d") == {"seconds": 14 * DAY, "source": "the default of django"}
    with pytest.raises(
        soak.KeyringError,
        match="^app_keys_soak is not set, and flask has no default for it: set it to the longest life",
    ):
        soak.length(None, "flask", None)


def test_10_a_soak_that_is_none_names_who_said_it():
    with pytest.raises(DurationError, match="^app_keys_soak is 'soon'"):
        soak.length("soon", "django", "14d")
    with pytest.raises(DurationError, match="^soak is 'soon'"):
        soak.length(None, "django", "soon")


def one(state="retiring", marks=(), **times):
    return {"fingerprint": OLD, "state": state, "marks": list(marks), "times": times, "soak": {"seconds": 60.0}}


@pytest.mark.parametrize(
    ("key", "over"),
    [
        (one(), None),
        (one(marks=["compromised"]), None),
        (one(soaking="2023-11-14T22:13:20Z"), T0 + 60),
        # At once, and whatever the clock says by the second.
        (one(soaking="2023-11-14T22:13:20Z", marks=["compromised"]), 0.0),
        ({**one(soaking="2023-11-14T22:13:20Z"), "soak": {"seconds": 0.0}}, T0 - 1),
    ],
)
def test_10_when_a_soak_is_over(key, over):
    assert soak.over_at(key) == over


def test_10_what_is_due_is_every_retiring_key_whose_soak_is_over():
    first, second = one(soaking="2023-11-14T22:13:20Z"), one(soaking="2023-11-14T22:14:20Z")
    keyring = {"keys": [second, first, one(), one("staged", soaking="2023-11-14T22:13:20Z")]}
    assert soak.due(keyring, T0 + 59) == []
    assert soak.due(keyring, T0 + 60) == [first]
    assert soak.due(keyring, T0 + 120) == [first, second]
    assert soak.next_due(keyring) == T0 + 60
    assert soak.next_due({"keys": [one()]}) is None


def test_10_a_host_that_is_one_second_short_is_short():
    def said(now):
        return soak.shortfall(host(now), KEY)

    assert said(STOPPED + SOAK["seconds"]) is None
    assert f"may have signed with {OLD} until 13d 23h ago" in said(STOPPED + SOAK["seconds"] - HOUR)
    assert said(STOPPED + SOAK["seconds"] - 1).endswith("(by the host's own clock): 1s of its soak remain")
    assert soak.shortfall(host(STOPPED), {**KEY, "marks": ["compromised"]}) is None
    assert soak.shortfall(host(STOPPED), {**KEY, "marks": ["weak"]}) is not None


@pytest.mark.parametrize(
    "days, own, expected",
    [
        # By the controller's clock it is not over: that is what is waited for, whatever the hosts say.
        (13, 13, 14), (13, 2, 14),
        # It is over, and one host came back late.
        (15, 15, 14), (15, 5, 15 + 9), (20, 13.5, 20.5),
    ],
)  # fmt: skip
def test_what_comes_next_is_due_when_every_host_may_let_go(days: float, own: float, expected: float) -> None:
    now = CLOSED["promote"] + days * DAY
    fleet = fleet_of(
        RING, web_1=host(STOPPED + days * DAY), web_2=host(STOPPED + own * DAY), web_3=host(STOPPED + days * DAY)
    )
    due_at = soak.next_due(RING, fleet.values(), now)
    assert due_at == pytest.approx(CLOSED["promote"] + expected * DAY, abs=2)
    assert soak.next_due(RING) == pytest.approx(CLOSED["promote"] + 14 * DAY, abs=2)
    coming = next_step.upcoming(RING, now, None, fleet.values())
    assert coming.due == due_at and (coming.what == "the soak is over") == (due_at <= now)
