# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens pages in a headless Chromium that knows nobody and reaches nothing."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import List

from debian import found

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


class Browser:
    """A browser that forgets all after each page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = found("chromium")
        assert self.path, "there is no chromium: run tests/tools/debian.py chromium"

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
