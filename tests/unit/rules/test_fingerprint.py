# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Section 2: a fingerprint says which key, and gives nothing away."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import PATTERN, fingerprint


@pytest.mark.parametrize(
    "secret, expected",
    [
        # From outside this code: printf '%s' phased.keys/fingerprint/v1 | openssl dgst -sha256 -mac HMAC -macopt key:SECRET
        ("not-a-secret", "4b7492509a72be5b"),
        ("a", "051ef553e68622af"),
        ("gr\u00fc\u00df-gott", "c9f13690db8c25ac"),
    ],
)
def test_a_fingerprint_never_changes_between_releases(secret, expected):
    assert fingerprint(secret) == expected


def test_a_fingerprint_is_hmac_with_the_secret_as_the_key_and_not_the_message():
    expected = hmac.new(b"not-a-secret", b"phased.keys/fingerprint/v1", hashlib.sha256).hexdigest()[:16]
    assert fingerprint("not-a-secret") == expected
    assert fingerprint("not-a-secret") != hashlib.sha256(b"not-a-secret").hexdigest()[:16]


@pytest.mark.parametrize("secret", ["x", "x" * 10_000, "with,comma", "line\nbreak", "\u2603", "broken\udcff utf-8"])
def test_every_secret_has_a_fingerprint_of_16_hex_digits(secret):
    assert PATTERN.match(fingerprint(secret))


@pytest.mark.parametrize(
    "one, other",
    [("key", "key "), ("key", "Key"), ("key", "key\n"), ("caf\u00e9", "cafe\u0301")],
)
def test_secrets_that_an_application_tells_apart_have_different_fingerprints(one, other):
    assert fingerprint(one) != fingerprint(other)


def test_an_empty_key_has_no_fingerprint_or_two_hosts_without_a_key_would_seem_to_agree():
    with pytest.raises(ValueError, match="empty"):
        fingerprint("")


@pytest.mark.parametrize(
    "text", ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcdef\n"]
)
def test_the_pattern_takes_nothing_else_for_a_fingerprint(text):
    assert not PATTERN.match(text)
