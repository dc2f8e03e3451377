# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens pages in a headless Chromium that knows nobody and reaches nothing.

`chromium.py ready` gets Debian's package where that can be done; it ends with 3, and says why, where there is no browser.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List, Optional

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *(
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb"),
    # Nothing but this machine is there for it.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
LIMIT = 120.0
CANNOT = 3


def found() -> Optional[str]:
    """Return the browser's path; None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def ready() -> int:
    """See that there is a browser, getting one if need be; 0 where there is."""
    if not found() and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            check=False,
        )
    if found():
        return 0
    print("there is no chromium, and it cannot be installed here: that takes root and apt-get")
    return CANNOT


class Browser:
    """A browser that forgets all after each page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = found()
        assert self.path, "there is no chromium: run tests/browser/chromium.py ready"

    def run(self, page: Path, *flags: str, dark: bool = False, width: int = 1280, height: int = 900) -> str:
        """Open a page in a window of this size (pixels), and return what the browser printed."""
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        with tempfile.TemporaryDirectory(dir=self.folder) as profile:
            own: List[str] = [f"--user-data-dir={profile}", f"--window-size={width},{height}", scheme]
            ran = subprocess.run(
                [str(self.path), *FLAGS, *own, *flags, page.as_uri()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
                timeout=LIMIT,
                cwd=self.folder,
            )
        return ran.stdout

    def picture(self, page: Path, to: Path, **window: int) -> Path:
        """Take a picture of a page."""
        self.run(page, f"--screenshot={to}", **window)  # type: ignore[arg-type]
        return to

    def printed(self, page: Path, to: Path) -> Path:
        """Print a page into a PDF."""
        self.run(page, f"--print-to-pdf={to}", "--no-pdf-header-footer")
        return to


if __name__ == "__main__":
    if sys.argv[1:] != ["ready"]:
        sys.exit("usage: chromium.py ready")
    sys.exit(ready())
