# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that encrypt what is stored never end by a clock: they wait until that was encrypted anew with the key that signs, and shown.

That is done once for the fleet, after every host signs with that key: what a host stored before would still need another one. It counts for
that key alone, so a later rollout, and one that is taken back, needs it anew. Where a host may have signed with another key after it began,
it has to be done once more. A leaked key waits for it too: its soak is waived, and what lies in a database is lost and not just logged out.
"""

from __future__ import annotations

import copy
from typing import Any, List, Mapping, Optional, Sequence

from .._host.rules import frameworks
from .._host.rules.durations import epoch, in_words, stamp
from .._host.rules.history import stopped
from .._keyring_shapes import Key, Keyring, KeyringCore, Reencrypted, Settings
from .._shapes import Evidence
from . import keyring as keyrings
from .keyring import KeyringError, note

# For how long the secret of such a key is kept after it has ended, unless app_keys_keep_sealed says otherwise (seconds).
KEPT = 90 * 86400.0
FORGOTTEN = "the re-encryption no longer counts"
HOW = (
    "set app_keys_reencrypt, with which phased.keys.rollout does it; or do it by hand, now that every host signs with {key}, and then run "
    "phased.keys.rollout -e app_keys_reencrypted={key}"
)


def stored(keyring: KeyringCore) -> List[str]:
    """Return what the keys of this keyring encrypt that is stored; empty where nothing is."""
    profile = frameworks.profile(keyring["framework"], keyring["settings"])
    return [one["what"] for one in profile.at_rest]


def waiting(keyring: KeyringCore) -> List[Key]:
    """Return the keys that what is at rest may still need: all that signed before, until it was encrypted anew with the one that signs."""
    if not stored(keyring) or "reencrypted" in keyrings.primary(keyring):
        return []
    return keyrings.in_state(keyring, "retiring")


def due(keyring: KeyringCore) -> bool:
    """Whether it is time to encrypt anew: keys wait for it, and by the closing count every host signs with the new one."""
    waits = waiting(keyring)
    return bool(waits) and all("soaking" in key["times"] for key in waits)


def why(keyring: KeyringCore) -> str:
    """Say what is waited for, of a keyring of which keys wait."""
    keys = ", ".join(key["fingerprint"] for key in waiting(keyring))
    return f"{keys} is needed until what is at rest ({'; '.join(stored(keyring))}) is encrypted anew"


def how(keyring: KeyringCore) -> str:
    """Say what to do about it."""
    return HOW.format(key=keyrings.primary(keyring)["fingerprint"])


def why_not_back(keyring: KeyringCore, fingerprint: str) -> Optional[str]:
    """Say why a key that has ended cannot be accepted once more, for what it encrypted; None where it can."""
    key = keyrings.find(keyring, fingerprint)
    if key is None:
        return f"app_keys_bring_back names {fingerprint}, which this keyring never held"
    if key["state"] not in keyrings.ENDED:
        return f"app_keys_bring_back names {fingerprint}, which is {key['state']} and has not ended"
    if key["secret"] is None:
        return f"app_keys_bring_back names {fingerprint}, whose secret is destroyed: app_keys_keep_sealed is over, or there was none"
    if "compromised" in key["marks"]:
        return f"app_keys_bring_back names {fingerprint}, which has leaked: whoever has it would be let in. Decrypt by hand what needs it"
    return None


def brought_back(keyring: KeyringCore) -> List[Key]:
    """Return the staged key if it is one that had ended: it is accepted, and never signs."""
    return [key for key in keyrings.in_state(keyring, "staged") if "brought_back" in key["marks"]]


def keep_sealed(given: Optional[float], stores: bool) -> float:
    """Return for how long the secret of a key that is let go of is kept (seconds): what is `given`, else by whether its application stores anything."""
    return float(given) if given is not None else KEPT if stores else 0.0


def unlike(keyring: KeyringCore, framework: str, settings: Mapping[str, Any]) -> bool:
    """Whether an inventory says another form of keys than the keyring was adopted for.

    What is at rest is not their form, and may be said anew; only a word that is taken away altogether says nothing, and is missed.
    """
    said = [
        {name: value for name, value in each.items() if name != "at_rest"} for each in (keyring["settings"], settings)
    ]
    return keyring["framework"] != framework or said[0] != said[1] or left_out(keyring, settings)


def left_out(keyring: KeyringCore, settings: Mapping[str, Any]) -> bool:
    """Whether an inventory says nothing of what is at rest where the keyring has a word of it."""
    return "at_rest" in keyring["settings"] and "at_rest" not in settings


def said(keyring: Keyring, settings: Settings, now: float) -> Keyring:
    """Return the keyring with what the inventory says is at rest; the same object where it says nothing else."""
    if settings.get("at_rest") == keyring["settings"].get("at_rest"):
        return keyring
    before = "; ".join(stored(keyring)) or "nothing"
    keyring = copy.deepcopy(keyring)
    keyring["settings"]["at_rest"] = settings["at_rest"]
    after = "; ".join(stored(keyring)) or "nothing"
    note(keyring, now, f"at rest is {after} by app_keys_settings, and not {before}")
    return keyring


def told(keyring: KeyringCore, key: Key, now: float) -> str:
    """Say of a key what it has to do with what is at rest: who waits, what was done, until when a secret is kept; empty for nothing."""
    if key["fingerprint"] in [one["fingerprint"] for one in waiting(keyring)]:
        return "needed by what is at rest"
    entry = key.get("reencrypted")
    if entry and key["state"] == "primary":
        return f"all that is at rest is encrypted with it since {entry['at']}, by {entry['by']}"
    if key["state"] in keyrings.ENDED and key["secret"] is not None and keyrings.sealed_until(key) > now:
        return f"its secret stays sealed until {stamp(keyrings.sealed_until(key))}"
    return ""


def promised(keyring: KeyringCore) -> str:
    """Say with promote what its keys encrypt, and that no clock ends them; empty where they encrypt nothing that is stored."""
    what = stored(keyring)
    return (
        f"; what is at rest ({'; '.join(what)}) has to be encrypted anew before retire, whatever the clock says"
        if what
        else ""
    )


def why_not_said(keyring: KeyringCore, key: str) -> Optional[str]:
    """Say why the word that what is at rest was encrypted anew with `key` cannot be taken; None where it can."""
    signs = keyrings.primary(keyring)["fingerprint"]
    if not stored(keyring):
        return f"app_keys_reencrypted is given, and by its profile {keyring['framework']} stores nothing that its keys encrypt"
    if key != signs:
        return f"app_keys_reencrypted is {key}, and the key that signs is {signs}: what is at rest has to be encrypted with that one"
    if waiting(keyring) and not due(keyring):
        step = keyring["step"]["name"]
        return (
            f"app_keys_reencrypted is {key}, and {step} is still open: not every host signs with it yet, and what they store until then would need "
            "another key. Run phased.keys.rollout without it, then encrypt anew"
        )
    return None


def began(keyring: Keyring, by: str, now: float) -> Keyring:
    """Return the keyring with it written down that the re-encryption begins: should it be cut off, the journal tells."""
    keyring = copy.deepcopy(keyring)
    note(keyring, now, f"re-encryption began on {by}", key=keyrings.primary(keyring)["fingerprint"])
    return keyring


def done(keyring: Keyring, key: str, by: str, began_at: float, now: float) -> Keyring:
    """Return the keyring in which all that is at rest is encrypted with `key`, the one that signs; KeyringError where it is not that."""
    wrong = why_not_said(keyring, key)
    if wrong:
        raise KeyringError(wrong)
    keyring = copy.deepcopy(keyring)
    entry: Reencrypted = {"began": stamp(began_at), "at": stamp(now), "by": by}
    keyrings.primary(keyring)["reencrypted"] = entry
    note(keyring, now, f"re-encrypted by {by}", key=key)
    return keyring


def forgotten(keyring: Keyring, members: Sequence[str], now: float) -> Keyring:
    """Return the keyring in which it has to be done once more, since these members may have signed with another key after it began."""
    keyring = copy.deepcopy(keyring)
    signs = keyrings.primary(keyring)
    del signs["reencrypted"]
    note(keyring, now, FORGOTTEN, key=signs["fingerprint"], members=list(members))
    return keyring


def shortfall(keyring: KeyringCore, evidence: Evidence, key: Key, now: float, age: float = 0.0) -> Optional[str]:
    """Say why a host may have stored something with this key since the re-encryption began; None where it has not.

    By durations, for the clocks of a host and of the controller (`now`, epoch) may differ. `age`: how old the evidence is, in seconds.
    """
    entry = keyrings.primary(keyring).get("reencrypted")
    if not entry or not stored(keyring):
        return None
    ago = evidence["now"] - stopped(evidence, key["fingerprint"]) + age
    since = now - epoch(entry["began"])
    if ago >= since:
        return None
    return f"may have signed with {key['fingerprint']} until {in_words(max(0.0, ago))} ago, and the re-encryption began {in_words(max(0.0, since))} ago"
