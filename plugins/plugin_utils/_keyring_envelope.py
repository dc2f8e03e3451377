# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in every store: a keyring as YAML in an Ansible Vault envelope.

It is encrypted with a vault secret that the user gave `ansible-playbook`, and stays with the id and the secret that opened it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import sys
from typing import Any, Container, Dict, Iterator, List, NamedTuple, Optional, Tuple

import yaml
from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.parsing.vault import (
    AnsibleVaultError,
    AnsibleVaultFormatError,
    VaultLib,
    match_encrypt_secret,
    parse_vaulttext_envelope,
)

from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import keyring as keyrings
from ..module_utils._rules import membership
from . import _forks as forks
from . import _keyring_damage as keyring_damage
from ._keyring_damage import Damage
from ._keyring_store import KeyringFileError, Seen, Store

# The keyring that was opened last, in the memory of the run alone: one derivation of the vault's key serves all hosts.
OPENED = forks.Shared()
# What visits need of it, and the names of its members: to read all of it in every visit would take a fleet of thousands longer than the
# rest of the visit.
EXCERPTS = forks.Shared(8 * 1024 * 1024)
HOW_TO_PASS = "give ansible-playbook --vault-password-file FILE, --vault-id LABEL@FILE or --ask-vault-pass"
# What Vault encrypts with. ansible-core takes it for granted, and says that it is missing only when it comes to that.
try:
    importlib.import_module("cryptography.hazmat.primitives.ciphers")
    CRYPTOGRAPHY = True
except Exception:  # what a broken one raises is its own
    CRYPTOGRAPHY = False

# libyaml where PyYAML was built with it: with thousands of members it takes a tenth of the time.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
WITHOUT_IT = "No step opens and no host is visited without the keyring"


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the garbage collector: it would walk a document of thousands again and again while that grows."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _grouped(document: Any) -> Any:
    """Return a document in which equal members are one object: YAML writes it once (an anchor), and then that it is the same (an alias)."""
    members = document.get("members")
    if not isinstance(members, dict):
        return document
    same: Dict[str, Any] = {}
    return {**document, "members": {name: same.setdefault(json.dumps(entry), entry) for name, entry in members.items()}}


class Opened(NamedTuple):
    """A keyring with the vault id and secret that opened it."""

    keyring: Keyring
    vault_id: str
    secret: Any


class Names(Container[str]):
    """The names of thousands of members, for a process that asks for one of them."""

    def __init__(self, lines: bytes) -> None:
        self.lines = lines

    def __contains__(self, name: object) -> bool:
        return self.line(name) in self.lines

    @staticmethod
    def line(name: object) -> bytes:
        """Return a name as it stands there."""
        return f"\n{json.dumps(name)}\n".encode()


