# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small servers that answer as the stores do, as far as a keyring asks them: for the tests that have no seconds to wait for real ones."""

from __future__ import annotations

import abc
import base64
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Dict, List, Optional, Tuple, Type

Reply = Tuple[int, Dict[str, Any]]


class StandIn(abc.ABC):
    """A server on a free port of this machine. `answer` decides, one request at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: List[str] = []
        self.refuse: Optional[Reply] = None  # what every request is answered with, if anything
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                with stand_in.lock:
                    stand_in.requests.append(f"{self.command} {self.path}")
                    status, said = stand_in.refuse or stand_in.answer(
                        self.command, self.path, body, dict(self.headers.items())
                    )
                text = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_any

            def log_message(self, *_given: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @abc.abstractmethod
    def answer(self, method: str, path: str, body: Dict[str, Any], headers: Dict[str, str]) -> Reply:
        """Answer one request."""

    def stop(self) -> None:
        """Go down."""
        self.server.shutdown()
        self.server.server_close()


class EtcdStandIn(StandIn):
    """One key of etcd's gateway: numbers are texts there, and values are base64."""

    def __init__(self) -> None:
        super().__init__()
        self.revision, self.keys = 1, {}  # type: ignore[var-annotated]

    def answer(self, method: str, path: str, body: Dict[str, Any], headers: Dict[str, str]) -> Reply:
        header = {"revision": str(self.revision)}
        if path == "/v3/kv/range":
            if body["key"] not in self.keys:
                return 200, {"header": header}
            value, revision = self.keys[body["key"]]
            return 200, {
                "header": header,
                "kvs": [{"key": body["key"], "value": value, "mod_revision": str(revision)}],
                "count": "1",
            }
        (compare,), (put,) = body["compare"], body["success"]
        if str(self.keys.get(compare["key"], ("", 0))[1]) != str(compare["mod_revision"]):
            return 200, {"header": header}
        if len(put["request_put"]["value"]) > 1_500_000:
            return 400, {"error": "etcdserver: request is too large", "code": 3}
        self.revision += 1
        self.keys[compare["key"]] = (put["request_put"]["value"], self.revision)
        return 200, {"header": {"revision": str(self.revision)}, "succeeded": True}


class VaultStandIn(StandIn):
    """One mount of the engine KV version 2."""

    TOKEN = "s.stand-in"

    def __init__(self) -> None:
        super().__init__()
        self.secrets: Dict[str, List[Optional[Dict[str, Any]]]] = {}

    def answer(self, method: str, path: str, body: Dict[str, Any], headers: Dict[str, str]) -> Reply:
        if headers.get("X-Vault-Token", headers.get("X-vault-token")) != self.TOKEN:
            return 403, {"errors": ["permission denied"]}
        place, _mark, query = path.partition("?")
        versions = self.secrets.get(place, [])
        if method == "POST":
            if body["options"]["cas"] != len(versions):
                return 400, {"errors": ["check-and-set parameter did not match the current version"]}
            self.secrets[place] = [*versions, body["data"]]
            return 200, {"data": {"version": len(versions) + 1}}
        number = int(query.partition("version=")[2] or len(versions))
        if not 0 < number <= len(versions):
            return 404, {"errors": []}
        data = versions[number - 1]
        metadata = {"version": number, "destroyed": False, "deletion_time": "" if data else "2026-01-01T00:00:00Z"}
        return (200 if data else 404), {"data": {"data": data, "metadata": metadata}}


class KubernetesStandIn(StandIn):
    """The Secrets of an API server."""

    TOKEN = "stand-in-token"
    STATUS: ClassVar[Dict[str, Any]] = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}

    def __init__(self) -> None:
        super().__init__()
        self.version, self.secrets = 100, {}  # type: ignore[var-annotated]

    def answer(self, method: str, path: str, body: Dict[str, Any], headers: Dict[str, str]) -> Reply:
        if headers.get("Authorization") != f"Bearer {self.TOKEN}":
            return 401, {**self.STATUS, "message": "Unauthorized", "code": 401}
        metadata = body.get("metadata", {})
        if method == "POST":
            path = f"{path}/{metadata['name']}"
            if path in self.secrets:
                return 409, {**self.STATUS, "reason": "AlreadyExists", "code": 409}
            return 201, self.put(path, body, str(uuid.uuid4()))
        found = self.secrets.get(path)
        if found is None:
            return 404, {**self.STATUS, "reason": "NotFound", "code": 404}
        if method == "GET":
            return 200, found
        there = found["metadata"]
        for field in ("uid", "resourceVersion"):
            # As the real one: what is not given is not compared.
            if metadata.get(field) not in (None, there[field]):
                return 409, {**self.STATUS, "reason": "Conflict", "code": 409}
        return 200, self.put(path, body, there["uid"])

    def put(self, path: str, body: Dict[str, Any], uid: str) -> Dict[str, Any]:
        """Keep a Secret."""
        self.version += 1
        metadata = {**body["metadata"], "uid": uid, "resourceVersion": str(self.version)}
        self.secrets[path] = {**body, "kind": "Secret", "metadata": metadata}
        return self.secrets[path]


def coded(text: bytes) -> str:
    """Return a text as JSON carries it."""
    return base64.b64encode(text).decode()


STAND_INS: List[Type[StandIn]] = [EtcdStandIn, VaultStandIn, KubernetesStandIn]
