# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit: one host's change from the settings it has to those of the open step, as one transaction.

It may outlive the controller that started it. So it orders itself by its token under the host's
lock, bounds its own time, and ends in a state that the rules allow whatever happens.
"""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ..rules import env_text, history
from ..rules import visit as rules
from ..rules.fingerprint import fingerprint
from ..rules.frameworks import Keys, SettingsError, decode, encode
from ..rules.order import Order, Token
from . import arguments, files, record, units
from .look import compared, look, look_once
from .trouble import words

# A killed controller leaves its visits running: the next one waits for those to end.
LOCK_WAIT_FACTOR = 3
PAUSE = 0.1
AGAIN = "mend what is named here, and run again: the next visit finishes"
# What may go wrong once something was written: after any of it the visit falls back.
TROUBLE = (OSError, ValueError, units.RestartFailed, units.UnitsUnavailable)


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
        return _Visit(request).foresee()
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
        # A handler and not SIG_IGN, which the restarted application would inherit.
        signal.signal(number, _go_on)
    with files.Lock(record.lock_path(app["state_dir"], app["name"]), wait=LOCK_WAIT_FACTOR * app["timeout"]):
        return _Visit(request).make()


def _go_on(number: int, frame: Optional[FrameType]) -> None:
    """Do nothing: a visit that has begun to write ends by itself."""


class _Visit:
    """One visit under way."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.app = request.app
        self.known = [*request.order.known, *request.replace]
        self.before = look(self.app, self.known, request.nonce)
        self.before["visit"] = None
        self.was_down = bool(rules.down(self.before))
        self.did: Dict[str, Any] = {"written": [], "restarted": False, "restored": False, "down": False}
        self.linked: Dict[str, int] = {}

    def refusal(self) -> Optional[str]:
        """Why this visit may change nothing at all."""
        late = rules.fence(self.request.token, self.before["record"])
        return f"{late}. Nothing was changed" if late else None

    def foresee(self) -> Dict[str, Any]:
        """Say what would be done."""
        plan = rules.plan(self.request.order, self.before, self.request.converge, self.request.replace)
        refuse = self.refusal() or plan.refuse
        if refuse:
            return self.result(self.before, [refuse])
        if self.joins():
            return self.joining()
        written = [file["path"] for file in self.before["files"]] if plan.write else []
        self.did.update(written=written, restarted=plan.restart)
        return {**self.result(self.before, []), "changed": plan.write or plan.restart}

    def make(self) -> Dict[str, Any]:
        """Bring the host to where it should be, and prove it."""
        request, app = self.request, self.app
        plan = rules.plan(request.order, self.before, request.converge, request.replace)
        refuse = self.refusal() or plan.refuse
        if refuse:
            return self.result(self.before, [refuse])
        if self.joins():
            return self.joining()
        if not plan.write and not plan.restart:
            return self.confirm()
        # The token is on the host before the file is: an earlier visit that is late finds itself fenced.
        self.note("visiting", self.before["record"] or {})
        failure = None
        old_texts = {path: files.read_text(path, safe=True) for path in app["env_file"]}
        try:
            if plan.write:
                looked = {file["path"]: file["identity"] for file in self.before["files"]}
                self.write({path: encode_for(request) for path in app["env_file"]}, looked)
            after = self.restart_and_prove(plan.restart)
        except TROUBLE as error:
            failure, after = words(error), self.before
        found = [failure] if failure else self.unproven(after)
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
        """Record a host that needs no change; a deploy that finds nothing to do leaves not even that."""
        found = self.unproven(self.before)
        if found or not self.request.converge:
            return self.result(self.before, found)
        return self.result(self.proven(self.before), [])

    def write(
        self, values: Mapping[str, Mapping[str, Optional[str]]], looked: Optional[Mapping[str, Any]] = None
    ) -> None:
        """Put these values of our settings into each file, on the file as it is now; it has to be the one that was `looked` at."""
        app = self.app
        for path, ours in values.items():
            with files.Place(path) as place:
                if looked is not None and place.identity() != looked[path]:
                    raise ValueError(f"{path} was written by somebody else during the visit: it was left as it is")
                text = place.text()
                self.see_nothing_unknown(path, text or "")
                rewritten = env_text.rewrite(text or "", app["env_format"], ours)
                if rewritten != text:
                    if place.links() > 1:
                        self.linked[path] = place.inode()
                    place.replace(
                        rewritten,
                        mode=app["env_mode"] and int(app["env_mode"], 8),
                        owner=app["env_owner"],
                        group=app["env_group"],
                    )
                    self.did["written"].append(path)

    def see_nothing_unknown(self, path: str, text: str) -> None:
        """Refuse to rewrite a file that somebody else has given another key meanwhile; ValueError names it."""
        held = keys_of(self.app, text)
        unknown = [key for key in held.accepts if key not in self.known] if held else []
        if unknown:
            raise ValueError(
                f"{path} holds {', '.join(unknown)} now, which is not in the keyring: it was left as it is"
            )

    def restart_and_prove(self, restart: bool) -> Dict[str, Any]:
        """Restart the application if asked, then look until it is proven twice or the time is over."""
        app = self.app
        deadline = time.monotonic() + app["timeout"]
        if restart:
            self.restart(deadline, self.before)
        while True:
            first = self.look_again()
            good = not self.unproven(first)
            if (
                not good
                and not self.did["restarted"]
                and first["workers"]
                and not self.before["workers"]
                and self.restartable()
            ):
                # A socket, say, has started it since, and it may have read the file of before.
                self.restart(deadline, first)
                continue
            if good:
                time.sleep(app["settle"] if first["workers"] else 0)
                second = compared(first, self.look_again())
                if not self.unproven(second):
                    return second
                first = second
            if time.monotonic() >= deadline:
                return first
            time.sleep(PAUSE)

    def restartable(self) -> bool:
        """Whether anything says how the application is restarted."""
        return bool(self.app["service"] or self.app["restart_command"])

    def restart(self, deadline: float, seen: Mapping[str, Any]) -> None:
        """Restart what was `seen` to run: a unit that is stopped on this host, a scheduler say, is not started by a rotation."""
        self.did["restarted"] = True
        stopped = [unit["name"] for unit in seen["units"] if unit["active"] == "inactive"]
        running = [name for name in self.app["service"] if units.full_name(name) not in stopped]
        if running:
            units.restart(running, max(1.0, deadline - time.monotonic()), scope=self.app["service_scope"])
        if self.app["restart_command"]:
            units.run(self.app["restart_command"], max(1.0, deadline - time.monotonic()))

    def look_again(self) -> Dict[str, Any]:
        """Look, leaving out our own lock."""
        return {**look_once(self.app, self.known, self.request.nonce), "visit": None}

    def unproven(self, seen: Mapping[str, Any]) -> List[str]:
        """What keeps the host from being proven."""
        return rules.unproven(self.request.order, seen, self.request.converge, self.before)

    def proven(self, seen: Dict[str, Any]) -> Dict[str, Any]:
        """Write the record of a proof, and return the evidence with it."""
        signs = self.request.order.signs
        if not self.request.converge and seen["files"]:
            signs = seen["files"][0]["signs"]
        kept = {
            "signs": signs,
            "workers": rules.remembered(self.before, seen),
            # The moment of the look that proved it, so that this very evidence may show that a soak of no length is over.
            "stopped": history.after(self.before, signs, seen["now"]),
            "files": {file["path"]: file["identity"] for file in seen["files"]},
        }
        return {**seen, "record": self.note("proven", kept)}

    def left_behind(self) -> List[str]:
        """Say where keys of before still are, under another name of a file that was replaced."""
        return [
            f"{path} had another name (hard link), under which the keys of before still are: find / -xdev -inum {inode} names it"
            for path, inode in self.linked.items()
        ]

    def second_names(self) -> Dict[str, int]:
        """Return the files that had another name when they were last written, each with the inode that the name still has."""
        before = (self.before["record"] or {}).get("linked") or {}
        return {**{path: inode for path, inode in before.items() if path not in self.did["written"]}, **self.linked}

    def note(self, state: str, kept: Mapping[str, Any]) -> Dict[str, Any]:
        """Write the record."""
        app, request = self.app, self.request
        return record.save(
            app["state_dir"],
            app["name"],
            request.token,
            request.step,
            state,
            {**kept, "linked": self.second_names()},
            request.order.leaked,
            app["host"],
        )

    def fall_back(self, found: List[str], old_texts: Mapping[str, Optional[str]]) -> Dict[str, Any]:
        """After a failed proof put our old settings back where the step admits them, and say what is true now."""
        safe = not self.was_down and all(
            not file["problem"] and self.request.order.may_restore(file["signs"], file["accepts"])
            for file in self.before["files"]
        )
        if not self.did["written"]:
            found.append("the env file was not changed")
        elif not safe:
            found.append("the new env file stays: at this step the settings of before are not safe any more")
        else:
            try:
                self.put_back(old_texts)
                found.append("the settings of before were put back, and the application runs with them")
            except TROUBLE as error:
                self.did["down"] = True
                found.append(
                    f"the settings of before could not be put back into effect either ({words(error)}): THE APPLICATION MAY BE DOWN ON THIS HOST"
                )
        try:
            self.note("unproven", self.before["record"] or {})
            seen = self.look_again()
        except TROUBLE as error:
            seen = {**self.before, "settled": False}
            found.append(f"the host's record cannot be written, or the host not be looked at: {words(error)}")
        found.append(AGAIN)
        return self.result(seen, found)

    def put_back(self, old_texts: Mapping[str, Optional[str]]) -> None:
        """Write our settings of before on the files as they are now, and see the application run with them."""
        app = self.app
        names = app["profile"].names
        values: Dict[str, Dict[str, Optional[str]]] = {}
        for path in self.did["written"]:
            held = keys_of(app, old_texts[path] or "")
            if not held or not self.request.order.may_restore(held.signs, held.accepts):
                raise ValueError(f"{path} held settings that this step does not admit")
            old = env_text.read(old_texts[path] or "", app["env_format"], names)
            values[path] = {name: old.get(name) for name in names}
        self.write(values)
        self.did["restored"] = True
        if not self.did["restarted"]:
            return
        order = self.request.order
        deadline = time.monotonic() + app["timeout"]
        self.restart(deadline, self.look_again() if not self.before["workers"] else self.before)
        wanting = ["no look was taken"]
        while wanting and time.monotonic() < deadline:
            time.sleep(PAUSE)
            wanting = rules.unproven(order, self.look_again(), False, self.before)
        if wanting:
            raise ValueError("; ".join(wanting))

    def result(self, seen: Mapping[str, Any], found: List[str]) -> Dict[str, Any]:
        """Return what the module returns."""
        outcome = {
            "changed": bool(self.did["written"] or self.did["restarted"]),
            # A visit that was cut off is finished by one that may have nothing left to change.
            "needed": bool(self.did["written"] or self.did["restarted"])
            or (self.before["record"] or {}).get("state") in ("visiting", "unproven"),
            "proven": not found,
            "did": self.did,
            "evidence": dict(seen),
            "diff": {
                "before": describe(self.before),
                "after": describe_order(self.request) if self.did["written"] else describe(self.before),
            },
        }
        told = [*found, *self.left_behind()]
        if told:
            outcome["msg"] = ". ".join(told)
        if found:
            # A host that was down before is no worse now, and where it matters others must not wait for it: the closing count does.
            outcome["failed"] = not (self.request.order.urgent and self.was_down and self.did["restarted"])
        return outcome


