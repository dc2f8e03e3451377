# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to roll a key that has leaked: its soak is waived, and what it signed ends."""

from __future__ import annotations

from . import ring as rings
from . import soak
from .durations import stamp
from .ring import Ring

# What ends with a key, by the framework's own rules.
ENDS = {
    "django": "every login (the session's hash is checked against SECRET_KEY and SECRET_KEY_FALLBACKS), every password reset link, and all "
    "that the application signed with django.core.signing",
    "flask": "every session (the cookie is signed with it), and all that the application signed with itsdangerous",
    "itsdangerous": "everything that the application signed with it",
    "laravel": "every session and every other encrypted cookie, every signed URL and password reset link, and what the application stored with "
    "encrypt(): encrypt that anew first, or it is lost",
    "rails": "every session, every signed and encrypted cookie, signed ids, and messages of a verifier or encryptor",
    "airflow": "every stored connection and variable that was not encrypted anew: run `airflow rotate-fernet-key` first, or they are lost",
    "keygrip": "every cookie that was signed with it, sessions among them",
    "jupyterhub": "the stored auth_state of every user: they have to log in again",
}


def cost(ring: Ring, leaked: str, goal: str = "rollout") -> str:
    """Say what happens, and to whom, when this key is rolled without its soak by a playbook with this goal."""
    key = rings.find(ring, leaked)
    state = key["state"] if key else "unknown"
    ends = f"What {leaked} signed or encrypted ends at once when retire opens: {ENDS[ring['framework']]}"
    if state == "primary" and goal != "rollout":
        then = "phased.keys.rollout then lets go of it without a soak"
        return f"{leaked} signs now, and phased.keys.{goal} does its own step alone; {then}. {ends}"
    if state == "primary":
        return (
            f"{leaked} signs now. A new key is prepared and promoted on every host, then {leaked} is let go of without a soak. {ends}. Until then "
            "whoever has the key can still use it"
        )
    if key is not None and state == "retiring":
        over = soak.over_at(key)
        until = (
            f"its soak, which would last until {stamp(over)}, is waived" if over is not None else "its soak is waived"
        )
        return f"{leaked} is accepted everywhere and does not sign after the step that is under way; {until}. {ends}"
    if state == "staged":
        return f"{leaked} has never signed. It is taken back from every host, and nothing that anybody holds ends"
    if state == "dropping":
        return f"{leaked} is being let go of already: that step is finished, and nothing else ends"
    return f"{leaked} is {state}: no host is to accept it, and nothing ends. The mark is all that changes"
