# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit: one host's change from the settings it has to those of the open step, as one transaction.

It may outlive the controller that started it. So it orders itself by its token under the host's
lock, bounds its own time, and ends in a state that the rules allow whatever happens.
"""

from __future__ import annotations

import contextlib
import signal
import time
from types import FrameType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    ContextManager,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from . import age, arguments, files, limit, record, settings, units
from .look import compared, look, look_once
from .problems import EXPECTED, REPORT, Unusable, message_of, traceback_of
from .rules import env_text, history
from .rules import visit as rules
from .rules.order import Order, Token
from .rules.proof import Finding

if TYPE_CHECKING:
    from .._shapes import Ended, Evidence, Record, Stamp

PAUSE = 0.1
AGAIN = "fix what is named here, and run again: the next visit goes on from there"
IN_FLIGHT = (
    "another visit is still running, perhaps of a run that was killed. Nothing was changed: run again when it has ended"
)
# What may go wrong once something was written. After any of it the visit falls back, and after a bug of ours too.
ANYTHING = (Exception, limit.Over)


class Request(NamedTuple):
    """What a visit is asked for: the application's variables, the step's order and token, and the secrets it writes.

    vouched   whether the record of another host says that the keyring is the fleet's; asked only of a host that has none
    """

    app: Mapping[str, Any]
    order: Order
    token: Token
    step: str
    nonce: str
    converge: bool
    replace: Sequence[str]
    secrets: Mapping[str, str]
    vouched: bool


def run(params: Mapping[str, Any], check: bool) -> Dict[str, Any]:
    """Do what `env_keys` does on a host, with that module's parameters."""
    request = Request(
        app=arguments.application(params),
        order=Order(**params["order"]),
        token=Token(**params["token"]),
        step=params["step"],
        nonce=params["nonce"],
        converge=params["converge"],
        replace=params["replace"] or [],
        secrets=params["secrets"],
        vouched=params["vouched"],
    )
    return visit(request, check)


def visit(request: Request, check: bool) -> Dict[str, Any]:
    """Visit this host and return what was seen and done; with `check` only what would be done.

    `failed` and `msg` are set where the host is not proven.
    """
    app = request.app
    if check:
        with _limit(app, "the look at this host"):
            return _Visit(request).foresee()
    end_by_itself()
    # The lock is held until this visit has written down what is true of the host: only then may another one begin.
    with contextlib.ExitStack() as held:
        with _limit(app, "the wait for the host's lock and the first look"):
            try:
                # A killed controller leaves its visit running: the next one waits for that to end, and not without end.
                held.enter_context(files.Lock(record.lock_path(app["state_dir"], app["name"]), wait=app["timeout"]))
            except files.Locked as error:
                return {"changed": False, "failed": True, "msg": f"{error}: {IN_FLIGHT}"}
            under_way = _Visit(request)
        return under_way.make()


def _limit(app: Mapping[str, Any], what: str) -> ContextManager[None]:
    """Each part of a visit waits for at most one timeout and one settling."""
    return limit.within(app["timeout"] + app["settle"] + limit.MARGIN, what)


def end_by_itself() -> None:
    """Go on when the controller or the connection ends: what has begun to write says itself how it ended."""
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
        # A handler and not SIG_IGN, which the restarted application would inherit.
        signal.signal(number, _nothing)


def _nothing(number: int, frame: Optional[FrameType]) -> None:
    pass


