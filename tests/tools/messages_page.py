# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of every message: what it says, its cause and its cure, read from the code. No module of the collection is imported for it.

A message is a `Finding` (what was seen, and the advice), the text of an error that is raised, or any other text of four words and more that is
put together somewhere. What is put in at run time stands as ‹name›.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections.phased.keys."
# Pages of their own, and programs and patterns that are no sentences.
NOT_SAID = ("modules", "doc_fragments")
PATTERNS = {"Pattern", "compile", "fullmatch", "match", "search", "sub", "findall", "split"}
DEEPEST = 8  # names that stand for other names
# What is said with what to do about it, in two texts; and where that is said of all errors of one kind.
PAIRS = {"Finding", "Damage"}
OF_ALL = {"Unreadable": ("plugin_utils/_program.py", "UNREADABLE")}
# Errors that Python itself raises too: who sees one of them sees a bug of ours with its traceback, or it is caught before anybody does.
INTERNAL = {"AssertionError", "ValueError", "ProcessLookupError", "RuntimeError"}
WORDS = 4  # fewer are a part of a sentence, and stand where it is put together
Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class Message(NamedTuple):
    """One message: where it is said (file, line, function), the text, the cure where it is a text of its own, and the cause."""

    path: str
    line: int
    function: str
    text: str
    cure: str
    cause: str


