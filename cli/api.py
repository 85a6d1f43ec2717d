"""The HTTP API of a deployed app, as its client meets it."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.utils import get_environ_proxies

from shared.domain import errors
from shared.domain.errors import KeyturnError, UnansweredError
from shared.wiring.laptop import redacted

type Json = dict[str, Any]

_CONNECT, _READ = 10, 60  # seconds; a page of a plan takes its time
_TRIES = 4
_WAITS = (1, 2, 4)  # seconds before each further try
_LONGEST_WAIT = timedelta(seconds=30)
_LOCAL = {"127.0.0.1", "localhost", "::1"}

_ERRORS: Mapping[int, type[errors.PermanentError]] = {
    HTTPStatus.UNAUTHORIZED: errors.AccessDeniedError,
    HTTPStatus.FORBIDDEN: errors.NotPermittedError,
    HTTPStatus.NOT_FOUND: errors.NotFoundError,
    HTTPStatus.CONFLICT: errors.NotActiveError,
    HTTPStatus.UNPROCESSABLE_ENTITY: errors.AlreadyUsedError,
}


class UnfitError(errors.RejectedError):
    """The app cannot take a wish as it stands (400), and never will: it did not."""


def check_url(url: str) -> str:
    """Return the app's URL without a trailing slash.

    Raises:
        ValueError: It is none to which a token or a key may be sent.
    """
    try:
        found = urlsplit(url)
        host, is_plain = found.hostname or "", found.scheme == "http"
        has_more = bool(found.username or found.password or found.query or found.fragment)
    except ValueError:
        host, is_plain, has_more = "", False, False
    if not host or found.scheme not in ("http", "https"):
        raise ValueError("it is no URL of an app: https://NAME.azurewebsites.net")
    # A user or a query may hold a secret, so no more is repeated than this.
    named = f"{found.scheme}://{host}"
    if has_more:
        raise ValueError(
            f"it is no URL of an app: name {named} without a user, a query or a fragment"
        )
    if is_plain and host not in _LOCAL:
        raise ValueError(f"{named} is not https: no token is sent there")
    return url.rstrip("/").removesuffix("/api")


def path_of(rotation: str) -> str:
    """Return the path of a rotation below the app, by its id as somebody typed it."""
    return f"/api/rotations/{quote(rotation, safe='')}"


@dataclass(slots=True)
class AppClient:
    """Calls one app, and follows it nowhere else: redirects and links to other hosts are refused.

    Attributes:
        url: Of the app, without ``/api``.
        authorize: Returns the headers that let us in.
        wait: Sleeps so many seconds.
    """

    url: str
    authorize: Callable[[], Mapping[str, str]]
    wait: Callable[[float], None] = time.sleep
    _session: requests.Session = field(init=False)
    _kept: dict[str, tuple[str, Json]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._session = _session(self.url)

    def close(self) -> None:
        """Let its connections go."""
        self._session.close()

    def get(self, path: str) -> Json:
        """Return what is at a path below the app; what has not changed since is not sent again.

        Raises:
            KeyturnError: The app refused, or gave no answer after several tries.
        """
        etag, kept = self._kept.get(path, ("", {}))
        headers = {"If-None-Match": etag} if etag else {}
        answer = self._send("GET", path, None, headers)
        if answer.status_code == HTTPStatus.NOT_MODIFIED:
            return kept
        body = _body(answer)
        if found := answer.headers.get("ETag"):
            self._kept = {path: (found, body)}  # one is enough for whoever watches
        return body

    def items(self, path: str) -> Iterator[Json]:
        """Yield the items of a list, page by page."""
        for page in self.pages(path):
            yield from page.get("items", [])

    def pages(self, path: str) -> Iterator[Json]:
        """Yield every page from ``path`` on."""
        following: str | None = path
        while following:
            page = self.get(following)
            yield page
            following = page.get("next")

    def post(self, path: str, body: Json, *, once: str = "") -> Json:
        """Send a wish, and return the app's answer.

        Args:
            path: Below the app.
            body: What is wished.
            once: Makes a wish that is sent again the same wish. Without it, one whose answer was
                lost is not sent again.

        Raises:
            UnansweredError: It was sent, and no answer came: it may have been taken.
            KeyturnError: The app refused.
        """
        headers = {"Idempotency-Key": once} if once else {}
        return _body(self._send("POST", path, body, headers, again=bool(once)))

    def _send(
        self,
        method: str,
        path: str,
        body: Json | None,
        headers: Mapping[str, str],
        *,
        again: bool = True,
    ) -> requests.Response:
        url, tries = self._url(path), _TRIES if again else 1
        for number in range(tries):
            try:
                return self._once(method, url, body, headers)
            except (errors.UnavailableError, UnansweredError) as error:
                if number == tries - 1:
                    raise
                asked = error.retry_after or timedelta(seconds=_WAITS[number])
                self.wait(min(asked, _LONGEST_WAIT).total_seconds())
        raise AssertionError(tries)

    def _once(
        self, method: str, url: str, body: Json | None, headers: Mapping[str, str]
    ) -> requests.Response:
        doing = f"{method} {url}"
        try:
            answer = self._session.request(
                method,
                url,
                data=None if body is None else json.dumps(body),
                headers={**self.authorize(), "User-Agent": "keyturn-cli", **headers},
                timeout=(_CONNECT, _READ),
                allow_redirects=False,
            )
        except requests.ConnectTimeout:
            raise errors.UnavailableError(f"{self.url} gives no answer") from None
        except requests.exceptions.SSLError:
            raise errors.RejectedError(f"{self.url} has no certificate that is trusted") from None
        except requests.RequestException as error:
            if method == "GET" or "refused" in str(error) or "resolve" in str(error):
                raise errors.UnavailableError(f"{self.url} cannot be reached") from None
            raise UnansweredError(f"{self.url} took the wish, maybe, and gave no answer") from None
        is_told = answer.status_code == HTTPStatus.NOT_MODIFIED or _is_health(answer)
        if answer.status_code >= HTTPStatus.MULTIPLE_CHOICES and not is_told:
            raise _error(answer, doing)
        return answer

    def _url(self, path: str) -> str:
        """Return the URL of a path, which may be a link of the app.

        Raises:
            NotAllowedError: It leads to another host.
        """
        if not path.startswith("/") or path.startswith("//"):
            raise errors.NotAllowedError(f"the app named a link of another host: {path!r:.100}")
        return f"{self.url}{path}"


def _session(url: str) -> requests.Session:
    """Return a session in which nothing but ``authorize`` says who we are.

    ``requests`` would put what netrc has for the host in its place. A proxy of the environment is
    for https alone, where it cannot read along.
    """
    session = requests.Session()
    session.trust_env = False
    if urlsplit(url).scheme == "https":
        session.proxies = get_environ_proxies(url)
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        session.verify = bundle or True
    return session


def _body(answer: requests.Response) -> Json:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise errors.UnreadableError(f"{answer.url} is no Keyturn: it answers with no JSON object")
    return found


def _is_health(answer: requests.Response) -> bool:
    """Return whether a 503 is the app's own word of what is wrong with it, check by check."""
    if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
        return False
    try:
        found = answer.json()
    except ValueError:
        return False
    return isinstance(found, dict) and "checks" in found


