# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of every message, which `make docs` makes from the code, leaves none out."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Iterator, Set, Tuple

import messages_page
import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
FOUND = messages_page.all_messages(CHECKOUT)
SAID = " ".join(messages_page.page(CHECKOUT).split())


def pieces(path: Path) -> Iterator[Tuple[int, str]]:
    """Yield every piece of text of five words and more that a file holds, but for its docstrings; a name that is put in ends a piece."""
    tree = ast.parse(path.read_text())
    docs: Set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            docs.add(id(body[0].value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            for piece in re.split(r"\{\w*[^}]*\}| -> ", node.value):
                if "\n" not in piece and len(re.findall(r"(?<!\S)[a-z']+(?!\S)", piece)) > 4:
                    yield node.lineno, " ".join(piece.split())


SOURCES = [
    path for path in sorted((CHECKOUT / "plugins").rglob("*.py")) if path.parent.name not in messages_page.NOT_SAID
]

# What is a program, or a bug of ours if it is ever seen.
NO_MESSAGES = re.compile(
    r"\b(lambda|import)\b|there is no folder to work in|the child was started with a pipe|an empty key has no"
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_text_of_the_code_stands_on_the_page(path: Path) -> None:
    missing = [(line, piece) for line, piece in pieces(path) if piece not in SAID and not NO_MESSAGES.search(piece)]
    assert missing == []


def test_cures_are_words_that_somebody_can_follow() -> None:
    cures = [one.cure for one in FOUND if one.cure]
    assert len(cures) > 90
    assert [cure for cure in cures if not messages_page.fixed(cure)] == []


@pytest.mark.parametrize(
    "text, cure, function",
    [
        ("has no record of a visit‹had›", "run phased.keys.rollout, or the role", "fence_findings"),
        ("‹does› ‹keys›, which is not in the keyring", "give ‹key› up with -e app_keys_replace=‹key›", "_unknown_keys_finding"),
        ("pid ‹pid› has overwritten its environment (setproctitle)", "SPT_NOENV=1", "_judged"),
        ("is decrypted and is not YAML", "put the last good version back", "SealedStore._document"),
        ("‹where› is empty", "no honest host answers like that", "_text"),
        ("app_keys_proof is ‹name›; it is one of ‹proofs›", "", "named"),
    ],
)  # fmt: skip
def test_a_message_with_its_cure_and_where_it_is_said(text: str, cure: str, function: str) -> None:
    (one,) = [one for one in FOUND if one.text == text and one.function == function]
    assert cure in one.cure and bool(cure) == bool(one.cure)


def test_no_message_stands_there_twice() -> None:
    places = [(one.path, one.line, one.text) for one in FOUND]
    assert len(places) == len(set(places)) > 300
