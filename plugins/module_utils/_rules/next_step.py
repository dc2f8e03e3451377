# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which step may come next: one function for each step, and `decide`, which a playbook asks.

Each `why_no_...` returns None where the step may start, and else says why not. They take the proof of the
fleet for granted: `gate` asks them together with the evidence.
"""

from __future__ import annotations

from typing import Collection, List, NamedTuple, Optional, Sequence

from .._host.rules.durations import epoch, in_words, stamp
from .._keyring_shapes import Key, Keyring
from .._shapes import Evidence, StepName
from . import at_rest, external, limits, soak, spread
from . import keyring as keyrings

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
BACK = "was brought back for what it encrypted, and never signs"
TAKE_BACK = "encrypt that anew, and then run phased.keys.rollback"
MARKED = "marked as compromised"  # what the journal says of a key that has leaked


class Decision(NamedTuple):
    """What is to be done about a phase: `action` is open, resume, skip, wait or refuse, `text` says why, and `step` is what opens.

    `until` is when a wait is over by the controller's clock (epoch), and None where no clock ends it; `waits` what it is for: soak or spread.
    """

    action: str
    text: str
    step: str = ""
    until: Optional[float] = None
    waits: str = "soak"


def why_no_prepare(keyring: Keyring) -> Optional[str]:
    """A new key may come in when no other is on its way in, and the framework has a place for it."""
    if keyrings.in_state(keyring, "staged"):
        return "a key is staged already: run phased.keys.promote first, or take it back with phased.keys.rollback"
    return limits.why_no_place(keyring)


def why_no_promote(keyring: Keyring) -> Optional[str]:
    """A staged key may sign when every worker of every member accepts it, which the gate counts."""
    staged = keyrings.in_state(keyring, "staged")
    if not staged:
        return "no key is staged: run phased.keys.prepare first"
    if "compromised" in staged[0]["marks"]:
        return f"{staged[0]['fingerprint']} is marked as compromised and never signs: run phased.keys.rollback"
    if at_rest.brought_back(keyring):
        return f"{staged[0]['fingerprint']} {BACK}: {TAKE_BACK}"
    return None


def why_no_retire(keyring: Keyring) -> Optional[str]:
    """Keys may be let go of when none is on its way in and one is retiring; whether its soak is over is asked apart (`soak`)."""
    if leaked_staged(keyring):
        return None
    if keyrings.in_state(keyring, "staged"):
        return "a staged key is not promoted yet: run phased.keys.promote first"
    if not keyrings.in_state(keyring, "retiring"):
        return "no key is retiring: there is nothing to retire"
    return None


def why_no_rollback(keyring: Keyring) -> Optional[str]:
    """The last rollout may be taken back until a retire has opened for the key that signed before."""
    if keyrings.in_state(keyring, "staged"):
        return None
    new = keyrings.primary(keyring)
    before = keyrings.find(keyring, new.get("after"))
    if before is None:
        return "this keyring has promoted no key yet: there is nothing to go back to"
    old = before["fingerprint"]
    if "compromised" in before["marks"]:
        return f"the key before, {old}, is marked as compromised and never signs again"
    if "rolled_back" in before["marks"]:
        return f"the key before, {old}, was itself rolled back and never signs again"
    if before["state"] != "retiring":
        since = before["times"].get("dropping", keyring["step"]["opened"])
        return f"retire has opened for {old} at {since}: some hosts may accept it no longer, and there is no way back to it"
    return None


WHY_NOT = {"prepare": why_no_prepare, "promote": why_no_promote, "retire": why_no_retire}


def decide(
    keyring: Keyring,
    phase: str,
    goal: str,
    now: float,
    max_age: float = MAX_AGE,
    new: bool = False,
    verifiers: Sequence[str] = (),
) -> Decision:
    """Say what is to be done about `phase` by a playbook whose goal is `goal` (a phase, or `rollout`).

    `max_age` (seconds) and `new` say when a rollout begins anew; `verifiers` are those of whom only their own word is to be had.
    """
    current = keyring["step"]
    if phase == "rollback":
        return _take_back(keyring, now, new)
    if keyrings.is_open(keyring) and current["name"] in PHASES[phase] and not spreads_a_leak(keyring):
        return Decision("resume", f"{current['name']} is open since {current['opened']}", current["name"])
    if phase == "adopt":
        return Decision("skip", "the keyring is adopted")
    if goal == "rollout" and _not_yet(keyring, phase):
        return Decision("skip", f"{current['name']} is already open")
    why = WHY_NOT[phase](keyring)
    if why and goal == "rollout" and phase == "prepare" and not keyrings.in_state(keyring, "staged"):
        return _no_place(keyring, why, now, max_age, new)
    if why and goal == "rollout":
        return Decision("skip", "")  # another phase of the run says all that there is to say
    if why and current["name"] in PHASES[phase] and not keyrings.is_open(keyring):
        return Decision("skip", f"done, every member was proven at {current['closed']}")
    if why:
        state = "still open" if keyrings.is_open(keyring) else f"closed at {current['closed']}"
        return Decision("refuse", f"{why}. The last step is {current['name']}, {state}")
    if phase == "prepare" and goal == "rollout":
        return _begin(keyring, now, max_age, new)
    if phase == "promote":
        return _sign(keyring, now, verifiers)
    if phase == "retire":
        return _let_go(keyring, now, verifiers)
    return Decision("open", f"{phase} is next", phase)


def goes_on(goal: str, phase: str) -> bool:
    """Whether a playbook with this goal has phases left after this one, so that nobody has to run anything for what comes next."""
    return goal == "rollout" and phase != ROLLOUT[-1]


def leaked_staged(keyring: Keyring) -> List[Key]:
    """Return the staged key if it is marked as compromised: it is taken back at once, for it has never signed."""
    return [key for key in keyrings.in_state(keyring, "staged") if "compromised" in key["marks"]]


def opens_unproven(keyring: Keyring, step: str) -> bool:
    """Whether this step opens without a proof of the whole fleet: it takes a rollout back, and incidents do not wait.

    The key that comes back is accepted wherever the other one is, and a key that never signed can go whatever the others do.
    """
    return step == "rollback" or (step == "withdraw" and bool(keyrings.in_state(keyring, "staged")))


def takes_back(keyring: Keyring) -> bool:
    """Whether the keyring's step is one that took a rollout back; see `opens_unproven`."""
    return keyring["step"]["skippable_since"] is not None


