# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line that lives at the bottom of a terminal, below all that Ansible shows.

Whatever is shown goes through `display` of Ansible's one Display: what callbacks show, what forks show (they send it to the main
process) and warnings alike. So that method of that one object is wrapped for the time of a run: it is the only place where the line
can be taken away before and put back after. There is no thread here: Ansible forks, and a fork that inherits a lock waits forever.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible.utils.color import stringc
from ansible.utils.display import Display

from ._progress import Piece

Said = Tuple[str, Dict[str, Any]]  # a text, and the other arguments of Display.display

ERASE = "\r\x1b[2K"
ARGUMENTS = ("color", "stderr", "screen_only", "log_only", "newline", "caplevel")
PAUSE = 0.1  # seconds: more often nobody can read it


class LivingLine:
    """The line, and the wrapper around Display.display."""

    def __init__(
        self,
        display: Display,
        line: Callable[[int], Sequence[Piece]],
        colour: Callable[[str], Optional[str]],
        says: Callable[..., List[Said]],
    ) -> None:
        """`line` returns the line for a width, `colour` Ansible's colour for a name, and `says` what is to be shown in place of what was to be."""
        self.display, self.line, self.colour, self.says = display, line, colour, says
        self.shown = False
        self.drawn = 0.0
        self.process = os.getpid()
        self.lock = display._lock
        self.original = display.display
        self.prompt = display.prompt_until
        self.prompting = False

    @property
    def living(self) -> bool:
        """Whether there is a terminal to live on."""
        return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    @property
    def width(self) -> int:
        """How many columns the terminal has; 0 where there is none."""
        return os.get_terminal_size(sys.stdout.fileno()).columns if self.living else 0

    def start(self) -> None:
        """Wrap."""
        self.prompting = False
        atexit.register(self.stop)  # a run that is interrupted says nothing of its end to a callback
        vars(self.display).update(display=self._display, prompt_until=self._prompt_until)

    def stop(self) -> None:
        """Take the line away, and the wrapper."""
        atexit.unregister(self.stop)
        self.erase()
        for name in ("display", "prompt_until"):
            vars(self.display).pop(name, None)

    def erase(self) -> None:
        """Take the line away."""
        with self.lock:
            if self.shown and os.getpid() == self.process:
                sys.stdout.write(ERASE)
                sys.stdout.flush()
                self.shown = False

    def draw(self, at_once: bool = False) -> None:
        """Draw the line anew, unless that was done just now."""
        if not self.living or self.prompting or os.getpid() != self.process:
            return
        now = time.monotonic()
        if not at_once and self.shown and now - self.drawn < PAUSE:
            return
        with self.lock:
            pieces = self.line(self.width - 1)
            if pieces:
                sys.stdout.write(ERASE + "".join(self._coloured(piece) for piece in pieces))
                sys.stdout.flush()
                self.shown, self.drawn = True, now

    def _coloured(self, piece: Piece) -> str:
        text, name = piece
        colour = self.colour(name) if text else None
        return stringc(text, colour) if colour else text

    def _display(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """In place of Display.display; a fork sends what it shows to the main process, as ever."""
        if os.getpid() != self.process:
            self.original(msg, *args, **kwargs)
            return
        with self.lock:
            shown = self.says(msg, **dict(zip(ARGUMENTS, args)), **kwargs)
            if shown:
                self.erase()
            for text, how in shown:
                self.original(text, **how)
            self.draw(at_once=bool(shown))

    def _prompt_until(self, *args: Any, **kwargs: Any) -> bytes:
        """In place of Display.prompt_until: nothing is drawn where a person types."""
        self.erase()
        self.prompting = True
        try:
            return self.prompt(*args, **kwargs)
        finally:
            self.prompting = False