class _Visit:
    """One visit under way."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.app = request.app
        self.known = [*request.order.known, *request.replace]
        self.before = look(self.app, self.known, request.nonce)
        self.before["visit"] = None
        kept = self.before["record"]
        self.stamps: Mapping[str, Stamp] = (kept.get("stamps") if kept else None) or {}
        self.was_down = bool(rules.down(self.before))
        self.linked: Dict[str, int] = {}
        self.begun = 0.0  # the last restart
        self.bugs: List[str] = []  # their tracebacks
        self.did: Dict[str, Any] = {"written": [], "restarted": False, "restored": False, "down": False, "took": 0.0}

    def plan(self) -> rules.Plan:
        """Say what is to be done, by what was seen of the host."""
        return rules.plan(self.request.order, self.before, self.request.converge, self.request.replace)

    def stays(self, plan: rules.Plan) -> Optional[Dict[str, Any]]:
        """Return the answer of a visit that may change nothing at all: refused, or not vouched for; None where it may."""
        late = rules.fence(self.request.token, self.before["record"])
        refuse = f"{late}. Nothing was changed" if late else plan.refuse
        if refuse:
            return self.result(self.before, [refuse])
        return self.joining() if self.joins() else None

    def foresee(self) -> Dict[str, Any]:
        """Say what would be done."""
        plan = self.plan()
        stays = self.stays(plan)
        if stays is not None:
            return stays
        if not plan.write and not plan.restart:
            return self.result(self.before, rules.said(self.lacking(self.before)))
        written = [file["path"] for file in self.before["files"]] if plan.write else []
        self.did.update(written=written, restarted=plan.restart)
        return {**self.result(self.before, []), "changed": True}

    def make(self) -> Dict[str, Any]:
        """Bring the host to where it should be, and prove it."""
        plan = self.plan()
        stays = self.stays(plan)
        if stays is not None:
            return stays
        if not plan.write and not plan.restart:
            return self.confirm()
        with limit.within(limit.MARGIN, "reading the env file"):
            old_texts = {path: files.read_text(path, safe=True) for path in self.app["env_file"]}
        found, after = self.change(plan)
        if found:
            return self.fall_back(found, old_texts)
        return self.result(self.proven(after), [])

    def joins(self) -> bool:
        """Whether this host has no record to tell the keyring from a copy by, and nobody has vouched for it.

        Also where nothing has to change: what is right by a copy of yesterday may be wrong beside hosts that have gone on.
        """
        return self.before["record"] is None and not self.request.vouched

    def joining(self) -> Dict[str, Any]:
        """Change nothing until another host has vouched for the keyring."""
        return {**self.result(self.before, []), "changed": False, "needed": True, "proven": False, "joining": True}

    def confirm(self) -> Dict[str, Any]:
        """Record a host that needs no change; a deploy that finds nothing to do leaves not even that, unless there is no record."""
        found = rules.said(self.lacking(self.before))
        if found or not (self.request.converge or self.before["record"] is None):
            return self.result(self.before, found)
        return self.result(self.proven(self.before), [])

    def change(self, plan: rules.Plan) -> Tuple[List[str], Evidence]:
        """Write and restart as planned, and return what keeps the host from being proven then, with the last look."""
        request = self.request
        try:
            with _limit(self.app, "the change and its proof"):
                # The token is written to the host before the file is, so that an earlier visit that comes late is refused by it.
                self.note("visiting", self.before["record"] or {})
                if plan.write:
                    ours = settings.values_of(self.app, request.order, request.secrets)
                    looked = {file["path"]: file["identity"] for file in self.before["files"]}
                    self.write(dict.fromkeys(self.app["env_file"], ours), looked)
                self.stamp()
                after, lacking = self.restart_and_prove(plan.restart)
            return rules.said(lacking), after
        except ANYTHING as error:
            return [self.why(error)], self.before

    def why(self, error: BaseException) -> str:
        """Say what went wrong; of a bug the traceback is kept for the answer."""
        if not isinstance(error, EXPECTED):
            self.bugs.append(traceback_of(error))
        return message_of(error)

    def write(
        self, values: Mapping[str, Mapping[str, Optional[str]]], looked: Optional[Mapping[str, Any]] = None
    ) -> None:
        """Put these values of our settings into each file, on the file as it is now; it has to be the one that was `looked` at."""
        for path, ours in values.items():
            with files.Place(path) as place:
                if looked is not None and place.identity() != looked[path]:
                    raise Unusable(f"{path} was written by somebody else during the visit: it was left as it is")
                text = place.text()
                self.see_nothing_unknown(path, text or "")
                rewritten = env_text.rewrite(text or "", self.app["env_format"], ours)
                if rewritten != text:
                    if place.links() > 1:
                        self.linked[path] = place.inode()
                    self.replace(place, rewritten)

    def replace(self, place: files.Place, text: str) -> None:
        """Replace an env file. Whatever cuts that off: a file that may be the new one already counts as written."""
        app, path = self.app, place.path
        first = path not in self.did["written"]
        self.did["written"] += [path] * first
        try:
            place.replace(
                text,
                mode=app["env_mode"] and int(app["env_mode"], 8),
                owner=app["env_owner"],
                group=app["env_group"],
            )
        except BaseException:
            if first and files.read_text(path, safe=True) != text:
                self.did["written"].remove(path)
            raise

    def stamp(self) -> None:
        """Note since when the files are as they are, before anything is restarted: what starts from now on is younger."""
        self.stamps = age.stamps(self.app["env_file"], self.stamps)
        self.note("visiting", self.before["record"] or {})

    def see_nothing_unknown(self, path: str, text: str) -> None:
        """Refuse to rewrite a file that somebody else has given another key meanwhile; Unusable names it."""
        held = settings.keys_of(self.app, text)
        unknown = [key for key in held.accepts if key not in self.known] if held else []
        if unknown:
            raise Unusable(f"{path} holds {', '.join(unknown)} now, which is not in the keyring: it was left as it is")

    def restart_and_prove(self, restart: bool) -> Tuple[Evidence, List[Finding]]:
        """Restart the application if asked, and see it proven: return the last look, and what is lacking in it."""
        deadline = time.monotonic() + self.app["timeout"]
        if restart:
            self.restart(deadline, self.before)
        after, lacking = self.look_until(deadline, self.lacking, self.was_started)
        if self.was_started(after) and lacking:
            # Something else has started it meanwhile, a socket say, and it may have read the previous file.
            self.restart(deadline, after)
            after, lacking = self.look_until(deadline, self.lacking)
        if self.did["restarted"] and not lacking:
            self.did["took"] = round(time.monotonic() - self.begun, 1)
        return after, lacking

    def look_until(
        self,
        deadline: float,
        wanting: Callable[[Evidence], List[Finding]],
        enough: Callable[[Evidence], bool] = lambda seen: False,
    ) -> Tuple[Evidence, List[Finding]]:
        """Look until nothing is wanting in two looks, or the time is over, or one look is `enough`.

        Return the last look, and what was wanting in it. There is one in any case.
        """
        while True:
            seen = self.look_again()
            lacking = wanting(seen)
            if not lacking:
                seen = self.look_twice(seen)
                lacking = wanting(seen)
            if not lacking or enough(seen) or time.monotonic() >= deadline:
                return seen, lacking
            time.sleep(PAUSE)

    def look_twice(self, first: Evidence) -> Evidence:
        """Look again when the application has had the time to settle."""
        time.sleep(self.app["settle"] if first["workers"] else 0)
        return compared(first, self.look_again())

    def was_started(self, seen: Evidence) -> bool:
        """Whether something else than this visit has started the application since it was found at rest, and it can be restarted."""
        restartable = self.app["service"] or self.app["restart_command"]
        return bool(seen["workers"] and not self.before["workers"] and not self.did["restarted"] and restartable)

    def restart(self, deadline: float, seen: Evidence) -> None:
        """Restart what was `seen` to run: a unit that is stopped on this host, a scheduler say, is not started by a rotation."""
        self.did["restarted"] = True
        self.begun = time.monotonic()
        stopped = [unit["name"] for unit in seen["units"] if unit["active"] == "inactive"]
        running = [name for name in self.app["service"] if units.full_name(name) not in stopped]
        if running:
            units.restart(running, max(1.0, deadline - time.monotonic()), scope=self.app["service_scope"])
        if self.app["restart_command"]:
            units.run(self.app["restart_command"], max(1.0, deadline - time.monotonic()))

    def look_again(self) -> Evidence:
        """Look, leaving out our own lock."""
        return {**look_once(self.app, self.known, self.request.nonce), "visit": None}

    def lacking(self, seen: Evidence) -> List[Finding]:
        """What keeps the host from being proven."""
        return rules.unproven(
            self.request.order, seen, self.request.converge, self.before, restarted=self.did["restarted"]
        )

    def proven(self, seen: Evidence) -> Evidence:
        """Write the record of a proof, and return the evidence with it."""
        signs = self.request.order.signs
        if not self.request.converge and seen["files"]:
            signs = seen["files"][0]["signs"] or signs
        kept = {
            **rules.remembered(self.before, seen),
            "signs": signs,
            # The moment of the look that proved it, so that this very evidence may show that a soak of no length is over.
            "stopped": history.after(self.before, signs, seen["now"]),
            "files": {file["path"]: file["identity"] for file in seen["files"]},
            "uids": rules.remembered_uids(self.before, seen),
        }
        with limit.within(limit.MARGIN, "writing the host's record"):
            return {**seen, "record": self.note("proven", kept)}

    def left_behind(self) -> List[str]:
        """Say where keys of before still are, under another name of a file that was replaced."""
        return [
            f"{path} had a second name (hard link), and under that one the previous keys still are: find / -xdev -inum {inode} lists it, remove it"
            for path, inode in self.linked.items()
        ]

    def second_names(self) -> Dict[str, int]:
        """Return the files that had another name when they were last written, each with the inode that the name still has."""
        kept = self.before["record"]
        before = (kept.get("linked") if kept else None) or {}
        return {**{path: inode for path, inode in before.items() if path not in self.did["written"]}, **self.linked}

    def note(self, state: Ended, kept: Mapping[str, Any]) -> Record:
        """Write the record."""
        app, request = self.app, self.request
        return record.save(
            app["state_dir"], app["name"], request.token, request.step, state,
            {**kept, "stamps": self.stamps, "linked": self.second_names()}, request.order.leaked, app["host"],
        )  # fmt: skip

    def fall_back(self, found: List[str], old_texts: Mapping[str, Optional[str]]) -> Dict[str, Any]:
        """After a failed proof put our old settings back where the step admits them, and say what is true now."""
        safe = all(
            not file["problem"] and self.request.order.may_restore(file["signs"], file["accepts"])
            for file in self.before["files"]
        )
        back = False
        if not self.did["written"]:
            found.append("the env file was not changed")
        elif self.was_down:
            found.append("the new env file stays: the application did not run with the previous settings")
        elif not safe:
            found.append("the new env file stays: at this step the previous settings are no longer safe")
        else:
            try:
                with _limit(self.app, "the way back"):
                    self.put_back(old_texts)
                back = True
                found.append("the previous settings were restored, and the application runs with them")
            except ANYTHING as error:
                found.append(f"the previous settings could not be restored either ({self.why(error)})")
        seen = self.end(found, say=not back)
        found.append(REPORT if self.bugs else AGAIN)
        return self.result(seen, found)

    def end(self, found: List[str], say: bool) -> Evidence:
        """Write into the record that nothing is proven, look a last time, and `say` what of the application runs."""
        try:
            with limit.within(self.app["settle"] + limit.MARGIN, "the host's record and a last look"):
                try:
                    self.note("unproven", self.before["record"] or {})
                except Exception as error:
                    why = self.why(error)
                    found += [f"the host's record cannot be written: {why}"] * (why not in found)
                seen = self.look_twice(self.look_again())
            stands = rules.application_after(self.before, seen)
        except ANYTHING as error:
            found.append(f"the host cannot be looked at: {self.why(error)}")
            self.did["down"] = say and self.did["restarted"]
            found += [f"what runs is not known: {rules.MAY_BE_DOWN}"] * self.did["down"]
            return {**self.before, "settled": False}
        self.did["down"] = stands.down
        found += [stands.text] * (say or stands.down)
        return seen

    def put_back(self, old_texts: Mapping[str, Optional[str]]) -> None:
        """Write our settings of before on the files as they are now, and see the application run with them."""
        app = self.app
        names = app["profile"].names
        values: Dict[str, Dict[str, Optional[str]]] = {}
        for path in self.did["written"]:
            held = settings.keys_of(app, old_texts[path] or "")
            if not held or not self.request.order.may_restore(held.signs, held.accepts):
                raise Unusable(f"{path} held settings that this step does not admit")
            old = env_text.read(old_texts[path] or "", app["env_format"], names)
            values[path] = {name: old.get(name) for name in names}
        self.write(values)
        self.stamp()
        self.did["restored"] = True
        if not self.did["restarted"]:
            return
        deadline = time.monotonic() + app["timeout"]
        self.restart(deadline, self.look_again() if not self.before["workers"] else self.before)
        order, before = self.request.order, self.before
        lacking = self.look_until(deadline, lambda seen: rules.unproven(order, seen, False, before, restarted=True))[1]
        if lacking:
            raise Unusable("; ".join(rules.said(lacking)))

    def result(self, seen: Evidence, found: List[str]) -> Dict[str, Any]:
        """Return what the module returns."""
        outcome = {
            "changed": bool(self.did["written"] or self.did["restarted"]),
            # A visit that finishes one that was cut off may find nothing left to change.
            "needed": bool(self.did["written"] or self.did["restarted"])
            or (self.before["record"] is not None and self.before["record"]["state"] in ("visiting", "unproven")),
            "proven": not found,
            "did": self.did,
            "evidence": dict(seen),
            "diff": {
                "before": settings.describe(self.before),
                "after": settings.describe_order(self.request.order, self.app["env_file"])
                if self.did["written"]
                else settings.describe(self.before),
            },
        }
        messages = [*found, *self.left_behind()]
        if messages:
            outcome["msg"] = ". ".join(messages)
        if found:
            # A host that was down before is no worse off now. The others must not wait for it where a rollout is taken back; the closing count does.
            outcome["failed"] = not (self.request.order.incident and self.was_down and self.did["restarted"])
        if self.bugs:
            outcome.update(failed=True, exception="\n".join(self.bugs))
        return outcome
