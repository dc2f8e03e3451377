# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit of a workload: one change from the keys that it has to those of the open step, as one transaction.

What it may do is said by the rules that a host's visit asks too. It runs in a process of the controller, which may be cut off
anywhere: what it has begun is in the record, and the next visit finishes it. Two visits cannot both write: the record is
compared and swapped before anything else, and the workload is written as it was seen after that, or not at all.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import time
from types import FrameType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ...module_utils._host import record as records
from ...module_utils._host import settings
from ...module_utils._host.problems import EXPECTED, REPORT, Unusable, message_of, traceback_of
from ...module_utils._host.rules import history
from ...module_utils._host.rules import visit as rules
from ...module_utils._host.rules.frameworks import Keys, encode
from ...module_utils._host.rules.proof import Finding
from ...module_utils._host.visit import AGAIN, Request
from ...module_utils._rules import workload, workload_change, workload_look
from ...module_utils._rules.workload import Seen
from ...module_utils._rules.workload_change import MANAGER, Entries
from ...module_utils._rules.workload_look import Kept
from ...module_utils._shapes import Ended, Evidence, Record
from .api import Changed, OwnedByOthers
from .lock import Lock
from .member import Member

PAUSE = 0.5
# Scaling and the workload's own status are written all the time, and do not stand in the way of our entries.
TRIES = 20
MARGIN = 30.0  # seconds for all that is not waiting
LATE = "another visit has written the record meanwhile: this one came late, and goes no further"
ROLLING = "what was changed stays: pods of before run on until they end by themselves, and what comes is given the keys of this step"


def visit(member: Member, request: Request, take_over: Sequence[str], check: bool) -> Dict[str, Any]:
    """Visit a workload and return what was seen and done; with `check` only what would be done."""
    if check:
        return _Visit(member, request, take_over).foresee()
    with _going_on():
        first = member.see()
        timeout = member.timeout(first)
        settle = member.values["settle"]
        # The change with its proof, and the way back with its own.
        with Lock(member, 2 * (timeout + settle + MARGIN), wait=timeout):
            made = _Visit(member, request, take_over)
            answer = made.make()
        return answer if answer is not None else made.outlast()


@contextlib.contextmanager
def _going_on() -> Iterator[None]:
    """Outlive whoever started this, as a visit of a host does: what has begun to write ends by itself."""
    numbers = (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)
    try:
        before = {number: signal.signal(number, _ignore) for number in numbers}
    except ValueError:  # not in the main thread
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore(number: int, frame: Optional[FrameType]) -> None:
    """Do nothing."""


