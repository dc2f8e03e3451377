# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The initializer for Rails, in a real Rails application: it accepts what the other hosts of each phase have signed, and no more than that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

HERE = Path(__file__).resolve().parent
SNIPPET = HERE.parents[2] / "docs" / "examples" / "rails" / "phased_keys.rb"
RUBY = shutil.which("ruby")
OLD, NEW = "0" * 127 + "1", "0" * 127 + "2"
# What a host signs with, and accepts besides.
STATES: Dict[str, Tuple[str, str]] = {
    "steady": (OLD, ""),
    "prepare": (OLD, NEW),
    "promote": (NEW, OLD),
    "retire": (NEW, ""),
}
# What serves at the same time, and what soaks: who signs, and who has to accept it.
TOGETHER = [
    ("steady", "prepare"), ("prepare", "steady"), ("prepare", "promote"), ("promote", "prepare"), ("promote", "retire"),
    ("retire", "promote"), ("steady", "promote"),
]  # fmt: skip
EVERYTHING = ["ActiveStorage", "encrypted", "ours", "session", "signed"]


def rails(state: str, do: str, snippet: Path | None = SNIPPET, given: Any = None) -> Any:
    """Run the application once with the keys of this state."""
    assert RUBY
    keys = {
        "SECRET_KEY_BASE": STATES[state][0],
        "SECRET_KEY_BASE_PREVIOUS": STATES[state][1],
        "RAILS_ENV": "production",
    }
    done = subprocess.run(
        [RUBY, str(HERE / "rails_app.rb"), str(snippet or "-"), do], input=json.dumps(given), env={**os.environ, **keys},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def there_is_rails() -> bool:
    return (
        bool(RUBY)
        and not subprocess.run(
            [str(RUBY), "-e", 'require "logger"; require "rails"; require "action_controller/railtie"'],
            capture_output=True,
            check=False,
        ).returncode
    )


@pytest.mark.slow
def test_what_serves_at_the_same_time_accepts_what_the_others_sign_and_a_retired_key_is_refused() -> None:
    # Where all readers are asked for (`make readers`) its absence is a failure, and Ruby says which part is not there.
    if os.environ.get("PHASED_READERS") != "all" and not there_is_rails():
        pytest.skip("no ruby with Rails here (Debian: ruby-railties)")
    made = {state: rails(state, "make") for state in STATES}
    accepted: Dict[str, Dict[str, List[str]]] = {state: rails(state, "check", given=made) for state in STATES}
    for signs, reads in TOGETHER:
        assert accepted[reads][signs] == EVERYTHING, f"{reads} reads what {signs} signed"
    # A test that cannot fail proves nothing: the naive rotation, and Rails as it comes.
    assert accepted["retire"]["steady"] == accepted["steady"]["retire"] == []
    assert rails("promote", "check", None, made)["steady"] == []
