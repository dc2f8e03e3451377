# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import fcntl
import json
import os
import pathlib
import signal
import stat
import sys
import time
from typing import Any, Dict, Iterator, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import processes, units
from ansible_collections.phased.keys.plugins.module_utils._host.problems import Unusable
from ansible_collections.phased.keys.plugins.module_utils._host.units import RestartFailed, Unit, UnitsUnavailable

# As systemd 252 prints them (`systemctl show --property=... -- shop.service nope.service app.slice`): in an order of
# its own, an empty line between units, and only what a unit of that kind has.
SHOP = """NRestarts=3
ControlGroup=/system.slice/shop.service
Id=shop.service
LoadState=loaded
ActiveState=active
SubState=running
TriggeredBy=shop.socket
"""
FULL = """Restart=always
RestartUSec=1min 30.500s
EnvironmentFiles=/etc/shop.env (ignore_errors=no)
EnvironmentFiles=/etc/with space.env (ignore_errors=yes)
EnvironmentFiles=/etc/shop.d/*.env (ignore_errors=yes)
UnsetEnvironment=LANG SECRET_KEY
FragmentPath=/etc/systemd/system/shop.service
DropInPaths=/run/a.conf /etc/b.conf
"""
NOPE = """NRestarts=0
ControlGroup=
Id=nope.service
LoadState=not-found
ActiveState=inactive
SubState=dead
"""
SLICE = """ControlGroup=/app.slice
Id=app.slice
LoadState=loaded
ActiveState=active
SubState=active
"""
NOT_BOOTED = (
    "System has not been booted with systemd as init system (PID 1). Can't operate.\n"
    "Failed to connect to bus: Host is down\n"
)


