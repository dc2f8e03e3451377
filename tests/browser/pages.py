# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of fleets of any size, made from the real rules: what the tests of the report hold, and what its pictures show.

A fleet here has rolled its key once, months ago. Its next rollout is in the middle: each function says where.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.phased.keys.plugins.module_utils._rules import gate, membership, standing, steps, wording
from ansible_collections.phased.keys.plugins.module_utils._rules import report as reports
from ansible_collections.phased.keys.plugins.module_utils._rules.report_time import Run
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Conditions, Looks, Survey
from builders import DAY, FP, HOUR, MINUTE, NONCE, T0, adopt, opened, outsider, record, seen, unit, worker

START = T0 + 120 * DAY  # of the rollout that is in the middle
BOOT = 1000.0  # the controller's seconds since its boot, at the moment of a page
MAX_AGE = DAY
VISIT = 4.0  # seconds from the question to the answer


def key(number: int) -> str:
    """The fingerprint of the key that a fleet signs with after this many rollouts and one more."""
    return str(FP[number])


def names(number: int) -> List[str]:
    """Hosts of a fleet of this size."""
    return [f"web-{place:0{len(str(number))}d}" for place in range(1, number + 1)]


def keyring(
    step: str, members: Sequence[str], closed: bool = True, old: Optional[Sequence[str]] = None
) -> Dict[str, Any]:
    """A keyring in its second rollout: at this step, which is closed or still open. It began with the members `old`."""
    ring = steps.close_step(adopt(old or members), T0 + 3 * MINUTE)
    for number, (name, begin) in enumerate(
        [("prepare", T0 + HOUR), ("promote", T0 + 2 * HOUR), ("retire", T0 + 15 * DAY)]
    ):
        ring = steps.close_step(opened(ring, name, begin, 2), begin + (4 + number) * MINUTE)
    ring = membership.register(ring, members, T0 + 40 * DAY)
    last = START
    for name, begin in [("prepare", START), ("promote", START + 9 * MINUTE), ("retire", START + 14 * DAY + HOUR)]:
        ring, last = opened(ring, name, begin, 3), begin
        if name == step and not closed:
            return ring
        ring = steps.close_step(ring, begin + 6 * MINUTE)
        if name == step:
            break
    assert ring["step"]["name"] == step, last
    return ring


def evidence(ring: Mapping[str, Any], number: int, *keys: str, workers: int = 4, **changes: Any) -> Dict[str, Any]:
    """What one host of a fleet shows, ten seconds before the page."""
    held = keys or tuple(steps.keyrings.order(dict(ring)).accepts)
    processes = [worker(3100 + 7 * place, *held, started=START + 20 * MINUTE) for place in range(workers)]
    more = {"machine": f"boot-{number}/1", "state": f"boot-{number}/2:3", "asked": BOOT - 10, "workers": processes}
    return seen(ring, *held, **{**more, "record": record(ring, at=START + 12 * MINUTE), **changes})


def stale(ring: Mapping[str, Any], number: int, *others: str) -> Dict[str, Any]:
    """A host on which one worker was not restarted: it has these keys."""
    held = steps.keyrings.order(dict(ring)).accepts
    processes = [worker(3100 + place, *held, started=START + 20 * MINUTE) for place in range(3)]
    return evidence(ring, number, workers=4) | {
        "workers": [{"by": "environ", **one} for one in [*processes, worker(2961, *others, started=T0 + 30 * DAY)]]
    }


def surveyed(
    ring: Any, fleet: Sequence[str], found: Mapping[str, Any], now: float, absent: Optional[Mapping[str, str]] = None
) -> Survey:
    """The fleet as a run has seen it."""
    conditions = Conditions(NONCE, BOOT, 300.0, absent or {}, now, frozenset(absent or ()))
    return Survey(ring, Looks(fleet, found, conditions))


def visits(found: Mapping[str, Any], serial: Sequence[int], before: float = 60.0, failed: Sequence[str] = ()) -> Run:
    """Visits of all these hosts in batches, which began this many seconds before the page."""
    came: Dict[str, Any] = {}
    batches, hosts, moment = [], sorted(found), BOOT - before
    sizes = list(serial)
    while hosts:
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        batches.append({"began": moment, "step": "promote"})
        longest = 0.0
        for place, host in enumerate(hosts[:size]):
            took = VISIT + (place * 7 % 5) / 2
            did = {
                "written": ["/etc/shop.env"],
                "restarted": True,
                "restored": False,
                "down": False,
                "took": took - 2.5,
            }
            said = {"proven": host not in failed, "needed": True, "did": did, "asked": moment + 0.2 + took}
            came[host] = {**said, "evidence": {**found[host], "asked": moment + 0.2}}
            longest = max(longest, took)
        hosts = hosts[size:]
        moment += longest + 1.5
    return Run(came, batches)


def report(
    survey: Survey, run: Optional[Run] = None, failed: Optional[str] = None, asked: str = "phased.keys.status"
) -> Any:
    """The report of a survey."""
    looked = survey.conditions.clock - 10 if survey.evidence else None
    first = failed.splitlines()[0] if failed else None
    stands = standing.standing(survey, looked, MAX_AGE, None, first)
    return reports.report(stands, survey, run or Run({}, []), MAX_AGE, asked, failed)


def in_a_soak(number: int = 3) -> Any:
    """A fleet in the middle of a soak, with one host that somebody restarted on an old file."""
    fleet = names(number)
    ring = keyring("promote", fleet)
    found = {host: evidence(ring, place) for place, host in enumerate(fleet)}
    signs, old = steps.keyrings.order(ring).accepts[:2]
    found[fleet[1]] = stale(ring, 1, old, signs)
    return report(surveyed(ring, fleet, found, START + 5 * DAY + 3 * HOUR))


