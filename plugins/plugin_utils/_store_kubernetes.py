# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring in a Secret of a Kubernetes cluster: kubernetes://NAMESPACE/SECRET.

By PUT with the Secret's uid and resourceVersion, without which the API server would overwrite whatever is there. `_kubernetes_access` finds the
server and the credentials.
"""

from __future__ import annotations

import base64
from typing import Any, Dict, Mapping, Optional

from ..module_utils._rules.store_url import Url
from . import _kubernetes_access as access
from . import _store_http as http
from ._remote_store import Denied, Other, Remote, Text
from ._store_http import Reply

FIELD = "keyring"
KIND = "phased.keys/keyring"


class Kubernetes(Remote):
    """One Secret."""

    largest = 1_000_000  # a Secret takes 1,048,576 bytes

    def __init__(self, url: Url) -> None:
        name = url.path.strip("/")
        if len(url.hosts) != 1 or url.user or not name or "/" in name:
            raise Denied("give it as kubernetes://NAMESPACE/SECRET")
        self.namespace, self.name = url.hosts[0], name
        self.access = access.find()
        self.secrets = f"/api/v1/namespaces/{self.namespace}/secrets"
        self.metadata: Dict[str, Any] = {}  # labels and the like, which a PUT would take away

    def read(self) -> Optional[Text]:
        """Return what is in the Secret; without a resourceVersion in the request, so that it is the newest."""
        reply = self._ask("GET", f"{self.secrets}/{self.name}")
        if reply.status == 404 and reply.body.get("kind") == "Status":
            return None
        if reply.status != 200:
            raise http.trouble(reply, "read", f"the Secret {self.namespace}/{self.name}")
        return self._found(reply)

    def write(self, text: bytes, version: Optional[str]) -> str:
        """Put the Secret with the uid and the resourceVersion of the one that is to be replaced, or make it."""
        metadata: Dict[str, Any] = {"name": self.name, "namespace": self.namespace}
        if version is not None:
            uid, _slash, resource = version.partition("/")
            metadata.update(self.metadata, uid=uid, resourceVersion=resource)
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": KIND,
            "metadata": metadata,
            "data": {FIELD: base64.b64encode(text).decode()},
        }
        if version is None:
            reply = self._ask("POST", self.secrets, body)
        else:
            reply = self._ask("PUT", f"{self.secrets}/{self.name}", body)
        if reply.status == 409 or (reply.status == 404 and version is not None and reply.body.get("kind") == "Status"):
            raise Other("the Secret has another resourceVersion")
        if reply.status == 422:
            raise Denied(f"{reply.said()}: is the Secret immutable, or of another type, or is it too large?")
        if reply.status not in (200, 201):
            raise http.trouble(reply, "written", f"the Secret {self.namespace}/{self.name}")
        return self._found(reply).version

    def _found(self, reply: Reply) -> Text:
        metadata, data = reply.body.get("metadata") or {}, reply.body.get("data") or {}
        if "uid" not in metadata or "resourceVersion" not in metadata:
            raise Denied("the server answers with something that is no Secret: see its address")
        if FIELD not in data or reply.body.get("type") != KIND:
            raise Denied(
                f"the Secret is there, and is no keyring of phased.keys (type {KIND}, with a field {FIELD}): take another name"
            )
        self.metadata = {
            name: metadata[name]
            for name in ("labels", "annotations", "ownerReferences", "finalizers")
            if metadata.get(name)
        }
        return Text(base64.b64decode(data[FIELD]), f"{metadata['uid']}/{metadata['resourceVersion']}")

    def _ask(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None) -> Reply:
        return http.ask(method, self.access.server + path, body, self.access.headers, **self.access.tls)
