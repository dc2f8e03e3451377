# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores with real servers behind them: etcd, git over ssh, and moto for S3. Where one is not there, what needs it is skipped with the reason.

etcd and sshd are those of this machine or, on Debian, of its packages, unpacked into .cache and not installed.
"""

from __future__ import annotations

import base64
import functools
import getpass
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from store_kinds import NOWHERE, EtcdKind, GitKind, Kind

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache" / "stores"


@functools.lru_cache(maxsize=None)
def program(name: str, package: str, *libraries: str) -> str:
    """Return the path of a program; skip where there is none."""
    places = [
        shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin"),
        *map(str, CACHE.glob(f"root/usr/*bin/{name}")),
    ]
    found = next(filter(None, places), None)
    if found is None and shutil.which("apt-get") and shutil.which("dpkg"):
        CACHE.mkdir(parents=True, exist_ok=True)
        for one in (package, *libraries):
            subprocess.run(["apt-get", "download", one], cwd=CACHE, check=False, capture_output=True, timeout=120)
        for file in CACHE.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(file), str(CACHE / "root")], check=True, capture_output=True)
        found = next(map(str, CACHE.glob(f"root/usr/*bin/{name}")), None)
    if found is None:
        pytest.skip(f"there is no {name} here, and its package {package} cannot be had")
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until_it_listens(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait for a server."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"{process.args} is there and does not come up")


class Process:
    """A server of ours."""

    def __init__(self, command: List[str], port: int, log: Path, **environment: str) -> None:
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **environment}
            )
        until_it_listens(port, self.process)

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


class RealEtcd(EtcdKind):
    """A node of etcd, with a user who may use nothing."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        super().__init__(folder, environment)
        self.port, peers = free_port(), free_port()
        url, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{peers}"
        command = [
            program("etcd", "etcd-server"), "--data-dir", str(folder / "etcd"), "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}", "--unsafe-no-fsync",
        ]  # fmt: skip
        self.node = Process(command, self.port, folder / "etcd.log", ETCD_UNSUPPORTED_ARCH="")
        self.place = f"etcd://127.0.0.1:{self.port}/{self.key}"
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                self.ask("kv/range", key=self.key)
                return
            except OSError:
                time.sleep(0.1)

    def ask(self, what: str, coded: Tuple[str, ...] = ("key", "value"), **body: Any) -> Dict[str, Any]:
        """Ask the node as anybody may."""
        said = {
            name: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
            if name in coded
            else value
            for name, value in body.items()
        }
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v3/{what}", data=json.dumps(said).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer))

    def overwrite(self, text: bytes) -> None:
        self.ask("kv/put", key=self.key, value=text)

    def delete(self) -> None:
        self.ask("kv/deleterange", key=self.key)

    def forbid(self) -> None:
        for name in ("root", "nobody"):
            self.ask("auth/user/add", coded=(), name=name, password="secret")
        self.ask("auth/role/add", coded=(), name="root")
        self.ask("auth/user/grant", coded=(), user="root", role="root")
        self.ask("auth/enable")
        self.environment.setenv("ETCDCTL_USER", "nobody:secret")

    def end(self) -> None:
        super().end()
        self.node.end()


def as_root(command: List[str], folder: Path) -> List[str]:
    """Return the command for a root's sshd, which wants a user and a folder of its own: they are there for it alone."""
    if os.geteuid() != 0:
        return command
    passwd = folder / "passwd"
    passwd.write_text(Path("/etc/passwd").read_text() + "sshd:x:4242:65534::/run/sshd:/usr/sbin/nologin\n")
    prepare = (
        f"mount --bind {passwd} /etc/passwd && mount -t tmpfs none /run && mkdir /run/sshd && exec {' '.join(command)}"
    )
    return ["unshare", "--mount", "sh", "-c", prepare]


class GitOverSsh(GitKind):
    """The same repository over ssh, on the loopback, with a key that nobody has to unlock."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        super().__init__(folder, environment)
        server, self.port = program("sshd", "openssh-server", "libwrap0"), free_port()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        self.authorized = folder / "authorized"
        shutil.copy(folder / "user.pub", self.authorized)
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {self.authorized}\nStrictModes no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n"
        )
        command = [server, "-D", "-e", "-f", str(folder / "sshd_config")]
        libraries = ":".join(str(one.parent) for one in (CACHE / "root").rglob("libwrap.so.0"))
        self.daemon = Process(as_root(command, folder), self.port, folder / "sshd.log", LD_LIBRARY_PATH=libraries)
        host = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {host}\n")
        ssh = f"ssh -F none -o BatchMode=yes -i {folder}/user -o UserKnownHostsFile={folder}/known -o ConnectTimeout=5"
        environment.setenv("GIT_SSH_COMMAND", ssh)
        self.place = f"git+ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.repository}//keyrings/shop.yml"

    def down(self) -> None:
        self.place = self.place.replace(f":{self.port}/", f":{NOWHERE.partition(':')[2]}/")

    def forbid(self) -> None:
        self.authorized.write_text("")

    def end(self) -> None:
        self.daemon.end()


class S3Kind(Kind):
    """A bucket of moto, with versions. Amazon says x-amz-delete-marker of what was deleted, and moto does not."""

    leaves_a_trace = False

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        super().__init__(folder, environment)
        for name in ("boto3", "moto", "flask"):
            if importlib.util.find_spec(name) is None:
                pytest.fail(f"this Python has no {name}: make stores has an environment with it")
        import boto3

        self.port = free_port()
        self.server = Process(
            [sys.executable, "-m", "moto.server", "-p", str(self.port)], self.port, folder / "moto.log"
        )
        for name in [one for one in os.environ if one.startswith("AWS_")]:
            environment.delenv(name)
        for name, value in (
            ("ACCESS_KEY_ID", "id"),
            ("SECRET_ACCESS_KEY", "secret"),
            ("REGION", "eu-west-1"),
            ("DEFAULT_REGION", "eu-west-1"),
        ):
            environment.setenv(f"AWS_{name}", value)
        environment.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{self.port}")
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket="ops", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.s3.put_bucket_versioning(Bucket="ops", VersioningConfiguration={"Status": "Enabled"})
        self.place = "s3://ops/keyrings/shop.yml"

    def overwrite(self, text: bytes) -> None:
        self.s3.put_object(Bucket="ops", Key="keyrings/shop.yml", Body=text)

    def delete(self) -> None:
        self.s3.delete_object(Bucket="ops", Key="keyrings/shop.yml")

    def down(self) -> None:
        self.environment.setenv("AWS_ACCESS_KEY_ID", "id")
        self.environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        self.environment.setenv("AWS_ENDPOINT_URL_S3", f"http://{NOWHERE}")

    def forbid(self) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            self.environment.delenv(name)
        self.environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        self.environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(self.folder / "none"))
        self.environment.setenv("AWS_CONFIG_FILE", str(self.folder / "none"))

    def end(self) -> None:
        self.server.end()


REAL: List[Tuple[str, type]] = [("etcd", RealEtcd), ("git+ssh", GitOverSsh), ("s3", S3Kind)]