def at_rest(number: int = 3) -> Any:
    """A fleet at rest."""
    fleet = names(number)
    ring = keyring("retire", fleet)
    found = {host: evidence(ring, place) for place, host in enumerate(fleet)}
    return report(surveyed(ring, fleet, found, START + 14 * DAY + 5 * HOUR))


def promoting(number: int, done: int = 0, asked: str = "phased.keys.rollout") -> Any:
    """A fleet that is being promoted, with a host of each kind in it: `done` have been visited so far, the others wait."""
    fleet = names(number)
    ring = keyring("promote", fleet, closed=False)
    before = keyring("prepare", fleet)
    found = {host: evidence(ring if place < done else before, place) for place, host in enumerate(fleet)}
    run = visits({host: found[host] for host in fleet[:done]}, [1, max(1, number // 4)], 10.0 + 8 * 5)
    return report(surveyed(ring, fleet, found, START + 14 * MINUTE), run, None, asked)


def motley(number: int) -> Tuple[Survey, Run]:
    """A fleet in which something is wrong with a few, and most are well."""
    fleet = names(number)
    ring = keyring("prepare", fleet, old=fleet[: number - 2])
    now = START + 20 * MINUTE
    ring = membership.waive(ring, [fleet[5]], "waits for a new disk, out of the balancer since Monday", 3 * DAY, START)
    found = {host: evidence(ring, place, workers=4 + 4 * (place % 2)) for place, host in enumerate(fleet)}
    signs, new = steps.keyrings.order(ring).accepts[:2]
    found[fleet[1]] = stale(ring, 1, signs)
    found[fleet[7]] = evidence(ring, 7, workers=0, units=[], record=record(ring, workers=0))
    found[fleet[8]] = evidence(ring, 8, others=[outsider(977, signs)])
    absent = {}
    for place in (5, 3, 11):
        del found[fleet[place]]
        absent[fleet[place]] = f"unreachable (ssh: connect to host {fleet[place]} port 22: Connection refused)"
    run = visits({host: found[host] for host in fleet if host in found}, [1, max(1, number // 4)], 90.0, [fleet[1]])
    return surveyed(ring, fleet, found, now, absent), run


def refused(number: int) -> Any:
    """The refusal of a promote on a motley fleet."""
    survey, run = motley(number)
    text = wording.refusal(survey, "promote is not safe yet", survey.count.findings, gate.NOTHING_CHANGED)
    return report(survey, run, text, "phased.keys.promote")


def unproven(number: int) -> Any:
    """A fleet of which every host is in trouble, each in its own way: the largest page that honest hosts make."""
    fleet = names(number)
    ring = keyring("prepare", fleet)
    signs, new = steps.keyrings.order(ring).accepts[:2]
    found = {host: stale(ring, place, signs) for place, host in enumerate(fleet)}
    for place, host in enumerate(fleet):
        found[host]["workers"] = found[host]["workers"][place % 3 :]
    survey = surveyed(ring, fleet, found, START + 20 * MINUTE)
    text = wording.refusal(survey, "promote is not safe yet", survey.count.findings, gate.NOTHING_CHANGED)
    return report(survey, visits(found, [1, number // 4], 90.0, fleet), text, "phased.keys.promote")


def unseen() -> Any:
    """A fleet that this run has looked at nobody of: there was nothing to do."""
    fleet = names(3)
    ring = keyring("promote", fleet)
    return report(surveyed(ring, fleet, {}, START + 5 * DAY), None, None, "phased.keys.rollout")


def without_a_keyring() -> Any:
    """A fleet whose keyring cannot be read."""
    said = "the keyring cannot be opened: no vault secret fits. Nothing was changed"
    stands = standing.without_a_keyring("shop", names(3), START, said)
    return reports.report(stands, None, Run({}, []), MAX_AGE, "phased.keys.rollout", said)


def told(text: str) -> Any:
    """A refusal in which every text that somebody else may choose is this one."""
    fleet = [f"web-{place} {text}" for place in range(1, 5)]
    ring = keyring("prepare", fleet)
    ring = membership.waive(ring, fleet[3:], text, 3 * DAY, START)
    signs = steps.keyrings.order(ring).accepts[0]
    processes = [{**worker(3100, signs), "command": text}, {**worker(3101, problem="absent"), "command": text}]
    processes[1]["problem"] = {"kind": "absent", "text": text}
    other = {**outsider(977, signs), "command": text}
    units = [{**unit(), "name": text, "active": "failed", "sub": text}]
    found = {
        fleet[0]: evidence(ring, 0, units=units, others=[other], restart=text) | {"workers": processes},
        fleet[1]: evidence(ring, 1, others=[other]),
    }
    survey = surveyed(ring, fleet, found, START + 20 * MINUTE, dict.fromkeys(fleet[2:], f"unreachable ({text})"))
    run = visits(found, [1, 2], 90.0, fleet[:1])
    said = wording.refusal(survey, f"promote is not safe yet ({text})", survey.count.findings, text)
    return report(survey, run, said, "phased.keys.promote")


def lying(number: int) -> Any:
    """A fleet of which every host says as much as the door lets in, and each something else."""
    fleet = names(number)
    ring = keyring("prepare", fleet)
    found = {}
    for place, host in enumerate(fleet):
        keys = [f"{place:08x}{more:08x}" for more in range(20)]
        processes = [
            {**worker(100 + more, *keys[more:]), "command": f"{place} {more} " + "<" * 1900} for more in range(12)
        ]
        found[host] = evidence(ring, place) | {"workers": [{"by": "environ", **one} for one in processes]}
    survey = surveyed(ring, fleet, found, START + 20 * MINUTE)
    return report(survey, visits(found, [1, number // 4], 90.0, fleet), "<" * 10**6, "phased.keys.promote")
