# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile that was in force when a keyring was begun: a later release, or the inventory, never puts another in its place silently."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from .._host.rules import frameworks, shipped
from .._keyring_shapes import KeyringCore, RecordedProfile
from . import at_rest

READ_OTHERWISE = (
    "the keyring was adopted for {was} with app_keys_settings {was_settings}, and the inventory says {now} with {now_settings}: the hosts would "
    "be given settings that their applications do not read. Put the variables back"
)
CHANGED = (
    "the profile {name} of this release is another than the keyring was adopted with: {differs}. The hosts would be given what their applications "
    "do not read, or let go of keys at another time. {cure}, or use the release that wrote the keyring"
)
SAY_IT = "To keep what is in force give app_keys_settings: {settings}"
ANEW = "If the applications read it so by now, move the keyring away and begin another with phased.keys.adopt"


def recorded(profile: frameworks.Profile) -> RecordedProfile:
    """Return what a keyring keeps of a profile: all that decides what hosts are given, and when keys end."""
    return {
        "outputs": [
            {
                "names": list(output.names), "place": output.place, "holds": output.holds, "way": output.way,
                "separator": output.separator, "decode": output.decode,
            }
            for output in profile.outputs
        ],
        "signs": profile.signs, "key": profile.key, "soak": None if profile.soak is None else str(profile.soak),
        "least": profile.least, "most": profile.most, "at_rest": bool(profile.at_rest), "spread": profile.spread,
    }  # fmt: skip


def of(framework: str, settings: Mapping[str, Any]) -> RecordedProfile:
    """Return the same of a framework with what an application does otherwise, but for what is at rest: that may be said anew."""
    return recorded(frameworks.profile(framework, {name: settings[name] for name in settings if name != "at_rest"}))


def why_another(keyring: KeyringCore, framework: str, settings: Any) -> Optional[str]:
    """Say what differs between the profile of these variables and that with which the keyring was begun; None where nothing does."""
    was: Any = keyring.get("profile")
    unlike = at_rest.unlike(keyring, framework, settings)
    if was is None and not unlike:
        return None
    missed = "at_rest" in keyring["settings"] and "at_rest" not in settings
    if was is not None and shipped.module_of(keyring["framework"]) == shipped.module_of(framework) and not missed:
        now: Any = of(framework, settings)
        differs = [field for field in now if now[field] != was.get(field)]
        if not differs:
            return None
        if not unlike:
            words = "; ".join(f"{field} was {_short(was.get(field))}, and is {_short(now[field])}" for field in differs)
            return CHANGED.format(name=framework, differs=words, cure=_cure(was, differs, settings))
    return READ_OTHERWISE.format(
        was=keyring["framework"], was_settings=keyring["settings"], now=framework, now_settings=settings
    )


def _cure(said: Mapping[str, Any], differs: Any, settings: Mapping[str, Any]) -> str:
    """Say how the variables keep what was in force, where they can."""
    outputs = said["outputs"]
    main, last = outputs[0], outputs[-1]
    fields = {
        "primary": main["names"][0], "fallbacks": last["names"][0], "separator": "json" if last["way"] == "json" else last["separator"],
        "signs": said["signs"], "decode": main["decode"], "key": said["key"], "soak": said["soak"],
    }  # fmt: skip
    if set(differs) <= {"key", "soak"}:
        return SAY_IT.format(settings={**settings, **{field: fields[field] for field in differs}})
    listed = last["way"] in ("join", "json") and len(main["names"]) == 1 and said["signs"] in ("first", "last")
    if not listed or not set(differs) <= {"outputs", "signs", "key", "soak"}:
        return ANEW
    return SAY_IT.format(settings={**settings, **fields})


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(
            f"{', '.join(one['names'])} ({one['holds']}, {one['way']}{one['separator']})" for one in value
        )
    return str(value)
