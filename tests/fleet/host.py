# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of a process-host fleet: a folder, and the gunicorn that runs from it.

    python tests/fleet/host.py start|stop|restart|reload|status FOLDER

The folder holds `env` (what systemd's EnvironmentFile would be), `state/`, `pid`, `log`, `host.json` (address, workers)
and `ready/`, where every worker that has come up leaves a file. `reload` sends SIGHUP, after which gunicorn's new
workers still have the old environment: that is the trap which a rotation has to see.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import envfile
import procs

HERE = Path(__file__).resolve().parent
GRACE = 8  # seconds for requests in flight when a host stops
PATIENCE = 60  # seconds until all workers have to be up; a busy machine with two fleets needs some


class HostError(Exception):
    """A host that cannot do what was asked."""


class Host:
    """A host's folder, and what can be done with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.fleet = self.folder.parent.parent
        try:
            settings = json.loads((self.folder / "host.json").read_text())
        except (OSError, ValueError) as error:
            raise HostError(f"{folder} is not a host's folder: {error}") from None
        self.address: str = settings["address"]
        self.port: int = settings["port"]
        self.workers: int = settings["workers"]

    def processes(self) -> list[procs.Proc]:
        """Return every process of this host, orphans included."""
        return procs.marked(procs.HOST_MARK, self.folder)

    def master(self) -> procs.Proc | None:
        """Return gunicorn's master: the process that the pid file names, if it is one of this host's."""
        try:
            pid = int((self.folder / "pid").read_text())
        except (OSError, ValueError):
            return None
        return next((proc for proc in self.processes() if proc.pid == pid), None)

    def ready(self) -> list[int]:
        """Return the pids of the workers that are up."""
        master = self.master()
        if master is None:
            return []
        said = {int(path.name) for path in (self.folder / "ready").iterdir()}
        return [proc.pid for proc in self.processes() if proc.parent == master.pid and proc.pid in said]

    def start(self) -> None:
        """Start gunicorn with what the env file says; return when every worker is up and the port answers."""
        with self._locked():
            self._start()

    def stop(self) -> None:
        """Let requests in flight finish, for a bounded time, and end everything that runs here."""
        with self._locked():
            self._stop()

    def restart(self) -> None:
        """Stop, and start with the env file as it is now."""
        with self._locked():
            self._stop()
            self._start()

    def reload(self) -> None:
        """Send SIGHUP as a careless deploy does, and wait until new workers, with the old environment, are up."""
        with self._locked():
            master = self.master()
            if master is None:
                raise HostError(f"{self.folder.name} does not run")
            before = [proc for proc in self.processes() if proc.parent == master.pid]
            procs.send(master, signal.SIGHUP)
            if not procs.gone(before, PATIENCE):
                raise HostError(f"{self.folder.name}: the old workers did not end")
            self._wait_until_up(master)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the host's lock: nobody starts and stops it at the same time, `down` of the fleet included."""
        with (self.folder / "lock").open("w") as lock:
            deadline = time.monotonic() + 2 * PATIENCE
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise HostError(f"{self.folder.name} is busy with another start or stop") from None
                    time.sleep(0.05)
            yield

    def _start(self) -> None:
        if (self.fleet / "closed").exists():
            # A start that comes late, from a visit that outlived its controller, must not bring the dead back.
            raise HostError(f"the fleet in {self.fleet} has been taken down")
        if self.processes():
            raise HostError(f"{self.folder.name} runs already")
        for name in ("ready", "tmp", "state"):
            (self.folder / name).mkdir(exist_ok=True)
        for path in (self.folder / "ready").iterdir():
            path.unlink()
        environment = self._environment()
        middle = os.fork()
        if middle == 0:
            self._become_gunicorn(environment)
        os.waitpid(middle, 0)
        deadline = time.monotonic() + 5
        while (master := self.master()) is None:
            if time.monotonic() > deadline:
                raise HostError(f"{self.folder.name} did not start:\n{self._log_tail()}")
            time.sleep(0.01)
        self._wait_until_up(master)

    def _environment(self) -> dict[str, str]:
        """Return what gunicorn gets: the env file and the little that a service manager adds, nothing of ours."""
        try:
            given = envfile.read(self.folder / "env")
        except OSError as error:
            raise HostError(f"{self.folder.name}: {error}") from None
        base = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            # Where setproctitle is installed gunicorn renames its processes, which would wipe their environment
            # from /proc. That case is worth a test of its own, not an accident.
            "SPT_NOENV": "1",
        }
        return {**base, **given, procs.FLEET_MARK: str(self.fleet), procs.HOST_MARK: str(self.folder)}

    def _become_gunicorn(self, environment: dict[str, str]) -> NoReturn:
        """In the forked child: leave the caller's session, signals and files behind, and become gunicorn."""
        try:
            if os.fork():
                os._exit(0)  # gunicorn is nobody's child, so that no caller has to reap it
            os.setsid()
            # The caller may be an Ansible module that ignores SIGHUP and SIGPIPE, or a shell that ignores SIGINT for
            # its background jobs. What is ignored stays ignored after exec, so everything is put back.
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.umask(0o022)
            os.chdir(self.folder)
            log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            Path("pid.new").write_text(f"{os.getpid()}\n")
            os.replace("pid.new", "pid")
            os.execve(sys.executable, self._command(), environment)
        except BaseException as error:
            os.write(2, f"host.py: cannot start gunicorn: {error}\n".encode())
        os._exit(127)

    def _command(self) -> list[str]:
        return [
            sys.executable, "-m", "gunicorn",
            "--config", str(HERE / "gunicorn_conf.py"),
            "--chdir", str(HERE / "app"),
            "--bind", f"{self.address}:{self.port}",
            "--workers", str(self.workers),
            "--graceful-timeout", str(GRACE),
            "--worker-tmp-dir", str(self.folder / "tmp"),
            "--no-control-socket",  # its default place is the user's home
            "shop.wsgi",
        ]  # fmt: skip

    def _wait_until_up(self, master: procs.Proc) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(self.ready()) != self.workers or not self._answers():
            if not procs.alive(master):
                self._stop()
                raise HostError(f"{self.folder.name}: gunicorn ended at once:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise HostError(f"{self.folder.name}: not all workers came up:\n{self._log_tail()}")
            time.sleep(0.03)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=5) as line:
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            return line.recv(64).startswith(b"HTTP/1.1 200")
        return False

    def _stop(self) -> None:
        master = self.master()
        if master is not None and procs.send(master, signal.SIGTERM):
            procs.gone(self.processes(), GRACE + 2)
        if not procs.end_marked(procs.HOST_MARK, self.folder, grace=2):
            raise HostError(f"{self.folder.name}: some process cannot be ended")
        (self.folder / "pid").unlink(missing_ok=True)

    def _log_tail(self) -> str:
        try:
            return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-15:])
        except OSError:
            return "(no log)"


def main() -> int:
    parser = argparse.ArgumentParser(description="Control one host of a process-host fleet.")
    parser.add_argument("action", choices=["start", "stop", "restart", "reload", "status"])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    try:
        host = Host(options.folder)
        if options.action == "status":
            up = host.ready()
            print(f"{host.folder.name} {host.address}:{host.port} {len(up)} of {host.workers} workers up")
            return 0 if len(up) == host.workers else 3
        getattr(host, options.action)()
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
