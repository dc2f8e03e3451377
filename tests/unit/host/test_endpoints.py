# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints of docs/examples/proof: real applications, with real pools where the framework is there, tell the keys that they use."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any, Dict, List, Sequence

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
PROOF = CHECKOUT / "docs" / "examples" / "proof"
# Letters that take more than one byte, too: every language has to make the same fingerprint of them.
OLD, NEW = "old-key-abcdefghijklmnop-ä", "new-key-abcdefghijklmnop-€"
DJANGO = """
import os
from django.conf import settings
from django.core.wsgi import get_wsgi_application
settings.configure(
    SECRET_KEY=os.environ["SECRET_KEY"], SECRET_KEY_FALLBACKS=os.environ["SECRET_KEY_FALLBACKS"].split(","),
    ALLOWED_HOSTS=["shop.example.org"], ROOT_URLCONF=__name__, SECURE_SSL_REDIRECT=True,
    MIDDLEWARE=["django_proof.TellKeys", "django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
)
urlpatterns = []
application = get_wsgi_application()
"""
FLASK = """
import os
import flask, flask_proof
application = flask.Flask(__name__)
application.config.update(SECRET_KEY=os.environ["SECRET_KEY"], SECRET_KEY_FALLBACKS=os.environ["SECRET_KEY_FALLBACKS"].split(","))
flask_proof.tell_keys(application)
"""
# With Express where it is there, else as the plain middleware that it is.
EXPRESS = """
const tellKeys = require(process.argv[2]), cluster = require('node:cluster');
const keys = [process.env.SECRET_KEY, process.env.SECRET_KEY_FALLBACKS], port = Number(process.argv[3]);
if (cluster.isPrimary) { cluster.fork(); cluster.fork(); } else {
  let app;
  try { app = require('express')(); app.use(tellKeys(keys)); } catch (error) {
    const tell = tellKeys(keys);
    app = require('node:http').createServer((q, a) => tell(q, a, () => { a.statusCode = 404; a.end(); }));
  }
  app.listen(port, '127.0.0.1');
}
"""
RACK = """
load ARGV[0]
app = TellKeys.new(->(env) { [404, {}, []] }, -> { [ENV['SECRET_KEY'], ENV['SECRET_KEY_FALLBACKS']] })
here = { 'PATH_INFO' => '/phased-keys', 'REMOTE_ADDR' => '127.0.0.1' }
others = [{ 'PATH_INFO' => '/' }, { 'REMOTE_ADDR' => '192.0.2.1' }, { 'HTTP_X_FORWARDED_FOR' => 'x' }]
puts JSON.generate([here, *others.map { |one| here.merge(one) }].map { |env| app.call(env) })
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> Dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "NODE_PATH", "HOME") if name in os.environ}
    paths = os.pathsep.join([str(PROOF), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **kept,
        "PYTHONPATH": paths,
        "SECRET_KEY": NEW,
        "SECRET_KEY_FALLBACKS": OLD,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def see_it_told(shop: Any, argv: Sequence[str], port: int, number: int) -> None:
    """Start an application, and see that all its workers tell what it uses: before, that no other page and no other asker gets it."""
    shop.write(NEW, OLD)
    child = subprocess.Popen(
        argv, env=environment(), cwd=shop.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )  # fmt: skip
    try:
        shop.pid_file.write_text(f"{child.pid}\n")
        url = f"http://127.0.0.1:{port}/phased-keys"
        end = time.monotonic() + 30
        while True:
            seen = shop.look(proof={"http": url})["workers"]
            heard = [one for one in seen if one["by"] == "http" and not one["problem"]]
            if len(heard) == number + 1 or time.monotonic() > end:
                break
            time.sleep(0.2)
        told = {(one["signs"], tuple(one["accepts"]), one["by"]) for one in seen}
        assert told == {(fingerprint(NEW), (fingerprint(NEW), fingerprint(OLD)), "http")}
        assert len(seen) == number + 1 and not any("overrules" in one for one in seen)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(url, headers={"X-Forwarded-For": "192.0.2.1"}), timeout=10)
        assert refused.value.code in (400, 404)
    finally:
        os.killpg(child.pid, 15)
        child.wait(20)


def gunicorn(shop: Any, code: str, port: int) -> List[str]:
    (shop.folder / "shop_app.py").write_text(code)
    return [sys.executable, "-m", "gunicorn", "--workers", "3", "--bind", f"127.0.0.1:{port}", "shop_app:application"]


def test_django(shop: Any) -> None:
    port = free_port()
    see_it_told(shop, gunicorn(shop, DJANGO, port), port, 3)


def test_flask(shop: Any) -> None:
    port = free_port()
    see_it_told(shop, gunicorn(shop, FLASK, port), port, 3)


def test_express(shop: Any) -> None:
    node = shutil.which("node")
    if not node:
        assert os.environ.get("PHASED_READERS") != "all", "there is no node"
        pytest.skip("there is no node")
    port = free_port()
    (shop.folder / "shop.js").write_text(EXPRESS)
    see_it_told(shop, [node, str(shop.folder / "shop.js"), str(PROOF / "express_proof.js"), str(port)], port, 2)


def test_rails_as_plain_rack(tmp_path: pathlib.Path) -> None:
    ruby = shutil.which("ruby")
    if not ruby:
        assert os.environ.get("PHASED_READERS") != "all", "there is no ruby"
        pytest.skip("there is no ruby")
    (tmp_path / "app.rb").write_text(RACK)
    argv = [ruby, str(tmp_path / "app.rb"), str(PROOF / "rails_proof.rb")]
    said = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=60, check=True).stdout
    answers = json.loads(said)
    assert [code for code, _head, _body in answers] == [200, 404, 404, 404]
    told = json.loads(answers[0][2][0])
    assert (told["signs"], told["accepts"]) == (fingerprint(NEW), [fingerprint(NEW), fingerprint(OLD)])


def test_djangos_part_of_a_cross_proof(tmp_path: pathlib.Path) -> None:
    (tmp_path / "shop_settings.py").write_text(
        "import os\nSECRET_KEY = os.environ['SECRET_KEY']\nSECRET_KEY_FALLBACKS = os.environ['SECRET_KEY_FALLBACKS'].split()\n"
    )

    def run(part: str, said: str = "", **keys: str) -> str:
        given = environment(DJANGO_SETTINGS_MODULE="shop_settings", **keys)
        given["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
        argv = [sys.executable, str(PROOF / "django_cross.py"), part]
        return subprocess.run(
            argv, env=given, input=said, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    token = run("sign", SECRET_KEY=OLD, SECRET_KEY_FALLBACKS="")
    assert re.fullmatch(r"[!-~]{1,4096}\n", token)
    assert run("verify", token, SECRET_KEY=NEW, SECRET_KEY_FALLBACKS=OLD) == "verified\n"
    assert run("verify", token, SECRET_KEY=NEW, SECRET_KEY_FALLBACKS="") == "refused\n"
    assert run("verify", "$(id)", SECRET_KEY=NEW, SECRET_KEY_FALLBACKS=OLD) == "refused\n"


@pytest.mark.parametrize("path", sorted(PROOF.glob("*_proof.*")), ids=lambda path: path.name)
def test_each_is_under_thirty_lines_and_takes_nothing_from_who_asks(path: pathlib.Path) -> None:
    text = path.read_text()
    code = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", "//"))]
    assert len(code) < 30
    assert not any(
        word in text for word in ("request.GET", "request.args", "request.query", "QUERY_STRING", "request.body")
    )