def _error(answer: requests.Response, doing: str) -> KeyturnError:
    """Return the error that an answer is: a problem of RFC 9457, or the host's own."""
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    said = problem if isinstance(problem, dict) else {}
    detail = redacted(str(said.get("detail", "")))
    if parts := said.get("errors"):
        told = (f"{part.get('pointer')}: {part.get('detail')}" for part in parts)
        detail = redacted(f"{detail}: {'; '.join(told)}")
    status = answer.status_code
    if status == HTTPStatus.UNAUTHORIZED:
        return errors.NotSignedInError(
            detail
            or "the app does not let us in: give --audience for Entra ID, or a function key in"
            " KEYTURN_FUNCTION_KEY"
        )
    detail = detail or f"{doing} was answered with {status}"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = answer.headers.get("Retry-After", "")
        wait = timedelta(seconds=int(seconds)) if seconds.isdecimal() else None
        return errors.UnavailableError(detail, retry_after=wait)
    # The app says with a 502 that Azure refused; a front end, in a body of its own, that it did not
    # reach the app, or lost its answer.
    is_apps = status == HTTPStatus.BAD_GATEWAY and bool(said.get("detail"))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not is_apps:
        return errors.UnavailableError(detail)
    if status == HTTPStatus.BAD_REQUEST:
        return UnfitError(detail)
    return _ERRORS.get(status, errors.RejectedError)(detail)