class Module:
    """One file: its constants, and what it calls the modules and constants of others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text())
        self.constants: dict[str, ast.expr] = {}
        self.others: dict[str, tuple[Path, str]] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                self.constants[node.target.id] = node.value
        for found in ast.walk(self.tree):
            if isinstance(found, ast.ImportFrom):
                folder = self._folder(found)
                for name in found.names:
                    self.others[name.asname or name.name] = (folder, name.name)

    def _folder(self, node: ast.ImportFrom) -> Path:
        """Return the path, without its suffix, of what is imported from."""
        where = (node.module or "").replace(".", "/")
        if node.level:
            return self.path.parents[node.level - 1] / where
        root = next(folder.parent for folder in self.path.parents if folder.name == "plugins")
        return root / where[len(PACKAGE) :]

    def named(self, name: str) -> Optional[tuple[Module, ast.expr]]:
        """Return the constant of this name, with the module that it stands in."""
        if name in self.constants:
            return self, self.constants[name]
        folder, known = self.others.get(name, (None, ""))
        path = folder.with_name(folder.name + ".py") if folder else None
        return module(path).named(known) if path and path.is_file() else None

    def of(self, alias: str, name: str) -> Optional[tuple[Module, ast.expr]]:
        """Return the constant of this name in the module that is called `alias` here."""
        folder, known = self.others.get(alias, (None, ""))
        path = folder / f"{known}.py" if folder else None
        return module(path).named(name) if path and path.is_file() else None


@lru_cache(maxsize=None)
def module(path: Path) -> Module:
    """Return a file, read once."""
    return Module(path)


# Constants that are part of a message somewhere: they are shown there.
INLINED: set[int] = set()


class Reader:
    """Makes texts of the expressions in one function, or of the constants of a file."""

    def __init__(self, where: Module, function: Optional[ast.AST] = None) -> None:
        self.module = where
        self.local: dict[str, ast.expr] = {}
        for node in ast.walk(function) if function else ():
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.local[node.targets[0].id] = node.value
        self.said: set[int] = set()  # the nodes that the last text is made of

    def read(self, node: ast.expr) -> Optional[str]:
        """Return what an expression says; None where it is no text that is written here."""
        self.said = set()
        return self._text(node, 0)

    def _text(self, node: ast.expr, depth: int) -> Optional[str]:
        self.said.add(id(node))
        if depth > DEEPEST:
            return None
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.JoinedStr):
            return "".join(self._part(part, depth) for part in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            either = [self._text(one, depth + 1) for one in (node.left, node.right)]
            return None if either == [None, None] else (either[0] or slot(node.left)) + (either[1] or slot(node.right))
        if isinstance(node, ast.IfExp):
            either = [self._text(one, depth + 1) for one in (node.body, node.orelse)]
            return None if None in either else " / ".join(one for one in either if one)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            text = self._text(node.func.value, depth + 1)
            return None if text is None else slots_of(text)
        if isinstance(node, ast.Name) and node.id in self.local:
            return self._text(self.local[node.id], depth + 1)
        found = None
        if isinstance(node, ast.Name):
            found = self.module.named(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found = self.module.of(node.value.id, node.attr)
        if not found:
            return None
        text = Reader(found[0])._text(found[1], depth + 1)
        if text is not None:
            INLINED.add(id(found[1]))
        return text

    def _part(self, part: ast.expr, depth: int) -> str:
        self.said.add(id(part))
        if isinstance(part, ast.Constant):
            return str(part.value)
        assert isinstance(part, ast.FormattedValue)
        # A constant by its name says the same each time; what a name of the function says may differ.
        value = part.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "format":
            value = value.func.value
        same = isinstance(value, ast.Attribute) or (isinstance(value, ast.Name) and value.id not in self.local)
        return (self._text(part.value, depth + 1) if same else None) or slot(part.value)


def slots_of(text: str) -> str:
    """Return a text with what `format` puts in named as everywhere on the page."""
    return re.sub(r"\{(\w*)[^}]*\}", lambda at: f"‹{words(at[1]) or '…'}›", text)


def words(name: str) -> str:
    """Return a name of the code as words."""
    return name.strip("_").replace("_", " ").lower()


def slot(node: ast.expr) -> str:
    """Return the name of what is put in, in its brackets."""
    while isinstance(node, (ast.Call, ast.Subscript, ast.BinOp, ast.IfExp, ast.BoolOp, ast.Starred)):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            return f"‹{words(node.slice.value)}›"
        if isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.BinOp):
            node = node.left
        elif isinstance(node, (ast.IfExp, ast.BoolOp, ast.Starred)):
            return "‹…›"
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "join" and node.args:
            node = node.args[0]
        elif isinstance(node.func, ast.Name) and node.func.id == "len":
            return "‹number›"
        elif isinstance(node.func, ast.Name) and node.func.id in ("str", "sorted", "map", "stamp") and node.args:
            node = node.args[-1]
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
            return slot(ast.Subscript(node.func.value, node.args[0]))
        else:
            node = node.func
    if isinstance(node, ast.Name):
        return f"‹{words(node.id)}›"
    return f"‹{words(node.attr)}›" if isinstance(node, ast.Attribute) else "‹…›"


def doc(node: ast.AST) -> str:
    """Return the first sentence of a docstring."""
    text = ast.get_docstring(node) if isinstance(node, (ast.Module, ast.ClassDef, *Function)) else None
    return " ".join((text or "").split("\n\n")[0].split())


def fixed(text: Optional[str]) -> str:
    """Return what of a text is the same each time."""
    return re.sub("‹[^›]*›", "", text or "").strip(" :;,.")


def is_sentence(text: str) -> bool:
    """Whether a text is a message by itself, and neither a fragment nor a program."""
    return "\n" not in text and len([word for word in fixed(text).split() if re.search(r"[^\W\d_]{2}", word)]) >= WORDS


def called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def messages(path: Path, root: Path) -> Iterator[Message]:
    """Yield what the functions of one file say."""
    where = module(path)
    for node in where.tree.body:
        for owner, function in functions(node):
            yield from of_function(where, str(path.relative_to(root)), owner, function)


def functions(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the functions of a statement of a file, with their names; one inside another is part of it."""
    if isinstance(node, Function):
        yield node.name, node
    elif isinstance(node, ast.ClassDef):
        for inner in node.body:
            yield from ((f"{node.name}.{name}", function) for name, function in functions(inner))


@lru_cache(maxsize=None)
def kinds() -> dict[str, str]:
    """Return what to do about a problem with a worker's or a file's keys, by its kind: the table PROBLEMS of remedies."""
    remedies = module(ROOT / "plugins" / "module_utils" / "_host" / "rules" / "remedies.py")
    reader, found = Reader(remedies), {}
    # The one takes in all of the other.
    for table in (remedies.constants[name] for name in ("TEMPLATES", "PROBLEMS")):
        assert isinstance(table, ast.Dict)
        found.update(
            {
                str(ast.literal_eval(key)): reader.read(value) or ""
                for key, value in zip(table.keys, table.values)
                if key
            }
        )
    return found


def cure_of(node: ast.Call) -> str:
    """Return what to do where a call is given the kind of a problem and then its text, or makes an error of a kind that has one cure."""
    if called(node) in OF_ALL:
        path, name = OF_ALL[called(node)]
        where = module(ROOT / "plugins" / path)
        return Reader(where).read(where.constants[name]) or ""
    kind = node.args[0] if len(node.args) > 1 else None
    return kinds().get(kind.value, "") if isinstance(kind, ast.Constant) and isinstance(kind.value, str) else ""


