# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring as an object in S3, or in what speaks like it: s3://BUCKET/KEY.

With boto3, which signs requests and finds credentials as AWS's own tools do (AWS_PROFILE, AWS_ENDPOINT_URL_S3, roles of machines). The version
is the ETag. Some servers ignore conditions and would overwrite whatever is there: before the first write one is sent that has to be refused.
"""

from __future__ import annotations

import importlib
from typing import Any, Optional

from ..module_utils._rules.store_url import Url
from ._remote_store import Deleted, Denied, Other, Remote, Text, Unclear

MISSING = (
    "the Python that runs ansible-playbook has no library boto3, which a keyring in S3 needs: install it there (pip install boto3). Other stores "
    "need no library"
)
IGNORES = (
    "this server ignores the conditions of a write (If-Match), and would let one run overwrite what another has written: use a server that keeps "
    "them (Amazon S3, MinIO, Ceph and others do, in releases of 2024 and later), or another store"
)
# What one server or another says that passes.
PASSING = {
    "RequestTimeout",
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "OperationAborted",
    "RequestTimeTooSkewed",
    "Throttling",
}
NO_ETAG = f'"{"0" * 32}"'
LIMIT = 15  # seconds


class S3(Remote):
    """One object."""

    def __init__(self, url: Url) -> None:
        if len(url.hosts) != 1 or url.user or ":" in url.hosts[0] or not url.path.strip("/"):
            raise Denied("give it as s3://BUCKET/KEY")
        self.place = {"Bucket": url.hosts[0], "Key": url.path.lstrip("/")}
        try:
            boto3, config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
        except ImportError:
            raise Denied(MISSING) from None
        self.errors: Any = importlib.import_module("botocore.exceptions")
        # One try: boto3's own second one would be told that the first has won, as if somebody else had written.
        once = config.Config(
            retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=LIMIT, read_timeout=LIMIT
        )
        try:
            self.client: Any = boto3.session.Session().client("s3", config=once)
        except (self.errors.BotoCoreError, ValueError) as error:
            raise Denied(f"boto3 cannot begin: {error}") from None
        self.keeps_conditions = False

    def read(self) -> Optional[Text]:
        """Return the object."""
        try:
            found = self.client.get_object(**self.place)
            return Text(found["Body"].read(), str(found["ETag"]))
        except self.errors.ClientError as error:
            code, answer = _code(error), error.response.get("ResponseMetadata", {})
            if code in ("NoSuchKey", "404") and "x-amz-delete-marker" not in answer.get("HTTPHeaders", {}):
                return None
            if code in ("NoSuchKey", "404", "MethodNotAllowed"):
                raise Deleted(
                    "a delete marker is its newest version: remove that marker, and the version before is back"
                ) from None
            raise self._trouble(error, "read") from None
        except (self.errors.BotoCoreError, self.errors.HTTPClientError, OSError) as error:
            raise self._no_answer(error) from None

    def write(self, text: bytes, version: Optional[str]) -> str:
        """Put the object on the condition of its ETag, or that there is none."""
        if not self.keeps_conditions:
            self._see_conditions()
        return self._put(text, {"IfMatch": version} if version is not None else {"IfNoneMatch": "*"})

    def _see_conditions(self) -> None:
        """Send a write that has to be refused, for no object has that ETag. Were it not, it would change nothing that lies there."""
        there = self.read()
        try:
            self._put(there.text if there else b"", {"IfMatch": NO_ETAG})
        except Other:
            self.keeps_conditions = True
            return
        if there is None:
            self.client.delete_object(**self.place)
        raise Denied(IGNORES)

    def _put(self, text: bytes, condition: Any) -> str:
        try:
            return str(self.client.put_object(**self.place, Body=text, ContentType="text/plain", **condition)["ETag"])
        except self.errors.ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            code = _code(error)
            if status == 412 or code in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                raise Other("the object has another ETag") from None
            raise self._trouble(error, "written") from None
        except self.errors.ParamValidationError:
            raise Denied(
                "this boto3 knows no conditions for a write (IfMatch): install boto3 1.35.77 or later"
            ) from None
        except (self.errors.BotoCoreError, self.errors.HTTPClientError, OSError) as error:
            raise self._no_answer(error) from None

    def _no_answer(self, error: Exception) -> Exception:
        if isinstance(
            error, (self.errors.NoCredentialsError, self.errors.PartialCredentialsError, self.errors.NoRegionError)
        ):
            return Denied(
                f"boto3 says {error}: give credentials and region as for the aws command (AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_REGION)"
            )
        return Unclear(f"boto3 says {error}")

    def _trouble(self, error: Any, what: str) -> Exception:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code, said = _code(error), f"S3 says {_code(error)}"
        if code == "NoSuchBucket":
            return Denied(f"{said}: there is no bucket {self.place['Bucket']}; make it, or correct the URL")
        if code in PASSING or status >= 500:
            return Unclear(said)
        if status in (401, 403):
            return Denied(
                f"{said}: the object may not be {what} with these credentials, which need s3:GetObject, s3:PutObject and s3:ListBucket (without the last "
                "S3 says the same of an object that is not there)"
            )
        return Denied(said)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "no reason"))
