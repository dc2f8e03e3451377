# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One try of one request over HTTP, with Ansible's own client, for stores that have no other door."""

from __future__ import annotations

import json
import os
from http.client import HTTPException
from typing import Any, Dict, Mapping, NamedTuple, Optional
from urllib.error import HTTPError, URLError

from ansible.module_utils.urls import ConnectionError as NoConnection
from ansible.module_utils.urls import NoSSLError, open_url

from ._remote_store import Denied, Unclear

LIMIT = 15  # seconds without a byte
MOST = 16 * 1024 * 1024  # of an answer


class Reply(NamedTuple):
    """What a server answered: its status, and the body as JSON (an empty mapping where it is none)."""

    status: int
    body: Dict[str, Any]
    text: str

    def said(self) -> str:
        """Return the server's own words, in one line without what no terminal should get."""
        words = self.body.get("errors") or self.body.get("message") or self.body.get("error") or self.text
        words = "; ".join(map(str, words)) if isinstance(words, list) else str(words)
        clean = "".join(one if one.isprintable() else " " for one in words).strip()[:300]
        return f"HTTP {self.status}" + (f" ({clean})" if clean else "")


def ask(
    method: str,
    url: str,
    body: Optional[Mapping[str, Any]] = None,
    headers: Optional[Mapping[str, str]] = None,
    **tls: Optional[str],
) -> Reply:
    """Send one request, and return what the server says to it, whatever its status; Unclear where none came.

    `tls` are `ca_path`, `client_cert` and `client_key`, files of this machine. Redirections are not followed: a token goes to nobody else.
    """
    missing = [path for path in tls.values() if path and not os.path.exists(path)]
    if missing:
        raise Denied(f"there is no file {missing[0]}, which is named for the connection")
    given = {name: path for name, path in tls.items() if path}
    try:
        answer = open_url(
            url, method=method, data=None if body is None else json.dumps(body).encode(), timeout=LIMIT, follow_redirects="none", use_netrc=False,
            headers={"Content-Type": "application/json", **(headers or {})}, http_agent="phased.keys", force=True, **given,
        )  # fmt: skip
        return _reply(answer.code, answer.read(MOST))
    except HTTPError as error:
        try:
            return _reply(error.code, error.read(MOST) if error.fp else b"")
        except (OSError, HTTPException) as cut:
            raise Unclear(f"the answer was cut off ({_why(cut)})") from None
    except NoSSLError as error:
        raise Denied(_why(error)) from None
    except (NoConnection, URLError, OSError, HTTPException, ValueError) as error:
        raise Unclear(_why(error)) from None


def _reply(status: int, content: bytes) -> Reply:
    text = content.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return Reply(int(status), body if isinstance(body, dict) else {}, text)


def _why(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return "".join(one if one.isprintable() else " " for one in str(reason) or type(error).__name__)[:300]


def trouble(reply: Reply, what: str, who: str) -> Exception:
    """Return what an answer means that is neither yes nor "another version is there"."""
    if reply.status in (401, 403):
        return Denied(
            f"{reply.said()}: {who} may not be {what} with the credentials that were given; see that they are right and still valid"
        )
    if reply.status == 413:
        return Denied(f"{reply.said()}: it is too large for this store")
    if reply.status == 507:
        return Denied(f"{reply.said()}: the store is full; free some space there")
    if reply.status in (404, 405) or 300 <= reply.status < 400:
        return Denied(f"{reply.said()}: nothing like {who} is served there; see the address")
    if reply.status in (408, 425, 429) or reply.status >= 500:
        return Unclear(reply.said())
    return Denied(reply.said())
