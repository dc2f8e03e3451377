# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fleet stands in Prometheus' text-based exposition format, for the textfile collector of node_exporter.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format,
https://github.com/prometheus/node_exporter#textfile-collector (no timestamps; one name has one HELP in all files of the folder).
What is not known has no sample: a zero would be a lie, and an old value another. No text that a host sent is in it.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Union

from .._host.rules.durations import epoch
from .standing import Standing

PREFIX = "phased_keys_"
# Of one sample its labels, beside the application's name, and its value.
Labels = Mapping[str, str]


class Sample(NamedTuple):
    """One series: its value, and its labels beside the application's name."""

    value: Union[int, float]
    labels: Labels = {}


class Metric(NamedTuple):
    """A gauge: what it says, and its samples; none where nothing is known of it."""

    text: str
    samples: Callable[[Standing], List[Sample]]


def exposition(standing: Standing) -> str:
    """Return the text of all metrics that there is something to say of."""
    lines = []
    for name, metric in METRICS.items():
        samples = metric.samples(standing)
        if samples:
            lines += [f"# HELP {PREFIX}{name} {metric.text}", f"# TYPE {PREFIX}{name} gauge"]
        for sample in samples:
            labels = {"name": standing["name"], **sample.labels}
            inner = ",".join(f'{label}="{escaped(value)}"' for label, value in labels.items())
            lines.append(f"{PREFIX}{name}{{{inner}}} {sample.value!r}")
    return "\n".join([*lines, ""])


def escaped(text: str) -> str:
    r"""Return a label's value with \, " and the line feed as the format has them; what is no Unicode at all as \xNN."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _one(value: Union[bool, int, float, None]) -> List[Sample]:
    return [] if value is None else [Sample(int(value) if isinstance(value, bool) else value)]


def _moment(text: Optional[str]) -> List[Sample]:
    return [] if text is None else [Sample(int(epoch(text)))]


def _unproven(standing: Standing) -> List[Sample]:
    """One series for each host that is not proven, and none for the others."""
    counts: Dict[str, int] = {}
    for told in standing["unproven"] or ():
        counts[told["host"]] = counts.get(told["host"], 0) + 1
    return [Sample(number, {"host": host}) for host, number in counts.items()]


def _info(standing: Standing) -> List[Sample]:
    return [Sample(1, {"phase": standing["phase"], "signing": standing["signing"] or ""})]


METRICS: Dict[str, Metric] = {
    "written_timestamp_seconds": Metric("When this file was written.", lambda it: _moment(it["at"])),
    "looked_timestamp_seconds": Metric(
        "Since when what is said of hosts is known; absent where the run looked at none.",
        lambda it: _moment(it["looked_at"]),
    ),
    "ok": Metric("Whether all is well; absent where that is not known.", lambda it: _one(it["ok"])),
    "info": Metric("The last step, and the fingerprint of the key that signs.", _info),
    "step_open": Metric("Whether the last step is still open.", lambda it: _one(it["step_open"])),
    "members": Metric("How many members the fleet has.", lambda it: _one(it["members"])),
    "members_proven": Metric(
        "How many members are proven at the last step; absent where the run looked at none.",
        lambda it: _one(it["members_proven"]),
    ),
    "members_waived": Metric("How many members are set aside.", lambda it: _one(len(it["waived"]))),
    "unproven": Metric("How many findings there are of a member that is not proven.", _unproven),
    "due_timestamp_seconds": Metric(
        "When the next step or rollout is due; absent where nothing is.", lambda it: _moment(it["due_at"])
    ),
    "key_age_seconds": Metric("How old the key that signs is.", lambda it: _one(it["key_age"])),
    "last_rollout_timestamp_seconds": Metric(
        "When a rollout ended last; absent where none has.", lambda it: _moment(it["last_rollout"])
    ),
}
