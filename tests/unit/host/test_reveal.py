# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes back from a host that was asked for keys is the host's own words, and may be anything."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import reveal
from ansible_collections.phased.keys.plugins.module_utils._host.problems import Unusable

PAD = base64.b64encode(bytes(range(256))).decode()


def sealed(plain: bytes) -> str:
    return base64.b64encode(reveal._mask(plain, PAD)).decode()


def test_keys_come_back_as_they_were_sealed() -> None:
    assert reveal.unseal(sealed(json.dumps(["a key", "äöü"]).encode()), PAD) == ["a key", "äöü"]


@pytest.mark.parametrize("plain", [[], {}, "key", 7, None, [""], ["a", ""], [7], [None], [["a"]]])
def test_15_what_is_no_list_of_keys_is_refused(plain: Any) -> None:
    if plain == []:
        assert reveal.unseal(sealed(b"[]"), PAD) == [], "which are not the keys that were asked for"
        return
    with pytest.raises(Unusable, match="are no keys"):
        reveal.unseal(sealed(json.dumps(plain).encode()), PAD)


@pytest.mark.parametrize("text", ["", "x", "ä", "%%%%", sealed(b"\xff\xfe"), sealed(b"[" * 250), sealed(b"{")])
def test_15_what_cannot_be_unsealed_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match="are no keys"):
        reveal.unseal(text, PAD)


def test_15_more_than_the_pad_is_refused() -> None:
    with pytest.raises(Unusable, match="longer than the pad"):
        reveal.unseal(base64.b64encode(bytes(257)).decode(), PAD)