def keys_of(app: Mapping[str, Any], text: str) -> Optional[Keys]:
    """Return what an env file's text says, in fingerprints; None where it holds no key that can be read."""
    try:
        keys = decode(app["profile"], env_text.read(text, app["env_format"], app["profile"].names))
    except SettingsError as error:
        if error.kind == "absent":
            return None
        raise
    return Keys(fingerprint(keys.signs), [fingerprint(key) for key in keys.accepts])


def encode_for(request: Request) -> Dict[str, Optional[str]]:
    """Return the values that the step writes."""
    order, secrets = request.order, request.secrets
    keys = Keys(secrets[order.signs], [secrets[key] for key in order.accepts])
    return dict(encode(request.app["profile"], keys))


def describe(seen: Mapping[str, Any]) -> str:
    """Return what the env files say, in fingerprints: what a diff may show."""
    lines = []
    for file in seen["files"]:
        said = (
            file["problem"]["text"]
            if file["problem"]
            else f"signs {file['signs']}, accepts {' '.join(file['accepts'])}"
        )
        lines.append(f"{file['path']}: {said}\n")
    return "".join(lines)


def describe_order(request: Request) -> str:
    """Return what the env files say after the visit, in fingerprints."""
    order = request.order
    return "".join(
        f"{path}: signs {order.signs}, accepts {' '.join(order.accepts)}\n" for path in request.app["env_file"]
    )
