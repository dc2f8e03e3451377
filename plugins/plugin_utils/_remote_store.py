# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring in a store that is reached over a network or by a program: what is common to all of them.

A new store is one file with one class, a `Remote`: it reads a text with its version, and writes a text if the version is still that.
It tries once and says what it knows; to try again, and to find out whether a write has landed, is done here (`landing` decides).
"""

from __future__ import annotations

import abc
import base64
import hashlib
import secrets
import time
import zlib
from typing import Any, Callable, Container, Iterator, List, NamedTuple, Optional, Tuple

from ansible.utils.display import Display

from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import landing, store_url
from ..module_utils._rules.store_url import Url
from . import _run_folder as run_folder
from ._keyring_envelope import WITHOUT_IT, Opened, SealedStore
from ._keyring_store import KeyringFileError, NotWrittenError, Seen, UnknownError

# How long (seconds) a store may give no clear answer: a read is tried again for so long, and a write.
READING, WRITING = 15.0, 60.0
PAUSES = (0.1, 0.3, 1.0, 2.0)
# A visit goes by what this run read last, unless that is older (seconds): the gate reads anew each time.
FRESH = 60.0
MARK = b"phased.keys/zlib\n"  # before a text that is compressed, in base64
NEARLY_FULL = 0.75
LARGEST = 64 * 1024 * 1024  # of a text once it is no longer compressed


class Answer(PhasedKeysError):
    """What a store answers other than yes: a reason, and what to do."""


class Unclear(Answer):
    """No answer, or one that does not say whether anything was done: the store is down, busy or slow."""


class Denied(Answer):
    """A clear no that another try would not change: forbidden, full, too large, no such repository. This try has changed nothing."""


class Other(Answer):
    """The version that lies there is not the one that was to be replaced."""


class Deleted(Answer):
    """There was a text, and it was deleted: that is not the same as one that never was."""


class Text(NamedTuple):
    """What lies in a store: the text, and its version, which no other text there has or will have."""

    text: bytes
    version: str


class Remote(abc.ABC):
    """One place in a store. Every call is one try, ends by itself, and raises one of the answers above; no library behind it tries again."""

    # The most bytes that a text may have; 0: as many as there are.
    largest = 0
    # Where it lies on this machine, if it does.
    local: Optional[str] = None

    @abc.abstractmethod
    def __init__(self, url: Url) -> None:
        """Take the place; Denied where the URL does not name one, or where what is needed to reach it is not installed."""

    @abc.abstractmethod
    def read(self) -> Optional[Text]:
        """Return what lies there now, never what lay there before; None where there is nothing. Deleted, Denied, Unclear."""

    @abc.abstractmethod
    def write(self, text: bytes, version: Optional[str]) -> str:
        """Write the text in one with the comparison, and return its version: if what lies there has this one; None: if nothing does.

        Other, Denied, Unclear.
        """


class RemoteKeyring(SealedStore):
    """One application's keyring in a remote store."""

    def __init__(self, place: str, loader: Any, kind: Callable[[Url], Remote]) -> None:
        super().__init__(place, loader)
        try:
            self.remote = kind(store_url.read(place))
        except store_url.StoreUrlError as error:
            raise KeyringFileError(f"{error}. Nothing was changed") from None
        except Denied as error:
            raise KeyringFileError(f"{place}: {error}. Nothing was changed") from None
        self.local = self.remote.local
        self.last: Optional[Text] = None  # what this task has read or written last
        self.seen_before: List[Optional[Text]] = []  # what `exists` has read, for the `load` that follows

    def exists(self) -> bool:
        """Whether there is a keyring; KeyringFileError where that cannot be told, or where one was deleted."""
        self.seen_before = self.seen_before or [self._text()]
        return self.seen_before[0] is not None

    def load(self, name: Optional[str] = None) -> Keyring:
        """Return the keyring as it lies in the store now."""
        text = self.seen_before.pop() if self.seen_before else self._text()
        if text is None:
            raise KeyringFileError(
                f"there is no keyring at {self.path}: run phased.keys.adopt first, or set app_keys_keyring"
            )
        self._remember(text)
        return self._keyring(text.text, name)

    def for_visits(self, name: str) -> Tuple[Keyring, Container[str]]:
        """Return what visits need of the keyring as this run knows it: read once, by one process, and not for each host."""
        kept = run_folder.text(self.path, FRESH)
        if kept is None:
            with run_folder.locked("store", WRITING + READING):
                kept = run_folder.text(self.path, FRESH)
                if kept is None:
                    self.load(name)
                    kept = run_folder.text(self.path, FRESH)
        return self._excerpt(name, hashlib.sha256(kept).hexdigest() if kept else None)

    def _for_visits(self, name: str) -> Keyring:
        kept = run_folder.text(self.path, FRESH)
        return self._keyring(kept, name) if kept else self.load(name)

    def ready(self) -> None:
        """See that a first keyring can be sealed, before anybody is asked for its keys; `exists` has seen that the store answers."""
        self._seal()

    def create(self, keyring: Keyring) -> Keyring:
        """Write a first keyring; one that exists is never overwritten."""
        vault_id, secret = self._seal()
        return self._put(Opened(keyring, vault_id, secret), None)

    def replace(self, keyring: Keyring) -> Keyring:
        """Write the keyring if what lies there is still what it was made from, and return it as written."""
        made_from = _of(keyring)
        last = self.last
        if last is None or _of(self._keyring(last.text, keyring["name"])) != made_from:
            last = self._look()
        there = self._open(last, keyring["name"])
        present = there.keyring
        if _of(present) != made_from:
            raise NotWrittenError(
                f"{self.path} was changed by somebody else meanwhile (revision {present['revision']}, and {keyring['revision']} was read): run again"
            )
        return self._put(there._replace(keyring=keyring), last)

    def seen(self) -> Optional[Seen]:
        """Return what lies there and can be opened."""
        text = self._text()
        return self._seen(self._usable(self._unpacked(text.text)), text) if text else None

    def swap(self, seen: Optional[Seen], new: Seen) -> None:
        """Put another document there, if what lies there is still what was seen."""
        mine = secrets.token_hex(8)
        carried = landing.ids(mine, new.document.get("writes", []))
        sealed = self._envelope({**new.document, "writes": carried}, new.vault_id, new.secret)
        self._carry_out(sealed, carried, seen.mark if seen else None)

    # --- reading ---

    def _text(self) -> Optional[Text]:
        """Return what lies there; KeyringFileError, after a few tries if there is no clear answer."""
        end = time.monotonic() + READING
        for pause in _pauses():
            try:
                return self.remote.read()
            except Unclear as error:
                if time.monotonic() + pause > end:
                    raise KeyringFileError(
                        f"{self.path} cannot be read: {error}. That does not mean that there is none. {WITHOUT_IT}: run again when the store answers"
                    ) from None
                time.sleep(pause)
            except Deleted as error:
                raise KeyringFileError(f"the keyring {self.path} was deleted: {error}. {WITHOUT_IT}") from None
            except Answer as error:
                raise KeyringFileError(f"{self.path} cannot be read: {error}. {WITHOUT_IT}") from None
        raise AssertionError("the pauses never end")

    def _look(self) -> Text:
        """Return what lies there; KeyringFileError where there is nothing any more."""
        text = self._text()
        if text is None:
            raise KeyringFileError(
                f"{self.path} is not there any more: somebody has deleted it. Put the last good version back. {WITHOUT_IT}"
            )
        return self._remember(text)

    def _remember(self, text: Text) -> Text:
        """Keep what lies there for this task, and for the visits of this run."""
        self.last = text
        run_folder.keep_text(self.path, text.text)
        return text

    def _open(self, text: Text, name: Optional[str]) -> Opened:
        return self._opened(self._usable(self._unpacked(text.text)), name)

    def _keyring(self, text: bytes, name: Optional[str]) -> Keyring:
        return self._known(self._usable(self._unpacked(text)), name)

    def _unpacked(self, text: bytes) -> bytes:
        """Return the envelope in a text that may be compressed."""
        if not text.startswith(MARK):
            return text
        unpacking = zlib.decompressobj()
        try:
            whole = unpacking.decompress(base64.b64decode(text[len(MARK) :], validate=False), LARGEST)
        except (zlib.error, ValueError):
            whole = b""
        if not whole or not unpacking.eof:
            raise KeyringFileError(f"{self.path} is cut off or damaged: put the last good version back. {WITHOUT_IT}")
        return whole

    # --- writing ---

    def _packed(self, envelope: bytes) -> bytes:
        """Return the text for an envelope, compressed where the store takes no large ones; NotWrittenError for one that is too large even so."""
        most = self.remote.largest
        text = (
            MARK + base64.b64encode(zlib.compress(envelope, 9)) + b"\n"
            if most and len(envelope) > most // 4
            else envelope
        )
        if most and len(text) > most:
            raise NotWrittenError(
                f"{self.path} cannot be written: the keyring has {len(text):,} bytes, and this store takes {most:,}. Keep it in a store without that "
                "limit (git, S3, a file)"
            )
        if most and len(text) > most * NEARLY_FULL:
            Display().warning(
                f"{self.path} has {len(text):,} bytes, and this store takes {most:,}: move the keyring to one without that limit (git, S3, a file) "
                "before it is full"
            )
        return text

    def _put(self, opened: Opened, replaced: Optional[Text]) -> Keyring:
        """Write what is opened over the text that it was made from, and find out whether it has landed."""
        mine = secrets.token_hex(8)
        carried = landing.ids(mine, opened.keyring.get("writes", []))
        keyring, sealed = self._sealed(opened._replace(keyring={**opened.keyring, "writes": carried}))
        self._carry_out(sealed, carried, replaced)
        return keyring

    def _carry_out(self, sealed: str, carried: List[str], replaced: Optional[Text]) -> None:
        """Write an envelope, and find out whether it has landed; NotWrittenError, UnknownError."""
        write = _Write(self, self._packed(sealed.encode()), carried, replaced)
        move = write.carried_out()
        self.seen_before = []
        if move == "unknown":
            raise UnknownError(
                f"it is not known whether {self.path} was written: {write.why}. No host is visited: run again when the store answers, and the next run "
                "goes by what is there then"
            )
        if move != "landed":
            raise NotWrittenError(write.why)
        if write.written:
            self._remember(write.written)
        else:
            # Somebody else has written over it already.
            self.last = None
            run_folder.forget_text(self.path)


