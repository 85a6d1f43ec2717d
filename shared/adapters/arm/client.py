"""Requests to Azure Resource Manager, and to nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.pipeline.policies import (
    HeadersPolicy,
    RequestIdPolicy,
    RetryPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from shared.adapters.http_errors import error_for, translated
from shared.domain.clouds import Cloud
from shared.domain.errors import NotAllowedError, UnreadableError
from shared.domain.json_paths import Json

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""Together shorter than ``overdue.WRITE_TAKES``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer.

    Attributes:
        body: Its JSON object; empty where there is none.
    """

    status: int
    headers: Mapping[str, str]
    body: Json


class ArmClient:
    """Sends JSON to the cloud's ARM host under our identity.

    Retries nothing, unless it is told to: a step that meets a transient error is queued again at a
    stated time, which also spares the invocation the wait.
    """

    def __init__(
        self,
        cloud: Cloud,
        credential: TokenCredential,
        retry: RetryPolicy[Any, Any] | None = None,
        watch: SansIOHTTPPolicy[Any, Any] | None = None,
    ) -> None:
        """Say what ``retry`` does instead, and what is to see each request and answer."""
        self.base = f"https://{cloud.arm}"
        scope = f"{self.base}/.default"
        policies = [
            RequestIdPolicy(),
            HeadersPolicy({"Accept": "application/json"}),
            UserAgentPolicy("keyturn"),
            retry or RetryPolicy.no_retries(),
            ARMChallengeAuthenticationPolicy(credential, scope),
            watch or SansIOHTTPPolicy(),
        ]
        self._client: ARMPipelineClient[HttpRequest, HttpResponse] = ARMPipelineClient(
            self.base, policies=policies
        )

    def send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        doing: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and return its answer of 2xx.

        Args:
            method: ``GET``, ``PATCH``, ``PUT``, ``POST`` or ``DELETE``.
            path: Below the ARM host, or a link that ARM gave us, which must be of that host.
            doing: What is tried, as a phrase for messages.
            query: Added to the path's.
            body: Sent as JSON.
            headers: Sent besides our own.

        Raises:
            KeyturnError: See ``error_for``.
            NotAllowedError: The link is of another host: it gets no token.
            UnreadableError: A 2xx answer is not a JSON object.
        """
        request = HttpRequest(
            method, self._url(path), params=query, json=body, headers=dict(headers or {})
        )
        with translated(doing):
            response = self._client.send_request(
                request, connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS
            )
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:  # a redirect is no answer either
            raise error_for(response.status_code, response.headers, response.text(), doing)
        return Answer(response.status_code, response.headers, _json(response, doing))

    def _url(self, path: str) -> str:
        if path.startswith("/"):
            return f"{self.base}{path}"
        link = urlsplit(path)
        if f"{link.scheme}://{link.netloc}" not in (self.base, f"{self.base}:443"):
            raise NotAllowedError(f"ARM named a link of another host: {link.netloc!r}")
        return path


def _json(response: HttpResponse, doing: str) -> Json:
    if not response.content:
        return {}
    try:
        body: Any = response.json()
    except ValueError as error:
        raise UnreadableError(f"could not {doing}: the answer is no JSON") from error
    if not isinstance(body, dict):
        raise UnreadableError(f"could not {doing}: the answer is no JSON object")
    return body
