# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of ours in the documentation could be run: the playbook is there, and what is given with -e is a variable of the collection.

That the tutorial and the guides do what they say is held by tests/docs and tests/playbooks/test_guides.py, which run them.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Iterator, List, Tuple

import doc_blocks
import pytest
import yaml
from ansible_collections.phased.keys.plugins.module_utils._host.rules.variables import PREFIX, VARIABLES

CHECKOUT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    [
        *CHECKOUT.glob("*.md"),
        *CHECKOUT.glob("docs/*.md"),
        *CHECKOUT.glob("docs/docsite/rst/*.rst"),
        *CHECKOUT.glob("roles/*/*.md"),
    ]
)
PLAYBOOKS = {path.stem for path in CHECKOUT.glob("playbooks/*.yml")}
# In blocks of code and in the text: what follows `-e` up to the end of its quotes, or to the next blank.
GIVEN = re.compile(r"""(?<![\w-])(?<!\[ )(?:-e|--extra-vars)[ =]('[^']*'|"[^"]*"|[^\s`]*["'][^"'`]*["']|[^\s`]+)""")
OURS = re.compile(r"phased\.keys\.(\w+)")


def lines(page: Path) -> Iterator[str]:
    """Yield the commands in the blocks of a page, each on one line; what is behind a `#` is a remark."""
    for block in doc_blocks.blocks(page):
        if block.language in ("", "shell", "bash", "console", "sh", "ini"):
            for line in block.text.replace("\\\n", " ").splitlines():
                yield re.sub(r"\s#.*", "", line).strip()


def problems(given: str) -> List[str]:
    """Say what is wrong with what is given with one -e."""
    text = given[1:-1] if given[:1] in "'\"" and given[-1:] == given[:1] else given
    if text.startswith("{"):
        names = list(json.loads(text))
    elif re.search(r"[\"']", text) or " " in text:
        return [f"{given}: Ansible cuts this at the blank; give it as JSON"]
    else:
        names = [text.partition("=")[0]]
    return [f"{name} is not a variable" for name in names if not known(name)]


def known(name: str) -> bool:
    return name.startswith("ansible_") or name.startswith("@") or name[len(PREFIX) :] in VARIABLES


def commands() -> List[Tuple[Path, str]]:
    return [
        (page, line)
        for page in PAGES
        for line in lines(page)
        if line.startswith(("ansible-playbook ", "ansible-navigator run ", "phased.keys."))
    ]


def test_there_are_commands() -> None:
    assert len(commands()) > 20
    assert sum(len(GIVEN.findall(page.read_text())) for page in PAGES) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_what_is_given_with_e_is_a_variable_and_whole(page: Path) -> None:
    joined = page.read_text().replace("\\\n", " ")
    # The pages that say that this goes wrong show it.
    found = [given for given in GIVEN.findall(joined) if given not in ('name="two words"',)]
    assert [said for given in found for said in problems(given)] == []


@pytest.mark.parametrize("page, line", commands(), ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_command_is_one_that_could_be_run(page: Path, line: str) -> None:
    words = shlex.split(line)
    named = [OURS.fullmatch(word) for word in words]
    playbooks = [found[1] for found in named if found]
    own = [word for word in words if word.endswith(".yml") and words[words.index(word) - 1] not in ("-i", "@")]
    assert set(playbooks) <= PLAYBOOKS and len(playbooks) + len(own) == 1, line
    if not line.startswith("phased.keys."):
        assert "-i" in words and any(word.startswith(("--vault", "--ask-vault")) for word in words), line
    for word in own:
        assert doc_blocks.block(page, word), f"the page does not say what {word} is"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_a_block_of_yaml_is_yaml_with_variables_that_there_are(page: Path) -> None:
    for block in doc_blocks.blocks(page):
        if block.language in ("yaml", "yml"):
            document = yaml.safe_load(block.text)
            assert document is not None
            assert [name for name in re.findall(r"\bapp_keys_\w+", block.text) if not known(name)] == []
        if block.language == "json":
            assert json.loads(block.text)


@pytest.mark.parametrize(
    "given, wrong",
    [
        ("app_keys_new=true", False), ("app_keys_nwe=true", True), ('app_keys_waive_reason="dead disk"', True),
        ('\'{"app_keys_waive_reason": "dead disk"}\'', False), ('\'{"app_keys_reason": "dead disk"}\'', True), ('"app_keys_hosts=shop"', False),
        ("'app_keys_waive_reason=dead disk'", True),
    ],
)  # fmt: skip
def test_what_is_wrong_with_e(given: str, wrong: bool) -> None:
    assert GIVEN.findall(f"phased.keys.rollout -e {given} -v") == [given]
    assert bool(problems(given)) == wrong
