# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring under one key of etcd 3.4 or later: etcd://HOST:2379[,HOST:2379]/KEY, or etcd:///KEY with ETCDCTL_ENDPOINTS.

Over its HTTP gateway (v3), with what etcdctl takes too: ETCDCTL_CACERT, ETCDCTL_CERT, ETCDCTL_KEY, ETCDCTL_USER. Reads are linearizable,
never `serializable`, which a node that is cut off answers from its past. The version is the key's `mod_revision`.
"""

from __future__ import annotations

import base64
import os
import re
from typing import Any, Dict, List, Mapping, Optional

from ..module_utils._rules.store_url import Url
from . import _store_http as http
from ._remote_store import Denied, Other, Remote, Text, Unclear
from ._store_http import Reply

FULL = re.compile(r"database\sspace\sexceeded|NOSPACE", re.IGNORECASE)
TOO_LARGE = re.compile(r"request\sis\stoo\slarge|larger\sthan\smax", re.IGNORECASE)
FORBIDDEN = re.compile(
    r"permission\sdenied|invalid\sauth\stoken|authentication\sfailed|user\sname\sis\sempty|invalid\suser", re.IGNORECASE
)


def _coded(text: bytes) -> str:
    return base64.b64encode(text).decode()


class Etcd(Remote):
    """One key."""

    largest = 1_000_000  # a request takes 1.5 MB, and base64 is a third longer

    def __init__(self, url: Url) -> None:
        self.key = url.path.lstrip("/")
        if not self.key:
            raise Denied("it names no key: give it as etcd://HOST:2379/KEY")
        if url.user:
            raise Denied("a user is given as ETCDCTL_USER=NAME:PASSWORD in the environment, and not in the URL")
        own = os.environ.get
        self.tls = {
            "ca_path": own("ETCDCTL_CACERT"),
            "client_cert": own("ETCDCTL_CERT"),
            "client_key": own("ETCDCTL_KEY"),
        }
        scheme = "https" if any(self.tls.values()) else "http"
        given = url.hosts or [one.strip() for one in own("ETCDCTL_ENDPOINTS", "").split(",") if one.strip()]
        if not given:
            raise Denied("it names no server: give it as etcd://HOST:2379/KEY, or set ETCDCTL_ENDPOINTS")
        self.servers: List[str] = [one if "://" in one else f"{scheme}://{one}" for one in given]
        self.token: Optional[str] = None

    def read(self) -> Optional[Text]:
        """Return the key's value."""
        reply = self._ask("/v3/kv/range", {"key": _coded(self.key.encode())})
        found = reply.body.get("kvs") or []
        if not found:
            return None
        return Text(base64.b64decode(found[0].get("value", "")), str(found[0]["mod_revision"]))

    def write(self, text: bytes, version: Optional[str]) -> str:
        """Put the value in a transaction on the revision; 0 is that of a key that is not there."""
        key = _coded(self.key.encode())
        compare = {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": version or "0"}
        put = {"request_put": {"key": key, "value": _coded(text)}}
        reply = self._ask("/v3/kv/txn", {"compare": [compare], "success": [put]})
        if not reply.body.get("succeeded"):
            raise Other("the key has another revision")
        return str(reply.body["header"]["revision"])

    def _ask(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Ask the first server that answers; of a write the next try goes to the next one."""
        server = self.servers[0]
        headers = {"Authorization": self._login()} if os.environ.get("ETCDCTL_USER") else {}
        try:
            reply = self._post(server + path, body, headers)
        except Unclear:
            self.servers = [*self.servers[1:], server]
            self.token = None
            raise
        if reply.status == 200 and "header" in reply.body:
            return reply
        self.servers = [*self.servers[1:], server]
        self.token = None
        raise self._trouble(reply)

    def _post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reply:
        return http.ask("POST", url, body, headers, **self.tls)

    def _login(self) -> str:
        """Return the token of the user that etcdctl would be."""
        if self.token is None:
            name, _colon, password = os.environ["ETCDCTL_USER"].partition(":")
            password = password or os.environ.get("ETCDCTL_PASSWORD", "")
            given: Dict[str, str] = {"name": name, "password": password}
            reply = self._post(f"{self.servers[0]}/v3/auth/authenticate", given, {})
            if reply.status != 200 or not reply.body.get("token"):
                raise self._trouble(reply)
            self.token = str(reply.body["token"])
        return self.token

    def _trouble(self, reply: Reply) -> Exception:
        if FULL.search(reply.text):
            return Denied(
                "etcd's database is full (NOSPACE): compact and defragment it, then etcdctl alarm disarm, and run again"
            )
        if TOO_LARGE.search(reply.text):
            return Denied(
                "etcd says that it is too large: keep the keyring in a store without that limit (git, S3, a file)"
            )
        if FORBIDDEN.search(reply.text):
            return Denied(
                f"{reply.said()}: give a user who may use the key {self.key} as ETCDCTL_USER=NAME:PASSWORD, or a client certificate"
            )
        # What else it says with a body (no leader, too many requests, the node is a learner) passes.
        return Unclear(reply.said()) if reply.status == 400 else http.trouble(reply, "used", f"the key {self.key}")
