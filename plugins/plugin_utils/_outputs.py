# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on the controller that a run writes for others to read, whenever its gate has decided something, and as `status` ends.

None of them holds a secret, so that everybody may read them. A relative path begins at the working directory. One that cannot be
written never ends a rollout: it is a warning, with its reason.
"""

from __future__ import annotations

import errno
import json
import os
from typing import Any, Callable, List, Mapping, NamedTuple, Optional

from ..module_utils._host import files
from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._rules.exposition import exposition
from ..module_utils._rules.report import report
from ..module_utils._rules.report_time import Run
from ..module_utils._rules.standing import Standing
from ..module_utils._rules.survey import Survey
from . import _keyring_damage as damage
from . import _report

KIND = "phased.keys/status"
SCHEMA = 1
MODE = 0o644
NOT_OURS = "what is there is no such file of ours, and was left as it is: give another path, or move it away"
ADVICE = {
    **damage.WRITE_ADVICE,
    errno.ENOENT: "make the folder that it is to be in",
    errno.ENOTDIR: "give it a path in a folder",
    errno.EISDIR: "it is a folder: give the path of the file itself",
    errno.EINVAL: "give it the path of an ordinary file",
    errno.EFBIG: "move away what is there",
}
LARGEST = 64 * 1024 * 1024  # of a file that is replaced: of thousands of hosts there is a lot to say


class Moment(NamedTuple):
    """What a run knows at the moment at which it writes.

    asked     what the gate was asked: `status`, `open`, `close` and so on
    goal      what the playbook is to reach: `rollout`, a phase, or `status`
    failed    whether the answer was a refusal or an error
    said      what the person at the terminal is told, of one line or many; no secret is in it, and a host's texts may be
    standing  how the fleet stands, for machines
    survey    what this run has seen of the fleet, held against the keyring; None where that could not be read
    max_age   app_keys_max_age, in seconds
    run       what this run has visited
    """

    asked: str
    goal: str
    failed: bool
    said: str
    standing: Standing
    survey: Optional[Survey]
    max_age: float
    run: Run = Run({}, [])


class Output(NamedTuple):
    """A file to write.

    variable  the variable that holds its path, without its prefix
    render    makes its whole text
    begins    how every such text begins: a file that begins otherwise is somebody else's, and is left as it is
    """

    variable: str
    render: Callable[[Moment], str]
    begins: str


def status_json(moment: Moment) -> str:
    """Return how the fleet stands as JSON; all of it is ASCII, whatever is in it."""
    return json.dumps({"kind": KIND, "schema": SCHEMA, **moment.standing}, indent=2) + "\n"


def page(moment: Moment) -> str:
    """Return the report for people, as one page of HTML."""
    failed = moment.said if moment.failed else None
    playbook = f"phased.keys.{moment.goal}"
    return _report.page(report(moment.standing, moment.survey, moment.run, moment.max_age, playbook, failed))


OUTPUTS: List[Output] = [
    Output("status_json", status_json, f'{{\n  "kind": "{KIND}"'),
    Output("status_prometheus", lambda moment: exposition(moment.standing), "# HELP phased_keys_"),
    Output("report", page, _report.BEGINS),
]


def wanted(values: Mapping[str, Any]) -> bool:
    """Whether there is anything to write, by the variables of the fleet."""
    return any(values[output.variable] is not None for output in OUTPUTS)


def write(values: Mapping[str, Any], moment: Moment) -> List[str]:
    """Write every file that the variables ask for, and return a sentence for each that could not be written."""
    return [
        f"app_keys_{output.variable}: {values[output.variable]} is not written: {problem}"
        for output in OUTPUTS
        if values[output.variable] is not None
        for problem in _written(output, values[output.variable], moment)
    ]


def _written(output: Output, given: str, moment: Moment) -> List[str]:
    """Write one file, whole or not at all; return why that could not be done, if it could not."""
    path = os.path.abspath(os.path.expanduser(given))
    try:
        text = output.render(moment)
        try:
            return _replaced(path, text, output.begins)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            return _replaced(path, text, output.begins)  # another run has written it at this very moment
    except (OSError, PhasedKeysError) as error:
        return [damage.why(error, ADVICE)]
    except Exception as error:  # a mistake of ours in a file beside the work must not end the work
        return [f"its text could not be made ({type(error).__name__}: {error}): please report this"]


def _replaced(path: str, text: str, begins: str) -> List[str]:
    present = files.read_text(path, LARGEST)
    if present and not present.startswith(begins):
        return [NOT_OURS]
    files.replace_text(path, text, mode=MODE)
    return []
