# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring on a branch of its own in a git repository: git+ssh://, git+https:// and git+file://HOST/REPOSITORY.git//PATH.

By plumbing in a throw-away bare repository, so that no work tree, filter, hook or signature of the user is in the way; his credentials
(ssh, credential helpers, tokens that a CI gives by the environment) are git's own. The version is the commit at the branch's tip. A plain
push would pass over a branch that was set back; `--force-with-lease=REF:COMMIT` is compared and swapped by the server.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from typing import Dict, List, NamedTuple, Optional

from ansible import constants as C

from ..module_utils._rules.store_url import Url
from ._remote_store import Deleted, Denied, Other, Remote, Text, Unclear

LIMIT = 60.0  # seconds for one call of git, with all that it starts
SSH = "ssh -o BatchMode=yes -o ConnectTimeout=15"
# What of the caller's environment would have git work in another repository than ours.
FOREIGN = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_TEMPLATE_DIR", "GIT_WORK_TREE",
    "GIT_TRACE", "GIT_TRACE_CURL", "GIT_TRACE_PACKET", "GIT_CURL_VERBOSE", "GIT_PUSH_OPTION_COUNT",
)  # fmt: skip
# What of the user's configuration would have his programs run, or more pushed than the one branch.
SETTINGS = (
    "core.hooksPath=/dev/null", "core.attributesFile=/dev/null", "core.fsmonitor=false", "commit.gpgSign=false", "push.gpgSign=false",
    "push.followTags=false", "push.recurseSubmodules=no", "fetch.recurseSubmodules=no", "gc.auto=0", "maintenance.auto=false",
    "fetch.writeCommitGraph=false", "transfer.fsckObjects=false", "push.useForceIfIncludes=false", "log.showSignature=false",
)  # fmt: skip
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "phased.keys"), ("EMAIL", "phased.keys@localhost"))
}
MESSAGE = "Write the keyring [skip ci]\n"
NO_BRANCH = re.compile(r"couldn't\sfind\sremote\sref", re.IGNORECASE)
# What git and the servers say where another try would say the same.
FORBIDDEN = re.compile(
    r"permission\sdenied|authentication\sfailed|could\snot\sread\s(username|password)|terminal\sprompts\sdisabled|access\sdenied|returned\serror:\s40[13]|"
    r"host\skey\sverification\sfailed|not\sallowed\sto\s(push|upload)|hook\sdeclined|protected\sbranch|deny\supdating|read.only|dubious\sownership|"
    r"insufficient\spermission",
    re.IGNORECASE,
)
NOWHERE = re.compile(
    r"does\snot\sappear\sto\sbe\sa\sgit\srepository|repository\s.*not\sfound|not\sfound|no\ssuch\sfile\sor\sdirectory|does\snot\sexist",
    re.IGNORECASE,
)
FULL = re.compile(r"no\sspace\sleft|disk\squota|unpacker\serror|unpack\sfailed|exceeds|too\slarge", re.IGNORECASE)
FORM = "give it as {scheme}://{host}/REPOSITORY.git//PATH, with two slashes before the path of the keyring in the repository"


class Said(NamedTuple):
    """What a call of git ended with."""

    code: int
    out: bytes
    err: str


