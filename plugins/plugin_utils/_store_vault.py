# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring as a secret of HashiCorp Vault or OpenBao, engine KV version 2: vault://MOUNT/PATH.

With what their own tools take: VAULT_ADDR, VAULT_TOKEN or ~/.vault-token, VAULT_NAMESPACE, VAULT_CACERT (or BAO_...). The version is the
secret's version, and a write gives it as `cas`. A standby may lag: after a write the next version is asked for by its number.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Mapping, Optional

from ..module_utils._rules.store_url import Url
from . import _store_http as http
from ._remote_store import Deleted, Denied, Other, Remote, Text, Unclear
from ._store_http import Reply

FIELD = "keyring"


def _own(name: str) -> Optional[str]:
    return os.environ.get(f"VAULT_{name}") or os.environ.get(f"BAO_{name}")


class Vault(Remote):
    """One secret."""

    largest = 768 * 1024  # raft storage takes 1 MiB for an entry

    def __init__(self, url: Url) -> None:
        self.path = url.path.strip("/")
        if len(url.hosts) != 1 or not self.path or url.user:
            raise Denied("give it as vault://MOUNT/PATH, and the server as VAULT_ADDR")
        self.mount = url.hosts[0]
        self.server = (_own("ADDR") or "").rstrip("/")
        if not self.server.startswith(("http://", "https://")):
            raise Denied("VAULT_ADDR is not set, or is no http:// or https:// URL: it says where the server is")
        self.tls = {"ca_path": _own("CACERT"), "client_cert": _own("CLIENT_CERT"), "client_key": _own("CLIENT_KEY")}
        self.refused: Optional[int] = None  # the version over which a write was refused: there is a later one
        self.headers = {"X-Vault-Request": "true"}
        token = _own("TOKEN") or _saved_token()
        if not token:
            raise Denied("there is no token: log in (vault login), or set VAULT_TOKEN")
        self.headers["X-Vault-Token"] = token
        if _own("NAMESPACE"):
            self.headers["X-Vault-Namespace"] = str(_own("NAMESPACE"))

    def read(self) -> Optional[Text]:
        """Return the newest version, or the one that a refused write has told of where a standby that lags does not know it yet."""
        found = self._newest("")
        if self.refused is None or (found is not None and int(found.version) > self.refused):
            return found
        found = self._newest(f"?version={self.refused + 1}")
        if found is None:
            raise Unclear("this server does not know the newest version yet")
        return found

    def _newest(self, which: str) -> Optional[Text]:
        reply = self._ask("GET", which)
        if reply.status == 404:
            data = reply.body.get("data") or {}
            metadata = data.get("metadata") or {}
            if metadata:
                how = "destroyed" if metadata.get("destroyed") else "deleted"
                number = metadata.get("version", "?")
                raise Deleted(
                    f"version {number} was {how}: vault kv undelete -mount={self.mount} -versions={number} {self.path} brings back one that was deleted, "
                    f"vault kv rollback an earlier one; if it is to begin anew, vault kv metadata delete -mount={self.mount} {self.path}"
                )
            if reply.body.get("errors") == []:
                return None
            raise http.trouble(reply, "read", f"{self.mount}/{self.path}")
        if reply.status != 200:
            raise self._trouble(reply, "read")
        data = reply.body.get("data") or {}
        metadata, secret = data.get("metadata"), data.get("data") or {}
        if not isinstance(metadata, dict) or "version" not in metadata:
            raise Denied(
                f"{self.mount} answers like another engine than KV version 2: vault secrets enable -version=2, or vault kv enable-versioning"
            )
        if not isinstance(secret.get(FIELD), str):
            raise Denied(f"the secret is there, and has no field {FIELD}: it is no keyring of phased.keys")
        return Text(secret[FIELD].encode("utf-8", "replace"), str(metadata["version"]))

    def write(self, text: bytes, version: Optional[str]) -> str:
        """Write the next version, if the newest is still this one; 0 is that of a secret that is not there."""
        body = {"options": {"cas": int(version or 0)}, "data": {FIELD: text.decode("ascii")}}
        reply = self._ask("POST", "", body)
        if reply.status == 400 and "check-and-set" in reply.text:
            if "required" in reply.text:
                raise Denied(reply.said())
            self.refused = int(version or 0)
            raise Other("the secret has another version")
        if reply.status != 200:
            raise self._trouble(reply, "written")
        self.refused = None
        return str((reply.body.get("data") or {}).get("version", int(version or 0) + 1))

    def _ask(self, method: str, which: str, body: Optional[Mapping[str, Any]] = None) -> Reply:
        return http.ask(
            method, f"{self.server}/v1/{self.mount}/data/{self.path}{which}", body, self.headers, **self.tls
        )

    def _trouble(self, reply: Reply, what: str) -> Exception:
        if reply.status in (472, 473, 412):
            return Unclear(reply.said())
        return http.trouble(reply, what, f"{self.mount}/{self.path}")


def _saved_token() -> Optional[str]:
    with contextlib.suppress(OSError), open(os.path.expanduser("~/.vault-token"), encoding="utf-8") as file:
        return file.read().strip() or None
    return None
