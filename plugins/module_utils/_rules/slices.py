# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the inventory is the whole fleet: a part of it looks just like a smaller one.

A job slice of AWX gets every n-th host, an inventory source fails to parse, a pattern is too narrow. Once there is a keyring it
knows the members, and misses them; before that nobody does, unless somebody says how many there are.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

TOO_FEW = (
    "the inventory has {number}, and app_keys_min_members is {least}: a part of the fleet is not the fleet. Run on the whole inventory "
    "(no job slices, every source of it, no narrower app_keys_hosts); if the fleet has become smaller, lower app_keys_min_members in the inventory"
)
MAY_BE_A_SLICE = (
    "this job may be one slice of several, for {variable} is the name of its template ({name}). A slice sees a part of the inventory, and adopt "
    "would take that part for the fleet: the other hosts would sign with a key that it lets go of. Set the template's job slices to 1 (more forks "
    "do the same work), and say in group variables how many members there are, with app_keys_min_members"
)


def why_not_whole(number: int, least: Optional[int]) -> Optional[str]:
    """Say why an inventory with this number of members opens nothing; None where it may be the fleet.

    `least` is app_keys_min_members, which is the same in every slice, since a slice keeps its group variables.
    """
    if least is None or number >= least:
        return None
    return TOO_FEW.format(number="1 member" if number == 1 else f"{number} members", least=least)


def why_no_adopt(least: Optional[int], variables: Mapping[str, Any]) -> Optional[str]:
    """Say why a job with these variables may not begin a keyring before somebody has said how many members there are."""
    if least is not None:
        return None
    # A slice is told neither its number nor how many there are. But slices are the jobs of a workflow that has their template's name.
    for prefix in ("awx", "tower"):
        variable = f"{prefix}_workflow_job_name"
        name = variables.get(variable)
        if name is not None and name == variables.get(f"{prefix}_job_template_name"):
            return MAY_BE_A_SLICE.format(variable=variable, name=name)
    return None