class _Visit:
    """One visit under way."""

    def __init__(self, member: Member, request: Request, take_over: Sequence[str]) -> None:
        self.member, self.request, self.take_over = member, request, take_over
        self.known = [*request.order.known, *request.replace]
        self.seen = member.see()
        self.record, self.kept_in, self.notes = member.record()
        self.timeout = member.timeout(self.seen)
        self.before = self.evidence(self.seen)
        self.changed: List[Entries] = []
        self.bugs: List[str] = []
        self.deadline = 0.0
        self.outlasting = False  # whether what is wanting yet is only that what runs ends
        self.did: Dict[str, Any] = {"written": [], "restarted": False, "restored": False, "down": False, "took": 0.0}

    # --- looks ---

    def evidence(self, seen: Seen) -> Evidence:
        """Return the evidence of what was seen, leaving out our own lock."""
        own, whose = records.of_member(self.record, self.member.member) if self.record else (None, None)
        kept = Kept(own, self.member.kept_name, whose, None)
        return self.member.evidence(seen, kept, self.known, self.request.nonce)

    def look(self) -> Evidence:
        """Look again."""
        self.seen = self.member.see()
        return self.evidence(self.seen)

    def look_twice(self, first: Evidence) -> Evidence:
        """Look again when the pods have had the time to settle."""
        time.sleep(self.member.values["settle"] if first["workers"] else 0)
        return workload_look.compared(first, self.look())

    def look_until(self, deadline: float, converge: bool) -> Tuple[Evidence, List[Finding]]:
        """Look until nothing is wanting in two looks, or the time is over; return the last look, and what is wanting in it."""
        while True:
            seen = self.look()
            lacking = self.lacking(seen, converge)
            if not lacking:
                seen = self.look_twice(seen)
                lacking = self.lacking(seen, converge)
            if not lacking or time.monotonic() >= deadline:
                return seen, lacking
            time.sleep(PAUSE)

    def lacking(self, seen: Evidence, converge: bool) -> List[Finding]:
        """What keeps the workload from being proven."""
        return rules.unproven(self.request.order, seen, converge, self.before)

    def only_running(self, seen: Evidence) -> bool:
        """Whether nothing keeps the workload from being proven but what runs, and comes to its end by itself."""
        rest: Evidence = {**seen, "workers": [], "lasting": 0}
        return self.member.kind.on_demand and not self.lacking(rest, self.request.converge)

    # --- what is to be done ---

    def plan(self) -> rules.Plan:
        """Return what is to be done; where nothing can start since its Secret is not there, that is no reason to wait for it."""
        request, before = self.request, self.before
        waits = not before["workers"] and all(
            file["problem"] and file["problem"]["kind"] == "absent" for file in before["files"]
        )
        asked: Evidence = {**before, "units": []} if waits else before
        plan = rules.plan(request.order, asked, request.converge, request.replace)
        if plan.refuse or not plan.write:
            return plan
        refuse = self.refused()
        return plan._replace(write=not refuse, restart=False, refuse=refuse and f"{refuse}. Nothing was changed")

    def refused(self) -> Optional[str]:
        """Say why this workload may not be changed; None where it may."""
        member = self.member
        why = workload.refused(member.target, self.seen, lambda one: member.holds(self.seen, one))
        if why:
            return why
        managers = self.owners()
        again = [name for name in managers if name in self.notes.get("taken_over", [])]
        left = [name for name in managers if name not in self.take_over]
        if left or again:
            said = workload_change.owned_by_others(member.target, left or again, again)
            return said.partition(". Nothing was changed")[0]
        return None

    def owners(self) -> List[str]:
        """Return who else owns the entries that hold our settings."""
        member = self.member
        return workload_change.owners(member.profile, member.target, self.seen, member.containers(self.seen))

    def taking(self) -> List[str]:
        """Return those of them from whom that may be taken."""
        return [name for name in self.owners() if name in self.take_over]

    def fenced(self) -> Optional[str]:
        """Why this visit may change nothing at all."""
        late = rules.fence(self.request.token, self.before["record"], self.member.target.called)
        return f"{late}. Nothing was changed" if late else None

    def joins(self) -> bool:
        """Whether there is no record to tell the keyring from a copy by, and nobody has vouched for it."""
        return self.before["record"] is None and not self.request.vouched

    def stopped(self, plan: rules.Plan) -> Optional[Dict[str, Any]]:
        """Return what is answered where nothing may be changed, whatever the plan; None where it may."""
        refuse = self.fenced() or plan.refuse
        if refuse:
            return self.result(self.before, [refuse])
        return self.joining() if self.joins() else None

    def foresee(self) -> Dict[str, Any]:
        """Say what would be done."""
        plan = self.plan()
        stopped = self.stopped(plan)
        if stopped:
            return stopped
        if not plan.write:
            return self.result(self.before, rules.said(self.lacking(self.before, self.request.converge)))
        self.did.update(written=[file["path"] for file in self.before["files"]], restarted=bool(self.before["workers"]))
        return {**self.result(self.before, []), "changed": True, "taking": self.taking()}

    def joining(self) -> Dict[str, Any]:
        """Change nothing until another member has vouched for the keyring."""
        return {**self.result(self.before, []), "changed": False, "needed": True, "proven": False, "joining": True}

    # --- doing it ---

    def make(self) -> Optional[Dict[str, Any]]:
        """Bring the workload to where it should be, and prove it; None where `outlast` has to wait first for what runs to end."""
        plan = self.plan()
        stopped = self.stopped(plan)
        if stopped:
            return stopped
        if not plan.write and not self.lacking(self.before, self.request.converge):
            return self.confirm()
        before = self.seen
        found, after = self.change(plan)
        if self.outlasting:
            return None
        if found:
            return self.fall_back(found, before)
        return self.result(self.proven(after), [])

    def outlast(self) -> Dict[str, Any]:
        """Wait until what runs has ended, for hours perhaps: without the lock, so that looks and other visits do not wait too."""
        try:
            seen, lacking = self.look_until(self.deadline, self.request.converge)
            if not lacking:
                with Lock(self.member, self.timeout + self.member.values["settle"] + MARGIN, wait=self.timeout):
                    self.see_own_record()
                    seen = self.look()
                    lacking = self.lacking(seen, self.request.converge)
                    if not lacking:
                        return self.result(self.proven(seen), [])
            return self.result(seen, [*rules.said(lacking), ROLLING, AGAIN])
        except Exception as error:
            return self.result(self.before, [self.why(error), REPORT if self.bugs else AGAIN])

    def confirm(self) -> Dict[str, Any]:
        """Record a workload that needs no change; a deploy leaves not even that, unless there is no record."""
        after = self.look_twice(self.before)
        found = rules.said(self.lacking(after, self.request.converge))
        if found or not (self.request.converge or self.before["record"] is None):
            return self.result(after, found)
        return self.result(self.proven(after), [])

    def change(self, plan: rules.Plan) -> Tuple[List[str], Evidence]:
        """Write as planned and wait for the roll; return what keeps the workload from being proven then, with the last look."""
        self.deadline = time.monotonic() + self.timeout
        # Of what comes and goes by itself nothing is started anew by a roll.
        until = 0.0 if self.member.kind.on_demand else self.deadline
        try:
            # The record first: an earlier visit that comes late is refused by it.
            self.note("visiting", self.before["record"] or {})
            if plan.write:
                begun = time.monotonic()
                self.apply(self.new_entries(self.secret()), force=True)
                self.did.update(written=[file["path"] for file in self.before["files"]])
                self.did["restarted"] = bool(self.before["workers"])
            after, lacking = self.look_until(until, self.request.converge)
            if plan.write and not lacking:
                self.did["took"] = round(time.monotonic() - begun, 1)
            if lacking and self.only_running(after):
                self.note("unproven", self.before["record"] or {})
                self.outlasting = True
            return rules.said(lacking), after
        except Exception as error:
            return [self.why(error)], self.before

    def new_entries(self, name: str) -> List[Entries]:
        """Return the entries that let the containers take their keys from the Secret with this name."""
        member = self.member
        containers = member.containers(self.seen)
        return workload_change.referring(member.profile, member.target, self.seen, containers, name)

    def secret(self) -> str:
        """Return the name of the Secret of this step, which is made if there is none yet."""
        member, request = self.member, self.request
        values = settings_of(member, request)
        made = self.notes.get("secrets") or {}
        there = member.own_secrets()
        for one in there:
            name, meta = one["metadata"]["name"], one["metadata"]
            if one.get("immutable") and made.get(name) == meta["uid"] and one["data"] == values:
                return str(name)
        name = workload_change.secret_name(member.target, request.token.counter, secrets.token_hex(4))
        body = workload_change.secret(
            member.target, name, member.name, request.token.counter, request.token.nonce, values
        )
        created = member.api.create(member.core("secrets"), body)
        made = {one["metadata"]["name"]: made.get(one["metadata"]["name"]) for one in there}
        self.notes["secrets"] = {**made, name: created["metadata"]["uid"]}
        self.note("visiting", self.before["record"] or {})
        return name

    def apply(self, entries: Sequence[Entries], force: bool = False) -> None:
        """Apply our entries to the workload, as it is now, and with the record as we have left it.

        `force`: what was agreed on (`refused`) may be taken from others, once; else a conflict is a refusal.
        """
        member = self.member
        for tries in reversed(range(TRIES)):
            body = workload_change.applied(member.target, self.seen, entries)
            taking = self.taking() if force else []
            if taking:
                self.notes["taken_over"] = sorted({*self.notes.get("taken_over", []), *taking})
                self.note("visiting", self.before["record"] or {})
            try:
                member.api.apply(member.path, body, MANAGER, force=bool(taking) and taking == self.owners())
                return
            except OwnedByOthers as error:
                who = list(workload_change.conflicting(error.causes))
                raise Unusable(workload_change.owned_by_others(member.target, who, ())) from None
            except Changed:
                # Somebody scales it, say. Not if another visit has begun: that one's record would be there.
                if not tries:
                    raise
            files = self.evidence(self.seen)["files"]
            self.see_own_record()
            if self.look()["files"] != files:
                raise Unusable(
                    f"the template of {member.target.called} was written by somebody else during the visit: it was left as it is"
                )

    def see_own_record(self) -> None:
        """See that no other visit has begun; Unusable where one has."""
        found = self.member.record()[1]
        version = (self.kept_in or {}).get("metadata", {}).get("resourceVersion")
        if found is None or found["metadata"]["resourceVersion"] != version:
            raise Unusable(LATE)

    # --- the record ---

    def note(self, state: Ended, kept: Mapping[str, Any]) -> Record:
        """Write the record, in place of the one that was read or written last; Unusable where that is not the newest."""
        member, request = self.member, self.request
        made = records.made(
            member.name, request.token, request.step, state, kept, request.order.leaked, member.member, member.api.now()
        )
        data = {"record": json.dumps(made, indent=1, sort_keys=True), "notes": json.dumps(self.notes, sort_keys=True)}
        try:
            if self.kept_in is None:
                meta = {"name": member.kept_name, "namespace": member.target.namespace}
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
                self.kept_in = member.api.create(member.core("configmaps"), body)
            else:
                path = member.core("configmaps", member.kept_name)
                self.kept_in = member.api.replace(path, {**self.kept_in, "data": data})
        except Changed:
            raise Unusable(LATE) from None
        self.record = made
        return made

    def proven(self, seen: Evidence) -> Evidence:
        """Write the record of a proof, and return the evidence with it."""
        signs = self.request.order.signs
        if not self.request.converge and seen["files"]:
            signs = seen["files"][0]["signs"] or signs
        kept = {
            **rules.remembered(self.before, seen),
            "pools": [],
            "signs": signs,
            "stopped": history.after(self.before, signs, seen["now"]),
            "files": {file["path"]: file["identity"] for file in seen["files"]},
        }
        return {**seen, "record": self.note("proven", kept)}

    # --- the way back ---

    def fall_back(self, found: List[str], before: Seen) -> Dict[str, Any]:
        """After a failed proof put the old references back where the step admits them, and say what is true now."""
        back = False
        if not self.did["written"]:
            found.append("the template was not changed by this visit")
        elif self.member.kind.on_demand:
            found.append(ROLLING)
        else:
            back = self.put_back(found, before)
        seen = self.end(found, say=not back)
        found.append(REPORT if self.bugs else AGAIN)
        return self.result(seen, found)

    def put_back(self, found: List[str], before: Seen) -> bool:
        """Put the old references back if they are safe now, and see that they are taken; `found` gets what came of it."""
        member, order = self.member, self.request.order
        safe = all(
            not file["problem"] and order.may_restore(file["signs"], file["accepts"]) for file in self.before["files"]
        )
        entries = workload_change.as_before(member.profile, member.target, before, member.containers(before))
        if not safe or entries is None:
            found.append("the new template stays: at this step the previous one is no longer safe")
            return False
        try:
            self.look()
            self.apply(entries)
            self.did["restored"] = True
            lacking = self.look_until(time.monotonic() + self.timeout, converge=False)[1]
            if lacking:
                raise Unusable("; ".join(rules.said(lacking)))
        except Exception as error:
            found.append(f"the previous template could not be restored either ({self.why(error)})")
            return False
        found.append("the previous template was restored, and its pods run")
        return True

    def end(self, found: List[str], say: bool) -> Evidence:
        """Write into the record that nothing is proven, look a last time, and `say` what runs."""
        try:
            try:
                self.note("unproven", self.before["record"] or {})
            except Exception as error:
                why = self.why(error)
                found += [f"the record cannot be written: {why}"] * (why not in found)
            seen = self.look_twice(self.look())
            stands = rules.application_after(self.before, seen)
        except Exception as error:
            found.append(f"the workload cannot be looked at: {self.why(error)}")
            return {**self.before, "settled": False}
        self.did["down"] = stands.down
        found += [stands.text] * (say or stands.down)
        return seen

    def why(self, error: BaseException) -> str:
        """Say what went wrong; of a bug the traceback is kept for the answer."""
        if not isinstance(error, EXPECTED):
            self.bugs.append(traceback_of(error))
        return message_of(error)

    def result(self, seen: Evidence, found: List[str]) -> Dict[str, Any]:
        """Return what the module returns."""
        done = bool(self.did["written"])
        state = self.before["record"]["state"] if self.before["record"] else None
        after = settings.describe_order(self.request.order, self.did["written"])
        answer: Dict[str, Any] = {
            "changed": done,
            "needed": done or state in ("visiting", "unproven"),
            "proven": not found,
            "did": self.did,
            "evidence": dict(seen),
            "diff": {
                "before": settings.describe(self.before),
                "after": after if done else settings.describe(self.before),
            },
        }
        if found:
            answer.update(msg=". ".join(found), failed=True)
        if self.bugs:
            answer.update(failed=True, exception="\n".join(self.bugs))
        return answer


def settings_of(member: Member, request: Request) -> Dict[str, str]:
    """Return the values that the step writes."""
    keys = Keys(request.secrets[request.order.signs], [request.secrets[key] for key in request.order.accepts])
    return dict(encode(member.profile, keys))
