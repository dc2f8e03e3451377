# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's own word, asked for over loopback, a socket and by a command, of real processes that tell the truth or lie."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import sys
import tempfile
import time
from typing import Any, Dict, List, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import look, loopback, own_word
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint

OLD, NEW = "old-key-abcdefghijklmnop", "new-key-abcdefghijklmnop"
HERE = pathlib.Path(__file__).resolve().parent
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
NOBODY = 65534


def says(signs: str, *accepts: str, **more: Any) -> str:
    """What a worker answers."""
    return json.dumps({"signs": fingerprint(signs), "accepts": [fingerprint(key) for key in (signs, *accepts)], **more})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Pool:
    """A main process with workers that tell their keys."""

    def __init__(self, shop: Any, *all_say: str, where: str = "", env: Optional[Dict[str, str]] = None) -> None:
        self.shop = shop
        where = where or str(free_port())
        argv = [sys.executable, "-I", "-S", str(HERE / "word_server.py"), where, *all_say]
        child = shop.begin(argv, env or {"SECRET_KEY": OLD})
        said = json.loads(child.stdout.readline())
        self.main, self.pids = child.pid, said["pids"]
        shop.pid_file.write_text(f"{child.pid}\n")
        self.proof: Any = {"http": f"http://127.0.0.1:{where}/k"} if where.isdigit() else {"unix": where}

    def look(self, **changes: Any) -> Dict[int, Any]:
        found = self.shop.look(proof=self.proof, **changes)
        return {worker["pid"]: worker for worker in found["workers"]}


def keys(worker: Any) -> Any:
    return (worker["problem"], worker["signs"], worker["accepts"], worker["by"])


TRUE = (None, fingerprint(NEW), [fingerprint(NEW), fingerprint(OLD)])


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_word, "WITHIN", 1.5)
    monkeypatch.setattr(loopback, "ONE", 0.5)


class TestEveryWorkerIsHeard:
    @pytest.mark.parametrize("number", [1, 2, 9])
    def test_over_loopback(self, shop: Any, number: int) -> None:
        shop.write(NEW, OLD)
        pool = Pool(shop, *[says(NEW, OLD)] * number)
        seen = pool.look()
        assert sorted(seen) == sorted([pool.main, *pool.pids])
        assert {keys(worker)[:2] for worker in seen.values()} == {TRUE[:2]}
        assert {worker["by"] for worker in seen.values()} == {"http"} and not any(
            "overrules" in one for one in seen.values()
        )

    def test_over_a_socket(self, shop: Any) -> None:
        shop.write(NEW, OLD)
        seen = Pool(shop, *[says(NEW, OLD)] * 2, where=str(shop.folder / "s")).look()
        assert len(seen) == 3 and all(keys(worker) == (*TRUE, "unix") for worker in seen.values())

    def test_by_localhost_and_with_a_host(self, shop: Any) -> None:
        pool = Pool(shop, says(NEW, OLD))
        pool.proof = {"http": pool.proof["http"].replace("127.0.0.1", "localhost"), "host": "shop.example.org"}
        assert all(keys(worker) == (*TRUE, "http") for worker in pool.look().values())

    def test_one_that_is_stale(self, shop: Any) -> None:
        pool = Pool(shop, says(NEW, OLD), says(OLD))
        seen = pool.look()
        assert keys(seen[pool.pids[1]]) == (None, fingerprint(OLD), [fingerprint(OLD)], "http")
        assert keys(seen[pool.pids[0]]) == (*TRUE, "http")
        assert seen[pool.main]["problem"]["kind"] == "untold"

    def test_by_a_command_as_the_applications_user(self, shop: Any) -> None:
        shop.write(NEW, OLD)
        pool = Pool(shop, says(NEW, OLD), says(NEW, OLD))
        script = shop.folder / "tell"
        lines = [says(NEW, OLD, pid=pid) for pid in pool.pids]
        script.write_text("echo noise >&2\n" + "".join(f"echo '{line}'\n" for line in lines))
        pool.proof = {"command": ["/bin/sh", str(script)]}
        assert all(keys(worker) == (*TRUE, "command") for worker in pool.look().values())
        pool.proof = {"command": f"/bin/sh {script} | tail -n 1"}
        assert "not proven, 1 of 2 workers" in pool.look()[pool.pids[0]]["problem"]["text"]

    @pytest.mark.parametrize(
        "command, why",
        [
            ("exit 3", "exit status 3"), ("true", "says nothing"), ("echo hunter2", "is not JSON"), ("yes", "did not end in time"),
            ("sleep 60", "did not end in time"), ("head -c 99999999 /dev/zero", "says nothing that can be read"), ("/no/such", "exit status 127"),
        ],
    )  # fmt: skip
    def test_a_command_that_is_no_help(self, shop: Any, command: str, why: str) -> None:
        shop.write(NEW, OLD)
        pool = Pool(shop, says(NEW, OLD))
        pool.proof = {"command": command}
        begun = time.monotonic()
        text = pool.look()[pool.pids[0]]["problem"]["text"]
        assert why in text and "hunter2" not in text and time.monotonic() - begun < 20

    @root
    def test_in_another_pid_namespace_by_the_pids_of_that(self, shop: Any) -> None:
        if not shutil.which("unshare"):
            pytest.skip("there is no unshare")
        shop.write(NEW, OLD)
        port = free_port()
        argv = [
            "unshare",
            "--pid",
            "--fork",
            "--mount-proc",
            sys.executable,
            "-I",
            "-S",
            str(HERE / "word_server.py"),
            str(port),
        ]
        child = shop.begin([*argv, says(NEW, OLD), says(NEW, OLD)], {"OTHER": "x", "PATH": os.environ["PATH"]})
        line = child.stdout.readline()
        if not line:
            pytest.skip("no namespace can be made here")
        inside = json.loads(line)["pids"]
        shop.pid_file.write_text(f"{child.pid}\n")
        seen = shop.look(proof={"http": f"http://127.0.0.1:{port}/k"})["workers"]
        assert len(seen) == 4 and {keys(worker) for worker in map(frozen, seen)} == {
            (*TRUE[:2], tuple(TRUE[2]), "http")
        }
        assert {worker["inner"]["pid"] for worker in seen if "inner" in worker} == {1, *inside}


