# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes itself, built once of Debian's source package with Debian's Go; etcd, containerd and the rest are Debian's as they are."""

from __future__ import annotations

import os
import re
import shutil

import packages
from places import BIN, CACHE, DEBIAN, run, say

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
READY = ("etcd-server", "containerd", "runc", "containernetworking-plugins")
GO = ("golang-1.19-go", "golang-1.19-src", "golang-github-modern-go-reflect2-dev")
VERSION = ("1", "20", "2")
BUILD = CACHE / "build"
GOROOT = BUILD / "tools" / "usr" / "lib" / "go-1.19"
SOURCE = BUILD / "gopath" / "src" / "k8s.io" / "kubernetes"
PAUSE = """\
package main

import (
    "os"
    "os/signal"
    "syscall"
)

func main() {
    c := make(chan os.Signal, 8)
    signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
    for s := range c {
        if s != syscall.SIGCHLD {
            os.Exit(0)
        }
        for {
            if p, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); p <= 0 {
                break
            }
        }
    }
}
"""


def programs() -> None:
    """Make what a cluster runs, if it is not there yet. What it was made with is removed: that is more than 2 GB."""
    if not (DEBIAN / "made").exists():
        say("etcd, containerd and runc are fetched")
        packages.update()
        packages.unpack(READY, DEBIAN)
        (DEBIAN / "made").touch()
    if all((BIN / name).exists() for name in (*PROGRAMS, "pause")):
        return
    say("Kubernetes is built, once: that takes some minutes")
    BIN.mkdir(parents=True, exist_ok=True)
    packages.update()
    packages.unpack(GO, BUILD / "tools")
    if not SOURCE.exists():
        new = SOURCE.with_name("new")
        shutil.rmtree(new, ignore_errors=True)
        packages.source("kubernetes", new)
        new.rename(SOURCE)
    _mend()
    for name in PROGRAMS:
        _go("build", "-tags", "providerless,dockerless", "-ldflags", _flags(), "-o", str(BUILD / name), f"./cmd/{name}")
        (BUILD / name).rename(BIN / name)  # whole, or not there
        say(f"{name} is built")
    (BUILD / "pause.go").write_text(PAUSE)
    _go("build", "-ldflags", "-s -w", "-o", str(BIN / "pause"), str(BUILD / "pause.go"))
    shutil.rmtree(BUILD)


def _mend() -> None:
    """Put right what does not fit together in the source package.

    reflect2 1.0.1, which it brings, links to reflect.mapiterinit, whose signature changed in Go 1.18: every map that is written
    pretty-printed corrupts memory. Debian's own 1.0.2 is sound. And of the generated files Debian's clean removes one.
    """
    theirs = SOURCE / "vendor" / "github.com" / "modern-go" / "reflect2"
    if not (theirs / "go_above_118.go").exists():
        shutil.rmtree(theirs)
        own = BUILD / "tools" / "usr" / "share" / "gocode" / "src" / "github.com" / "modern-go" / "reflect2"
        shutil.copytree(own, theirs, ignore=shutil.ignore_patterns("go.mod"))
    generated = SOURCE / "pkg" / "generated" / "openapi"
    if (generated / "zz_generated.openapi.go").exists():
        return
    tool = BUILD / "openapi-gen"
    _go("build", "-o", str(tool), "./vendor/k8s.io/kube-openapi/cmd/openapi-gen")
    run(
        tool, "--logtostderr", "-i", ",".join(_with_openapi()), "-p", f"k8s.io/kubernetes/{generated.relative_to(SOURCE)}",
        "-O", "zz_generated.openapi", "-h", "hack/boilerplate/boilerplate.generatego.txt", "-r", BUILD / "violations",
        "--output-base", BUILD / "gopath" / "src", cwd=SOURCE, **_settings(),
    )  # fmt: skip


def _with_openapi() -> list[str]:
    """Return the packages that are to be described, as Go names them."""
    found = set()
    for top in ("pkg", "cmd", "staging/src/k8s.io"):
        for path in (SOURCE / top).rglob("*.go"):
            folder = path.parent.relative_to(SOURCE).as_posix()
            if path.name.endswith("_test.go") or re.match(
                r"staging/src/k8s\.io/(code-generator/|sample-)", f"{folder}/"
            ):
                continue
            if "+k8s:openapi-gen=" in path.read_text(errors="replace"):
                inside = re.sub(r"^staging/src/", "vendor/", folder)
                found.add(f"k8s.io/kubernetes/{inside}")
    return sorted(found)


def _flags() -> str:
    major, minor, patch = VERSION
    values = {"gitVersion": f"v{major}.{minor}.{patch}", "gitMajor": major, "gitMinor": minor}
    where = ("component-base/version", "client-go/pkg/version")
    told = [
        f"-X k8s.io/kubernetes/vendor/k8s.io/{path}.{name}={value}" for path in where for name, value in values.items()
    ]
    return " ".join(["-s", "-w", *told])


def _settings() -> dict[str, str]:
    """Return what Go needs to know; the vendored tree is used as it is, and nothing is fetched."""
    (BUILD / "tmp").mkdir(parents=True, exist_ok=True)
    return {
        "GOROOT": str(GOROOT), "GOPATH": str(BUILD / "gopath"), "GOCACHE": str(BUILD / "cache"), "GOTMPDIR": str(BUILD / "tmp"),
        "GO111MODULE": "off", "CGO_ENABLED": "0", "GOFLAGS": "", "PATH": f"{GOROOT}/bin:{os.environ['PATH']}",
    }  # fmt: skip


def _go(*command: str) -> None:
    run("nice", GOROOT / "bin" / "go", *command, cwd=SOURCE if SOURCE.exists() else BUILD, **_settings())
