# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles against the frameworks themselves: each is given the settings that a step writes, and nothing else.

In every pair of states that phases allow beside each other what one signs the other takes; in one that they do not, it does not.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import itertools
import os
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.new_keys import new_key
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks, shipped

Values = Mapping[str, str]
TEXT = "somebody is logged in"


class Real(NamedTuple):
    """A framework: what it signs with these settings, and what it makes of such a text; an error, or nothing, where it refuses it."""

    signs: Callable[[Values], Any]
    takes: Callable[[Values, Any], Any]


# --- the frameworks ---


@contextlib.contextmanager
def environment(values: Values) -> Iterator[None]:
    """Run with these settings in the environment, as the application does."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def django() -> Real:
    signing = importlib.import_module("django.core.signing")
    conf = importlib.import_module("django.conf")
    if not conf.settings.configured:
        conf.settings.configure()

    def signer(values: Values) -> Any:
        fallbacks = [key for key in values["SECRET_KEY_FALLBACKS"].split(",") if key]
        return signing.TimestampSigner(key=values["SECRET_KEY"], fallback_keys=fallbacks)

    return Real(lambda values: signer(values).sign(TEXT), lambda values, said: signer(values).unsign(said))


def flask() -> Real:
    module = importlib.import_module("flask")

    def app(values: Values) -> Any:
        made = module.Flask("shop")
        with environment(values):
            made.config.from_prefixed_env()

        @made.route("/in")
        def log_in() -> str:
            module.session["user"] = TEXT
            return "in"

        @made.route("/who")
        def who() -> str:
            return str(module.session.get("user", ""))

        return made

    def signs(values: Values) -> str:
        return str(app(values).test_client().get("/in").headers["Set-Cookie"].partition(";")[0].partition("=")[2])

    def takes(values: Values, said: str) -> str:
        client = app(values).test_client()
        client.set_cookie("session", said)
        return str(client.get("/who").get_data(as_text=True))

    return Real(signs, takes)


def snippet(framework: str, values: Values, **names: Any) -> Any:
    """What the code that the page of the profiles shows makes of these settings: the value of its last line."""
    *before, last = shipped.PROFILES[framework]["snippet"]
    with environment(values):
        exec("\n".join(before), names)
        return eval(last, names)


def itsdangerous() -> Real:
    module = importlib.import_module("itsdangerous")

    def made(values: Values) -> Any:
        return snippet("itsdangerous", values, os=os, URLSafeTimedSerializer=module.URLSafeTimedSerializer)

    return Real(lambda values: made(values).dumps(TEXT), lambda values, said: made(values).loads(said))


def tornado() -> Real:
    web = importlib.import_module("tornado.web")
    testing = importlib.import_module("tornado.httputil")
    import json

    def handler(values: Values, cookie: str = "") -> Any:
        made = snippet("tornado", values, os=os, json=json, Application=web.Application)

        class Connection:
            def set_close_callback(self, callback: Any) -> None:
                pass

        headers = testing.HTTPHeaders({"Host": "shop", "Cookie": f"user={cookie}"})
        line = testing.RequestStartLine("GET", "/", "HTTP/1.1")
        request = testing.HTTPServerRequest(start_line=line, headers=headers, connection=Connection())
        return web.RequestHandler(made, request)

    def signs(values: Values) -> str:
        return str(handler(values).create_signed_value("user", TEXT).decode())

    def takes(values: Values, said: str) -> str:
        return (handler(values, said).get_signed_cookie("user") or b"").decode()

    return Real(signs, takes)


def fernets(name: str, separator: str, form: Callable[[str], bytes]) -> Real:
    """Airflow and CryptKeeper both give the keys of their setting, in its order, to the MultiFernet of cryptography."""
    module = importlib.import_module("cryptography.fernet")

    def made(values: Values) -> Any:
        return module.MultiFernet([module.Fernet(form(key)) for key in values[name].split(separator)])

    return Real(
        lambda values: made(values).encrypt(TEXT.encode()), lambda values, said: made(values).decrypt(said).decode()
    )


REAL: Dict[str, Callable[[], Real]] = {
    "django": django,
    "flask": flask,
    "itsdangerous": itsdangerous,
    "tornado": tornado,
    "airflow": lambda: fernets("AIRFLOW__CORE__FERNET_KEY", ",", str.encode),
    "jupyterhub": lambda: fernets(
        "JUPYTERHUB_CRYPT_KEY", ";", lambda key: base64.urlsafe_b64encode(bytes.fromhex(key))
    ),
}


# --- the states ---


def states(framework: str) -> Dict[str, Dict[str, str]]:
    """The settings in each state of a rollout that follows another, whose key still soaks."""
    profile = frameworks.profile(framework)
    soaks, old, new = (new_key(profile.key) for _each in range(3))
    keys = {
        "steady": (old, [old, soaks]),
        "prepared": (old, [old, new, soaks]),
        "promoted": (new, [new, old, soaks]),
        "retired": (new, [new]),
    }
    return {name: frameworks.encode(profile, frameworks.Keys(*said)) for name, said in keys.items()}


BESIDE: List[Tuple[str, str]] = [
    pair
    for one in (("steady", "prepared"), ("prepared", "promoted"), ("promoted", "retired"))
    for pair in itertools.product(one, repeat=2)
]


@pytest.mark.parametrize("pair", sorted(set(BESIDE)), ids="-".join)
@pytest.mark.parametrize("framework", REAL)
def test_what_one_host_signs_the_other_takes_in_every_state_that_phases_allow(
    framework: str, pair: Tuple[str, str]
) -> None:
    real, settings = REAL[framework](), states(framework)
    signer, reader = pair
    assert real.takes(settings[reader], real.signs(settings[signer])) == TEXT


@pytest.mark.parametrize("pair", [("promoted", "steady"), ("steady", "retired")], ids="-".join)
@pytest.mark.parametrize("framework", REAL)
def test_without_the_phases_it_is_refused(framework: str, pair: Tuple[str, str]) -> None:
    """A test that cannot fail proves nothing: this is what everybody is logged out by."""
    real, settings = REAL[framework](), states(framework)
    signer, reader = pair
    said = real.signs(settings[signer])
    try:
        taken = real.takes(settings[reader], said)
    except Exception:  # each has errors of its own for it
        taken = None
    assert taken != TEXT


def test_what_the_page_calls_run_in_ci_is_run_here() -> None:
    assert {name for name in shipped.PROFILES if "in CI" in shipped.PROFILES[name]["tested"]} == set(REAL)
