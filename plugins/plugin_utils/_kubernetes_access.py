# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Kubernetes server, and as whom: as kubectl and Ansible's own modules are told.

K8S_AUTH_HOST with K8S_AUTH_API_KEY (AWX's credential); a kubeconfig (K8S_AUTH_KUBECONFIG, KUBECONFIG, ~/.kube/config) with K8S_AUTH_CONTEXT;
inside of a pod its service account. Certificates that stand in a kubeconfig are files of this run's own while it lasts.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from typing import Any, Dict, Mapping, NamedTuple, Optional

import yaml
from ansible import constants as C

from ._remote_store import Denied, Unclear

POD = "/var/run/secrets/kubernetes.io/serviceaccount"
LIMIT = 30.0  # seconds for a program that gives credentials
NOTHING = (
    "there is no kubeconfig, and this is no pod: set KUBECONFIG (and K8S_AUTH_CONTEXT for another context than the current one), or K8S_AUTH_HOST and "
    "K8S_AUTH_API_KEY"
)


class Access(NamedTuple):
    """A server's address, the headers of every request, and the files for the connection."""

    server: str
    headers: Dict[str, str]
    tls: Dict[str, Optional[str]]


def find() -> Access:
    """Return where the cluster is and how one gets in; Denied where that cannot be told."""
    own = os.environ.get
    host, key = own("K8S_AUTH_HOST"), own("K8S_AUTH_API_KEY")
    if host and key:
        tls = {
            "ca_path": own("K8S_AUTH_SSL_CA_CERT"),
            "client_cert": own("K8S_AUTH_CERT_FILE"),
            "client_key": own("K8S_AUTH_KEY_FILE"),
        }
        return Access(host.rstrip("/"), {"Authorization": f"Bearer {key}"}, tls)
    paths = own("K8S_AUTH_KUBECONFIG") or own("KUBECONFIG") or os.path.expanduser("~/.kube/config")
    for path in filter(None, paths.split(os.pathsep)):
        if os.path.exists(path):
            return _kubeconfig(path)
    if own("KUBERNETES_SERVICE_HOST") and os.path.exists(f"{POD}/token"):
        server = f"https://{own('KUBERNETES_SERVICE_HOST')}:{own('KUBERNETES_SERVICE_PORT', '443')}"
        return Access(server, {"Authorization": f"Bearer {_content(f'{POD}/token')}"}, {"ca_path": f"{POD}/ca.crt"})
    raise Denied(NOTHING)


def _kubeconfig(path: str) -> Access:
    try:
        config = yaml.safe_load(_content(path)) or {}
        current = os.environ.get("K8S_AUTH_CONTEXT") or config.get("current-context")
        context = _named(config, "contexts", "context", current, path)
        cluster = _named(config, "clusters", "cluster", context.get("cluster"), path)
        user = _named(config, "users", "user", context["user"], path) if context.get("user") else {}
        server = str(cluster["server"]).rstrip("/")
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise Denied(f"{path} is no kubeconfig that can be read") from None
    if cluster.get("insecure-skip-tls-verify"):
        raise Denied(
            f"{path} has insecure-skip-tls-verify, by which anybody could be the cluster: give it certificate-authority"
        )
    folder = os.path.dirname(os.path.abspath(path))
    given = {**user, **_from_program(user.get("exec"), cluster, folder)}
    token = given.get("token") or (
        _content(os.path.join(folder, given["tokenFile"])) if given.get("tokenFile") else None
    )
    tls = {
        "ca_path": _file(cluster, "certificate-authority", folder),
        "client_cert": _file(given, "client-certificate", folder),
        "client_key": _file(given, "client-key", folder),
    }
    if not token and not tls["client_cert"]:
        raise Denied(
            f"{path} has neither a token nor a client certificate for this user (those of an auth-provider are not read)"
        )
    return Access(server, {"Authorization": f"Bearer {token.strip()}"} if token else {}, tls)


def _named(config: Mapping[str, Any], kind: str, what: str, name: Any, path: str) -> Dict[str, Any]:
    for one in config.get(kind) or []:
        if one.get("name") == name:
            return dict(one.get(what) or {})
    raise Denied(f"{path} has no {what} {name}: name one of its own with K8S_AUTH_CONTEXT")


def _from_program(program: Optional[Mapping[str, Any]], cluster: Mapping[str, Any], folder: str) -> Dict[str, Any]:
    """Return the credentials that a program gives (client-go's exec plugins), as they would stand in the kubeconfig."""
    if not program:
        return {}
    info = {
        "apiVersion": program.get("apiVersion"),
        "kind": "ExecCredential",
        "spec": {"interactive": False, "cluster": {"server": cluster["server"]}},
    }
    more = {one["name"]: one["value"] for one in program.get("env") or []}
    command = [str(program["command"]), *map(str, program.get("args") or [])]
    try:
        said = subprocess.run(
            command, env={**os.environ, **more, "KUBERNETES_EXEC_INFO": json.dumps(info)}, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=LIMIT, check=True,
        )  # fmt: skip
        status = json.loads(said.stdout)["status"]
    except subprocess.TimeoutExpired:
        raise Unclear(f"{command[0]}, which gives the credentials, did not end in {LIMIT:.0f} seconds") from None
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError, TypeError):
        raise Denied(f"{command[0]}, which gives the credentials, failed: run it by hand to see why") from None
    found = {"token": status.get("token")}
    for field, name in (("clientCertificateData", "client-certificate-data"), ("clientKeyData", "client-key-data")):
        if status.get(field):
            found[name] = base64.b64encode(status[field].encode()).decode()
    return found


def _file(given: Mapping[str, Any], name: str, folder: str) -> Optional[str]:
    """Return the file that is named, or one with the data that stand there, which only this run can read."""
    if given.get(f"{name}-data"):
        root = vars(C)["DEFAULT_LOCAL_TMP"]
        os.makedirs(root, mode=0o700, exist_ok=True)
        number, path = tempfile.mkstemp(prefix="keyring-kubernetes-", dir=root)
        with open(number, "wb") as file:
            file.write(base64.b64decode(given[f"{name}-data"]))
        return path
    return os.path.join(folder, given[name]) if given.get(name) else None


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Denied(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
