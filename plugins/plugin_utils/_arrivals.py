# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that join, each in a process of its own: they wait for one another, and whoever comes first writes for all that wait.

One write for each would be a race among them, which in a slow store some would lose again and again.
"""

from __future__ import annotations

import time
from typing import List

from ..module_utils._host import files
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import membership
from . import _run_folder as run_folder
from ._keyring_store import KeyringFileError, NotWrittenError, Store, UnknownError

TRIES = 20
# However slow a store is: as many writes as may be under way before this one's turn comes (seconds).
WAIT = 180.0


def registered(file: Store, name: str, host: str) -> Keyring:
    """Have a host registered, with no waiver, in the keyring of the application `name`, and return what visits need of that.

    KeyringFileError where it cannot be written; UnknownError where that is not known.
    """
    run_folder.arrive(file.path, host)
    try:
        with run_folder.locked("arrivals", WAIT):
            waiting = run_folder.arrivals(file.path)
            if host in waiting:
                _write(file, name, waiting)
                run_folder.arrived(file.path, waiting)
            keyring: Keyring = file.for_visits(name)[0]
            return keyring
    except files.Locked as error:
        raise NotWrittenError(f"{host} waits in vain for others that join: {error}. Run again") from None
    finally:
        run_folder.arrived(file.path, [host])


def _write(file: Store, name: str, waiting: List[str]) -> None:
    for tries in reversed(range(TRIES)):
        keyring = file.load(name)
        after = membership.arrive(keyring, waiting, time.time())
        if after is keyring:
            return
        try:
            file.replace(after)
            return
        except UnknownError:
            raise
        except KeyringFileError:
            # Another run does the same at the same moment.
            if not tries:
                raise