def frozen(worker: Any) -> Dict[str, Any]:
    return {**worker, "accepts": tuple(worker["accepts"])}


class TestWhoLies:
    def test_about_its_pid_is_not_proven_itself(self, shop: Any) -> None:
        first = Pool(shop, says(NEW, OLD))
        victim = first.pids[0]
        pool = Pool(shop, says(NEW, OLD), says(NEW, OLD, pid=victim))
        seen = pool.look()
        text = seen[pool.pids[1]]["problem"]["text"]
        assert "not proven, 1 of 2 workers answered in time" in text and f"names pid {victim}" in text
        # Whoever has that pid lives and is none of ours: nobody is proven beside it.
        assert (
            seen[pool.pids[0]]["problem"]["kind"] == "stranger" and str(victim) in seen[pool.pids[0]]["problem"]["text"]
        )

    def test_that_it_is_another_worker(self, shop: Any) -> None:
        port = free_port()
        pool = Pool(shop, says(NEW, OLD), says(OLD), where=str(port))
        stale = pool.pids[1]
        liar = Pool(shop, says(NEW, OLD, pid=stale), where=str(shop.folder / "s"))
        # Both pools are named; the liar answers at the place that is asked.
        pool.proof = liar.proof
        seen = {one["pid"]: one for one in shop.look(
            proof=liar.proof, processes=[{"pid_file": str(shop.pid_file)}, {"pattern": f"word_server.py {port} "}]
        )["workers"]}  # fmt: skip
        assert seen[liar.pids[0]]["problem"]["kind"] == "untold"

    def test_a_pid_that_nobody_has_is_not_counted(self, shop: Any) -> None:
        pool = Pool(shop, says(NEW, OLD), says(NEW, OLD, pid=2**22))
        seen = pool.look()
        assert seen[pool.pids[1]]["problem"]["kind"] == "untold" and keys(seen[pool.pids[0]]) == (*TRUE, "http")

    @pytest.mark.parametrize(
        "how, why",
        [
            ("redirect", "redirects to another place (status 302)"), ("stream", "longer than 64 KiB"), ("drip", "does not end in time"),
            ("silent", "gives no answer in time"), ("broken", "status 500"), ("big", "longer than 64 KiB"), ("none", "without an answer"),
            ("chunked", "in pieces"),
        ],
    )  # fmt: skip
    def test_an_answer_that_is_none_takes_little_time_and_is_not_shown(self, shop: Any, how: str, why: str) -> None:
        pool = Pool(shop, how)
        begun = time.monotonic()
        text = pool.look()[pool.pids[0]]["problem"]["text"]
        assert time.monotonic() - begun < 8
        assert why in text and "hunter2" not in text and "0 of 1 workers" in text

    def test_one_that_streams_beside_one_that_tells(self, shop: Any) -> None:
        pool = Pool(shop, "drip", says(NEW, OLD))
        seen = pool.look()
        assert keys(seen[pool.pids[1]]) == (*TRUE, "http") and seen[pool.pids[0]]["problem"]["kind"] == "untold"

    def test_nobody_is_there(self, shop: Any) -> None:
        pool = Pool(shop, says(NEW, OLD))
        for proof in ({"http": f"http://127.0.0.1:{free_port()}/"}, {"unix": str(shop.folder / "none")}):
            pool.proof = proof
            begun = time.monotonic()
            assert "nothing can be asked there" in pool.look()[pool.pids[0]]["problem"]["text"]
            assert time.monotonic() - begun < 3

    @root
    @pytest.mark.parametrize("where", ["port", "socket"])
    def test_17_another_user_of_the_host_does_not_speak_for_it(self, shop: Any, where: str, start: Any) -> None:
        pool = Pool(shop, "none")
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            self.impostor(shop, start, pool, str(free_port()) if where == "port" else f"{folder}/s")

    def impostor(self, shop: Any, start: Any, pool: Pool, place: str) -> None:
        answer = says(NEW, OLD, pid=pool.pids[0]).replace('"', '\\"')
        code = f"""
import os, socket
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
place = "{place}"
one = socket.socket() if place.isdigit() else socket.socket(socket.AF_UNIX)
one.bind(("127.0.0.1", int(place)) if place.isdigit() else place)
one.listen(9)
print("ready", flush=True)
while True:
    other, _ = one.accept()
    try:
        other.recv(9999)
        other.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + b"{answer}")
    except OSError:
        pass
    other.close()
"""
        start(code, {})
        proof = {"http": f"http://127.0.0.1:{place}/"} if place.isdigit() else {"unix": place}
        (entry,) = [one for one in shop.look(proof=proof)["workers"] if one["pid"] == pool.pids[0]]
        assert f"belongs to uid {NOBODY}" in entry["problem"]["text"]


