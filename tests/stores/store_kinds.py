# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of store with something behind it, and what somebody else may do there: the keyring's texts go by none of this."""

from __future__ import annotations

import abc
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest
from ansible_collections.phased.keys.plugins.plugin_utils import _stores as stores
from ansible_collections.phased.keys.plugins.plugin_utils._remote_store import Remote, RemoteKeyring, Text
from stand_ins import EtcdStandIn, KubernetesStandIn, StandIn, VaultStandIn, coded

NOWHERE = "127.0.0.1:9"  # nothing listens there


class Kind(abc.ABC):
    """A store with a place for one keyring in it."""

    place = ""
    leaves_a_trace = True  # of something that was deleted
    sees_deleted = True  # whether a write over what was deleted is refused
    never_empty = False  # whether an empty text is the same as none
    rounds = 3  # of the race of two

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        self.folder, self.environment = folder, environment

    def keyring(self, loader: Any, place: str = "") -> RemoteKeyring:
        """Return the keyring as an action of a run of its own opens it."""
        made = stores.store_for(place or self.place, loader)
        assert isinstance(made, RemoteKeyring)
        return made

    def remote(self, loader: Any) -> Remote:
        """Return the store itself."""
        return self.keyring(loader).remote

    @abc.abstractmethod
    def overwrite(self, text: bytes) -> None:
        """Put a text there, whatever lies there."""

    @abc.abstractmethod
    def delete(self) -> None:
        """Delete what lies there."""

    @abc.abstractmethod
    def down(self) -> None:
        """Have nobody answer."""

    @abc.abstractmethod
    def forbid(self) -> None:
        """Have the next ones who come be sent away."""

    def end(self) -> None:
        """Take down what was put up; of most there is nothing."""
        return


class GitKind(Kind):
    """A bare repository in a folder, with other branches in it."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        super().__init__(folder, environment)
        self.repository = folder / "ops.git"
        self.branch = "refs/heads/phased.keys/keyrings/shop"
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        environment.setenv("HOME", str(self.home))
        for name in ("GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME", "GIT_SSH_COMMAND"):
            environment.delenv(name, raising=False)
        self.git("init", "-q", "--bare", str(self.repository), at=folder)
        self.place = f"git+file://{self.repository}//keyrings/shop.yml"

    def git(self, *arguments: str, given: bytes = b"", at: Optional[Path] = None) -> bytes:
        """Run git in the repository."""
        own = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
        return subprocess.run(
            ["git", *own, *arguments], cwd=at or self.repository, input=given, check=True, capture_output=True
        ).stdout

    def commit(self, files: Dict[str, bytes], parent: Optional[str]) -> str:
        """Make a commit with these files."""
        tree: Dict[str, Any] = {}
        for path, text in files.items():
            *folders, name = path.split("/")
            at = tree
            for one in folders:
                at = at.setdefault(one, {})
            at[name] = self.git("hash-object", "-w", "--stdin", given=text).decode().strip()

        def written(at: Dict[str, Any]) -> str:
            lines = [
                f"040000 tree {written(one)}\t{name}" if isinstance(one, dict) else f"100644 blob {one}\t{name}"
                for name, one in at.items()
            ]
            return self.git("mktree", given="".join(f"{line}\n" for line in lines).encode()).decode().strip()

        parents = ["-p", parent] if parent else []
        return self.git("commit-tree", written(tree), *parents, "-m", "by hand").decode().strip()

    def tip(self) -> Optional[str]:
        """Return the commit at the tip of the branch."""
        return self.git("for-each-ref", "--format=%(objectname)", self.branch).decode().strip() or None

    def overwrite(self, text: bytes) -> None:
        self.git("update-ref", self.branch, self.commit({"keyrings/shop.yml": text}, self.tip()))

    def delete(self) -> None:
        self.git("update-ref", self.branch, self.commit({"README": b"gone\n"}, self.tip()))

    def down(self) -> None:
        self.environment.setenv(
            "GIT_SSH_COMMAND", "sh -c 'echo ssh: connect to host: Connection refused >&2; exit 255' --"
        )
        self.place = f"git+ssh://git@example.invalid{self.repository}//keyrings/shop.yml"

    def forbid(self) -> None:
        self.environment.setenv(
            "GIT_SSH_COMMAND", "sh -c 'echo \"git@h: Permission denied (publickey).\" >&2; exit 255' --"
        )
        self.place = f"git+ssh://git@example.invalid{self.repository}//keyrings/shop.yml"


class HttpKind(Kind):
    """A store behind a stand-in."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch, server: StandIn) -> None:
        super().__init__(folder, environment)
        self.server = server
        for name in list(os.environ):
            if name.startswith(("ETCDCTL_", "VAULT_", "BAO_", "K8S_AUTH_", "KUBE")):
                environment.delenv(name)

    def forbid(self) -> None:
        self.server.refuse = (403, {"message": "permission denied"})

    def end(self) -> None:
        self.server.stop()


