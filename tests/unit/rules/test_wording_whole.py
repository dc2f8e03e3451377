# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages as a whole, line by line: nothing stands on them twice, and nothing is missing."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import membership, steps, wording
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Count
from builders import (
    CLOSED,
    DAY,
    FLEET,
    HOUR,
    NEW,
    NEXT,
    OLD,
    PATH,
    T0,
    at,
    counting,
    env_file,
    fleet_of,
    idle,
    opened,
    rolled,
    seen,
    survey,
    surveyed,
    worker,
)

NOW = T0 + 20 * DAY


def in_trouble() -> Dict[str, Any]:
    """Two soaks that overlap, one of a weak key and one of a key that leaked, and two members that were set aside."""
    keyring = steps.mark_compromised(rolled(at("promoted"), CLOSED["promote"] + HOUR, 3), OLD, T0 + DAY)
    next(key for key in keyring["keys"] if key["fingerprint"] == NEW)["marks"].append("weak")
    keyring = membership.waive(keyring, ["web-3"], "its disk is dead", DAY, NOW)
    return membership.waive(keyring, ["web-2"], "it moves", HOUR, NOW - DAY)


def test_a_status_with_all_that_it_can_have() -> None:
    keyring = in_trouble()
    evidence = {"web-2": seen(keyring, OLD, NEW), "a-host-of-long-name": idle(keyring), "web-1": seen(keyring)}
    count = surveyed(keyring, FLEET, evidence, survey()._replace(clock=NOW)).count
    assert list(count.findings) == ["web-2"]
    well = f"signs {NEXT}, accepts {NEW} {OLD}"
    assert wording.status(counting(keyring, count, evidence, NOW), DAY).split("\n") == [
        f"shop: promote closed at 2023-11-15T01:23:20Z; 1 of 3 hosts sign with {NEXT} in every worker; web-3 is set aside until "
        "2023-12-05T22:13:20Z, asserted to serve no traffic (its disk is dead)",
        "",
        "keys",
        f"  k3   {NEXT}  primary",
        f"  k2   {NEW}  retiring, soak over (soak 14d, the default of django; weak)",
        f"  k1   {OLD}  retiring, without a soak (compromised)",
        "",
        "hosts",
        f"  a-host-of-long-name  nothing runs; {PATH}: {well}",
        f"  web-1                2 workers: {well}; {PATH}: {well}",
        f"  web-2                2 workers: signs {OLD}, accepts {NEW}; {PATH}: signs {OLD}, accepts {NEW}",
        "",
        "not proven: 1",
        *wording.table(count.findings),
        "",
        "what phased.keys.rollout would change for promote",
        f"  web-2  write {PATH}: signs with {NEXT} instead of {OLD}, accepts {NEXT}; restart shop.service",
        "",
        "set aside, asserted to serve no traffic",
        "  web-3  until 2023-12-05T22:13:20Z: its disk is dead",
        "  web-2  until 2023-12-03T23:13:20Z (over): it moves",
        "",
        "next: the soak is over: run phased.keys.rollout, or phased.keys.retire",
    ]


def test_a_status_with_nothing_to_say_but_the_keys() -> None:
    keyring = at("retired")
    lines = wording.status(counting(keyring, Count(list(FLEET), {}), {}, CLOSED["retire"]), DAY).split("\n")
    assert lines == [
        f"shop: retire closed at 2023-11-29T22:23:20Z; 3 of 3 hosts have let go of {OLD} in every worker",
        "",
        "keys",
        f"  k2   {NEW}  primary",
        f"  k1   {OLD}  retired",
        "",
        "hosts",
        "",
        "next: no rollout is in progress; the next rollout is due at 2023-11-30T22:23:20Z, in 1d",
    ]
    lines = wording.status(counting(keyring, Count(list(FLEET), {}), {}, CLOSED["retire"])).split("\n")
    assert lines[-1] == "next: no rollout is in progress"


def test_a_status_of_hosts_that_nobody_could_look_at_has_no_plan_for_them() -> None:
    keyring = at("promoted")
    count = surveyed(keyring, FLEET, fleet_of(keyring, web_2=None), survey()).count
    assert "would change" not in wording.status(counting(keyring, count, fleet_of(keyring, web_2=None), NOW))


def test_a_refusal_as_a_whole() -> None:
    count = Count(["web-1"], {"web-22": [Finding("one", "do")], "b": [Finding("two", "act")]}, idle=["web-1"])
    assert wording.refusal(counting(at("promote"), count), "no", count.findings, "Nothing was changed.").split(
        "\n"
    ) == [
        f"no: 1 of 3 hosts sign with {NEW} in every worker (1 of them on disk alone: nothing runs there)",
        f"  web-22  {'one':<52} -> do",
        f"  b       {'two':<52} -> act",
        "Nothing was changed.",
    ]