class TestBesideTheEnvironment:
    """Rule 16: an environment that can be read counts, unless every worker said otherwise."""

    def test_the_word_of_every_worker_overrules_it_and_that_is_noted(self, shop: Any) -> None:
        shop.write(NEW, OLD)
        pool = Pool(shop, says(NEW, OLD), says(NEW, OLD), env={"SECRET_KEY": OLD, "KEEP": "1"})
        seen = pool.look()
        assert all(keys(worker) == (*TRUE, "http") and worker["overrules"] for worker in seen.values())

    def test_that_of_some_does_not(self, shop: Any) -> None:
        shop.write(NEW, OLD)
        pool = Pool(shop, says(NEW, OLD), "none", env={"SECRET_KEY": OLD, "KEEP": "1"})
        for worker in pool.look().values():
            assert (worker["signs"], worker["by"], "overrules" in worker) == (fingerprint(OLD), "environ", False)

    def test_a_worker_that_says_it_is_stale_is(self, shop: Any) -> None:
        shop.write(NEW, OLD)
        pool = Pool(shop, says(OLD), says(OLD), env={"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": OLD, "KEEP": "1"})
        assert {(one["signs"], one["by"]) for one in pool.look().values()} == {(fingerprint(OLD), "http")}

    def test_one_that_agrees_is_enough_for_who_is_not_heard(self, shop: Any) -> None:
        shop.write(NEW, OLD)
        pool = Pool(shop, "none", says(NEW, OLD), env={"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": OLD, "KEEP": "1"})
        seen = pool.look()
        assert keys(seen[pool.pids[0]]) == (*TRUE, "environ") and keys(seen[pool.pids[1]]) == (*TRUE, "http")


def test_who_was_not_heard_may_be_by_the_next_look(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(shop, "none")
    looks: List[int] = []
    once = look.look_once
    monkeypatch.setattr(look, "look_once", lambda *all: looks.append(1) or once(*all))
    look.look(shop.app(proof=pool.proof, settle="0s"), [], "n")
    assert len(looks) == 2


def test_a_number_that_went_to_another_process_was_not_heard(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(shop, says(NEW, OLD))
    ticks = own_word.processes.start_ticks
    monkeypatch.setattr(own_word.processes, "start_ticks", lambda pid: ticks(pid) + 1)
    assert pool.look()[pool.pids[0]]["problem"]["kind"] == "untold"


def test_an_address_of_another_host_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, 1, 6, "", ("127.0.0.1", 80)), (socket.AF_INET, 1, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_all, **_more: found)
    monkeypatch.setattr(socket.socket, "connect", lambda *_all: pytest.fail("it was connected to"))
    (said,) = loopback.http("http://localhost/", None, [])(1, 1.0)
    assert said == "localhost stands for 192.0.2.1, which is no address of this host alone"


def test_no_proxy_is_asked(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    pool = Pool(shop, says(NEW, OLD))
    assert keys(pool.look()[pool.pids[0]]) == (*TRUE, "http")
