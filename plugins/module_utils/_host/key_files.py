# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a key file, for the text of an output: the text itself, or the bytes of which it is the base64."""

from __future__ import annotations

import base64

from .rules.ways import Output, SettingsError


def content(output: Output, text: str) -> bytes:
    """Return what a file of this output holds for its text; SettingsError where that is no base64."""
    if output.decode != "base64":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise SettingsError("not_a_list", f"a key of {output.names[0]} is not the base64 of its bytes") from None


def text(output: Output, content: bytes) -> str:
    """Return the text of a file of this output; SettingsError where it holds none."""
    if output.decode == "base64":
        return base64.b64encode(content).decode()
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SettingsError("not_a_list", f"{output.names[0]} is no text") from None
