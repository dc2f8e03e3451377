# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mutated: mutmut's own operators, fewer of its strings, and what it lacks and a guard is lost by."""

from __future__ import annotations

from collections.abc import Iterable

import libcst as cst
from mutmut.mutation import mutators

# Each is taken for the other, and is right in about half of all tests that have one value only.
TWINS = {"min": "max", "max": "min", "any": "all", "all": "any"}


def string(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """One change of a word, where mutmut makes three that say the same; none of a sentence.

    A sentence is for people. A test that repeats it word by word would hold nothing but its spelling.
    """
    if isinstance(node, cst.SimpleString) and not any(space in node.value for space in " \n"):
        yield from list(mutators.operator_string(node))[:1]


def operand(node: cst.BooleanOperation) -> Iterable[cst.BaseExpression]:
    """`a and b` becomes `a`, and `b`: one condition of two is dropped."""
    for half in (node.left, node.right):
        yield half.with_changes(lpar=[cst.LeftParen(), *half.lpar], rpar=[*half.rpar, cst.RightParen()])


def condition(node: cst.If) -> Iterable[cst.If]:
    """`if a:` becomes `if not a:`, where no other operator changes the condition itself."""
    if isinstance(node.test, (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.NamedExpr)):
        yield node.with_changes(test=cst.UnaryOperation(cst.Not(), node.test))


def filtered(node: cst.CompFor) -> Iterable[cst.CompFor]:
    """A comprehension without one of its conditions."""
    for left_out in node.ifs:
        yield node.with_changes(ifs=[one for one in node.ifs if one is not left_out])


def statement(node: cst.SimpleStatementLine) -> Iterable[cst.SimpleStatementLine]:
    """A call whose result nobody takes, and a refusal that is raised, are dropped."""
    if len(node.body) == 1 and (
        isinstance(node.body[0], cst.Raise)
        or (isinstance(node.body[0], cst.Expr) and isinstance(node.body[0].value, cst.Call))
    ):
        yield node.with_changes(body=[cst.Pass()])


def with_nothing(node: cst.With) -> Iterable[cst.If]:
    """The block of a `with` without what it is with: a lock that is not taken, a check that is not made."""
    if all(item.asname is None for item in node.items):
        yield cst.If(test=cst.Name("True"), body=node.body, leading_lines=node.leading_lines)


def twin(node: cst.Call) -> Iterable[cst.Call]:
    """`min` for `max`, `any` for `all`, and the other way round."""
    if isinstance(node.func, cst.Name) and node.func.value in TWINS:
        yield node.with_changes(func=cst.Name(TWINS[node.func.value]))


def starred(node: cst.BaseExpression) -> Iterable[cst.BaseExpression]:
    """`[*a, b]` becomes `[b]`: what a list, tuple, set or dictionary takes over from elsewhere is left out."""
    elements = getattr(node, "elements", ())
    for one in elements:
        if isinstance(one, (cst.StarredElement, cst.StarredDictElement)) and len(elements) > 1:
            yield node.with_changes(elements=[other for other in elements if other is not one])


OPERATORS: mutators.OPERATORS_TYPE = [
    *((kind, operator) for kind, operator in mutators.mutation_operators if operator is not mutators.operator_string),
    (cst.BaseString, string),
    (cst.BooleanOperation, operand),
    (cst.If, condition),
    (cst.CompFor, filtered),
    (cst.SimpleStatementLine, statement),
    (cst.With, with_nothing),
    (cst.Call, twin),
    ((cst.List, cst.Tuple, cst.Set, cst.Dict), starred),  # type: ignore[list-item]  # isinstance() takes both
]


def register() -> None:
    """Let mutmut use these, in this process and in those that are forked from it."""
    mutators.mutation_operators[:] = OPERATORS