def may_go(keyring: Keyring, now: float) -> List[Key]:
    """Return the keys that may be let go of by the controller's clock: a staged one, and where none is those whose soak is over, unless what is
    at rest needs them."""
    return keyrings.in_state(keyring, "staged") or ([] if at_rest.waiting(keyring) else soak.due(keyring, now))


def retire_or_withdraw(keys: Sequence[Key]) -> StepName:
    """What the step is called that lets go of these keys, which have soaked: withdraw, if all of them were rolled back."""
    taken_back = [key for key in keys if "rolled_back" in key["marks"]]
    return "withdraw" if keys and len(taken_back) == len(keys) else "retire"


def may_begin(keyring: Keyring, wait: float, now: float) -> bool:
    """Whether a run that is asked for a new rollout finds none that it has to finish first.

    Keys that soak longer than the run would wait for are no hindrance: soaks may overlap. One that it
    would wait for (`wait`, seconds) belongs to a rollout that a run before this one did not end.
    """
    if keyrings.is_open(keyring) or keyrings.in_state(keyring, "staged", "dropping"):
        return False
    moment = soak.next_due(keyring)
    return moment is None or moment - now > wait


def next_text(
    keyring: Keyring,
    now: float,
    max_age: Optional[float] = None,
    goes_on: bool = False,
    fleet: Collection[Evidence] = (),
) -> str:
    """Say in one line what comes next; with `max_age` (seconds) also when the next rollout is due, and with the `fleet` by the time of its hosts.

    `goes_on` says that the run that tells this comes to it by itself: then nobody is told to run anything.
    """
    coming = upcoming(keyring, now, max_age, fleet)
    return coming.what if goes_on or not coming.todo else f"{coming.what}: {coming.todo}"


class Upcoming(NamedTuple):
    """What comes next, and what a person has to do for it; empty for nothing.

    due     since when, or from when on, that is to be done (epoch); None where nothing is
    begins  whether it would begin a rollout: nothing is in the middle that has to be ended
    """

    what: str
    todo: str
    due: Optional[float]
    begins: bool = False


