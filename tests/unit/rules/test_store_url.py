# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs of keyrings: what is read from one, and what is refused without being shown."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import store_url
from ansible_collections.phased.keys.plugins.module_utils._rules.store_url import Url


@pytest.mark.parametrize(
    "given, read",
    [
        ("etcd://h1:2379,h2:2379/keys/shop", Url("etcd", None, ["h1:2379", "h2:2379"], "/keys/shop")),
        ("ETCD:///keys/shop", Url("etcd", None, [], "/keys/shop")),
        ("git+ssh://git@example.org/ops/k.git//a/shop.yml", Url("git+ssh", "git", ["example.org"], "/ops/k.git//a/shop.yml")),
        ("git+file:///srv/k.git//shop.yml", Url("git+file", None, [], "/srv/k.git//shop.yml")),
        ("s3://bucket/a+b", Url("s3", None, ["bucket"], "/a+b")),
        ("x://[::1]:22/a", Url("x", None, ["[::1]:22"], "/a")),
        ("x://host", Url("x", None, ["host"], "")),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(given: str, read: Url) -> None:
    assert store_url.read(given) == read


@pytest.mark.parametrize(
    "given, said",
    [
        ("s3://ops:hunter2@bucket/a", "a password or a token"),
        ("s3://:hunter2@bucket/a", "a password or a token"),
        ("s3://ops%3Ahunter2@bucket/a", "a password or a token"),
        ("s3://a@b:hunter2@bucket/a", "a password or a token"),
        ("s3://bucket/a?token=hunter2", "a ? or a #"),
        ("s3://bucket/a#hunter2", "a ? or a #"),
        ("git+ssh://-oProxyCommand=hunter2@h/a", "user cannot be used"),
        ("git+ssh://-oProxyCommand=hunter2/a", "host cannot be used"),
        ("git+ssh://h:22a/hunter2", "host cannot be used"),
        ("s3://bucket/../hunter2", "path has a part"),
        ("s3://bucket/%2e%2e/hunter2", "path has a part"),
        ("s3://bucket/a%2Bhunter2", "path has a part"),
        ("s3://bucket/-hunter2", "path has a part"),
        ("s3://bucket/hunter2\n", "path has a part"),
        ("s3://bucket/hunter2 x", "path has a part"),
        ("s3:/hunter2", "no URL"),
    ],
)
def test_what_cannot_be_used_is_refused_and_not_shown(given: str, said: str) -> None:
    with pytest.raises(store_url.StoreUrlError) as error:
        store_url.read(given)
    assert said in str(error.value) and "hunter2" not in str(error.value)
