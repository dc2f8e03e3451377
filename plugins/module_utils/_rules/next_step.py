# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which step may come next: one function for each step, and `decide`, which a playbook asks.

Each `why_no_...` returns None where the step may start, and else says why not. They take the proof of the
fleet for granted: `gate` asks them together with the evidence.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

from . import keyring as rings
from . import soak
from .._host.rules.durations import epoch, stamp, words
from .keyring import Ring
from .._shapes import Key, StepName

# The steps of a whole rollout, in their order. `adopt` stands first because one that was cut off
# before every host had its record is finished before anything else.
ROLLOUT = ("adopt", "prepare", "promote", "retire")
# A playbook's phase, and the steps that it opens or goes on with; rollback goes on with a step that takes a rollout back.
PHASES = {
    "adopt": ("adopt",),
    "prepare": ("prepare",),
    "promote": ("promote",),
    "retire": ("retire", "withdraw"),
}
MAX_AGE = 86400.0


class Decision(NamedTuple):
    """What is to be done about a phase: `do` is open, resume, skip, wait or refuse, `text` says why, and `step` is what opens."""

    do: str
    text: str
    step: str = ""


def why_no_prepare(ring: Ring) -> Optional[str]:
    """A new key may come in when no other is on its way in."""
    if rings.in_state(ring, "staged"):
        return "a key is staged already: run phased.keys.promote first, or take it back with phased.keys.rollback"
    return None


def why_no_promote(ring: Ring) -> Optional[str]:
    """A staged key may sign when every worker of every member accepts it, which the gate counts."""
    staged = rings.in_state(ring, "staged")
    if not staged:
        return "no key is staged: run phased.keys.prepare first"
    if "compromised" in staged[0]["marks"]:
        return f"{staged[0]['fingerprint']} is marked as compromised and never signs: run phased.keys.rollback"
    return None


def why_no_retire(ring: Ring) -> Optional[str]:
    """Keys may be let go of when none is on its way in, nothing signs with them, and their soak is over."""
    if leaked_staged(ring):
        return None
    if rings.in_state(ring, "staged"):
        return "a staged key is not promoted yet: run phased.keys.promote first"
    if not rings.in_state(ring, "retiring"):
        return "no key is retiring: there is nothing to retire"
    return None


def why_no_rollback(ring: Ring) -> Optional[str]:
    """The last rollout may be taken back until a retire has opened for the key that signed before."""
    if rings.in_state(ring, "staged"):
        return None
    new = rings.primary(ring)
    before = rings.find(ring, new.get("after"))
    if before is None:
        return "this keyring has promoted no key yet: there is nothing to go back to"
    old = before["fingerprint"]
    if "compromised" in before["marks"]:
        return f"the key before, {old}, is marked as compromised and never signs again"
    if "rolled_back" in before["marks"]:
        return f"the key before, {old}, was itself rolled back and never signs again"
    if before["state"] != "retiring":
        since = before["times"].get("dropping", ring["step"]["opened"])
        return f"retire has opened for {old} at {since}: some hosts may accept it no longer, and there is no way back to it"
    return None


WHY_NOT = {"prepare": why_no_prepare, "promote": why_no_promote, "retire": why_no_retire}


