# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Did my write land? The same answer in every store, whatever happens on the way."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

import builders
import pytest
from ansible_collections.phased.keys.plugins.plugin_utils import _remote_store as remote_store
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_store import (
    NotWrittenError,
    UnknownError,
)
from ansible_collections.phased.keys.plugins.plugin_utils._remote_store import (
    Denied,
)
from faulty import Faulty, faulty
from sealed import vault_loader as loader
from store_kinds import Kind

# Four kinds of store, each broken in every way: two minutes that `make test` has not.

# Four kinds of store, each broken in every way: two minutes that `make test` has not.
pytestmark = pytest.mark.slow


ONCE: Dict[str, List[str]] = {
    "down for a moment": ["no request"],
    "down for longer": ["no request"] * 5,
    "the answer is lost": ["no answer"],
    "two answers are lost": ["no answer", "no answer"],
    "the request is late": ["late"],
    "the request is later than the next one": ["last"],
    "all of it": ["no request", "late", "last", "no answer"],
}


@pytest.mark.parametrize("plan", ONCE)
def test_a_write_lands_once_whatever_happens_on_the_way(kind: Kind, first: Dict[str, Any], plan: str) -> None:
    file = faulty(kind, *ONCE[plan])
    file.load()
    written = file.replace(first)
    assert kind.keyring(loader()).load() == written
    assert (written["revision"], len(written["writes"])) == (2, 2)
    # And the run goes on from there.
    assert file.replace(written)["revision"] == 3


@pytest.mark.parametrize("plan", ONCE)
def test_so_does_the_first_one(kind: Kind, plan: str) -> None:
    file = faulty(kind, *ONCE[plan])
    written = file.create(builders.at("prepared", ("web1", "web2")))
    assert kind.keyring(loader()).load() == written and written["revision"] == 1


def foreign(kind: Kind, times: int = 1) -> Callable[[], None]:
    """Somebody else writes."""

    def write() -> None:
        for _time in range(times):
            file = kind.keyring(loader())
            file.replace(file.load())

    return write


def test_a_write_is_ours_by_its_id_where_somebody_has_written_over_it(kind: Kind, first: Dict[str, Any]) -> None:
    file = faulty(kind, "no answer", foreign(kind, 3))
    file.load()
    written = file.replace(first)
    there = kind.keyring(loader()).load()
    assert there["revision"] == 5 and written["writes"][0] in there["writes"]
    with pytest.raises(NotWrittenError, match="was changed by somebody else"):
        file.replace(written)


def test_a_write_that_somebody_came_before_is_not_ours(kind: Kind, first: Dict[str, Any]) -> None:
    for number, plan in (
        (1, [foreign(kind)]),
        (2, ["no request", foreign(kind, 2)]),
        (1, [foreign(kind), "no answer"]),
    ):
        file = faulty(kind, *plan)
        keyring = file.load()
        with pytest.raises(NotWrittenError, match="was changed by somebody else"):
            file.replace(keyring)
        there = kind.keyring(loader()).load()
        assert there["revision"] == keyring["revision"] + number


def test_without_an_answer_it_is_said_that_it_is_not_known(
    kind: Kind, first: Dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_store, "WRITING", 0.05)
    for plan in (["no request"] * 1000, ["no answer"] * 1000, ["last", *["no request"] * 1000]):
        file = faulty(kind, *plan)
        keyring = file.load()
        with pytest.raises(UnknownError) as error:
            file.replace(keyring)
        said = str(error.value)
        assert "it is not known whether" in said and "No host is visited" in said
        assert "Nothing was changed" not in said
    # The next run goes by what is there.
    file = kind.keyring(loader())
    assert file.replace(file.load())["revision"] > 1


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(lambda kind, old: kind.delete(), id="deleted"),
        pytest.param(lambda kind, old: kind.overwrite(b"spoiled\n"), id="spoiled"),
    ],
)
def test_what_cannot_be_told_is_not_claimed(
    kind: Kind, first: Dict[str, Any], then: Callable[[Kind, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_store, "WRITING", 0.3)
    if not kind.sees_deleted:
        pytest.skip("a write over what was deleted is let in there")
    file = faulty(kind, "no answer", lambda: then(kind, b""))
    keyring = file.load()
    with pytest.raises(UnknownError):
        file.replace(keyring)
    # Where every try had its answer it is certain.


def test_a_clear_no_is_certain_only_where_no_try_before_it_was_in_doubt(kind: Kind, first: Dict[str, Any]) -> None:
    class Full(Faulty):
        def write(self, text: bytes, version: Optional[str]) -> str:
            if not self.plan:
                raise Denied("the disk is full: free some space there")
            return super().write(text, version)

    file = kind.keyring(loader())
    file.remote = Full(file.remote)
    keyring = file.load()
    with pytest.raises(NotWrittenError, match="the disk is full: free some space there. Nothing was changed"):
        file.replace(keyring)
    file.remote = Full(file.remote.real, "no answer")
    assert file.replace(keyring)["revision"] == 2
    assert kind.keyring(loader()).load()["revision"] == 2
