# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model's own machinery: seconds, and no exploration."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.phased.keys.tests.model import events, explore, mutants, mutations, profiles, world


@pytest.mark.parametrize("mutation", mutations.MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_finds_its_guard(mutation: mutations.Mutation, tmp_path: Path) -> None:
    """A guard that was changed has to be told anew; every profile that is named is there."""
    mutants.mutated(mutation, tmp_path)
    for profile in mutation.profiles:
        profiles.by_name(profile)


def test_a_rollout_without_faults_has_few_states_and_reaches_the_end() -> None:
    """The smallest exploration of all."""
    found = explore.explore(profiles.start(profiles.Profile("nothing", {})))
    assert found.complete and not found.wrong
    assert 30 < found.states < 300


def test_times_that_differ_by_one_are_told_apart() -> None:
    """-1 and -2 have one hash in Python."""
    assert len({hash((world.age(moment, 0),)) for moment in (-2, -1, 0, 1, 2)}) == 5


def test_a_counter_example_is_told_event_by_event() -> None:
    """With the fleet before and after each."""
    start = profiles.start(profiles.by_name("plain"))
    label, _happens = next(iter(events.events(start)))
    text = explore.path_told(start, [label], "something is wrong")
    assert f"1. {label}" in text
    assert text.count("keyring A: ") == 2
    assert text.endswith("=> something is wrong")
