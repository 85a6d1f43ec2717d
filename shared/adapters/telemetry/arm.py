"""Answers of Azure Resource Manager, counted where the SDK's pipeline sees each of them."""

import re
from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest, HttpResponse

from shared.adapters.telemetry.telemetry import Telemetry

_PROVIDER = re.compile(r"/providers/([a-z]+\.[a-z.]+)(?=[/?]|$)")


class CountAnswers(SansIOHTTPPolicy[HttpRequest, HttpResponse]):
    """Counts answers. What has got none is not counted: the step's log line tells of it."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def on_response(
        self,
        request: PipelineRequest[HttpRequest],
        response: PipelineResponse[HttpRequest, HttpResponse],
    ) -> None:
        """Count an answer."""
        asked: Any = request.http_request
        providers = _PROVIDER.findall(asked.url.lower())
        provider = providers[-1] if providers else ""
        self._telemetry.answered(asked.method, provider, response.http_response.status_code)
