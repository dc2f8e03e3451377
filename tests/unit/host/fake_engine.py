# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of container engines that answer what was recorded of real ones."""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any, Dict, List, Sequence

from ansible_collections.phased.keys.plugins.module_utils._host.rules import containers as rules

HERE = pathlib.Path(__file__).parent / "recorded"
RECORDED = {
    name: json.loads((HERE / f"{name}-{version}.json").read_text())[0]
    for name, version in {"docker": "20.10", "podman": "4.3"}.items()
}

# What a client does, by what it finds in a folder: `answer` is what `ps` and `inspect` know.
CLIENT = """#!{python}
import json, os, sys, time
known = json.load(open({folder!r} + "/" + os.path.basename(sys.argv[0]) + ".json"))
if known["does"]:
    exec(known["does"])
open({folder!r} + "/asked", "a").write(json.dumps([sys.argv, dict(os.environ)]) + "\\n")
entries = known["entries"]
if sys.argv[1] == "ps":
    label, value = [word for word in sys.argv if word.startswith("label=")][0].split("=", 2)[1:]
    print("\\n".join(one["Id"] for one in entries if one["Config"]["Labels"].get(label) == value))
else:
    found = [one for one in entries if one["Name"].lstrip("/") in sys.argv or any(one["Id"].startswith(word) for word in sys.argv[3:])]
    print(json.dumps(found))
    if not found:
        sys.exit("Error: no such container " + sys.argv[-1])
"""


def entry(
    engine: str = "docker", name: str = "shop", pid: int = 0, env: Sequence[str] = (), **state: Any
) -> Dict[str, Any]:
    """What an engine says of a container, as it was recorded but for this."""
    found = json.loads(json.dumps(RECORDED[engine]))
    found.update(Name=f"/{name}" if engine == "docker" else name, Id=f"{sum(map(ord, name)):064x}")
    found["State"].update(Pid=pid, Status="running" if pid else "exited", Running=bool(pid), **state)
    found["Config"].update(Env=list(env), Labels={})
    return dict(found)


def labelled(project: str, service: str, **more: Any) -> Dict[str, Any]:
    found = entry(name=f"{project}_{service}_1", **more)
    found["Config"]["Labels"] = {rules.PROJECT[0]: project, rules.SERVICE[0]: service}
    return found


class Fake:
    """Clients of engines in a folder that is all there is of PATH."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def install(self, engine: str, *entries: Any, does: str = "") -> None:
        client = self.folder / engine
        client.write_text(CLIENT.format(python=sys.executable, folder=str(self.folder)))
        client.chmod(0o755)
        (self.folder / f"{engine}.json").write_text(json.dumps({"entries": entries, "does": does}))

    def asked(self) -> List[Any]:
        log = self.folder / "asked"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
