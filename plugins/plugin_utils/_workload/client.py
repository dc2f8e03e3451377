# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster, by the official client of Kubernetes: that finds the cluster, logs in and speaks TLS; what is said is plain data.

The client is imported here and only when a workload is looked at: who has none needs no client.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import logging
import os
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import quote, urlencode

from ...module_utils._rules import pod_exec
from ...module_utils._rules.pod_spec import Object
from .api import ApiTrouble, Changed, OwnedByOthers

MISSING = (
    "app_keys_workload needs the Python package kubernetes on the controller, and it is not there ({error}): install it where ansible-playbook "
    "runs (pip install kubernetes), or into the execution environment"
)
CONNECT, READ = 10, 30  # seconds
PAGE = 500
ERROR_CHANNEL = 3  # on which a command that was run tells how it ended
JSON, APPLY = "application/json", "application/apply-patch+yaml"


class Cluster:
    """One cluster. See `api.Api`."""

    def __init__(self, context: Optional[str] = None, kubeconfig: Optional[str] = None) -> None:
        try:
            from kubernetes import client, config  # type: ignore[import-untyped,unused-ignore]
            from kubernetes.client import rest  # type: ignore[import-untyped,unused-ignore]
        except ImportError as error:
            raise ApiTrouble(MISSING.format(error=error)) from None
        # At its debug level the client logs the answers that it gets: Secrets.
        for name in ("kubernetes", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._settings = client.Configuration()
        self._failed = rest.ApiException
        try:
            if not (context or kubeconfig) and not _has_kubeconfig() and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(client_configuration=self._settings)
            else:
                config.load_kube_config(
                    config_file=kubeconfig and os.path.expanduser(kubeconfig),
                    context=context,
                    client_configuration=self._settings,
                )
        except Exception as error:
            where = f"the context {context}" if context else "the cluster"
            raise ApiTrouble(f"{where} cannot be found: {type(error).__name__}: {_line(str(error))}") from None
        self._rest = rest.RESTClientObject(self._settings)
        self._groups: Dict[Tuple[str, str], str] = {}
        self._ahead = 0.0  # of the API's clock before ours

    def now(self) -> float:
        """Return the moment by the API's clock, to a second: that of its last answer, and what has passed since."""
        return time.time() + self._ahead

    def group(self, name: str, plural: str) -> str:
        """Return the path of the version of an API group that has this kind, the one that the cluster prefers if it does."""
        if (name, plural) not in self._groups:
            said = self._call("GET", f"/apis/{name}")
            versions = [said["preferredVersion"], *(said.get("versions") or [])]
            for version in dict.fromkeys(str(one["groupVersion"]) for one in versions):
                kinds = self._call("GET", f"/apis/{version}").get("resources") or []
                if any(kind.get("name") == plural for kind in kinds):
                    self._groups[(name, plural)] = f"/apis/{version}"
                    break
            else:
                raise ApiTrouble(f"the cluster has no {plural} in {name}")
        return self._groups[(name, plural)]

    def get(self, path: str) -> Optional[Object]:
        """Return an object; None where there is none."""
        try:
            return self._call("GET", path)
        except _Absent:
            return None

    def items(self, path: str, selector: str = "") -> List[Object]:
        """Return all objects of a kind, page by page: without a resourceVersion every page is what the quorum has."""
        found: List[Object] = []
        going_on = ""
        while True:
            query = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {})}
            said = self._call("GET", path, query={**query, **({"continue": going_on} if going_on else {})})
            found += said.get("items") or []
            going_on = (said.get("metadata") or {}).get("continue") or ""
            if not going_on:
                return found

    def create(self, path: str, body: Mapping[str, Any]) -> Object:
        """Make an object; Changed where there is one of that name."""
        return self._call("POST", path, body)

    def replace(self, path: str, body: Mapping[str, Any]) -> Object:
        """Write an object in place of the one with its resourceVersion."""
        return self._call("PUT", path, body)

    def apply(self, path: str, body: Mapping[str, Any], manager: str, force: bool = False) -> Object:
        """Apply fields as this manager."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return self._call("PATCH", path, body, query, APPLY)

    def execute(self, namespace: str, pod: str, container: str, command: Sequence[str], seconds: float) -> str:
        """Run a command in a container over the official client's stream; that is no request like the others, but a websocket."""
        from kubernetes import client, stream

        deadline = time.monotonic() + seconds
        said = ""
        try:
            # Of its own: for the time of the call the client is another one.
            with client.ApiClient(self._settings) as own:
                ask = client.CoreV1Api(own).connect_get_namespaced_pod_exec
                line = stream.stream(
                    ask, pod, namespace, container=container, command=list(command), stdin=False, stdout=True, stderr=True, tty=False,
                    _preload_content=False,
                )  # fmt: skip
            try:
                while line.is_open() and time.monotonic() < deadline and len(said) < pod_exec.LIMIT:
                    line.update(timeout=1)
                    said += line.read_stdout(timeout=0) if line.peek_stdout(timeout=0) else ""
                said += line.read_stdout(timeout=0) if line.peek_stdout(timeout=0) else ""
                ended = not line.is_open()
                status = json.loads(line.read_channel(ERROR_CHANNEL) or "{}") if ended else {}
            finally:
                line.close()
        except Exception as error:
            raise ApiTrouble(
                f"nothing can be run in it: {_line(str(getattr(error, 'reason', None) or error))}"
            ) from None
        if status.get("status") != "Success":
            why = status.get("message") or ("it did not end in time" if not ended else "it did not say how it ended")
            raise ApiTrouble(f"nothing can be run in it: {_line(str(why))}")
        return said

    def delete(self, path: str, uid: str) -> None:
        """Delete the object with this uid, if it is there."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        with contextlib.suppress(_Absent, Changed):
            self._call("DELETE", path, options)

    def _call(
        self,
        verb: str,
        path: str,
        body: Optional[Mapping[str, Any]] = None,
        query: Optional[Mapping[str, str]] = None,
        content: str = JSON,
    ) -> Object:
        url = f"{self._settings.host}{quote(path)}{'?' + urlencode(query) if query else ''}"
        headers = {"Accept": JSON, "Content-Type": content}
        known: Mapping[str, Any] = self._settings.auth_settings()
        for auth in known.values():
            if auth.get("in") == "header" and auth.get("value"):
                headers[auth["key"]] = auth["value"]
        # What is JSON the client writes itself.
        sent: Any = json.dumps(body) if body is not None and content != JSON else body
        before = time.time()
        try:
            answer = self._rest.request(verb, url, headers=headers, body=sent, _request_timeout=(CONNECT, READ))
            data, status = self._read(answer)
        except self._failed as error:
            if not error.status:
                raise ApiTrouble(f"the cluster cannot be asked: {_line(str(error.reason or error.body))}") from None
            data, status = error.body, int(error.status)
        except Exception as error:
            # Whatever the transport is made of; its texts name hosts and certificates, and nothing of what was sent.
            raise ApiTrouble(f"the cluster cannot be reached: {_line(str(error))}") from None
        else:
            self._set_clock(answer, before)
        said = _plain(data)
        if status >= 300:
            raise _trouble(verb, path, status, said)
        return said

    @staticmethod
    def _read(answer: Any) -> Any:
        if getattr(answer, "data", None) is None and hasattr(answer, "read"):
            answer.read()
        return answer.data, int(answer.status)

    def _set_clock(self, answer: Any, before: float) -> None:
        headers = getattr(answer, "headers", None) or answer.getheaders()
        moment = email.utils.parsedate_tz(headers.get("Date") or "")
        if moment is not None:
            self._ahead = email.utils.mktime_tz(moment) - before


class _Absent(ApiTrouble):
    """There is no such object."""


def _has_kubeconfig() -> bool:
    named = os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    return any(os.path.exists(os.path.expanduser(path)) for path in named if path)


def _plain(data: Any) -> Object:
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data or "")
    try:
        said = json.loads(text or "{}")
    except ValueError:
        return {"message": _line(text)}
    return said if isinstance(said, dict) else {}


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


def _trouble(verb: str, path: str, status: int, said: Mapping[str, Any]) -> ApiTrouble:
    """Return what an answer that is no success means."""
    text = f"the cluster refused {verb} {path} ({status}): {_line(str(said.get('message', '')))}"
    causes = (said.get("details") or {}).get("causes") or []
    owned = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if status == 404:
        return _Absent(text)
    if status == 409:
        return OwnedByOthers(text, owned) if owned else Changed(text)
    if status in (401, 403):
        return ApiTrouble(f"{text}. Give whoever logs in there the permissions that the guide lists")
    return ApiTrouble(text)
