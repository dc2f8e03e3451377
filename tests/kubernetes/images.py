# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two images, made here and imported, since no registry is asked: what holds a pod's namespaces, and the demo's shop.

The shop has its users in a database of its own in the image: what a session or a link needs is the same in every pod, on any
node of any cluster. Sessions that lie in a database cannot be had there, those in cookies can.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import packages
from places import BIN, CHECKOUT, HERE, IMAGES, run, say

APP = CHECKOUT / "tests" / "fleet" / "app"
# Plain Python, all of it, and the application needs no more.
LIBRARIES = ("Django", "asgiref", "sqlparse", "gunicorn", "packaging")
DEBIAN = (
    "busybox-static", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "zlib1g", "libexpat1", "libssl3",
    "libffi8", "libbz2-1.0", "liblzma5", "libsqlite3-0", "libuuid1", "tzdata",
)  # fmt: skip
TOOLS = ("sh", "sleep", "cat", "ls", "ps", "kill", "env", "id")
PAUSE, SHOP = "localhost/phased-pause:1", "localhost/phased-shop:1"
DATABASE = "/srv/shop/data/shop.sqlite3"
SERVE = ["python3", "-m", "gunicorn", "--bind", "0.0.0.0:8000", "--workers", "2", "--preload", "--worker-tmp-dir", "/tmp",
         "--no-control-socket", "shop.wsgi"]  # fmt: skip
ENV = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": "/srv/shop/lib:/srv/shop",
    "SHOP_DATABASE": DATABASE,
}


def images() -> list[Path]:
    """Return the images as files, made if they are not there yet or are of another recipe."""
    made = [IMAGES / f"pause-{_digest(BIN / 'pause')}.tar", IMAGES / f"shop-{_recipe()}.tar"]
    IMAGES.mkdir(parents=True, exist_ok=True)
    root = IMAGES / "root"
    for path in IMAGES.iterdir():
        if path not in made:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not made[0].exists():
        (root / "bin").mkdir(parents=True)
        shutil.copy2(BIN / "pause", root / "bin" / "pause")
        write(root, made[0], PAUSE, ["/bin/pause"], {})
        shutil.rmtree(root)
    if not made[1].exists():
        say("the shop's image is made")
        _shop(root)
        write(root, made[1], SHOP, SERVE, ENV)
        shutil.rmtree(root)
    return made


def _recipe() -> str:
    parts = [*DEBIAN, *SERVE, *ENV.values(), *(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)]
    parts += [path.read_text() for path in (Path(__file__), *_application())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _application() -> list[Path]:
    return sorted(path for path in APP.rglob("*.py") if "__pycache__" not in path.parts)


def _shop(root: Path) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    packages.update()
    packages.unpack(DEBIAN, root)
    shutil.rmtree(root / "var", ignore_errors=True)
    for path in (root / "usr" / "share").iterdir():
        if path.name != "zoneinfo":
            shutil.rmtree(path)
    for name in ("tmp", "proc", "sys", "dev", "srv/shop/data"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "usr" / "bin" / "python3").symlink_to("python3.11")
    for name in TOOLS:
        if not os.path.lexists(root / "usr" / "bin" / name):
            (root / "usr" / "bin" / name).symlink_to("busybox")
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nshop:x:1000:1000:shop:/tmp:/bin/sh\n")
    for name in LIBRARIES:
        for file in importlib.metadata.files(name) or ():
            # What is outside of site-packages are commands, for this machine's interpreter.
            if ".." not in file.parts and "__pycache__" not in file.parts:
                _copy(Path(str(file.locate())), root / "srv" / "shop" / "lib" / file)
    for path in _application():
        _copy(path, root / "srv" / "shop" / path.relative_to(APP))
    settings = {**ENV, "SECRET_KEY": "of no use but to make the database"}
    run("chroot", root, "python3", "-m", "compileall", "-q", "/usr/lib/python3.11", "/srv/shop", **settings)
    run("chroot", root, "python3", "/srv/shop/create.py", **settings)
    for path in (root / "srv" / "shop" / "data").iterdir():
        path.chmod(0o666)
    (root / "srv" / "shop" / "data").chmod(0o777)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def write(root: Path, target: Path, name: str, command: list[str], env: dict[str, str]) -> None:
    """Write a folder as an OCI image of one layer, which `ctr images import` and `kind load image-archive` take."""
    blobs: dict[str, bytes] = {}

    def blob(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(data),
        }

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path in sorted(root.iterdir()):
            tar.add(path, path.name, filter=_anybodys)
    of_layer = blob(layer.getvalue(), "layer.v1.tar")
    config = {
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [of_layer["digest"]]},
        "config": {"Cmd": command, "Env": [f"{key}={value}" for key, value in env.items()]},
    }  # fmt: skip
    manifest = {"schemaVersion": 2, "config": blob(_json(config), "config.v1+json"), "layers": [of_layer]}
    index = blob(_json(manifest), "manifest.v1+json")
    index["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [index]}),
    }
    files.update({f"blobs/sha256/{digest}": data for digest, data in blobs.items()})
    with tarfile.open(target.with_suffix(".new"), "w") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    target.with_suffix(".new").rename(target)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _anybodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    print(f"{HERE.name}: {', '.join(str(path) for path in images())}")