class SealedStore(Store):
    """A store whose texts are such envelopes, opened with the secrets of `loader`."""

    def __init__(self, place: str, loader: Any) -> None:
        self.path = place
        self.secrets: List[Tuple[str, Any]] = list(loader._vault.secrets or [])

    def _known(self, content: bytes, name: Optional[str]) -> Keyring:
        """Return the keyring in an envelope, which is opened once in a run."""
        mark = b"\0".join([content, *self._secret_bytes()])
        kept = OPENED.get(mark)
        if kept is not None:
            keyring: Keyring = json.loads(kept)
            if name in (None, keyring["name"]):
                return keyring
        opened = self._opened(content, name).keyring
        OPENED.put(mark, json.dumps(opened).encode())
        return opened

    def _excerpt(self, name: str, written: object) -> Tuple[Keyring, Container[str]]:
        """Return what visits need of the keyring, read anew only if `written`, which tells one text from the next, is another (null: always)."""
        mark = b"\0".join([json.dumps([self.path, name, written]).encode(), *self._secret_bytes()])
        kept = EXCERPTS.get(mark) if written else None
        if kept is None:
            keyring = self._for_visits(name)
            lines = b"".join(Names.line(member) for member in keyring["members"])
            kept = json.dumps(membership.for_visits(keyring)).encode() + lines
            if written:
                EXCERPTS.put(mark, kept)
        end = kept.index(b"\n")
        return json.loads(kept[:end]), Names(kept[end:])

    def _for_visits(self, name: str) -> Keyring:
        """Return the keyring that visits are made of."""
        return self.load(name)

    def _secret_bytes(self) -> List[bytes]:
        return [secret.bytes for _id, secret in self.secrets]

    def _usable(self, content: bytes) -> bytes:
        """Return an envelope that looks like one, and that can be opened if its secret was given; else KeyringFileError."""
        damage = keyring_damage.of_file(content)
        if damage:
            raise self._damaged(damage)
        self._need_secrets("read")
        return content

    def _opened(self, content: bytes, name: Optional[str]) -> Opened:
        document, vault_id, secret = self._unsealed(content)
        try:
            keyring = keyrings.check(document, name)
        except keyrings.KeyringError as error:
            raise KeyringFileError(f"{self.path}: {error}. {WITHOUT_IT}") from None
        # Those that were written once are one object no longer.
        apart: Keyring = {**keyring, "members": {member: {**entry} for member, entry in keyring["members"].items()}}
        return Opened(apart, vault_id, secret)

    def _seen(self, content: bytes, mark: Any) -> Seen:
        """Return what stands in an envelope, whatever it is."""
        document, vault_id, secret = self._unsealed(content)
        if not isinstance(document, dict):
            raise KeyringFileError(f"{self.path}: this is not a keyring of phased.keys. {WITHOUT_IT}")
        return Seen(document, vault_id, secret, mark)

    def _unsealed(self, content: bytes) -> Tuple[Any, str, Any]:
        """Return what stands in an envelope, with the vault id and secret that opened it."""
        sealed_as = "default"
        try:
            sealed_as = parse_vaulttext_envelope(content)[3]
            plain, vault_id, secret = VaultLib(self.secrets).decrypt_and_get_vault_id(content)
        except AnsibleVaultFormatError:
            raise self._damaged(Damage("is cut off or damaged", keyring_damage.RESTORE)) from None
        except AnsibleError:
            ids = ", ".join(sorted({vault_id or "default" for vault_id, _secret in self.secrets}))
            label = f" (it was sealed as {sealed_as})" if sealed_as != "default" else ""
            raise KeyringFileError(
                f"{self.path} is opened by none of the vault secrets that were given ({ids}), or it is cut off or damaged: give this fleet's "
                f"secret{label} with --vault-id or --vault-password-file; if that is what was given, {keyring_damage.RESTORE}. {WITHOUT_IT}"
            ) from None
        damage = keyring_damage.conflict(plain)
        if damage:
            raise self._damaged(damage._replace(what=f"is decrypted, and {damage.what}"))
        return self._document(plain), vault_id, secret

    def _document(self, plain: bytes) -> Any:
        """Return what stands in an envelope."""
        try:
            with _uncollected():
                loader = LOADER(plain)
                try:
                    node = loader.get_single_node()
                    twice = keyring_damage.repeated(node)
                    document = None if node is None else loader.construct_document(node)
                finally:
                    loader.dispose()
        except (yaml.YAMLError, ValueError, RecursionError):
            # The parser's own message quotes the text, and with it a secret.
            raise self._damaged(Damage("is decrypted and is not YAML", keyring_damage.RESTORE)) from None
        if twice:
            raise self._damaged(Damage(f"is decrypted, and {twice} stands in it twice", keyring_damage.ONE_SIDE))
        return document

    def _damaged(self, damage: Damage) -> KeyringFileError:
        return KeyringFileError(f"{self.path} {damage}. {WITHOUT_IT}")

    def _sealed(self, opened: Opened) -> Tuple[Keyring, str]:
        """Return the keyring one revision on, and the envelope with it."""
        keyring = keyrings.check({**opened.keyring, "revision": opened.keyring["revision"] + 1})
        return keyring, self._envelope(keyring, opened.vault_id, opened.secret)

    def _envelope(self, document: Any, vault_id: str, secret: Any) -> str:
        # Through JSON, since ansible-core's own kinds of text are no plain data to the YAML writer.
        with _uncollected():
            plain = yaml.dump(
                _grouped(json.loads(json.dumps(document))), Dumper=DUMPER, sort_keys=False, allow_unicode=True
            )
        sealed: str = VaultLib(self.secrets).encrypt(plain, secret=secret, vault_id=vault_id).decode()
        return sealed

    def _seal(self) -> Tuple[str, Any]:
        """Return the vault id and secret that a first keyring is sealed with."""
        self._need_secrets("written")
        try:
            found: Tuple[str, Any] = match_encrypt_secret(
                self.secrets, C.config.get_config_value("DEFAULT_VAULT_ENCRYPT_IDENTITY")
            )
        except AnsibleVaultError as error:
            raise KeyringFileError(f"{self.path} cannot be encrypted: {error}") from None
        return found

    def _need_secrets(self, what: str) -> None:
        if not CRYPTOGRAPHY:
            raise KeyringFileError(
                f"the keyring {self.path} cannot be {what}: the Python that runs ansible-playbook ({sys.executable}) has no library cryptography, or "
                "one that does not load. Install it there (pip install cryptography). Nothing was changed"
            )
        if not self.secrets:
            raise KeyringFileError(f"the keyring {self.path} cannot be {what} without a vault secret: {HOW_TO_PASS}")
