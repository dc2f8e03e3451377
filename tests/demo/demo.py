# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll a key over a live fleet twice, first the naive way and then with phased.keys, and count who is logged out.

    python tests/demo/demo.py [--hosts 4] [--workers 3] [--soak 10] [--rate 110] [--only naive|phased] [--drain no]

Both halves run on the same fleet under the same load (load.py), which reaches the hosts through one balancer
(little_balancer.py). The naive half is what Django ticket 35400 describes: the new key into SECRET_KEY, the old one
into the fallbacks, restart, host by host. It is done by hand and as fast as a host restarts, which flatters it. The
phased half is the real ansible-playbook, from adopt to the end of rollout. Both drain a host at the same door before
its restart, so that no client meets a host that is down; with `--drain no` neither does, and clients see errors.

The soak is honest: sessions and links of this shop live 2 seconds less than the soak after their last use (a link:
after it was made), so nothing that the old key signed outlives it. Sessions that are used are signed anew with every
use, and last all through the rotation: they are exercised from before its first step until after its last.

Exit code: 0 where naive loses many and phased nothing, and no client saw an error where hosts are drained, 1 where not, 2 where it could not be tried at all.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

sys.path.append(str(Path(__file__).resolve().parents[1] / "fleet"))

import envfile
import procs
from balanced import Balanced
from browser import GaveUp
from fleet import Fleet, new_key
from host import HostError
from load import CLIENTS, Load
from phases import Watch
from picture import svg
from playbook import ANSIBLE_PLAYBOOK, CHECKOUT, Playbook
from report import ENOUGH, Progress, complaints, crossed, half, table
from timeline import timeline

BUILD = CHECKOUT / "build" / "demo"
LIFE_BELOW_SOAK = 2  # seconds: a reset link of n seconds is still good after n + 0.99, for Django counts whole ones


class SetUpError(Exception):
    """The demo could not be tried; that says nothing about the collection."""


class Failed(Exception):
    """The rotation itself failed."""


