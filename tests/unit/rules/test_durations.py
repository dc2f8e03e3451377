# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations and times: a wait is never said, or counted, too short."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import (
    DurationError,
    epoch,
    in_words,
    seconds,
    stamp,
)

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    "value, expected",
    [
        ("14d", 14 * DAY), ("90m", 5400), ("45s", 45), ("1h30m", 5400), ("2w", 14 * DAY), ("0.5s", 0.5), ("1.5h", 5400),
        (" 5m ", 300), ("60", 60), ("0", 0), ("0s", 0), (60, 60), (0, 0), (2.5, 2.5),
    ],
)  # fmt: skip
def test_a_duration_is_read(value, expected):
    assert seconds(value, "app_keys_soak") == expected


@pytest.mark.parametrize(
    "value",
    [
        "", "d", "14 days", "1h 30m", "-1d", "1d-", "soon", "1y", "1D", "1e3", "infinity", "14d\nx", None, True, False, [],
        "9999999d", 1e12, -1, -0.5, float("inf"), float("nan"),
    ],
)  # fmt: skip
def test_what_is_no_duration_is_an_error_that_names_the_variable(value):
    with pytest.raises(DurationError, match="app_keys_soak is .*; .*written like 14d"):
        seconds(value, "app_keys_soak")


@pytest.mark.parametrize(
    "duration, expected",
    [
        (0, "0s"), (-5, "0s"), (0.2, "1s"), (59.1, "1m"), (61, "1m 1s"), (HOUR, "1h"), (HOUR + 60, "1h 1m"), (DAY, "1d"),
        (14 * DAY, "14d"), (14 * DAY + HOUR, "14d 1h"),
    ],
)  # fmt: skip
def test_a_duration_is_said_in_two_units(duration, expected):
    assert in_words(duration) == expected


@pytest.mark.parametrize("duration", [0.2, 59.5, 61, HOUR - 1, DAY, 14 * DAY])
def test_a_wait_is_never_said_too_short(duration):
    assert seconds(in_words(duration).replace(" ", ""), "words") >= duration


@pytest.mark.parametrize("duration", [HOUR + 61, 14 * DAY - 1, DAY + HOUR + 1])
def test_a_wait_of_three_units_is_never_said_too_short(duration):
    assert seconds(in_words(duration).replace(" ", ""), "words") >= duration


@pytest.mark.parametrize(
    "moment, expected",
    [(0, "1970-01-01T00:00:00Z"), (1_700_000_000, "2023-11-14T22:13:20Z"), (1_700_000_000.001, "2023-11-14T22:13:21Z")],
)
def test_a_moment_is_utc_and_rounded_up_so_that_no_wait_is_cut_short(moment, expected):
    assert stamp(moment) == expected


@pytest.mark.parametrize("moment", [0.0, 1_700_000_000.0, 4_102_444_800.0])
def test_a_stamp_is_read_back(moment):
    assert epoch(stamp(moment)) == moment


@pytest.mark.parametrize(
    "text", ["", "2023-11-14", "2023-11-14 22:13:20", "2023-11-14T22:13:20+01:00", "2023-02-30T00:00:00Z", "soon"]
)
def test_what_is_no_moment_is_an_error(text):
    with pytest.raises(ValueError, match="."):
        epoch(text)
