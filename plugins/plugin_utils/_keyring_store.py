# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every store of keyrings does, whatever it is made of. `stores` finds the one that `app_keys_keyring` names."""

from __future__ import annotations

import abc
from typing import Any, Container, Dict, NamedTuple, Optional, Tuple

from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._keyring_shapes import Keyring


class KeyringFileError(PhasedKeysError):
    """The keyring could not be read or written; the text says why and what to do."""


class NotWrittenError(KeyringFileError):
    """The keyring is as it was before, and `why`. Whoever has had hosts visited before says otherwise what is true then."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}. Nothing was changed")
        self.why = why


class UnknownError(KeyringFileError):
    """It is not known whether the keyring was written: the store gave no clear answer, and what was sent may still arrive."""


class Seen(NamedTuple):
    """What lies in a store, whatever it is once it is opened; `mark` tells the store which text that was."""

    document: Dict[str, Any]
    vault_id: str
    secret: Any
    mark: Any


class Store(abc.ABC):
    """One application's keyring in one place.

    What lies there is the vault envelope and nothing else: secrets are in the open in the memory of the run alone. Errors are
    KeyringFileErrors, and NotWrittenErrors where it is certain that nothing was written; where it is not, the text says so.
    """

    # What the keyring is called in messages: its path, or its URL, in which no password can be.
    path: str
    # Where it lies on this machine; None where it lies elsewhere.
    local: Optional[str] = None

    @abc.abstractmethod
    def __init__(self, place: str, loader: Any) -> None:
        """Take the place as `stores.place` returns it, and the vault secrets of `loader`. Nothing is read yet."""

    @abc.abstractmethod
    def exists(self) -> bool:
        """Whether there is a keyring, or anything else in its place."""

    @abc.abstractmethod
    def load(self, name: Optional[str] = None) -> Keyring:
        """Return the keyring as it is now, checked (`keyring.check`), and that of the application `name` where that is given."""

    @abc.abstractmethod
    def for_visits(self, name: str) -> Tuple[Keyring, Container[str]]:
        """Return what visits need of the keyring (see `membership.for_visits`), and the names of all members.

        Every visit of a run asks, each in a process of its own: it has to be quick where nobody has written since.
        """

    @abc.abstractmethod
    def ready(self) -> None:
        """See that a first keyring can be written, before anybody is asked for its keys."""

    @abc.abstractmethod
    def create(self, keyring: Keyring) -> Keyring:
        """Write a first keyring, and return it as written, one revision on. One that exists is never overwritten."""

    @abc.abstractmethod
    def replace(self, keyring: Keyring) -> Keyring:
        """Write the keyring and return it as written, one revision on, sealed with the vault id and secret that opened it.

        Only if what is there is still what `keyring` was made from, by id and revision: that is compared and written in one, whoever
        else writes at that moment (NotWrittenError for all but one of them). When it returns, the new one outlasts a crash.
        """

    @abc.abstractmethod
    def seen(self) -> Optional[Seen]:
        """Return what lies there and can be opened, be it a keyring or what is in its place while one moves; None where nothing does."""

    @abc.abstractmethod
    def swap(self, seen: Optional[Seen], new: Seen) -> None:
        """Put another document there, sealed with the id and secret of `new`, if what lies there is still what was `seen` (None: nothing)."""