def decide(ring: Ring, phase: str, goal: str, now: float, max_age: float = MAX_AGE, new: bool = False) -> Decision:
    """Say what is to be done about `phase` by a playbook whose goal is `goal` (a phase, or `rollout`).

    `max_age` (seconds) and `new` say when a rollout begins anew.
    """
    current = ring["step"]
    if phase == "rollback":
        return _take_back(ring, now, new)
    if rings.is_open(ring) and current["name"] in PHASES[phase] and not spreads_a_leak(ring):
        return Decision("resume", f"{current['name']} is open since {current['opened']}", current["name"])
    if phase == "adopt":
        return Decision("skip", "the keyring is adopted")
    if goal == "rollout" and _not_yet(ring, phase):
        return Decision("skip", f"{current['name']} is already open")
    why = WHY_NOT[phase](ring)
    if why and goal == "rollout":
        return Decision("skip", "")  # another phase of the run says all that there is to say
    if why and current["name"] in PHASES[phase] and not rings.is_open(ring):
        return Decision("skip", f"done, every member was proven at {current['closed']}")
    if why:
        state = "still open" if rings.is_open(ring) else f"closed at {current['closed']}"
        return Decision("refuse", f"{why}. The last step is {current['name']}, {state}")
    if phase == "prepare" and goal == "rollout":
        return _begin(ring, now, max_age, new)
    if phase == "retire":
        return _let_go(ring, now)
    return Decision("open", f"{phase} is next", phase)


def goes_on(goal: str, phase: str) -> bool:
    """Whether a playbook with this goal has phases left after this one, so that nobody has to run anything for what comes next."""
    return goal == "rollout" and phase != ROLLOUT[-1]


def leaked_staged(ring: Ring) -> List[Key]:
    """Return the staged key if it is marked as compromised: it is taken back at once, for it has never signed."""
    return [key for key in rings.in_state(ring, "staged") if "compromised" in key["marks"]]


def opens_unproven(ring: Ring, step: str) -> bool:
    """Whether this step opens without a proof of the whole fleet: it takes a rollout back, and incidents do not wait.

    The key that comes back is accepted wherever the other one is, and a key that never signed can go whatever the others do.
    """
    return step == "rollback" or (step == "withdraw" and bool(rings.in_state(ring, "staged")))


def takes_back(ring: Ring) -> bool:
    """Whether the keyring's step is one that took a rollout back; see `opens_unproven`."""
    return ring["step"]["excuses"] is not None


def may_go(ring: Ring, now: float) -> List[Key]:
    """Return the keys that may be let go of by the controller's clock; a staged one only where nothing else may be."""
    return rings.in_state(ring, "staged") or soak.due(ring, now)


def letting_go(keys: Sequence[Key]) -> StepName:
    """What the step is called that lets go of these keys, which have soaked: withdraw, if all of them were rolled back."""
    taken_back = [key for key in keys if "rolled_back" in key["marks"]]
    return "withdraw" if keys and len(taken_back) == len(keys) else "retire"


def may_begin(ring: Ring, wait: float, now: float) -> bool:
    """Whether a run that is asked for a new rollout finds none that it has to finish first.

    Keys that soak longer than the run would wait for are no hindrance: soaks may overlap. One that it
    would wait for (`wait`, seconds) belongs to a rollout that a run before this one did not end.
    """
    if rings.is_open(ring) or rings.in_state(ring, "staged", "dropping"):
        return False
    moment = soak.next_due(ring)
    return moment is None or moment - now > wait


def next_text(ring: Ring, now: float, max_age: Optional[float] = None, goes_on: bool = False) -> str:
    """Say in one line what comes next; with `max_age` (seconds) also when the next rollout is due.

    `goes_on` says that the run that tells this comes to it by itself: then nobody is told to run anything.
    """
    what, todo = _next(ring, now, max_age)
    return what if goes_on or not todo else f"{what}: {todo}"


def _next(ring: Ring, now: float, max_age: Optional[float]) -> Tuple[str, str]:
    """Return what comes next, and what a person has to do for it; empty for nothing."""
    step = ring["step"]
    if leaked_staged(ring):
        return "the staged key is compromised, and is taken back", "run phased.keys.rollout"
    if rings.is_open(ring):
        return f"{step['name']} is open since {step['opened']}", "run phased.keys.rollout to finish it"
    if rings.in_state(ring, "staged"):
        return "promote is next", "run phased.keys.rollout, or phased.keys.promote"
    signs = rings.primary(ring)
    if "compromised" in signs["marks"]:
        return f"the key that signs, {signs['fingerprint']}, is compromised", "run phased.keys.rollout"
    moment = soak.next_due(ring)
    if moment is None:
        rest = "nothing is in flight"
        if max_age is None or step["name"] == "adopt":
            return rest, ""
        begin = epoch(step["closed"] or step["opened"]) + max_age
        left = f", in {words(begin - now)}" if begin > now else ""
        return f"{rest}; the next rollout is due at {stamp(begin)}{left}", ""
    if moment <= now:
        return "the soak is over", "run phased.keys.rollout, or phased.keys.retire"
    name = letting_go(soak.due(ring, moment))
    return f"{name} is due in {words(moment - now)}, at {stamp(moment)}", "run phased.keys.rollout again then"