class _Write:
    """One write, from its first try to the end. `carried` are the ids that its text carries, its own first."""

    def __init__(self, store: RemoteKeyring, text: bytes, carried: List[str], replaced: Optional[Text]) -> None:
        self.store, self.text, self.carried, self.replaced = store, text, carried, replaced
        self.version = replaced.version if replaced else None
        self.written: Optional[Text] = None  # what lies there, if it is this text
        self.why = ""

    def carried_out(self) -> landing.Move:
        """Try until it is known what has become of it, or until the time is over."""
        end, doubtful = time.monotonic() + WRITING, False
        pauses = _pauses()
        while True:
            answer = self._answer()
            move = landing.after_answer(answer, doubtful, time.monotonic() < end)
            doubtful = doubtful or answer == "unclear"
            while move == "read":
                move = landing.after_read(self._found(), doubtful, time.monotonic() < end)
                if move == "read":
                    time.sleep(next(pauses))
            if move not in ("again", "anew"):
                return move
            time.sleep(next(pauses))

    def _answer(self) -> landing.Answer:
        path = self.store.path
        try:
            self.written = Text(self.text, self.store.remote.write(self.text, self.version))
        except Unclear as error:
            self.why = f"{path} gives no clear answer: {error}"
            return "unclear"
        except Other:
            self.why = f"{path} was changed by somebody else meanwhile: run again"
            if self.replaced is None:
                self.why = f"{path} exists: a keyring that exists is never overwritten"
            return "other"
        except Answer as error:
            self.why = f"{path} cannot be written: {error}"
            return "refused"
        return "done"

    def _found(self) -> landing.Found:
        """Read what lies there, and hold it against this write."""
        try:
            there = self.store.remote.read()
        except Deleted:
            return self._gone()
        except Answer:  # none, or that it may not be read now: that tells nothing of the write
            return "unread"
        if there is None:
            return "same" if self.version is None else self._gone()
        if there.text == self.text:
            self.written = there
            return "ours"
        if self.replaced is not None and there.text == self.replaced.text:
            return self._replaced_again(there.version)
        try:
            found = self.store._seen(self.store._usable(self.store._unpacked(there.text)), there).document.get(
                "writes", []
            )
        except PhasedKeysError:
            return "strange"
        return landing.found(self.carried[0], found, self.carried[1:] if self.replaced else None)

    def _gone(self) -> landing.Found:
        self.why = f"{self.store.path} was deleted meanwhile: put the last good version back"
        return "gone"

    def _replaced_again(self, version: str) -> landing.Found:
        """The text that was to be replaced is there, perhaps as another version: somebody has changed something beside it, or set it back."""
        if version == self.version:
            return "same"
        self.version = version
        return "touched"


def _of(keyring: Keyring) -> Tuple[str, int]:
    return keyring["id"], keyring["revision"]


def _pauses() -> Iterator[float]:
    """Yield how long to wait before each further try, in seconds."""
    yield from PAUSES
    while True:
        yield PAUSES[-1]
