"""The SDK, and the way to Application Insights. Imported when the first adapter is, never before.

Source: the code of azure-monitor-opentelemetry-exporter 1.0.0b58. It is a preview by its number;
Microsoft's distribution for Python, which is none, rests on it.
"""

import os

from azure.core.credentials import TokenCredential
from azure.monitor.opentelemetry.exporter import (
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from shared.domain.tool import NAME, VERSION

_EXTRAS = (
    "CONTROLPLANE_DISABLED",
    "OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
    "SDKSTATS_DISABLED",
    "STATSBEAT_DISABLED_ALL",
)
"""What the exporter would do besides: ask Microsoft how to behave, and tell it, and the component,
of itself. Nobody has asked for it, and a private network may have no way there."""


def providers(
    connection_string: str, credential: TokenCredential
) -> tuple[TracerProvider, MeterProvider]:
    """Return what sends spans and metrics to Application Insights, in the background.

    What cannot be sent is dropped and logged. Log lines go there over the Functions host, as ever.

    Args:
        connection_string: Names the component and where it takes telemetry.
        credential: Signs us in: ``Monitoring Metrics Publisher`` on the component.
    """
    for extra in _EXTRAS:
        os.environ.setdefault(f"APPLICATIONINSIGHTS_{extra}", "true")
    options = {
        "connection_string": connection_string,
        "credential": credential,
        "disable_offline_storage": True,  # nothing of ours lies on the disk of an instance
    }
    resource = Resource.create({SERVICE_NAME: NAME, SERVICE_VERSION: VERSION})
    spans = TracerProvider(resource=resource)
    spans.add_span_processor(BatchSpanProcessor(AzureMonitorTraceExporter(**options)))
    reader = PeriodicExportingMetricReader(AzureMonitorMetricExporter(**options))
    return spans, MeterProvider([reader], resource=resource)