def of_function(where: Module, place: str, name: str, function: ast.AST) -> Iterator[Message]:
    """Yield what one function says: the whole of a text before what is put into it."""
    reader = Reader(where, function)
    bodies = [getattr(one, "body", None) for one in ast.walk(function)]
    done = {id(body[0].value) for body in bodies if isinstance(body, list) and isinstance(body[0], ast.Expr)}

    for node in ast.walk(function):
        if isinstance(node, ast.Call) and called(node) in INTERNAL | PATTERNS:
            done.update(id(one) for one in ast.walk(node))
        if not isinstance(node, ast.expr) or id(node) in done:
            continue
        text, cure, said = whole(reader, node)
        if is_sentence(f"{text} {cure}"):
            done |= said
            yield Message(place, node.lineno, name, text, cure, doc(function))


def whole(reader: Reader, node: ast.expr) -> tuple[str, str, set[int]]:
    """Return the text and the cure of an expression, empty where it is no message, and the nodes that they are made of."""
    if isinstance(node, ast.Call) and (cure := cure_of(node)):
        text = reader.read(node.args[-1])
        return (text, cure, reader.said) if text else ("", "", set())
    pair = node.args[:2] if isinstance(node, ast.Call) and called(node) in PAIRS else ()
    pair = node.elts if isinstance(node, ast.Tuple) and len(node.elts) == 2 else pair
    if len(pair) == 2:
        seen, first = reader.read(pair[0]), reader.said
        advice, second = reader.read(pair[1]), reader.said
        if isinstance(node, ast.Tuple) and not (seen and advice and is_sentence(advice)):
            return "", "", set()
        return seen or slot(pair[0]), advice if advice and fixed(advice) else "", first | second
    text = reader.read(node)
    before, _arrow, after = (text or "").partition(" -> ")
    return (before.strip(), after, reader.said) if fixed(before) else (text or "", "", reader.said)


def of_constants(where: Module, place: str) -> Iterator[Message]:
    """Yield the texts that stand at the top of a file and are no part of another message."""
    reader = Reader(where)
    for name, value in where.constants.items():
        if (isinstance(value, ast.Call) and called(value) in PATTERNS) or id(value) in INLINED:
            continue
        done: set[int] = set()
        for node in ast.walk(value):
            if not isinstance(node, ast.expr) or id(node) in done:
                continue
            text = reader.read(node)
            if text and is_sentence(text):
                done |= reader.said
                yield Message(place, node.lineno, name, slots_of(text), "", "")


def code(text: str) -> str:
    """Return a text as code in Markdown, on one line."""
    ticks = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in text else ""
    return f"{ticks}{pad}{' '.join(text.split())}{pad}{ticks}"


HEAD = """# Every message

Made from the code by `make docs`: what a message says, what to do, and what the code was about to do when it said so.
What stands in ‹brackets› is put in at run time; a `/` stands between what is said in one case and in another.
Find a message by its words with the search of your browser.
Where no cure stands below a message, the message says itself what to do.
What to do in an incident as a whole is told in [When something goes wrong](incidents.md).
"""


def all_messages(root: Path) -> list[Message]:
    """Return every message of the collection, by file and line."""
    paths = [path for path in sorted((root / "plugins").rglob("*.py")) if path.parent.name not in NOT_SAID]
    found = [one for path in paths for one in messages(path, root)]
    # Last, when it is known which constants are a part of these.
    found += [one for path in paths for one in of_constants(module(path), str(path.relative_to(root)))]
    return sorted(set(found), key=lambda one: (one.path, one.line))


def page(root: Path) -> str:
    """Return the page, in Markdown."""
    parts = [HEAD]
    by_file: dict[str, list[Message]] = {}
    for one in all_messages(root):
        by_file.setdefault(one.path, []).append(one)
    for path, found in by_file.items():
        title = doc(module(root / path).tree).partition(". ")[0].rstrip(".")
        parts.append(f"## {Path(path).stem.strip('_')}: {title}\n")
        for one in found:
            cure = f"\n  **Do:** {code(one.cure)}\\" if one.cure else ""
            cause = f": {one.cause}" if one.cause else ""
            parts.append(f"- {code(one.text)}\\{cure}\n  *Said by* `{one.function}` in `{path}`{cause}\n")
    return "\n".join(parts)