def _take_back(ring: Ring, now: float, again: bool) -> Decision:
    """Whether the last rollout is taken back; the same command again goes no further, unless that is asked for."""
    step, why = ring["step"], why_no_rollback(ring)
    if takes_back(ring) and rings.is_open(ring):
        return Decision("resume", f"{step['name']} is open since {step['opened']}", step["name"])
    if takes_back(ring) and not again:
        done = f"done, every member was proven at {step['closed']}, and {rings.primary(ring)['fingerprint']} signs"
        further = "" if why else ". To take that back too, give -e app_keys_new=true"
        return Decision("skip", f"{done}; {next_text(ring, now)}{further}")
    if why:
        state = "still open" if rings.is_open(ring) else f"closed at {step['closed']}"
        return Decision("refuse", f"{why}. The last step is {step['name']}, {state}")
    name = "withdraw" if rings.in_state(ring, "staged") else "rollback"
    return Decision("open", "the last rollout is taken back", name)


def spreads_a_leak(ring: Ring) -> bool:
    """Whether a key that has leaked is on its way to the hosts: it is taken back, and not brought to the others first."""
    return bool(ring["step"]["name"] == "prepare" and leaked_staged(ring))


def _not_yet(ring: Ring, phase: str) -> bool:
    """Whether a rollout has to finish the open step before this phase has its turn."""
    name = ring["step"]["name"]
    position = ROLLOUT.index(name) if name in ROLLOUT else len(ROLLOUT)
    return rings.is_open(ring) and ROLLOUT.index(phase) < position


def _begin(ring: Ring, now: float, max_age: float, new: bool) -> Decision:
    """Whether a rollout starts: a re-run and a deploy never rotate twice."""
    signs = rings.primary(ring)
    if "compromised" in signs["marks"]:
        return Decision("open", f"the key that signs, {signs['fingerprint']}, is marked as compromised", "prepare")
    if new:
        return Decision("open", "a new rollout was asked for with app_keys_new", "prepare")
    if rings.in_state(ring, "retiring"):
        return Decision("skip", "")  # retire says how far it is
    if ring["step"]["name"] == "adopt" and signs["origin"] != "recovered":
        return Decision("open", "no rollout has been done yet", "prepare")
    age = now - epoch(ring["step"]["closed"] or ring["step"]["opened"])
    if age > max_age:
        return Decision("open", f"the last rollout ended {words(age)} ago, more than app_keys_max_age", "prepare")
    return Decision(
        "skip",
        f"nothing to do: the last rollout ended at {ring['step']['closed']}, {words(max(0, age))} ago, and "
        f"app_keys_max_age is {words(max_age)}. To start a new one all the same, give -e app_keys_new=true",
    )


def _let_go(ring: Ring, now: float) -> Decision:
    if leaked_staged(ring):
        return Decision("open", "the staged key is compromised", "withdraw")
    moment = soak.next_due(ring)
    if moment is None or moment <= now:
        return Decision("open", "retire is next", letting_go(soak.due(ring, now)))
    left = f"{letting_go(soak.due(ring, moment))} is due in {words(moment - now)}, at {stamp(moment)}"
    return Decision("wait", f"waiting for the soak: {left}: run phased.keys.rollout again then")