@pytest.mark.parametrize("seen, do", [("short", "long " * 14), ("long " * 14, "long " * 14), ("long " * 25, "short")])
def test_columns_of_any_length_are_as_wide_as_they_are(seen: str, do: str) -> None:
    lines = wording.table({"web-1": [Finding(seen, do)]})
    assert all(line[61:65].strip() in ("", "->") and len(line) <= 64 + 52 for line in lines)
    assert " ".join(line[9:61].strip() for line in lines).split() == seen.split()
    assert " ".join(line[64:].strip() for line in lines).split() == do.split()
    assert max(len(line[9:61].strip()) for line in lines) <= 52
    # A word that has room on its line stands there.
    assert len(lines) == max(-(-len(text.strip()) // 52) for text in (seen, do))


def test_a_name_with_hyphens_stays_whole() -> None:
    long = "x" * 45 + " shop-worker-of-the-night"
    (first, second) = wording.table({"a": [Finding(long, long)]})
    assert first.count("shop") == 0 and second.count("shop-worker-of-the-night") == 2


def test_who_is_left_for_later_is_said_in_order() -> None:
    assert wording.later(["web-3", "web-1"]) == "; left out, and to be visited by a later run: web-1, web-3"
    assert wording.later([]) == ""


# --- what a visit would change ------------------------------------------------------

OTHER = "/etc/other.env"


@pytest.mark.parametrize(
    ("files", "workers", "said"),
    [
        ([env_file(NEW, OLD)], [worker(1, NEW, OLD)], "nothing to change"),
        ([env_file(NEW, OLD)], [worker(1, OLD, NEW)], "restart shop.service"),
        (
            [env_file(OLD, NEW), env_file(OLD, path=OTHER)], [worker(1, NEW, OLD)],
            f"write {PATH}: signs with {NEW} instead of {OLD}; write {OTHER}: signs with {NEW} instead of {OLD}, accepts {NEW}",
        ),
        # A file that is as it is to be is left alone, wherever it stands.
        (
            [env_file(NEW, OLD, path=OTHER), env_file(OLD)], [worker(1, OLD)],
            f"write {PATH}: signs with {NEW} instead of {OLD}, accepts {NEW}; restart shop.service",
        ),
        (
            [env_file(problem="absent", changed=None)], [worker(1, OLD)],
            f"write {PATH}: signs with {NEW} instead of none, accepts {NEW}, accepts {OLD}; restart shop.service",
        ),
    ],
)  # fmt: skip
def test_what_a_visit_would_change(files: List[Any], workers: List[Any], said: str) -> None:
    keyring = at("promote")
    entry = seen(keyring, files=files, workers=workers)
    assert wording.plan(surveyed(keyring, FLEET, {"web-1": entry}), ["web-1", "nobody-looked"]) == [
        f"  {'web-1':<13}  {said}"
    ]


def test_what_a_visit_would_change_in_words_for_a_key_that_is_not_there_yet() -> None:
    keyring = opened(at("adopted"), "prepare", NOW)
    entry = seen(keyring, OLD)
    assert wording.plan(surveyed(keyring, FLEET, {"web-1": entry}), ["web-1"], {NEW: "a new key"}) == [
        f"  web-1  write {PATH}: accepts a new key; restart shop.service"
    ]


def test_what_a_visit_would_let_go_of() -> None:
    keyring = at("retire")
    assert (
        wording.change(keyrings.order(keyring), seen(keyring, NEW, OLD), {})
        == f"write {PATH}: accepts {OLD} no longer; restart shop.service"
    )


def test_what_a_visit_would_refuse() -> None:
    keyring = at("promote")
    text = wording.change(keyrings.order(keyring), seen(keyring, "f" * 16), {})
    assert text.startswith("would refuse: ") and "f" * 16 in text and "write" not in text


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        (["weak"], f"  k1   {OLD}  retiring until 2023-11-29T00:23:20Z, 13d to go (soak 14d, the default of django; weak)"),
        (["weak", "rolled_back"], f"  k1   {OLD}  retiring until 2023-11-29T00:23:20Z, 13d to go (soak 14d, the default of django; weak, rolled_back)"),
        (["weak", "compromised"], f"  k1   {OLD}  retiring, without a soak (weak, compromised)"),
    ],
)  # fmt: skip
def test_a_key_with_its_marks(marks: List[str], said: str) -> None:
    keyring = at("promoted")
    keyring["keys"][0]["marks"] = marks
    keyring["keys"][1]["marks"] = ["weak", "compromised"]
    lines = wording.status(counting(keyring, Count([], {}), {}, CLOSED["promote"] + DAY)).split("\n")
    assert lines[3:5] == [f"  k2   {NEW}  primary (weak, compromised)", said]
