# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make docs`: the documentation as a site in build/docs/html.

The pages of modules, role, lookup and docs/docsite come from antsibull-docs, the Markdown in docs/ and at the top is taken as it is, and the
list of messages is made from the code. Sphinx fails on its first warning, and nothing is fetched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import messages_page

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent / "docs_site"
COLLECTION = "phased.keys"
GUIDES = Path("docs", "docsite", "rst")  # antsibull-docs puts them elsewhere
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def pages(root: Path) -> list[Path]:
    """Return every page in Markdown, relative to the checkout."""
    return [path.relative_to(root) for path in sorted([*root.glob("*.md"), *(root / "docs").glob("*.md")])]


def folder_page(root: Path, folder: Path) -> str:
    """Return a page with the files of a folder that another page links to."""
    parts = [f"# {folder}\n"]
    for path in sorted((root / folder).iterdir()):
        parts.append(f"## {path.name}\n\n````\n{path.read_text()}````\n")
    return "\n".join(parts)


def stage(root: Path, source: Path) -> None:
    """Lay out what Sphinx reads: the pages at the places that they link to each other by, and what they link to beside them."""
    shutil.rmtree(source, ignore_errors=True)
    known = pages(root)
    for page in known:
        text = (root / page).read_text()
        place = source / page
        place.parent.mkdir(parents=True, exist_ok=True)
        for link in set(LINK.findall(text)):
            target = Path(os.path.normpath(page.parent / link))
            beside = source / target
            if (root / target).is_dir():
                beside.mkdir(parents=True, exist_ok=True)
                (beside / "index.md").write_text(folder_page(root, target))
                text = text.replace(f"]({link})", f"]({link}/index.md)")
            elif target.parent == GUIDES:
                guide = os.path.relpath(Path("collection", "docsite", target.name), page.parent)
                text = text.replace(f"]({link})", f"]({guide})")
            elif target not in known:
                beside.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / target, beside)
        place.write_text(text)
    (source / "docs" / "messages.md").write_text(messages_page.page(root))
    shutil.copyfile(HERE / "ansible.rst", source / "ansible.rst")
    index = (HERE / "index.rst").read_text()
    found = [str(page.with_suffix("")) for page in known]
    found += [str(path.relative_to(source).with_suffix("")) for path in source.rglob("index.md")]
    rest = [page for page in found if not re.search(rf"^   {page}$", index, re.MULTILINE)]
    (source / "index.rst").write_text(index.replace("{rest}", "\n   ".join(rest)))


def main() -> None:
    """Build the site."""
    source, html = ROOT / "build" / "docs" / "source", ROOT / "build" / "docs" / "html"
    shutil.rmtree(source.parent, ignore_errors=True)
    stage(ROOT, source)
    # antsibull-docs writes only where nobody else may.
    reference = source / "collection"
    reference.mkdir(mode=0o700)
    tools = Path(sys.executable).parent
    antsibull = [str(tools / "antsibull-docs"), "--config-file", str(HERE / "antsibull-docs.cfg"), "collection"]
    what = ["--use-current", "--fail-on-error", "--squash-hierarchy", "--dest-dir", str(reference), COLLECTION]
    subprocess.run([*antsibull, *what], check=True)
    # There are none of ours, and no page leads there.
    (reference / "environment_variables.rst").unlink(missing_ok=True)
    sphinx = [str(tools / "sphinx-build"), "-q", "-W", "--keep-going", "-b", "html", "-c", str(HERE)]
    subprocess.run([*sphinx, "-d", str(source.with_name("doctrees")), str(source), str(html)], check=True)
    print(f"The site is in {html.relative_to(ROOT)}/index.html")


if __name__ == "__main__":
    main()
