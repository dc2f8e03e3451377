# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Sphinx is told by `make docs`. Nothing is fetched: what is in other people's documentation is no link of ours."""

from __future__ import annotations

project = "phased.keys"
author = "The phased.keys contributors"
extensions = ["sphinx_antsibull_ext", "myst_parser"]
# Headings of Markdown are linked to as the forges do it.
myst_heading_anchors = 4
pygments_style = "ansible"
html_theme = "sphinx_rtd_theme"
html_use_index = False
html_show_copyright = False
html_copy_source = False
html_show_sphinx = False
# A link to nowhere is an error; those of `ansible.builtin` lead to a site that is not here.
nitpicky = True
