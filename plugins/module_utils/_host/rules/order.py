# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the open step asks of a host: all of the keyring that a host ever sees."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence


class Token(NamedTuple):
    """What orders the steps: a host that has seen a later one refuses an earlier one."""

    keyring: str
    counter: int
    nonce: str


class Order(NamedTuple):
    """What the open step asks of every host, all in fingerprints.

    signs, accepts   the settings that a visit writes
    may_sign, must_accept, may_accept   the settings that are safe while the step is open: a
                     deploy leaves them alone, and a failed visit may go back to them
    known            every key that the keyring ever held: what else a host holds is not ours to overwrite
    leaked           the known keys that are marked as compromised: no failed visit brings one back
    incident           a rollout is taken back, or a leaked key is in use: a host whose application is down is changed too
    """

    signs: str
    accepts: List[str]
    may_sign: List[str]
    must_accept: List[str]
    may_accept: List[str]
    known: List[str]
    leaked: List[str]
    incident: bool

    def wants(self, signs: Optional[str], accepts: Sequence[str]) -> bool:
        """Whether these settings are the ones that the step is to bring about."""
        return signs == self.signs and set(accepts) == set(self.accepts)

    def admits(self, signs: Optional[str], accepts: Sequence[str]) -> bool:
        """Whether these settings are safe beside every other that the step allows."""
        return signs in self.may_sign and set(self.must_accept) <= set(accepts) <= set(self.may_accept)

    def has_ended(self, key: Optional[str]) -> bool:
        """Whether the keyring held this key once, and no host is to accept it any more."""
        return key in self.known and key not in self.may_accept

    def may_restore(self, signs: Optional[str], accepts: Sequence[str]) -> bool:
        """Whether a failed visit may put these settings back: safe ones that use no leaked key where the step does not."""
        brought_back = ({signs} - {self.signs}) | (set(accepts) - set(self.accepts))
        return self.admits(signs, accepts) and not brought_back & set(self.leaked)