class Git(Remote):
    """One file on one branch."""

    def __init__(self, url: Url) -> None:
        repository, slashes, self.file = url.path.rpartition("//")
        self.scheme = url.scheme.partition("+")[2]
        form = FORM.format(scheme=url.scheme, host="" if self.scheme == "file" else "HOST")
        if not slashes or not repository.strip("/") or not self.file or self.file.endswith("/"):
            raise Denied(f"it does not say which repository, and which file in it: {form}")
        if (self.scheme == "file") != (not url.hosts) or len(url.hosts) > 1 or "//" in repository:
            raise Denied(form)
        host = f"{url.user}@{url.hosts[0]}" if url.user else "".join(url.hosts)
        self.url = f"{self.scheme}://{host}{repository}"
        self.local = repository if self.scheme == "file" else None
        # A branch of its own: on one that others write to, each of their commits would refuse ours.
        self.ref = f"refs/heads/phased.keys/{os.path.splitext(self.file)[0]}"
        if not shutil.which("git"):
            raise Denied("there is no program git where ansible-playbook runs: install it")
        if self._git("check-ref-format", self.ref, place=False).code:
            raise Denied(f"its branch would be {self.ref[11:]}, which git does not take: give the file another name")
        self.folder: Optional[str] = None

    def read(self) -> Optional[Text]:
        """Return the file at the tip of the branch."""
        said = self._git(
            "fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", self.url, f"+{self.ref}:refs/there"
        )
        if said.code:
            if NO_BRANCH.search(said.err):
                return None
            raise self._trouble(said, "read")
        tip = self._done("rev-parse", "--verify", "refs/there^{commit}").decode().strip()
        # Not by the name alone: a link or a folder in its place is no keyring.
        entry = self._done("ls-tree", "-z", tip, "--", self.file).decode("utf-8", "replace")
        kind = entry.split("\t")[0].split()
        if len(kind) != 3 or kind[1] != "blob" or kind[0] not in ("100644", "100755"):
            raise Deleted(
                f"the branch {self.ref[11:]} is there, and has no file {self.file}: put it back from an earlier commit of that branch, or remove the "
                "branch if the keyring is to begin anew"
            )
        return Text(self._done("cat-file", "blob", kind[2]), tip)

    def write(self, text: bytes, version: Optional[str]) -> str:
        """Push one commit over the one that is named."""
        if version is not None and self._git("cat-file", "-e", f"{version}^{{commit}}").code:
            there = self.read()
            if there is None or there.version != version:
                raise Other("the branch has another commit")
        new = self._commit(text, version)
        lease = f"--force-with-lease={self.ref}:{version or ''}"
        said = self._git("push", "--porcelain", "--no-verify", "--no-signed", lease, self.url, f"{new}:{self.ref}")
        if said.code == 0:
            return new
        if re.search(
            rb"^!\t.*(stale\sinfo|non-fast-forward|fetch\sfirst|already\sexists|but\sexpected)", said.out, re.MULTILINE
        ):
            raise Other("the branch has another commit")
        raise self._trouble(said, "written")

    def _commit(self, text: bytes, parent: Optional[str]) -> str:
        """Make a commit with the file as it is to be, and all else as it is."""
        blob = self._done("hash-object", "-w", "--no-filters", "--stdin", given=text).decode().strip()
        self._done("read-tree", parent or "--empty")
        self._done("update-index", "--add", "--cacheinfo", f"100644,{blob},{self.file}")
        tree = self._done("write-tree").decode().strip()
        return (
            self._done("commit-tree", tree, *(["-p", parent] if parent else []), given=MESSAGE.encode())
            .decode()
            .strip()
        )

    def _trouble(self, said: Said, what: str) -> Exception:
        text = _line(f"{said.err}\n{said.out.decode('utf-8', 'replace')}")
        everything = f"{said.err}\n{said.out.decode('utf-8', 'replace')}"
        if FULL.search(everything):
            return Denied(f"git says {text}: free some space on the server, and run again")
        if FORBIDDEN.search(everything):
            return Denied(
                f"git says {text}: see that {self.url} can be {what} with git by the user who runs ansible-playbook, without a question being asked"
            )
        if NOWHERE.search(everything):
            return Denied(
                f"git says {text}: there is no such repository, or it is hidden from this user. Make it, or correct the URL"
            )
        return Unclear(f"git says {text}")

    def _done(self, *arguments: str, given: bytes = b"") -> bytes:
        """Return what git says to something that is done here alone."""
        said = self._git(*arguments, given=given)
        if said.code:
            raise Denied(f"git {arguments[0]} failed in {self.folder}: {_line(said.err)}")
        return said.out

    def _git(self, *arguments: str, given: bytes = b"", place: bool = True) -> Said:
        """Run git, and end it with all that it started when its time is over."""
        settings = [part for setting in SETTINGS for part in ("-c", setting)]
        command = ["git", *settings, *arguments]
        environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        environment.update(IDENTITY, GIT_TERMINAL_PROMPT="0", LC_ALL="C", GIT_OPTIONAL_LOCKS="0", GIT_ATTR_NOSYSTEM="1")
        if place:
            environment.update(self._place())
        try:
            process = subprocess.Popen(
                command, env=environment, cwd="/", start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )  # fmt: skip
        except OSError as error:
            raise Denied(f"git cannot be run: {error.strerror}") from None
        with process:
            try:
                out, err = process.communicate(given, timeout=LIMIT)
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise Unclear(f"git did not end in {LIMIT:.0f} seconds") from None
                raise
        return Said(process.returncode, out, err.decode("utf-8", "replace"))

    def _place(self) -> Dict[str, str]:
        """Return the environment for our own repository, made where this run has its temporary files."""
        if self.folder is None:
            root = vars(C)["DEFAULT_LOCAL_TMP"]
            os.makedirs(root, mode=0o700, exist_ok=True)
            self.folder = tempfile.mkdtemp(prefix="keyring-git-", dir=root)
            self._done("init", "--quiet", "--bare", "--template=", self.folder)
            own = (
                os.environ.get("GIT_SSH_COMMAND")
                or self._git("config", "--get", "core.sshCommand").out.decode().strip()
            )
            self.ssh = own or SSH
        return {"GIT_DIR": self.folder, "GIT_SSH_COMMAND": getattr(self, "ssh", SSH)}


def _line(said: str) -> str:
    """Return the line of what git says that says most: without a URL, in which a server or a helper may put what is nobody's business."""
    lines: List[str] = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(fatal|error|remote|ssh|!)\b|!", line) or "denied" in line.lower()]
    line = (telling or lines or ["nothing"])[0]
    return re.sub(r"[a-z+]+://\S*@", "", "".join(one if one.isprintable() else " " for one in line))[:300]
