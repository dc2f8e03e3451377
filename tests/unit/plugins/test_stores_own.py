# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is one store's own: the user's git in the way, places that cannot be used, what servers say, which library is missing."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List

import builders
import pytest
from ansible_collections.phased.keys.plugins.plugin_utils import _remote_store as remote_store
from ansible_collections.phased.keys.plugins.plugin_utils import _store_git as store_git
from ansible_collections.phased.keys.plugins.plugin_utils import _stores as stores
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_store import KeyringFileError, NotWrittenError
from sealed import vault_loader as loader
from store_kinds import EtcdKind, GitKind, HttpKind, KubernetesKind, VaultKind

# Each starts git several times.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody wait for long."""
    monkeypatch.setattr(remote_store, "PAUSES", (0.001,))
    monkeypatch.setattr(remote_store, "READING", 0.1)


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitKind:
    """A repository."""
    return GitKind(tmp_path, monkeypatch)


# --- places ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place, said",
    [
        ("git+file:///srv/ops.git/shop.yml", "git+file:///REPOSITORY.git//PATH, with two slashes"),
        ("git+file://host/srv/ops.git//shop.yml", "git+file:///REPOSITORY.git//PATH"),
        ("git+ssh:///srv/ops.git//shop.yml", "git+ssh://HOST/REPOSITORY.git//PATH"),
        ("git+ssh://host/srv/ops.git//", "which repository, and which file in it"),
        ("git+ssh://host//shop.yml", "which repository, and which file in it"),
        ("git+file:///srv/ops.git//a..b.yml", "which git does not take"),
        ("git+ssh://ops:hunter2@host/srv/ops.git//shop.yml", "with a password or a token in it"),
        ("s3://bucket", "give it as s3://BUCKET/KEY"),
        ("etcd://host:2379", "it names no key"),
        ("etcd:///keyrings/shop", "it names no server"),
        ("etcd://me@host:2379/shop", "ETCDCTL_USER"),
        ("vault://ops", "give it as vault://MOUNT/PATH"),
        ("vault://ops/shop", "VAULT_ADDR is not set"),
        ("kubernetes://ops", "give it as kubernetes://NAMESPACE/SECRET"),
        ("kubernetes://ops/a/b", "give it as kubernetes://NAMESPACE/SECRET"),
        ("kubernetes://ops/shop", "there is no kubeconfig, and this is no pod"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused(
    place: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(os.environ):
        if name.startswith(("ETCDCTL_", "VAULT_", "BAO_", "K8S_AUTH_", "KUBE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(KeyringFileError) as error:
        stores.store_for(place, loader())
    assert said in str(error.value) and "Nothing was changed" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str, *more: Any) -> Any:
        if name.startswith("boto"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(KeyringFileError, match=r"no library boto3, which a keyring in S3 needs: .*pip install boto3"):
        stores.store_for("s3://bucket/shop", loader())


# --- git ---------------------------------------------------------------------------------


def test_what_a_user_has_in_his_git_is_left_out(git: GitKind, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = git.folder / "hooks"
    hooks.mkdir()
    for name in ("pre-push", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {git.folder}/ran-{name}\nexit 1\n")
        (hooks / name).chmod(0o755)
    (git.folder / "attributes").write_text("* filter=loud text eol=crlf\n")
    (git.home / ".gitconfig").write_text(
        f"[core]\nhooksPath = {hooks}\nautocrlf = true\nattributesFile = {git.folder}/attributes\n[commit]\ngpgSign = true\n[gpg]\nprogram = false\n"
        f'[push]\ngpgSign = true\nfollowTags = true\n[filter "loud"]\nclean = touch {git.folder}/ran-filter; cat\nrequired = true\n'
        "[init]\ndefaultBranch = elsewhere\n[remote]\npushDefault = nowhere\n"
    )
    monkeypatch.setenv("GIT_DIR", str(git.folder / "another.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(git.folder))
    monkeypatch.setenv("GIT_INDEX_FILE", str(git.folder / "index"))
    file = git.keyring(loader())
    written = file.replace(file.create(builders.at("prepared")))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    assert git.keyring(loader()).load() == written
    assert not list(git.folder.glob("ran-*")) and not (git.folder / "index").exists()
    (told,) = {git.git("log", "--format=%an <%ae> %s|%G?", git.branch).decode().splitlines()[0]}
    assert told == "phased.keys <phased.keys@localhost> Write the keyring [skip ci]|N"


def test_what_else_is_in_the_repository_stays(git: GitKind) -> None:
    file = git.keyring(loader())
    first = file.create(builders.at("prepared"))
    text = git.remote(loader()).read().text
    more = git.commit({"keyrings/shop.yml": text, "keyrings/README": b"hands off\n", "a": b"b\n"}, git.tip())
    git.git("update-ref", git.branch, more)
    git.git("update-ref", "refs/heads/main", more)
    # Somebody's commit beside the keyring refuses nobody.
    written = file.replace(first)
    assert git.keyring(loader()).load() == written
    assert git.git("show", f"{git.branch}:keyrings/README") == b"hands off\n"
    assert git.git("rev-parse", "refs/heads/main").decode().strip() == more
    assert git.git("log", "--format=%H", git.branch).decode().count("\n") == 3


def test_a_branch_that_was_set_back_is_not_passed_over(git: GitKind) -> None:
    file = git.keyring(loader())
    first = file.create(builders.at("prepared"))
    old = git.tip()
    second = file.replace(first)
    git.git("update-ref", git.branch, old)
    with pytest.raises(NotWrittenError, match="was changed by somebody else meanwhile"):
        file.replace(second)
    assert git.tip() == old


@pytest.mark.parametrize(
    "hook, said",
    [
        ("echo 'only by review' >&2; exit 1", "only by review"),
        ("echo No space left on device >&2; exit 1", "free some space"),
    ],
)
def test_a_server_that_refuses_is_believed(git: GitKind, hook: str, said: str) -> None:
    file = git.keyring(loader())
    first = file.create(builders.at("prepared"))
    own = git.repository / "hooks" / "pre-receive"
    own.parent.mkdir(exist_ok=True)
    own.write_text(f"#!/bin/sh\n{hook}\n")
    own.chmod(0o755)
    with pytest.raises(NotWrittenError) as error:
        file.replace(first)
    assert said in str(error.value) and "Nothing was changed" in str(error.value)
    assert git.keyring(loader()).load() == first


def test_git_is_ended_with_all_that_it_started(git: GitKind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_git, "LIMIT", 0.5)
    told = git.folder / "pid"
    monkeypatch.setenv("GIT_SSH_COMMAND", f"sh -c 'echo $$ > {told}; sleep 600' --")
    git.place = f"git+ssh://git@example.invalid{git.repository}//keyrings/shop.yml"
    with pytest.raises(KeyringFileError, match=r"git did not end in 0 seconds.*That does not mean that there is none"):
        git.keyring(loader()).load()
    command = ["ps", "-o", "stat=", "-p", told.read_text().strip()]
    state = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    assert state.strip()[:1] in ("", "Z")


def test_a_link_in_the_keyring_s_place_is_none(git: GitKind) -> None:
    git.keyring(loader()).create(builders.at("prepared"))
    blob = git.git("hash-object", "-w", "--stdin", given=b"/etc/passwd").decode().strip()
    inner = git.git("mktree", given=f"120000 blob {blob}\tshop.yml\n".encode()).decode().strip()
    tree = git.git("mktree", given=f"040000 tree {inner}\tkeyrings\n".encode()).decode().strip()
    git.git("update-ref", git.branch, git.git("commit-tree", tree, "-m", "x").decode().strip())
    with pytest.raises(KeyringFileError, match="has no file keyrings/shop.yml"):
        git.keyring(loader()).load()


# --- what servers say -------------------------------------------------------------------


@pytest.fixture(params=[EtcdKind, VaultKind, KubernetesKind], ids=["etcd", "vault", "kubernetes"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpKind]:
    """A store behind a stand-in, with a keyring in it."""
    made = request.param(tmp_path, monkeypatch)
    made.keyring(loader()).create(builders.at("prepared"))
    yield made
    made.end()


UNCLEAR: List[Any] = [
    (500, {}),
    (502, {}),
    (503, {"errors": ["Vault is sealed"]}),
    (429, {"message": "too many requests"}),
    (504, {}),
]
CLEAR: List[Any] = [(401, {}), (403, {"errors": ["permission denied"]}), (413, {}), (405, {}), (302, {})]


@pytest.mark.parametrize("reply", UNCLEAR + CLEAR, ids=lambda reply: str(reply[0]))
def test_what_a_server_says_is_taken_for_what_it_is(server: HttpKind, reply: Any) -> None:
    file = server.keyring(loader())
    keyring = file.load()
    server.server.refuse = reply
    with pytest.raises(KeyringFileError) as error:
        server.keyring(loader()).load()
    assert ("does not mean that there is none" in str(error.value)) == (reply in UNCLEAR)
    assert f"HTTP {reply[0]}" in str(error.value) and "there is no keyring" not in str(error.value)
    if reply in CLEAR:
        with pytest.raises(NotWrittenError, match="Nothing was changed"):
            file.replace(keyring)


def test_a_server_that_answers_with_something_else_is_no_empty_store(server: HttpKind) -> None:
    for reply in ((200, {}), (200, {"hello": "world"}), (404, {"message": "page not found"}), (404, {})):
        server.server.refuse = reply
        for use in (server.keyring(loader()).exists, server.keyring(loader()).load):
            with pytest.raises(KeyringFileError, match="cannot be read"):
                use()


def test_an_etcd_that_is_full_says_so_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = EtcdKind(tmp_path, monkeypatch)
    file = kind.keyring(loader())
    keyring = file.create(builders.at("prepared"))
    kind.server.refuse = (400, {"error": "etcdserver: mvcc: database space exceeded", "code": 8})
    with pytest.raises(NotWrittenError, match=r"NOSPACE.*etcdctl alarm disarm"):
        file.replace(keyring)
    kind.end()


def test_the_next_server_is_asked_where_the_first_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = EtcdKind(tmp_path, monkeypatch)
    place = f"etcd://127.0.0.1:9,{kind.etcd.address}/{kind.key}"
    written = kind.keyring(loader(), place).create(builders.at("prepared"))
    assert kind.keyring(loader()).load() == written
    kind.end()


def test_a_vault_standby_that_lags_is_asked_for_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = VaultKind(tmp_path, monkeypatch)
    file = kind.keyring(loader())
    first = file.create(builders.at("prepared"))
    other = kind.keyring(loader())
    other.replace(other.load())
    real, asked = kind.vault.answer, []

    def lagging(method: str, path: str, body: Dict[str, Any], headers: Dict[str, str]) -> Any:
        asked.append(path)
        if method == "GET" and "version=" not in path:
            path += "?version=1"
        return real(method, path, body, headers)

    monkeypatch.setattr(kind.vault, "answer", lagging)
    with pytest.raises(NotWrittenError, match="was changed by somebody else"):
        file.replace(first)
    assert any("version=2" in path for path in asked)
    kind.end()


def test_a_secret_s_labels_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KubernetesKind(tmp_path, monkeypatch)
    file = kind.keyring(loader())
    keyring = file.create(builders.at("prepared"))
    there = kind.cluster.secrets[kind.path]
    there["metadata"]["labels"] = {"team": "ops"}
    keyring = kind.keyring(loader()).load()
    other = kind.keyring(loader())
    other.replace(other.load())
    assert kind.cluster.secrets[kind.path]["metadata"]["labels"] == {"team": "ops"} and keyring
    there = json.loads(json.dumps(kind.cluster.secrets[kind.path]))
    kind.cluster.secrets[kind.path] = {**there, "type": "Opaque"}
    with pytest.raises(KeyringFileError, match="is no keyring of phased.keys"):
        kind.keyring(loader()).load()
    kind.end()