class EtcdKind(HttpKind):
    """A key of etcd."""

    leaves_a_trace = False
    key = "keyrings/shop"

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        self.etcd = EtcdStandIn()
        super().__init__(folder, environment, self.etcd)
        self.place = f"etcd://{self.etcd.address}/{self.key}"

    def overwrite(self, text: bytes) -> None:
        self.etcd.revision += 1
        self.etcd.keys[coded(self.key.encode())] = (coded(text), self.etcd.revision)

    def delete(self) -> None:
        self.etcd.revision += 1
        del self.etcd.keys[coded(self.key.encode())]

    def down(self) -> None:
        self.place = f"etcd://{NOWHERE}/{self.key}"


class VaultKind(HttpKind):
    """A secret of Vault, which compares the number of the version, deleted or not."""

    sees_deleted = False

    path = "/v1/ops/data/keyrings/shop"

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        self.vault = VaultStandIn()
        super().__init__(folder, environment, self.vault)
        environment.setenv("VAULT_ADDR", f"http://{self.vault.address}")
        environment.setenv("VAULT_TOKEN", self.vault.TOKEN)
        self.place = "vault://ops/keyrings/shop"

    def overwrite(self, text: bytes) -> None:
        self.vault.secrets.setdefault(self.path, []).append({"keyring": text.decode()})

    def delete(self) -> None:
        self.vault.secrets[self.path][-1] = None

    def down(self) -> None:
        self.environment.setenv("VAULT_ADDR", f"http://{NOWHERE}")


class KubernetesKind(HttpKind):
    """A Secret of Kubernetes."""

    leaves_a_trace = False
    path = "/api/v1/namespaces/ops/secrets/shop"

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        self.cluster = KubernetesStandIn()
        super().__init__(folder, environment, self.cluster)
        self.configure(self.cluster.address)
        self.place = "kubernetes://ops/shop"

    def configure(self, address: str) -> None:
        """Write a kubeconfig."""
        config = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://{address}"}}],
            "users": [{"name": "u", "user": {"token": self.cluster.TOKEN}}],
        }
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps(config))
        self.environment.setenv("KUBECONFIG", str(path))

    def overwrite(self, text: bytes) -> None:
        there = self.cluster.secrets[self.path]
        self.cluster.put(self.path, {**there, "data": {"keyring": coded(text)}}, there["metadata"]["uid"])

    def delete(self) -> None:
        del self.cluster.secrets[self.path]

    def down(self) -> None:
        self.configure(NOWHERE)


FAST: List[Tuple[str, type]] = [
    ("git+file", GitKind),
    ("etcd", EtcdKind),
    ("vault", VaultKind),
    ("kubernetes", KubernetesKind),
]
__all__ = ["FAST", "Kind", "Text"]


def chosen(which: str) -> List[Tuple[str, type]]:
    """Return the kinds that are wanted: those that need nothing, or those with real servers."""
    if which == "fast":
        return FAST
    import real_kinds

    return real_kinds.REAL