def upcoming(
    keyring: Keyring, now: float, max_age: Optional[float] = None, fleet: Collection[Evidence] = ()
) -> Upcoming:
    """Return what comes next; `max_age` (seconds) says when the next rollout is due, and the `fleet`, as it was seen `now`, when its hosts let a key go."""
    step = keyring["step"]
    done = epoch(step["closed"] or step["opened"])
    for key in leaked_staged(keyring):
        what = "the staged key is compromised, and is taken back"
        return Upcoming(what, "run phased.keys.rollout", _marked(keyring, key))
    if keyrings.is_open(keyring):
        what = f"{step['name']} is open since {step['opened']}"
        return Upcoming(what, "run phased.keys.rollout to finish it", epoch(step["opened"]))
    for key in at_rest.brought_back(keyring):
        return Upcoming(f"{key['fingerprint']} {BACK}", TAKE_BACK, done)
    for key in keyrings.in_state(keyring, "staged"):
        over = spread.over_at(key)
        if over is not None and over > now:
            what = f"promote is due in {in_words(over - now)}, at {stamp(over)}, when its spread is over"
            return Upcoming(what, "run phased.keys.rollout again then", over)
        return Upcoming("promote is next", "run phased.keys.rollout, or phased.keys.promote", done)
    signs = keyrings.primary(keyring)
    if "compromised" in signs["marks"]:
        what = f"the key that signs, {signs['fingerprint']}, is compromised"
        return Upcoming(what, "run phased.keys.rollout", _marked(keyring, signs))
    if at_rest.waiting(keyring):
        return Upcoming(at_rest.why(keyring), at_rest.how(keyring), done)
    moment = soak.next_due(keyring, fleet, now)
    if moment is None:
        return _rest(keyring, now, max_age)
    if moment <= now:
        # One that is compromised has no soak, and may go as soon as its step has closed.
        return Upcoming("the soak is over", "run phased.keys.rollout, or phased.keys.retire", moment or done)
    what = f"{retire_or_withdraw(soak.due(keyring, moment))} is due in {in_words(moment - now)}, at {stamp(moment)}"
    return Upcoming(what, "run phased.keys.rollout again then", moment)


def _rest(keyring: Keyring, now: float, max_age: Optional[float]) -> Upcoming:
    """Say when the next rollout begins, where none is in the middle."""
    step, rest = keyring["step"], "no rollout is in progress"
    if max_age is None or step["name"] == "adopt":
        return Upcoming(rest, "", None)
    begin = epoch(step["closed"] or step["opened"]) + max_age
    left = f", in {in_words(begin - now)}" if begin > now else ""
    return Upcoming(f"{rest}; the next rollout is due at {stamp(begin)}{left}", "", begin, begins=True)


def _marked(keyring: Keyring, key: Key) -> float:
    """Return when a key was marked as compromised; of one that was adopted so, when that was."""
    when = [
        entry["at"]
        for entry in keyring["journal"]
        if entry["event"] == MARKED and entry.get("key") == key["fingerprint"]
    ]
    return epoch(when[-1] if when else keyring["step"]["opened"])


def _take_back(keyring: Keyring, now: float, again: bool) -> Decision:
    """Whether the last rollout is taken back; the same command again goes no further, unless that is asked for."""
    step, why = keyring["step"], why_no_rollback(keyring)
    if takes_back(keyring) and keyrings.is_open(keyring):
        return Decision("resume", f"{step['name']} is open since {step['opened']}", step["name"])
    if takes_back(keyring) and not again:
        done = (
            f"done, every member was proven at {step['closed']}, and {keyrings.primary(keyring)['fingerprint']} signs"
        )
        further = "" if why else ". To take that back too, give -e app_keys_new=true"
        return Decision("skip", f"{done}; {next_text(keyring, now)}{further}")
    if why:
        state = "still open" if keyrings.is_open(keyring) else f"closed at {step['closed']}"
        return Decision("refuse", f"{why}. The last step is {step['name']}, {state}")
    name = "withdraw" if keyrings.in_state(keyring, "staged") else "rollback"
    return Decision("open", "the last rollout is taken back", name)


