"""Turn the answers of Azure services into the domain's errors, in one place.

What is transient and what is not is the same for all of them; what differs is read from the error
envelope, which ARM, Key Vault and Resource Graph share: ``{"error": {"code", "message"}}``.
"""

import email.utils
import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from shared.adapters.redaction import redacted
from shared.domain import errors

_EXCERPT = 800  # enough to name the right that lacks and on what, too little to fill the logs
_LONGEST_TEXT = 100_000  # nothing is looked for in more of it
_GONE = {"ResourceNotFound", "ResourceGroupNotFound", "ParentResourceNotFound"}
_LASTING = {
    "ScopeLocked",  # a person's lock
    "FeatureNotSupportedForAccount",  # of a storage account of another kind
    # docs: Storage REST API, "Blob service error codes"
    "BlobArchived",
    "BlobImmutableDueToLegalHold",
    "BlobImmutableDueToPolicy",
    "BlobUsesCustomerSpecifiedEncryption",
    "InvalidBlobType",
    "LeaseIdMissing",
}
"""Codes of a 409 or 412 that does not pass by itself."""
_XML = re.compile(r"<Error>\s*<Code>(?P<code>[^<]*)</Code>\s*<Message>(?P<message>[^<]*)</Message>")
_LONGEST_WAIT = 7 * 24 * 3600  # seconds; nobody means more
_WAIT_IN_TEXT = re.compile(r"(?:after|in) '?(\d{1,5})'? ?seconds", re.IGNORECASE)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise the domain's error for whatever an Azure SDK raises inside.

    Args:
        doing: What is tried, as a phrase: ``"read /subscriptions/…"``.

    Raises:
        KeyturnError: See ``error_for``; ``UnavailableError`` where no answer came.
    """
    try:
        yield
    except errors.NotAllowedError as error:  # by our own policies and credentials
        raise errors.NotAllowedError(f"could not {doing}: {error}") from error
    except (ServiceRequestError, ServiceResponseError) as error:
        raise errors.UnavailableError(f"could not {doing}: no answer: {_cut(error)}") from error
    except ClientAuthenticationError as error:
        if error.response is None:  # the identity endpoint gave no token
            raise errors.UnavailableError(f"could not {doing}: no token: {_cut(error)}") from error
        raise _of_response(error, doing) from error
    except HttpResponseError as error:
        raise _of_response(error, doing) from error
    except AzureError as error:
        raise errors.UnavailableError(f"could not {doing}: {_cut(error)}") from error


def _of_response(error: HttpResponseError, doing: str) -> errors.KeyturnError:
    response: Any = error.response  # the SDKs' two response classes have no common type
    if response is None:
        return errors.UnavailableError(f"could not {doing}: {_cut(error)}")
    return error_for(response.status_code, response.headers, response.text(), doing)


def error_for(  # noqa: C901, PLR0911 - one line an error
    status: int, headers: Mapping[str, str], text: str, doing: str
) -> errors.KeyturnError:
    """Return the error for an answer of 400 or above, or for one that was cut short.

    Args:
        status: Its HTTP status.
        headers: Its headers; names in lower case or case-insensitive.
        text: Its body, which may be JSON, HTML or nothing.
        doing: What was tried, as a phrase.
    """
    code, message = envelope(text)
    code = code or headers.get("x-ms-error-code", "")  # all that the answer to a HEAD says
    said = f"could not {doing}: answered {status} {code}".rstrip() + f": {_excerpt(message)}"
    wait = retry_after(headers, message)
    match status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return errors.ThrottledError(said, retry_after=wait)
        case HTTPStatus.CONFLICT | HTTPStatus.PRECONDITION_FAILED if code in _LASTING:
            return errors.RejectedError(said, code=code)
        case HTTPStatus.CONFLICT:
            return errors.BusyError(said, retry_after=wait)
        case HTTPStatus.PRECONDITION_FAILED:
            return errors.ChangedError(said)
        case HTTPStatus.REQUEST_TIMEOUT:
            return errors.UnavailableError(said, retry_after=wait)
        case HTTPStatus.UNAUTHORIZED if code == "ExpiredAuthenticationToken":
            return errors.UnavailableError(said)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return errors.AccessDeniedError(said, code=code)
        case HTTPStatus.NOT_FOUND if code in _GONE:
            return errors.GoneError(said, code=code)
        case HTTPStatus.NOT_FOUND:
            return errors.NotFoundError(said, code=code)
        case _ if (
            status >= HTTPStatus.INTERNAL_SERVER_ERROR or status < HTTPStatus.MULTIPLE_CHOICES
        ):
            # Said to have been done, and cut short: what became of it is not known.
            return errors.UnavailableError(said, retry_after=wait)
        case _:
            return errors.RejectedError(said, code=code)


def envelope(text: str) -> tuple[str, str]:
    """Return code and message of an error body, in any of the recorded forms.

    ``{"error": {"code", "message"}}``, ``{"code", "message"}``, ``{"Code", "Message"}``, that of
    Azure Tables, ``{"odata.error": {"code", "message": {"value"}}}``, and that of blobs and queues,
    which is XML; of a body that is none (HTML, say) the text itself.
    """
    if found := _XML.search(text):
        return html.unescape(found["code"]), html.unescape(found["message"]).partition("\n")[0]
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return "", " ".join(text.split())
    inner = body.get("error") or body.get("odata.error")
    error = inner if isinstance(inner, dict) else body
    folded = {name.lower(): value for name, value in error.items()}
    message = folded.get("message")
    if isinstance(message, dict):
        message = message.get("value")
    return str(folded.get("code") or ""), str(message or "")


def retry_after(headers: Mapping[str, str], message: str) -> timedelta | None:
    """Return the wait that an answer asks for: in a header (seconds or a date), or in its text.

    Recorded: ``SubscriptionRequestsThrottled`` says "try again after '6' seconds" and no more.
    """
    text = headers.get("retry-after", "") or headers.get("Retry-After", "")
    if text.isdecimal():
        return timedelta(seconds=min(int(text), _LONGEST_WAIT))
    if text:
        try:
            until = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        wait = until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)
        return min(max(wait, timedelta()), timedelta(seconds=_LONGEST_WAIT))
    found = _WAIT_IN_TEXT.search(message)
    return timedelta(seconds=int(found[1])) if found else None


def _cut(error: Exception) -> str:
    return _excerpt(" ".join(str(error).split()))


def _excerpt(text: str) -> str:
    """Return the beginning of what a service said. What is cut off first may be half a secret."""
    return redacted(text[:_LONGEST_TEXT])[:_EXCERPT]
