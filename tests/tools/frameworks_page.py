# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what docs/frameworks.md says of each profile, from the profiles: `python tests/tools/frameworks_page.py` writes the page anew."""

from __future__ import annotations

import importlib
import re
import textwrap
from pathlib import Path
from typing import Any, Iterator, Mapping

# By name: mypy is not told of the collection where it checks the tools.
RULES = "ansible_collections.phased.keys.plugins.module_utils._host.rules"
frameworks, shipped = (importlib.import_module(f"{RULES}.{name}") for name in ("frameworks", "shipped"))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "frameworks.md"
BEGIN, END = "<!-- begin of {part}, made by tests/tools/frameworks_page.py -->\n", "<!-- end of {part} -->\n"
WIDTH = 100
HOLDS = {
    "signer": "the key that signs",
    "others": "the keys that are accepted besides",
    "all": "all keys",
    "signer_id": "the id of the key that signs",
}
AS = {
    "json": "a JSON list of strings",
    "json-map": "a JSON map of ids and keys",
    "lines": "one a line",
    "slots": "one each, in this order",
    "numbered": "a file each, by number",
}
SIGNER = {
    "first": "the first",
    "last": "the last",
    "last but one": "the last but one",
    "pointer": "the one that is named",
}
FROM = {"pypi": "PyPI", "npm": "npm", "composer": "Composer", "gem": "RubyGems"}


def table() -> str:
    """Return the table of the profiles."""
    lines = [
        "| profile | `primary` | `fallbacks` | `separator` | `signs` | `key` | `soak` |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in shipped.PROFILES:
        form = frameworks.shipped_profile(name)
        cells = [form.primary, form.fallbacks, form.separator, form.signs if form.primary == form.fallbacks else ""]
        cells = ["", "", "", ""] if form.written else cells
        row = [f"`{cell}`" if cell else "" for cell in [name, *cells, form.key]]
        row.append(f"`{form.soak}`" if form.soak else "say it")
        lines.append(f"| {' | '.join(row)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join([*lines, ""])


def sections() -> str:
    """Return a section for each profile."""
    return "\n".join(line for name in shipped.PROFILES for line in _section(name))


def refused() -> str:
    """Return the table of what is refused by name."""
    rows = [
        f"| {called} | {', '.join(f'`{name}`' for name in names)} | {why} | {instead} |"
        for names, called, why, instead in shipped._refused()
    ]
    return "\n".join(["| what | names | why | instead |", "| --- | --- | --- | --- |", *rows, ""])


def page(before: str) -> str:
    """Return the page with its parts that are made from the profiles."""
    for part, text in (("the table", table()), ("the profiles", sections()), ("the refused", refused())):
        begin, end = BEGIN.format(part=part), END.format(part=part)
        if before.count(begin) != 1 or before.count(end) != 1:
            raise SystemExit(f"docs/frameworks.md has lost the marks of {part}")
        before = before.partition(begin)[0] + begin + "\n" + text + "\n" + end + before.partition(end)[2]
    return before


def _section(name: str) -> Iterator[str]:
    data, form = shipped.PROFILES[name], frameworks.shipped_profile(name)
    yield f"### {name}\n"
    yield _lines(data["title"] + ".")
    if data["status"] == "partly":
        yield _lines(f"Partly: {data['reason']}.")
    yield ""
    for output in form.outputs:
        yield _bullet(_where(output, form))
    signs = f"{SIGNER[form.signs]} signs, " if form.outputs[0].holds == "all" else ""
    most = "any number can stand there" if form.most == frameworks.MOST_KEYS else f"at most {form.most} can stand there"
    yield _bullet(f"{signs}{most}")
    for what in _said(data):
        yield _bullet(what)
    if data["snippet"]:
        yield "\nIn the application:\n"
        yield from (f"    {line}" for line in data["snippet"])
    yield ""


def _where(output: Any, form: Any) -> str:
    names = ", ".join(f"`{name}`" for name in output.names)
    way = (
        f" with `{output.separator}` between two"
        if output.way == "join"
        else f", {AS[output.way]}"
        if output.way in AS
        else ""
    )
    decoded = ", decoded as JSON where it is any" if output.decode == "json" else ""
    return f"{names}: {HOLDS[output.holds]}{way}{decoded}"


def _said(data: Mapping[str, Any]) -> Iterator[str]:
    for entry in data["life"]:
        until = f"for `{entry['for']}`" if entry["for"] else "without an end that the framework sets"
        yield f"{entry['what']} live {until} ({entry['source']})"
    for entry in data["at_rest"]:
        how = f"with `{entry['command']}`" if entry["command"] else "by the application's own means"
        yield f"at rest: {entry['what']}, to be encrypted anew {how} before a key ends"
    if data["spread"]:
        yield f"spread: others may cache the keys for `{data['spread']}`"
    for entry in data["versions"]:
        yield f"`{entry['package']}` `{entry['range']}` is {_verdict(entry)}: {entry['why']}"
    for entry in data["conflicts"]:
        yield f"beside `{entry['package']}` it is {_verdict(entry)}: {entry['why']}; {entry['cure']}"
    for what in data["not_cured"]:
        yield f"not cured by phases: {what}"
    yield from data["notes"]
    looked = (
        f"packages are looked for as those of {FROM[data['packages']]}"
        if data["packages"]
        else "its version is unknown to `adopt`"
    )
    yield f"takes effect by {data['applies']}; {looked}"
    yield f"tested: {data['tested']}"


def _verdict(entry: Mapping[str, Any]) -> str:
    return "refused at `adopt`" if entry["verdict"] == "refused" else "warned of at `adopt`"


def _bullet(text: str) -> str:
    return "\n".join(
        textwrap.wrap(
            f"- {_sentence(text)}", WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )
    )


def _lines(text: str) -> str:
    return "\n".join(textwrap.wrap(_sentence(text), WIDTH, break_on_hyphens=False, break_long_words=False))


def _sentence(text: str) -> str:
    text = (
        re.sub(r"(?<![`\w])([A-Za-z_]*[A-Z][A-Z_0-9]+_[A-Z_0-9]+)(?![`\w])", r"`\1`", text) if "`" not in text else text
    )
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", ":")) else text + "."


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
