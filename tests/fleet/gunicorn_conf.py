# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gunicorn's configuration on a host of the fleet; what differs between hosts comes on the command line."""

import os
from pathlib import Path

worker_class = "sync"
preload_app = True  # Django is imported once for a host and not once for a worker: a restart costs a third of the CPU
accesslog = None
timeout = 60
backlog = 256


def post_worker_init(worker):
    """Say that this worker serves: `_host.py` waits for it."""
    Path(os.environ["PHASED_FLEET_HOST"], "ready", str(worker.pid)).touch()