class Systemctl:
    """A systemctl of our own on PATH: it does what a script says, and keeps how it was called."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def does(self, script: str) -> None:
        path = self.folder / "systemctl"
        calls, environ = self.folder / "calls", self.folder / "environ"
        path.write_text(f'#!/bin/sh\necho "$*" >> {calls}\nenv > {environ}\n{script}\n')
        path.chmod(0o755)

    def says(self, text: str) -> None:
        (self.folder / "text").write_text(text)
        self.does(f"cat {self.folder}/text")

    @property
    def calls(self) -> List[str]:
        return (self.folder / "calls").read_text().splitlines()

    @property
    def environ(self) -> Dict[str, str]:
        return dict(line.partition("=")[::2] for line in (self.folder / "environ").read_text().splitlines())


@pytest.fixture
def systemctl(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Systemctl(tmp_path)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "full"),
        [
            ("shop", "shop.service"),
            ("shop.service", "shop.service"),
            ("shop.wsgi", "shop.wsgi.service"),
            ("shop@1", "shop@1.service"),
            ("shop.socket", "shop.socket"),
            ("app.slice", "app.slice"),
            ("service", "service.service"),
            (r"a\x2db", r"a\x2db.service"),
        ],
    )
    def test_full(self, name: str, full: str) -> None:
        assert units.full_name(name) == full

    @pytest.mark.parametrize("name", ["", "shop@*", "sho?", "sh[o]p", "-H", "--root=/", "a b", "/etc/x.service", "a\n"])
    def test_what_is_none(self, name: str, systemctl: Systemctl) -> None:
        for call in (units.full_name, lambda name: units.show([name]), lambda name: units.restart([name], 1)):
            with pytest.raises(Unusable, match="not the name of a unit"):
                call(name)


class TestShow:
    def test_several_of_all_kinds(self, systemctl: Systemctl) -> None:
        systemctl.says(f"{SHOP}\n{NOPE}\n{SLICE}")
        assert units.show(["shop", "nope.service", "app.slice"]) == [
            Unit("shop.service", "loaded", "active", "running", "/system.slice/shop.service", 3, ("shop.socket",)),
            Unit("nope.service", "not-found", "inactive", "dead", "", 0),
            Unit("app.slice", "loaded", "active", "active", "/app.slice", 0),
        ]
        (call,) = systemctl.calls
        assert call.startswith("--system ")
        assert call.endswith("-- shop.service nope.service app.slice")
        assert " show --property=" in call
        assert systemctl.environ["LC_ALL"] == "C"

    def test_where_it_takes_its_settings_from(self, systemctl: Systemctl) -> None:
        systemctl.says(f"{SHOP}{FULL}\n{NOPE}")
        shop, nope = units.show(["shop", "nope"])
        assert shop.env_files == ("/etc/shop.env", "/etc/with space.env", "/etc/shop.d/*.env")
        assert shop.unset == ("LANG", "SECRET_KEY")
        assert shop.files == ("/etc/systemd/system/shop.service", "/run/a.conf", "/etc/b.conf")
        assert shop.restart_delay == 90.5
        assert (nope.env_files, nope.unset, nope.files, nope.restart_delay) == ((), (), (), None)
        asked = systemctl.calls[0].split("--property=")[1].split(" ")[0].split(",")
        assert {"Restart", "RestartUSec", "EnvironmentFiles", "UnsetEnvironment", "FragmentPath", "DropInPaths"} < set(
            asked
        )
        # Its values are nobody's business.
        assert "Environment" not in asked

    @pytest.mark.parametrize(("how", "delay"), [("no", None), ("always", 90.5), ("on-failure", 90.5)])
    def test_after_how_long_it_is_started_again(self, systemctl: Systemctl, how: str, delay: Any) -> None:
        systemctl.says(FULL.replace("Restart=always", f"Restart={how}"))
        assert units.show(["shop"])[0].restart_delay == delay

    def test_what_a_look_says(self) -> None:
        unit = Unit("a.service", "loaded", "active", "running", "/a", 3, ("a.socket",), 1.5, ("/etc/a.env",))
        sources = [{"setting": "SECRET_KEY", "source": "/etc/b.env", "wins": False}]
        assert units.evidence(unit, True, sources) == {
            "name": "a.service", "load": "loaded", "active": "active", "sub": "running", "restarts": 3, "on_demand": True,
            "restart_delay": 1.5, "sources": sources,
        }  # fmt: skip
        assert units.evidence(unit, False, [])["on_demand"] is False

    def test_one_of_which_nothing_is_said_has_empty_fields(self, systemctl: Systemctl) -> None:
        systemctl.says("Id=shop.service\n")
        assert units.show(["shop"]) == [Unit("shop.service", "", "", "", "", 0)]

    def test_none(self, systemctl: Systemctl) -> None:
        assert units.show([]) == []

    def test_by_an_alias(self, systemctl: Systemctl) -> None:
        systemctl.says(SHOP)
        assert units.show(["web"])[0].name == "web.service"

    def test_user_units(self, systemctl: Systemctl, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        monkeypatch.setattr(os.path, "isdir", lambda path: path == f"/run/user/{os.getuid()}")
        systemctl.says(SHOP)
        assert units.show(["shop"], scope="user")
        assert systemctl.calls[0].startswith("--user ")
        assert systemctl.environ["XDG_RUNTIME_DIR"] == f"/run/user/{os.getuid()}"
        with pytest.raises(Unusable, match="scope"):
            units.show(["shop"], scope="global")

    def test_a_user_without_a_manager(self, systemctl: Systemctl) -> None:
        systemctl.does("echo 'Failed to connect to bus: No medium found' >&2; exit 1")
        with pytest.raises(UnitsUnavailable, match="No medium found: .*ansible_become_user.*loginctl enable-linger"):
            units.show(["shop"], scope="user")

    def test_on_demand(self, systemctl: Systemctl) -> None:
        shown = [
            Unit("run.service", "loaded", "active", "running", "/run", 0, ("run.socket",)),
            Unit("lazy.service", "loaded", "inactive", "dead", "", 0, ("lazy.socket", "lazy.path")),
            Unit("off.service", "loaded", "inactive", "dead", "", 0, ("off.socket",)),
            Unit("down.service", "loaded", "inactive", "dead", "", 0),
        ]
        states = {"lazy.path": "inactive", "lazy.socket": "active", "off.socket": "failed"}
        systemctl.says("\n".join(f"LoadState=loaded\nActiveState={state}\n" for state in states.values()))
        assert units.on_demand(shown) == {"lazy.service"}
        assert systemctl.calls[0].endswith("-- lazy.path lazy.socket off.socket")
        assert units.on_demand(shown[3:]) == set() and len(systemctl.calls) == 1
        # One that runs is not waiting, though its socket is active.
        systemctl.says("ActiveState=active\n")
        assert units.on_demand([shown[0]._replace(active="active")]) == set()

    def test_what_starts_a_unit_is_asked_of_the_same_manager_and_for_as_long(self, monkeypatch: Any) -> None:
        asked: List[Any] = []
        monkeypatch.setattr(units, "show", lambda names, **options: asked.append((names, options)) or [])
        lazy = Unit("lazy.service", "loaded", "inactive", "dead", "", 0, ("lazy.socket",))
        assert units.on_demand([lazy, lazy._replace(triggered_by=())], scope="user", timeout=7) == set()
        assert asked == [(["lazy.socket"], {"scope": "user", "timeout": 7})]
        units.on_demand([lazy])
        assert asked[1][1] == {"scope": "system", "timeout": units.QUERY_TIMEOUT}

    def test_not_booted(self, systemctl: Systemctl) -> None:
        systemctl.does(f"printf %s {json.dumps(NOT_BOOTED)} >&2; exit 1")
        with pytest.raises(UnitsUnavailable, match="has not been booted with systemd"):
            units.show(["shop"])

    def test_the_real_one(self) -> None:
        if not os.path.isdir("/run/systemd/system"):  # sd_booted(3)
            with pytest.raises(UnitsUnavailable, match="."):
                units.show(["phased-keys-no-such-unit"])
        else:
            assert units.show(["phased-keys-no-such-unit"])[0].load == "not-found"

    def test_in_a_chroot_it_does_nothing_and_succeeds(self, systemctl: Systemctl) -> None:
        systemctl.does("echo \"Running in chroot, ignoring command '$1'\" >&2")
        with pytest.raises(UnitsUnavailable, match="chroot"):
            units.show(["shop"])
        with pytest.raises(RestartFailed, match="chroot"):
            units.restart(["shop"], 5)

    def test_no_systemctl(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(UnitsUnavailable, match="cannot be run: No such file"):
            units.show(["shop"])
        with pytest.raises(RestartFailed, match="cannot be run: No such file"):
            units.restart(["shop"], 5)

    def test_too_few(self, systemctl: Systemctl) -> None:
        systemctl.says(SHOP)
        with pytest.raises(UnitsUnavailable, match="1 units instead of 2"):
            units.show(["shop", "queue"])

    def test_no_answer(self, systemctl: Systemctl) -> None:
        systemctl.does("exec sleep 60")
        begun = time.monotonic()
        with pytest.raises(UnitsUnavailable, match="did not answer within 0.3 s"):
            units.show(["shop"], timeout=0.3)
        assert time.monotonic() - begun < 15


class TestSpans:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0), ("100ms", 0.1), ("1.500s", 1.5), ("5s", 5), ("1min 30s", 90), ("1h", 3600), ("2h 30min", 9000), ("1d", 86400),
            ("1w 2d", 777600), ("1month", 2630016), ("1y", 31557600), ("250us", 0.00025), ("3", 3), ("2 minutes", 120), ("1min 500ms", 60.5),
            ("5sec 1hr", 3605), ("1M", 2630016), ("1m", 60), ("1.5h", 5400), ("7µs", 7e-6), ("1day 1week", 691200), ("2 years", 63115200),
        ],
    )  # fmt: skip
    def test_as_systemd_writes_them(self, text: str, seconds: float) -> None:
        assert units.span(text) == pytest.approx(seconds)

    @pytest.mark.parametrize("text", ["infinity", "", "soon", "5 fortnights", "-3s", "s", "1min, 3s", "[not set]"])
    def test_what_says_no_time(self, text: str) -> None:
        assert units.span(text) is None


class TestRestart:
    def test_resets_the_start_limit_first(self, systemctl: Systemctl) -> None:
        systemctl.does('case "$*" in *reset-failed*) echo "Unit not loaded." >&2; exit 1;; esac')
        units.restart(["shop", "queue.service"], 5)
        assert [call.split("--no-ask-password ")[1] for call in systemctl.calls] == [
            "reset-failed -- shop.service queue.service",
            "restart -- shop.service queue.service",
        ]

    def test_failed(self, systemctl: Systemctl) -> None:
        systemctl.does("echo said; echo 'Job for shop.service failed.' >&2; exit 5")
        with pytest.raises(RestartFailed) as caught:
            units.restart(["shop"], 5)
        assert str(caught.value) == "systemctl restart shop.service: exit code 5: Job for shop.service failed."

    def test_masked(self, systemctl: Systemctl) -> None:
        systemctl.does("echo 'Failed to restart shop.service: Unit shop.service is masked.' >&2; exit 1")
        with pytest.raises(
            RestartFailed, match=r"is masked\. \(systemctl unmask shop\.service, or correct app_keys_service\)"
        ):
            units.restart(["shop"], 5)

    def test_killed(self, systemctl: Systemctl) -> None:
        systemctl.does("kill -9 $$")
        with pytest.raises(RestartFailed, match="ended by signal 9"):
            units.restart(["shop"], 5)

    def test_too_slow(self, systemctl: Systemctl) -> None:
        systemctl.does('case "$*" in *reset-failed*) ;; *) exec sleep 60;; esac')
        begun = time.monotonic()
        with pytest.raises(RestartFailed, match="not finished after 0.5 s; systemd is still working on it"):
            units.restart(["shop"], 0.5)
        assert time.monotonic() - begun < 15

    def test_long_stories_are_cut_to_their_end(self, systemctl: Systemctl) -> None:
        systemctl.does("seq 1 5000 >&2; exit 1")
        with pytest.raises(RestartFailed) as caught:
            units.restart(["shop"], 5)
        assert str(caught.value).split()[-20:] == [str(number) for number in range(4981, 5001)]
        assert len(str(caught.value)) < 300


@pytest.fixture
def daemon(tmp_path: pathlib.Path) -> Iterator[Any]:
    """Return what a restart command left running, by the pid that it wrote."""
    path = tmp_path / "daemon.pid"
    yield path
    if path.exists() and path.read_text().strip():
        pid = int(path.read_text())
        if processes.start_ticks(pid) is not None:
            os.kill(pid, signal.SIGKILL)


class TestRun:
    def test_a_text_goes_to_the_shell_a_list_does_not(self, tmp_path: pathlib.Path) -> None:
        units.run(f"echo $((1 + 1)) > {tmp_path}/a && : ", 5)
        assert (tmp_path / "a").read_text() == "2\n"
        units.run(["/bin/mkdir", f"{tmp_path}/$HOME; x"], 5)
        assert (tmp_path / "$HOME; x").is_dir()

    @pytest.mark.parametrize("command", ["", " ", [], ["/nowhere/x"], ["a\0b"], [str(pathlib.Path(__file__))]])
    def test_what_cannot_be_run(self, command: Any) -> None:
        with pytest.raises(RestartFailed, match="cannot be run|is empty"):
            units.run(command, 5)

    def test_its_last_words_are_in_the_error(self) -> None:
        with pytest.raises(RestartFailed) as caught:
            units.run("echo out; echo err >&2; echo more; exit 7", 5)
        assert str(caught.value) == "the restart command: exit code 7\nout\nerr\nmore"
        with pytest.raises(RestartFailed, match=r"^the restart command: ended by signal 15$"):
            units.run("kill -TERM $$", 5)

    def test_nobody_is_asked(self, tmp_path: pathlib.Path) -> None:
        own = os.dup(0)
        out, into = os.pipe()
        try:
            os.dup2(out, 0)
            os.write(into, b"the module's arguments")  # as they come with pipelining
            units.run(f"readlink /proc/self/fd/0 > {tmp_path}/in", 5)
        finally:
            os.dup2(own, 0)
            for fd in (own, out, into):
                os.close(fd)
        assert (tmp_path / "in").read_text() == "/dev/null\n"

    def test_a_daemon_that_keeps_its_output_open_does_not_hold_us(self, daemon: pathlib.Path, until: Any) -> None:
        begun = time.monotonic()
        units.run(f"(sleep 0.5; echo late; echo late >&2; exec sleep 60) & echo $! > {daemon}", 30)
        assert time.monotonic() - begun < 10
        pid = int(daemon.read_text())
        until(lambda: processes.table()[pid].command == "sleep 60")  # it survived its writing

    def test_a_session_of_its_own(self, tmp_path: pathlib.Path) -> None:
        units.run([sys.executable, "-c", f"import os; open('{tmp_path}/s', 'w').write(str(os.getsid(0)))"], 5)
        assert int((tmp_path / "s").read_text()) != os.getsid(0)

    @pytest.mark.parametrize("how", [signal.SIG_IGN, lambda *_: None])
    def test_signals_do_what_they_always_do(self, how: Any, tmp_path: pathlib.Path) -> None:
        numbers = [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1, signal.SIGRTMIN]
        before = {number: signal.signal(number, how) for number in numbers}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGUSR2])
        try:
            # Not by the shell, which unblocks signals itself.
            units.run(["/bin/cp", "/proc/self/status", str(tmp_path / "status")], 5)
            assert all(signal.getsignal(number) == how for number in numbers)  # ours are as before
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            for number in numbers:
                signal.signal(number, before[number])
        masks = dict(line.split(":", 1) for line in (tmp_path / "status").read_text().splitlines())
        # Signals 32 and 33 are glibc's own, which no program can set: some shells leave them ignored.
        assert int(masks["SigIgn"], 16) & ~(0b11 << 31) == 0
        assert int(masks["SigBlk"], 16) == 0

    def test_what_a_child_does_to_its_signals(self) -> None:
        """Here and not in a child, where nobody sees which mutant of it runs."""
        usual = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        before = {number: signal.getsignal(number) for number in usual}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        try:
            units.default_signals()
            after = {signal.getsignal(number) for number in usual}
            still = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            for number, handler in before.items():
                if handler is not None and signal.getsignal(number) != handler:
                    signal.signal(number, handler)
        assert after == {signal.SIG_DFL} and still == set()

    def test_no_descriptor_is_passed_on(self, tmp_path: pathlib.Path) -> None:
        lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
        os.set_inheritable(lock, True)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            units.run(f"ls -l /proc/self/fd > {tmp_path}/fds", 5)
        finally:
            os.close(lock)
        assert str(tmp_path / "lock") not in (tmp_path / "fds").read_text()

    def test_ansibles_own_variables_stay_here(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("ANSIBLE_BECOME_PASSWORD", "ANSIBLE_VAULT_PASSWORD_FILE", "_ANSIBLE_X"):
            monkeypatch.setenv(name, "s3cret")
        monkeypatch.setenv("SHOP", "1")
        units.run(f"env > {tmp_path}/env", 5)
        given = (tmp_path / "env").read_text()
        assert "s3cret" not in given
        assert "SHOP=1\n" in given
        assert "LC_ALL=C" not in given or os.environ.get("LC_ALL") == "C"

    def test_too_slow_and_all_of_its_session_ends(self, tmp_path: pathlib.Path) -> None:
        # One in the same process group, one in a group of its own (`set -m`), one that takes no SIGTERM.
        script = f"""
        sleep 61 & echo $! >> {tmp_path}/pids
        set -m; sleep 62 & echo $! >> {tmp_path}/pids
        (trap '' TERM; echo started; sleep 63; sleep 63) & echo $! >> {tmp_path}/pids
        echo $$ >> {tmp_path}/pids; wait"""
        begun = time.monotonic()
        with pytest.raises(RestartFailed) as caught:
            units.run(script, 0.5)
        assert 0.5 <= time.monotonic() - begun < 20
        assert str(caught.value).startswith("the restart command did not end within 0.5 s; it and what it started")
        assert "started" in str(caught.value)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert len(pids) == 4
        assert [pid for pid in pids if processes.start_ticks(pid) is not None] == []

    def test_a_daemon_that_left_the_session_is_not_killed(self, daemon: pathlib.Path) -> None:
        with pytest.raises(RestartFailed, match="did not end"):
            units.run(f"setsid sh -c 'echo $$ > {daemon}; exec sleep 60' & exec sleep 60", 0.5)
        assert processes.start_ticks(int(daemon.read_text())) is not None

    def test_nothing_stays_behind_when_we_are_interrupted(self, tmp_path: pathlib.Path) -> None:
        class Interrupted(BaseException):
            pass

        def interrupt(*_: Any) -> None:
            raise Interrupted

        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with pytest.raises(Interrupted):
                units.run(f"echo $$ > {tmp_path}/pid; sleep 60", 30)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert processes.start_ticks(int((tmp_path / "pid").read_text())) is None

    def test_the_output_is_nowhere_to_be_read(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        units.run(f"ls -A {tmp_path} > {tmp_path}/seen; stat -Lc %a /proc/self/fd/2 > {tmp_path}/mode", 5)
        assert (tmp_path / "seen").read_text() == "seen\n"
        assert stat.S_IMODE(int((tmp_path / "mode").read_text(), 8)) & 0o077 == 0
