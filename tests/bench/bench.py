# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a rollout beside the same by hand, and beside what Ansible costs by itself.

    python tests/bench/bench.py small                      what CI runs: fails where a bound does not hold
    python tests/bench/bench.py full [--largest 200]       writes docs/benchmarks, at most 30 minutes on two cores
    python tests/bench/bench.py page                       writes the page and the plot anew from the kept run

What is measured is in variants.py, how often in plan.py. Exit code: 0, 1 where a bound does not hold, 2 where it could not be measured.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

sys.path.append(str(Path(__file__).resolve().parents[1] / "fleet"))

import figures
import machine_facts
import measuring
import page
import plan
import spread
from errors import HostsError
from loopback_sshd import Sshd
from process_hosts import FIRST_ADDRESS, HostError, Hosts, host_addresses
from variants import CHECKOUT, Bench

KEPT = ("wall", "controller", "hosts", "memory", "contacts")


class Health(http.server.BaseHTTPRequestHandler):
    """The health endpoint of every host, for the playbook by hand: it always answers at once."""

    def do_GET(self) -> None:
        """Say that all is well."""
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_unused: Any) -> None:
        """Say nothing on the terminal."""


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, flush=True)


class Place:
    """Folders of one run of the bench, the health endpoint, and hosts when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The path of a socket is 107 characters at most, and a checkout may lie deep.
        self.sockets = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
        self._server = http.server.ThreadingHTTPServer((FIRST_ADDRESS, 0), Health)
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    @contextlib.contextmanager
    def bench(self, count: int, connection: str) -> Iterator[Bench]:
        """Bring so many hosts up, adopt their key, and end them afterwards."""
        folder = self.folder / f"{connection}-{count}"
        health = f"http://{FIRST_ADDRESS}:{self._server.server_port}"
        sshd = Sshd(self.folder / f"sshd-{count}", host_addresses(count)) if connection == "ssh" else None
        try:
            bench = Bench(Hosts(folder, count, health, sshd), self.sockets)
            bench.playbook("adopt")
            yield bench
        finally:
            measuring.end_all()
            if sshd:
                sshd.close()
            shutil.rmtree(folder, ignore_errors=True)

    def end(self) -> None:
        """End all that was started, and remove what was written."""
        measuring.end_all()
        self._server.shutdown()
        shutil.rmtree(self.sockets, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def measure_shape(bench: Bench, shape: plan.Shape, clock: plan.Clock) -> dict[str, Any]:
    """Run the variants of one shape in turn, as long as there is time, and return their figures."""
    runs: dict[str, list[dict[str, Any]]] = {variant: [] for variant in shape.repeats}
    left_out = []
    bench.forks = shape.forks
    for number, variant in plan.rounds(shape):
        if not clock.fits(shape, variant):
            left_out.append(f"run {number + 1} of {variant}")
            continue
        used = bench.measure(variant)
        clock.took(shape, variant, used["wall"])
        runs[variant].append({name: round(used[name], 3) for name in KEPT})
        say(
            f"  {variant:<6} {used['wall']:7.1f} s   processor: controller {used['controller']:6.1f} s, "
            f"hosts {used['hosts']:6.1f} s   {used['memory']:4.0f} MiB   {used['contacts']} contacts"
        )
    return results(shape, bench.visits, runs, left_out)


def unmeasured(shape: plan.Shape) -> dict[str, Any]:
    """Return the results of a shape for which there was no time at all."""
    return results(shape, [], {variant: [] for variant in shape.repeats}, [f"every run of {', '.join(shape.repeats)}"])


def results(
    shape: plan.Shape, visits: list[dict[str, Any]], runs: dict[str, list[dict[str, Any]]], left_out: list[str]
) -> dict[str, Any]:
    """Return what was measured of one shape, as it is kept."""
    middle = figures.medians(runs)
    return {
        "name": shape.name, "hosts": shape.hosts, "forks": shape.forks, "connection": shape.connection,
        "visits": visits, "runs": runs, "medians": middle, "ratios": figures.ratios(middle), "left_out": left_out,
    }  # fmt: skip


def measure_all(place: Place, shapes: list[plan.Shape], clock: plan.Clock) -> dict[str, Any]:
    """Measure every shape; those of the same hosts that follow each other with the same ones. Without sshd those over ssh are left out."""
    found: list[dict[str, Any]] = []
    without: str | None = None
    for (count, connection), same in itertools.groupby(shapes, lambda shape: (shape.hosts, shape.connection)):
        mine = list(same)
        if not any(clock.fits(shape, "a") for shape in mine):
            # Not even brought up, which takes its time too.
            found += [unmeasured(shape) for shape in mine]
            continue
        try:
            with place.bench(count, connection) as bench:
                for shape in mine:
                    say(shape.name)
                    found.append(measure_shape(bench, shape, clock))
        except HostsError as error:
            without = str(error)
            say(f"{count} hosts over ssh are left out: {error}")
    return {"shapes": found, "ssh_left_out": without}


def measure_settle(place: Place) -> dict[str, Any]:
    """Return what a rollout of 10 hosts takes without the pause between two looks, and with the default one."""
    say("the pause between two looks")
    with place.bench(10, "local") as bench:
        without = bench.playbook("rollout", "-e", "app_keys_new=true")["wall"]
        settled = bench.playbook("rollout", "-e", "app_keys_new=true", "-e", "app_keys_settle=2s")["wall"]
    return {"hosts": 10, "without": round(without, 2), "with_default": round(settled, 2)}


def measure_spread(place: Place) -> dict[str, Any]:
    """Return how long hosts sign with different keys, for several ways to make batches."""
    say("how long hosts sign with different keys")
    with place.bench(24, "local") as bench:
        bench.forks = 50
        return spread.measure(bench)


def verdict(result: dict[str, Any], bounds: Iterable[figures.Bound]) -> int:
    """Say the ratios, which goals are not reached and which bounds do not hold, and return the exit code."""
    code = 0
    for shape in result["shapes"]:
        say(f"\n{shape['name']}: " + ", ".join(f"{name} {value:.3f}" for name, value in shape["ratios"].items()))
        if "a" in shape["medians"]:
            cost = figures.per_host_and_phase(shape["medians"]["a"]["controller"], shape["hosts"])
            say(f"  the controller's processor for each host and phase: {cost * 1000:.0f} ms")
        for text in figures.broken(shape["medians"], figures.GOALS):
            say(f"  still to reach: {text}")
        for text in figures.broken(shape["medians"], bounds):
            say(f"  over its bound: {text}")
            code = 1
    return code


def run(options: argparse.Namespace, place: Place) -> int:
    """Run the small or the full bench."""
    began = time.monotonic()
    result: dict[str, Any] = {**machine_facts.facts(), "settings": machine_facts.SETTINGS}
    if options.command == "small":
        result.update(measure_all(place, plan.SMALL, plan.Clock(plan.SMALL_SECONDS)))
    else:
        clock = plan.Clock(plan.FULL_SECONDS)
        result.update(settle=measure_settle(place), spread=measure_spread(place))
        result.update(measure_all(place, plan.full(options.largest), clock))
    result["seconds"] = round(time.monotonic() - began)
    code = verdict(result, figures.BOUNDS if options.command == "small" else ())
    folder = page.FOLDER if options.command == "full" else CHECKOUT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{options.command}.json").write_text(json.dumps(result, indent=1) + "\n")
    if options.command == "full":
        page.write()
    say(f"\ndone in {result['seconds']} s")
    return code


def interrupted(number: int, _frame: Any) -> NoReturn:
    """End in an orderly way, and only once."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main() -> int:
    """Read the command line, and leave nothing behind however it ends."""
    parser = argparse.ArgumentParser(description="Measure a rollout beside the same by hand.")
    parser.add_argument("command", choices=["small", "full", "page"])
    parser.add_argument("--largest", type=int, default=200, help="no more hosts than this in the full run")
    options = parser.parse_args()
    if options.command == "page":
        page.write()
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    measuring.adopt_orphans()
    folder = CHECKOUT / ".cache" / "bench" / str(os.getpid())
    folder.mkdir(parents=True)
    place = Place(folder)
    try:
        return run(options, place)
    except (measuring.RunError, HostError) as error:
        say(f"could not be measured: {error}")
        return 2
    finally:
        place.end()


if __name__ == "__main__":
    sys.exit(main())