class Demo:
    """One run: a folder of its own, a fleet in it, and the load."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        from create import PASSWORD  # beside the application, which demo.py does not import otherwise

        self.options = options
        self.folder = folder
        self.progress = Progress()
        self.fleet = Fleet(folder / "fleet")
        self.life = options.soak - LIFE_BELOW_SOAK
        self.password = PASSWORD
        self.balancer: Balanced | None = None
        self.load: Load | None = None
        self.playbook: Playbook | None = None
        self.marks: list[tuple[str, float]] = []

    def run(self) -> dict[str, Any]:
        """Run the halves that were asked for and return the result."""
        began = time.monotonic()
        options = self.options
        self.progress.say(f"starting {options.hosts} hosts with {options.workers} workers each")
        self.fleet.up(
            options.hosts, options.workers, life=self.life, keeper_pid=os.getpid(),
            # Twelve visits, each of which looks twice: a second between the looks is enough for hosts so small.
            variables={
                "app_keys_soak": f"{options.soak}s",
                "app_keys_wait": f"{options.soak + 50}s",
                "app_keys_settle": "1s",
                "app_keys_bake": "1s",
                # Four hosts: one alone first, then two at once.
                "app_keys_serial": [1, "50%"],
            },
        )  # fmt: skip
        self.balancer = Balanced(self.fleet)
        if options.drain == "yes":
            beside = self.fleet.folder / "group_vars" / "shop.yml"  # JSON is YAML
            beside.parent.mkdir()
            beside.write_text(json.dumps(self.balancer.variables))
        result: dict[str, Any] = {name: getattr(options, name) for name in ("hosts", "workers", "soak", "drain")}
        result["clients"] = CLIENTS
        if options.only != "phased":
            result["naive"] = self.naive()
            self.fresh_start()
        if options.only != "naive":
            result["phased"] = self.phased()
            for kind in ("parallel", "parallel_remedied"):
                result[kind] = {name: result["phased"][kind][name] for name in ("requests", "lost")}
        result["seconds"] = round(time.monotonic() - began, 1)
        return result

    def naive(self) -> dict[str, Any]:
        """Put the new key in place of the old one, host by host, under load."""
        self.begin_load("naive")
        old, new = envfile.read(self.fleet.hosts[0].folder / "env")["SECRET_KEY"], new_key()
        for number, host in enumerate(self.fleet.hosts, start=1):
            self.enter(f"host {number}")
            self.replace(host.folder, SECRET_KEY=new, SECRET_KEY_FALLBACKS=old)
            self.keep_on(self.options.pause)
        self.enter("all new")
        self.keep_on(self.options.pause)
        return self.end_load()

    def replace(self, folder: Path, **settings: str) -> None:
        """Write a host's settings and restart it, drained meanwhile where hosts are drained."""
        assert self.balancer is not None
        drained = self.options.drain == "yes"
        if drained:
            self.balancer.ask("drain", folder.name)
        envfile.assign(folder / "env", **settings)
        self.fleet.control("restart", [folder.name])
        if drained:
            self.balancer.ask("undrain", folder.name)

    def fresh_start(self) -> None:
        """Between the halves: the fleet has one key again, the naive half's, and no load."""
        self.progress.say("the fleet gets one key again")
        for host in self.fleet.hosts:
            envfile.assign(host.folder / "env", SECRET_KEY_FALLBACKS="")
        self.fleet.control("restart")

    def phased(self) -> dict[str, Any]:
        """Adopt the key that the fleet has, and roll it over to the end, under load."""
        self.begin_load("phased")
        watch = Watch([host.folder / "env" for host in self.fleet.hosts], self.enter)
        watch.start()
        try:
            for name in ("adopt", "rollout"):
                self.enter(name)
                self.play(name)
            if watch.now != "retired":
                raise Failed(f"rollout ended well, but the fleet is in phase {watch.now}")
        finally:
            watch.stop()
        self.enter("done")
        # Everything that rested through retire has to be used once more, and there have to be enough requests.
        self.keep_on(self.life)
        until = time.monotonic() + 60
        while self.so_far()["requests"] < ENOUGH and time.monotonic() < until:
            self.keep_on(0.5)
        return self.end_load()

    def play(self, name: str) -> None:
        self.playbook = Playbook(
            f"phased.keys.{name}", self.fleet, self.folder / "ansible", BUILD / f"{name}.log", self.progress.line
        )
        code = self.playbook.wait(time.monotonic() + self.options.timeout, self.watch_load)
        self.progress.task = ""
        if code:
            raise Failed(f"{self.playbook.name} ended with {code}:\n{self.playbook.tail()}")

    def begin_load(self, title: str) -> None:
        assert self.balancer is not None
        self.load = self.progress.load = Load([self.balancer.front], self.password, self.life, self.options.rate)
        self.progress.title = title
        self.progress.say(f"{title}: clients log in")
        self.load.start()
        self.marks = []
        self.enter("steady")
        self.keep_on(2)

    def end_load(self) -> dict[str, Any]:
        assert self.load is not None
        self.watch_load()
        self.load.stop()
        self.watch_load()
        if any(self.load.counts().get(("main", "steady"), {}).get(name) for name in ("lost_sessions", "refused_links")):
            raise SetUpError("the load lost sessions before anything was changed")
        result = self.so_far()
        result["timeline"] = timeline(list(self.load.moments), self.marks, time.monotonic())
        self.load = self.progress.load = None
        return result

    def so_far(self) -> dict[str, Any]:
        """Return the figures of this half up to now.

        What comes before the first step proves only that the load itself loses nothing; it is no part of them.
        """
        assert self.load is not None
        ends = [moment for _name, moment in self.marks[1:]] + [time.monotonic()]
        spent = [(name, end - began) for (name, began), end in zip(self.marks, ends, strict=True)]
        return half(self.load, [(name, seconds) for name, seconds in spent if name != "steady"])

    def enter(self, phase: str) -> None:
        """Count what follows for `phase`."""
        assert self.load is not None
        self.load.phase = phase
        self.marks.append((phase, time.monotonic()))
        self.progress.say(f"{self.progress.title}: {phase}")

    def keep_on(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.watch_load()
            time.sleep(0.1)

    def watch_load(self) -> None:
        assert self.load is not None
        if self.load.failure:
            raise Failed(f"the load ended early: {self.load.failure}")
        self.progress.tick()

    def close(self) -> None:
        """End everything and delete the folder, whatever has happened."""
        self.progress.done()
        if self.playbook is not None:
            self.playbook.stop()
        if self.load is not None:
            self.load.stop()
        if self.balancer is not None:
            self.balancer.stop()
        self.fleet.down()
        shutil.rmtree(self.folder, ignore_errors=True)


def check_set_up(options: argparse.Namespace) -> None:
    """Say what is missing before anything is started."""
    missing = [name for name in ("django", "gunicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise SetUpError(f"{' and '.join(missing)} not installed for {sys.executable}: use make demo")
    if options.soak <= LIFE_BELOW_SOAK + 5:
        raise SetUpError("the soak has to be longer than 7 seconds: sessions live 2 less, and have to be of some use")
    if options.only == "naive":
        return
    if not ANSIBLE_PLAYBOOK.exists():
        raise SetUpError(f"no ansible-playbook beside {sys.executable}: use make demo")
    for name in ("adopt", "rollout"):
        if not (CHECKOUT / "playbooks" / f"{name}.yml").exists():
            raise SetUpError(f"playbooks/{name}.yml is not there")


def fresh_folder() -> Path:
    """Make this run's folder, and clear away those of runs that were killed with -9. The name tells whose it is."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for left in BUILD.glob("run-*-*"):
        _run, pid, start = left.name.split("-")
        if not procs.alive(procs.Proc(int(pid), int(start), 0)):
            Fleet(left / "fleet").down()
            shutil.rmtree(left, ignore_errors=True)
    me = procs.look(os.getpid())
    assert me is not None
    folder = BUILD / f"run-{me.pid}-{me.start}"
    folder.mkdir(mode=0o700)
    for name in ("result.json", "lost.svg"):  # a run that fails must not leave an older run's success
        (BUILD / name).unlink(missing_ok=True)
    return folder


def keep(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.replace(path)


def interrupted(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Roll a key over a live fleet, the naive way and with phased.keys.")
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--soak", type=int, default=10, help="seconds; sessions and links live 2 less")
    parser.add_argument("--rate", type=float, default=110, help="requests a second of the steady clients together")
    parser.add_argument("--pause", type=float, default=1, help="seconds between two hosts of the naive rotation")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one playbook")
    parser.add_argument("--only", choices=["naive", "phased"])
    parser.add_argument("--drain", choices=["yes", "no"], default="yes", help="hosts before their restart")
    parser.add_argument("--picture", type=Path, help="keep the plot there too, if nothing is to be complained of")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    demo = None
    try:
        for number in stops:
            signal.signal(number, interrupted)
        check_set_up(options)
        sys.path.append(str(CHECKOUT / "tests" / "fleet" / "app"))
        demo = Demo(options, fresh_folder())
        result = demo.run()
    except (SetUpError, HostError, GaveUp) as error:
        print(f"\nthe demo could not be tried: {error}", file=sys.stderr)
        return 2
    except (Failed, TimeoutError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    finally:
        for number in stops:  # a second Ctrl-C must not cut short what ends the processes
            signal.signal(number, signal.SIG_IGN)
        if demo is not None:
            demo.close()
    found = complaints(result)
    result["ok"] = not found
    keep(BUILD / "result.json", json.dumps(result, indent=2) + "\n")
    keep(BUILD / "lost.svg", svg(result))
    print(f"\n{table(result)}\n\n{crossed(result)}{result['seconds']} s in all; figures: build/demo/result.json")
    print("the picture: build/demo/lost.svg")
    if options.picture and not found:
        keep(options.picture, svg(result))
    for complaint in found:
        print(f"FAILED: {complaint}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