def spreads_a_leak(keyring: Keyring) -> bool:
    """Whether a key that has leaked is on its way to the hosts: it is taken back, and not brought to the others first."""
    return bool(keyring["step"]["name"] == "prepare" and leaked_staged(keyring))


def _not_yet(keyring: Keyring, phase: str) -> bool:
    """Whether a rollout has to finish the open step before this phase has its turn."""
    name = keyring["step"]["name"]
    position = ROLLOUT.index(name) if name in ROLLOUT else len(ROLLOUT)
    return keyrings.is_open(keyring) and ROLLOUT.index(phase) < position


def _begin(keyring: Keyring, now: float, max_age: float, new: bool) -> Decision:
    """Whether a rollout starts: a re-run and a deploy never rotate twice."""
    signs = keyrings.primary(keyring)
    if "compromised" in signs["marks"]:
        return Decision("open", f"the key that signs, {signs['fingerprint']}, is marked as compromised", "prepare")
    if new:
        return Decision("open", "a new rollout was asked for with app_keys_new", "prepare")
    if keyrings.in_state(keyring, "retiring"):
        return Decision("skip", "")  # retire says how far it is
    if keyring["step"]["name"] == "adopt" and signs["origin"] != "recovered":
        return Decision("open", "no rollout has been done yet", "prepare")
    age = now - epoch(keyring["step"]["closed"] or keyring["step"]["opened"])
    if age > max_age:
        return Decision("open", f"the last rollout ended {in_words(age)} ago, more than app_keys_max_age", "prepare")
    return Decision(
        "skip",
        f"nothing to do: the last rollout ended at {keyring['step']['closed']}, {in_words(max(0, age))} ago, and "
        f"app_keys_max_age is {in_words(max_age)}. To start a new one all the same, give -e app_keys_new=true",
    )


def _no_place(keyring: Keyring, why: str, now: float, max_age: float, new: bool) -> Decision:
    """Say what becomes of a rollout that would begin if there were a place for its key: retire makes one, where it is due."""
    if _begin(keyring, now, max_age, new).action != "open":
        return Decision("skip", "")
    if soak.due(keyring, now):
        return Decision("skip", f"{why}. Retire is due and comes first: run phased.keys.rollout again then")
    return Decision("refuse", why)


def _sign(keyring: Keyring, now: float, verifiers: Sequence[str]) -> Decision:
    """Whether the staged key may sign: by whoever learns of it late, or says so himself."""
    (key,) = keyrings.in_state(keyring, "staged")
    missing = external.missing([key], verifiers)
    if missing:
        return Decision("refuse", external.why(missing, f"has {key['fingerprint']} and accepts it"))
    over = spread.over_at(key)
    if over is None or over <= now:
        return Decision("open", "promote is next", "promote")
    left = f"promote is due in {in_words(over - now)}, at {stamp(over)}"
    text = f"waiting for the spread of {key['fingerprint']} ({key['spread']['source']}): {left}: run phased.keys.rollout again then"
    return Decision("wait", text, until=over, waits="spread")


def _let_go(keyring: Keyring, now: float, verifiers: Sequence[str]) -> Decision:
    if leaked_staged(keyring):
        return Decision("open", "the staged key is compromised", "withdraw")
    if at_rest.waiting(keyring):
        return Decision("wait", f"{at_rest.why(keyring)}: {at_rest.how(keyring)}")
    moment = soak.next_due(keyring)
    if moment is None or moment <= now:
        due = soak.due(keyring, now)
        missing = external.missing([key for key in due if "compromised" not in key["marks"]], verifiers)
        if missing:
            names = ", ".join(key["fingerprint"] for key in due)
            return Decision("refuse", external.why(missing, f"needs {names} no longer"))
        return Decision("open", "retire is next", retire_or_withdraw(due))
    keys = soak.due(keyring, moment)
    left = f"{retire_or_withdraw(keys)} is due in {in_words(moment - now)}, at {stamp(moment)}"
    # By name: in an emergency another key has no soak, and this one has not leaked.
    whose = ", ".join(key["fingerprint"] for key in keys)
    return Decision(
        "wait", f"waiting for the soak of {whose}: {left}: run phased.keys.rollout again then", until=moment
    )
