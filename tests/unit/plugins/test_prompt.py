# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate takes for a yes at a terminal: the fingerprint, sent in time, and nothing else."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, List

import pytest
from ansible.errors import AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible_collections.phased.keys.plugins.action import gate
from ansible_collections.phased.keys.plugins.plugin_utils import _gate_operator
from ansible_collections.phased.keys.plugins.plugin_utils._gate_action import Refused

LEAKED = "0123456789abcdef"


class Terminal:
    """Ansible's display, and what it answers to a question: something to return, or to raise."""

    def __init__(self, answer: Any, takes: float = 0.0) -> None:
        self.answer = answer
        self.takes = takes
        self.shown: List[str] = []
        self.seconds: List[float] = []

    def display(self, text: str) -> None:
        self.shown.append(text)

    def prompt_until(self, text: str, seconds: float) -> Any:
        self.shown.append(text)
        self.seconds.append(seconds)
        time.sleep(self.takes)
        if isinstance(self.answer, type):
            raise self.answer("nobody is there")
        return self.answer


def confirm(terminal: Terminal) -> None:
    """Ask for an emergency at this terminal."""
    action = object.__new__(gate.ActionModule)
    action.checking = False
    action._display = terminal
    action.fleet = SimpleNamespace(values={"confirm": None})
    action.confirm(LEAKED, "every login ends")


@pytest.mark.parametrize("answer", [LEAKED.encode(), f" {LEAKED} ".encode()])
def test_14_the_fingerprint_that_is_typed_is_a_yes(answer: bytes) -> None:
    terminal = Terminal(answer)
    confirm(terminal)
    assert terminal.shown[0] == "every login ends"
    assert terminal.shown[1].startswith(f"Type {LEAKED} to roll it without a soak")
    # A question that waits for ever would hold AWX's node, where there is a terminal and nobody at it.
    assert terminal.seconds == [_gate_operator.PATIENCE] == [120]


@pytest.mark.parametrize(
    "answer",
    [
        b"",  # the time is over, and nothing was typed
        b"01234567",  # the time is over in the middle of it
        b"yes",
        b"0123456789ABCDEF",
        b"\xff\xfe",
        None,
        LEAKED,  # a text is no answer of a terminal
        AnsiblePromptInterrupt,
        AnsiblePromptNoninteractive,
        # A worker gets what was raised in Ansible's main process as its answer.
        AnsiblePromptInterrupt("user interrupt"),
        AnsiblePromptNoninteractive("stdin is not interactive"),
    ],
)
def test_14_anything_else_and_a_time_that_is_over_is_a_no(answer: Any) -> None:
    with pytest.raises(
        Refused, match=rf"{LEAKED} was not confirmed: .*app_keys_confirm={LEAKED}.* Nothing was changed"
    ):
        confirm(Terminal(answer))


def test_14_what_was_typed_and_never_sent_is_a_no_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible returns what stands there when the time is over as if it had been sent."""
    monkeypatch.setattr(_gate_operator, "PATIENCE", 0.05)
    with pytest.raises(Refused, match="was not confirmed"):
        confirm(Terminal(LEAKED.encode(), takes=0.06))
