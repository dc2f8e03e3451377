# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring's file on the controller.

Every write compares the revision under a short lock: an action's lock ends with its process, so no lock can be held from one
task to the next.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Container, Iterator, Optional, Tuple

from ..module_utils._host import files
from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._keyring_shapes import Keyring
from . import _keyring_damage as keyring_damage
from ._keyring_envelope import OPENED, WITHOUT_IT, Opened, SealedStore
from ._keyring_store import KeyringFileError, NotWrittenError, Seen

__all__ = ["OPENED", "KeyringFile", "KeyringFileError", "NotWrittenError"]

LOCK_WAIT = 10.0
# The journal and the records of retired keys only grow, and the vault's hexadecimal makes them four times as long.
LARGEST = 256 * 1024 * 1024


class KeyringFile(SealedStore):
    """One application's keyring at `path`, opened with the secrets of `loader`.

    Whose folder it is in does not matter: whoever can write there decides what the playbooks beside it do, too.
    """

    def __init__(self, place: str, loader: Any) -> None:
        super().__init__(place, loader)
        self.local = place

    def exists(self) -> bool:
        """Whether there is a keyring, or anything else in its place."""
        return os.path.lexists(self.path)

    def load(self, name: Optional[str] = None) -> Keyring:
        """Return the keyring; KeyringFileError where it cannot be used."""
        return self._known(self._read(), name)

    def for_visits(self, name: str) -> Tuple[Keyring, Container[str]]:
        """Return what visits need of the keyring (see `membership.for_visits`), and the names of all members; errors as with `load`.

        The file is read only if it was written since another process of this run did.
        """
        try:
            written = files.identity(self.path)
        except OSError:
            written = None  # `load` says why
        return self._excerpt(name, written)

    def ready(self) -> None:
        """See that a first keyring can be written, before anybody is asked for its keys; KeyringFileError where it cannot."""
        self._seal()
        folder = os.path.dirname(self.path)
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not os.path.isdir(folder):
            raise NotWrittenError(f"{self.path} cannot be written: {folder} is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise NotWrittenError(
                f"{self.path} cannot be written: {folder} is not writable for the user who runs ansible-playbook (become is for the hosts)"
            )

    def create(self, keyring: Keyring) -> Keyring:
        """Write a first keyring; one that exists is never overwritten."""
        vault_id, secret = self._seal()
        self._make_folder()
        with self._locked():
            if self.exists():
                raise NotWrittenError(f"{self.path} exists: a keyring that exists is never overwritten")
            return self._write(Opened(keyring, vault_id, secret))

    def replace(self, keyring: Keyring) -> Keyring:
        """Write the keyring if it is still the one that `keyring` was made from, and return it as written."""
        with self._locked():
            present = self._opened(self._read(), keyring["name"])
            if (present.keyring["id"], present.keyring["revision"]) != (keyring["id"], keyring["revision"]):
                raise NotWrittenError(
                    f"{self.path} was changed by somebody else meanwhile (revision {present.keyring['revision']}, and {keyring['revision']} "
                    "was read): run again"
                )
            return self._write(Opened(keyring, present.vault_id, present.secret))

    def seen(self) -> Optional[Seen]:
        """Return what lies there and can be opened."""
        if not self.exists():
            return None
        content = self._read()
        return self._seen(content, content)

    def swap(self, seen: Optional[Seen], new: Seen) -> None:
        """Put another document there, if what lies there is still what was seen."""
        self._make_folder()
        with self._locked():
            if (self._read() if self.exists() else None) != (seen.mark if seen else None):
                raise NotWrittenError(f"{self.path} was changed by somebody else meanwhile: run again")
            self._put(self._envelope(new.document, new.vault_id, new.secret))

    def _make_folder(self) -> None:
        folder = os.path.dirname(self.path)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise NotWrittenError(
                f"{folder} cannot be made: {keyring_damage.why(error, keyring_damage.WRITE_ADVICE)}"
            ) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # Two links to one keyring have one lock.
        folder, base = os.path.split(os.path.realpath(self.path))
        lock = files.Lock(os.path.join(folder, f".{base}.lock"), wait=LOCK_WAIT, own=False)
        try:
            lock.__enter__()
        except files.Locked as error:
            raise NotWrittenError(
                f"{self.path} is locked by another run: {error}. Run again when that has ended"
            ) from None
        except OSError as error:
            raise NotWrittenError(self._cannot_be_written(error)) from None
        try:
            yield
        finally:
            lock.__exit__()

    def _read(self) -> bytes:
        """Return the vault envelope."""
        try:
            text = files.read_text(self.path, LARGEST)
        except (OSError, PhasedKeysError) as error:
            said = keyring_damage.why(error, keyring_damage.READ_ADVICE)
            raise KeyringFileError(f"{self.path} cannot be read: {said}. {WITHOUT_IT}") from None
        if text is None and self.exists():
            raise KeyringFileError(
                f"{self.path} is a link to {os.path.realpath(self.path)}, which is not there: mount it, fetch it, or set app_keys_keyring. "
                f"{WITHOUT_IT}"
            )
        if text is None:
            raise KeyringFileError(
                f"there is no keyring at {self.path}: run phased.keys.adopt first, or set app_keys_keyring"
            )
        return self._usable(text.encode("utf-8", "surrogateescape"))

    def _write(self, opened: Opened) -> Keyring:
        keyring, sealed = self._sealed(opened)
        self._put(sealed)
        return keyring

    def _put(self, sealed: str) -> None:
        try:
            files.replace_text(self.path, sealed, mode=0o600)
        except OSError as error:
            if self._holds(sealed):
                raise KeyringFileError(
                    f"{self.path} is written, and its folder could not be flushed to the disk ({os.strerror(error.errno or 0)}): after a crash the "
                    "one before may be back. See to that disk, and run again: the next run goes on from what is there"
                ) from None
            raise NotWrittenError(self._cannot_be_written(error)) from None

    def _cannot_be_written(self, error: OSError) -> str:
        return f"{self.path} cannot be written: {keyring_damage.why(error, keyring_damage.WRITE_ADVICE)}"

    def _holds(self, sealed: str) -> bool:
        try:
            return files.read_text(self.path, LARGEST) == sealed
        except OSError:
            return False
