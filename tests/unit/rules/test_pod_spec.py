# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container is given by its spec: the order of the entries, where a value comes from, and when it cannot be told."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import profile
from ansible_collections.phased.keys.plugins.module_utils._rules import pod_spec
from cluster_objects import T0, config_map, container, entry, refers, secret, stock, text

DJANGO = profile()
A, B = "key-a-abcdefghijklmnopqrstuvwxyz", "key-b-abcdefghijklmnopqrstuvwxyz"
FIXED = secret("fixed", SECRET_KEY=A, SECRET_KEY_FALLBACKS=B, OTHER=B)
LOOSE = secret("loose", immutable=False, SECRET_KEY=B)
PREFIXED = secret("prefixed", KEY=A, KEY_FALLBACKS=B)
PLAIN = config_map("plain", SECRET_KEY=B)
KNOWN = stock(FIXED, LOOSE, PREFIXED, PLAIN)


def taken(name: str, kind: str = "secretRef", **more):
    """An entry of `envFrom`."""
    prefix = {"prefix": more.pop("prefix")} if "prefix" in more else {}
    return {kind: {"name": name, **more}, **prefix}


@pytest.mark.parametrize(
    ("what", "spec", "signs", "accepts", "doubt"),
    [
        ("entries of an immutable Secret", refers("fixed"), A, [A, B], None),
        ("another key of it", container(entry("SECRET_KEY", "fixed", "OTHER")), B, [B], None),
        ("all of it", container(envFrom=[taken("fixed")]), A, [A, B], None),
        ("env goes before envFrom", container(text("SECRET_KEY", B), envFrom=[taken("fixed")]), B, [B], "literal"),
        ("the last of envFrom counts", container(envFrom=[taken("loose"), taken("fixed")]), A, [A, B], None),
        ("and it alone", container(envFrom=[taken("fixed"), taken("loose")]), B, [B], "mutable"),
        ("a prefix", container(envFrom=[taken("prefixed", prefix="SECRET_")]), A, [A, B], None),
        ("a prefix that fits nothing", container(text("SECRET_KEY", A), envFrom=[taken("fixed", prefix="X_")]), A, [A], "literal"),
        ("the last entry of a name counts", container(text("SECRET_KEY", B), entry("SECRET_KEY", "fixed")), A, [A], None),
        ("a Secret that can be changed", container(entry("SECRET_KEY", "loose")), B, [B], "mutable"),
        ("a text", container(text("SECRET_KEY", A)), A, [A], "literal"),
        ("a text with a dollar", container(text("SECRET_KEY", "a$$(HOME)b" + A)), "a$(HOME)b" + A, ["a$(HOME)b" + A], "literal"),
        ("a ConfigMap", container(envFrom=[taken("plain", "configMapRef")]), B, [B], "literal"),
        ("an optional Secret that is not there", container(
            entry("SECRET_KEY", "fixed"), entry("SECRET_KEY_FALLBACKS", "gone", optional=True)), A, [A], "mutable"),
        ("an optional key that an immutable Secret will never have", container(
            entry("SECRET_KEY", "fixed"), entry("SECRET_KEY_FALLBACKS", "fixed", "NONE", optional=True)), A, [A], None),
        ("an optional envFrom that is not there", container(
            entry("SECRET_KEY", "fixed"), envFrom=[taken("gone", optional=True)]), A, [A], None),
    ],
)  # fmt: skip
def test_what_a_container_is_given(what, spec, signs, accepts, doubt):
    given = pod_spec.given(DJANGO, spec, KNOWN)
    assert given.problem is None
    assert (given.signs, list(given.accepts)) == (fingerprint(signs), [fingerprint(key) for key in accepts])
    assert (given.doubt[0] if given.doubt else None) == doubt


@pytest.mark.parametrize(
    ("spec", "started", "kind", "says"),
    [
        (container(), None, "absent", "SECRET_KEY is not set"),
        (container(entry("SECRET_KEY", "gone")), None, "absent", "comes from Secret gone, which is not there"),
        (container(entry("SECRET_KEY", "fixed", "NONE")), None, "absent", "which has no NONE"),
        (container(envFrom=[taken("gone")]), None, "absent", "Secret gone, which is not there"),
        (container({"name": "SECRET_KEY", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}), None, "elsewhere", "fieldRef"),
        (container(text("SECRET_KEY", "x$(OTHER)")), None, "elsewhere", "takes in another variable"),
        (refers("fixed"), T0 - 1, "recreated", "was made after this container had started"),
        (container(text("SECRET_KEY", "")), None, "empty", "SECRET_KEY is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_told(spec, started, kind, says):
    given = pod_spec.given(DJANGO, spec, KNOWN, started)
    assert (given.signs, given.accepts) == (None, ())
    assert given.problem[0] == kind and says in given.problem[1]


def test_a_secret_of_the_second_in_which_a_container_started_is_the_one_that_it_was_given():
    assert pod_spec.given(DJANGO, refers("fixed"), KNOWN, T0).problem is None


def test_no_key_is_in_what_is_said():
    for spec in (refers("fixed"), container(text("SECRET_KEY", A)), container(text("SECRET_KEY", f"{A}$(X)"))):
        assert A not in repr(pod_spec.given(DJANGO, spec, KNOWN))


def test_every_container_is_looked_through_for_what_it_takes_in():
    spec = {
        "initContainers": [container(entry("A", "one"))],
        "containers": [container(envFrom=[taken("two"), taken("three", "configMapRef")])],
        "ephemeralContainers": [container(entry("A", "four"))],
    }
    assert [name for _kind, name in pod_spec.named_in(spec)] == ["one", "two", "three", "four"]


@pytest.mark.parametrize("stamp", ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000000Z", "2023-11-14T23:13:20+01:00"])
def test_a_moment_of_the_api(stamp):
    assert pod_spec.moment(stamp) == T0


@pytest.mark.parametrize("stamp", [None, "", "yesterday", 5])
def test_no_moment(stamp):
    assert pod_spec.moment(stamp) is None
