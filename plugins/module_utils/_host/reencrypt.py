# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `reencrypt` does on a host: it has the application encrypt anew what is at rest, and show that no other key is needed any more.

Both commands run as the application's user, with its environment. The proof has the key that signs and no other, as after retire: what
still needs another one cannot be read then, and it fails. A host that a killed controller has left goes on to the end, under its lock.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from . import app_check, arguments, files, record, run_as
from .look import look_once, read_file
from .problems import Unusable
from .rules.durations import seconds
from .rules.fingerprint import fingerprint
from .rules.frameworks import Keys, SettingsError, decode, encode
from .visit import end_by_itself

BY_HAND = ", or do it by hand and say so with app_keys_reencrypted"
UNDER_WAY = (
    "another visit, or a re-encryption that an earlier run began, is still under way: run again when it has ended"
)
# No part of a key may be shown: Laravel's commands name it without what stands before the colon.
LEAST = 8


def run(params: Mapping[str, Any], check: bool) -> Dict[str, Any]:
    """Run the commands, one after the other, and return whether both ended well; `check` changes nothing."""
    app = arguments.application(params)
    if check:
        return {"changed": False}
    end_by_itself()
    try:
        with files.Lock(record.lock_path(app["state_dir"], app["name"]), wait=app["timeout"]):
            return _run(app, params)
    except files.Locked as error:
        return {"changed": False, "failed": True, "msg": f"{error}: {UNDER_WAY}"}


def _run(app: Mapping[str, Any], params: Mapping[str, Any]) -> Dict[str, Any]:
    keys = _keys(app, params["key"])
    try:
        person = run_as.persons(app, look_once(app, [], "")["workers"])[0]
    except run_as.Refused as error:
        why = str(error).replace(f", {run_as.INSTEAD}", BY_HAND)
        return {"changed": False, "failed": True, "msg": f"it was not run: {why}"}
    hidden = [part for key in keys.accepts for part in (key, key.partition(":")[2]) if len(part) >= LEAST]
    # As the environment of the workers is after retire, which lets go of all other keys.
    alone = Keys(keys.signs, [keys.signs])
    for what, command, held in (("run", params["command"], keys), ("proof", params["shows"], alone)):
        environment = {**person.environment, **encode(app["profile"], held)}
        said = app_check.ask(
            person, command, environment, person.folder, seconds(params["within"], "within"), hidden, "it"
        )
        if not said["ok"]:
            text = f"app_keys_reencrypt.{what}, as {person.why}: {said['text']}"
            return {"changed": True, "failed": True, "msg": text}
    return {"changed": True, "shown": True, "user": person.why}


def _keys(app: Mapping[str, Any], expected: str) -> Keys:
    """Return the keys of the application, by its env file; Unusable where it does not sign with the expected one."""
    found: List[Tuple[str, str]] = []
    for path in app["env_file"]:
        entry, values = read_file(path, app)
        try:
            keys = decode(app["profile"], values)
        except SettingsError as error:
            found.append((path, entry["problem"]["text"] if entry["problem"] else str(error)))
            continue
        if fingerprint(keys.signs) == expected:
            return keys
        found.append((path, f"signs with {fingerprint(keys.signs)}, not with {expected}"))
    raise Unusable("; ".join(f"{path}: {text}" for path, text in found) + ": run phased.keys.rollout again")
