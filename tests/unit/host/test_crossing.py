# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's part of a cross-proof, with real commands and a real server: tokens are data, and nothing but a verdict is one."""

from __future__ import annotations

import http.server
import threading
import time
from typing import Any, Dict, Iterator, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import crossing
from ansible_collections.phased.keys.plugins.module_utils._host.rules import variables

KEY = "a-key-abcdefghijklmnop"
SLEEP = ["/bin/sleep", "60"]


def ways(**said: Any) -> Dict[str, Any]:
    given = {"sign": "echo token", "verify": "cat >/dev/null; echo verified", **said}
    return dict(variables.read({"app_keys_cross_proof": given})["cross_proof"])


def run(shop: Any, part: str, *tokens: str, **said: Any) -> Dict[str, Any]:
    shop.write(KEY)
    shop.run(SLEEP, {"SECRET_KEY": KEY})
    app = shop.app(timeout="3s")
    workers = shop.look()["workers"]
    return crossing.run(app, {part: ways(**said)[part], "tokens": list(tokens)}, workers)


@pytest.mark.parametrize(
    "command, found",
    [
        ("echo token", {"token": "token"}),
        ("printf token", {"token": "token"}),
        (["printf", "%s", "$SECRET_KEY"], {"token": "$SECRET_KEY"}),
        ("printf '%s' \"${#SECRET_KEY}\"", {"token": "22"}),
        ("echo a b", {"trouble": crossing.NO_TOKEN}),
        ("printf '\\033[2J'", {"trouble": crossing.NO_TOKEN}),
        ("head -c 5000 /dev/zero | tr '\\0' x", {"trouble": crossing.NO_TOKEN}),
        ("true", {"trouble": "the command says nothing that can be read"}),
        ("echo token; exit 1", {"trouble": "the command ended with exit status 1"}),
        ("sleep 60", {"trouble": "the command did not end in time"}),
    ],
)
def test_a_token_is_one_printable_line(shop: Any, command: Any, found: Dict[str, str]) -> None:
    assert run(shop, "sign", sign=command) == found


@pytest.mark.parametrize(
    "command, verdict",
    [
        ("read t; [ \"$t\" = '$(id);`id`;x' ] && echo verified || echo refused", "verified"),
        ("cat >/dev/null; echo refused", "refused"),
        ("echo refused", "refused"),
        ("echo Verified", crossing.NO_VERDICT),
        ("echo ' verified'", crossing.NO_VERDICT),
        ("cat", crossing.NO_VERDICT),
        ("echo verified; exit 1", "the command ended with exit status 1"),
        ("exit 1", "the command ended with exit status 1"),
        ("kill -9 $$", "the command ended with exit status -9"),
    ],
)
def test_a_token_comes_on_stdin_and_only_a_verdict_is_one(shop: Any, command: str, verdict: str) -> None:
    """An exit status is none: a crash must not look like revocation."""
    assert run(shop, "verify", "$(id);`id`;x", verify=command) == {"verdicts": [verdict]}


def test_no_token_is_in_anybodys_arguments(shop: Any) -> None:
    # The search itself names it otherwise than it is written.
    search = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -qa 'xyzz[y]-7' && echo verified || echo refused"
    assert run(shop, "verify", "a-token-xyzzy-7", verify=search) == {"verdicts": ["refused"]}


def test_all_tokens_together_have_the_time_of_one_host(shop: Any) -> None:
    begun = time.monotonic()
    said = run(shop, "verify", *["x"] * 9, verify="sleep 2; echo verified")
    assert time.monotonic() - begun < 8
    assert said["verdicts"][0] == "verified" and set(said["verdicts"][2:]) == {crossing.OVER}


@pytest.fixture
def server() -> Iterator[Any]:
    """An application that tells and verifies over HTTP; what it was asked."""
    asked: List[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(b"token\n")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, body))
            self.answer(b"verified" if body == b"token\n" else b"refused")

        def answer(self, body: bytes) -> None:
            if self.path == "/moved":
                self.send_response(307)
                self.send_header("Location", "/verify")
            else:
                self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_all: Any) -> None:
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found.server_port, asked
    found.shutdown()
    found.server_close()
    thread.join(10)


def test_over_http(shop: Any, server: Any) -> None:
    port, asked = server
    place = f"http://127.0.0.1:{port}"
    assert run(shop, "sign", sign={"http": f"{place}/sign"}) == {"token": "token"}
    said = run(shop, "verify", "token", "other\r\nX: y", verify={"http": f"{place}/verify"})
    assert said == {"verdicts": ["verified", "refused"]} and asked[1] == ("/verify", b"other\r\nX: y\n")
    (verdict,) = run(shop, "verify", "token", verify={"http": f"{place}/moved"})["verdicts"]
    assert "redirects" in verdict and len(asked) == 3


@pytest.mark.parametrize(
    "value",
    [
        {}, {"sign": "a"}, {"verify": "a"}, {"sign": "a", "verify": "b", "other": "c"}, {"sign": "", "verify": "b"},
        {"sign": "environ", "verify": {"http": "http://10.0.0.1/"}}, {"sign": {"process_age": "x"}, "verify": "b"},
        *[{"sign": "a", "verify": "b", "through": url} for url in ("", "ftp://a/", "http://u:p@a/", "http://a/ b", "a", 5)],
        "trust", ["a", "b"],
    ],
)  # fmt: skip
def test_what_is_no_cross_proof_is_refused_before_any_host_is_asked(value: Any) -> None:
    with pytest.raises(variables.VariableError, match="app_keys_cross_proof"):
        variables.read({"app_keys_cross_proof": value})
