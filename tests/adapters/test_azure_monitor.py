"""Spans and metrics on their way to Application Insights, as the exporter really sends them."""

import gzip
import json
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme
from azure.core.credentials import AccessToken

from shared.adapters.telemetry.azure_monitor import providers
from shared.adapters.telemetry.telemetry import Telemetry
from shared.domain.steps import Revive
from shared.settings import Settings
from shared.wiring.adapters import Adapters

IKEY = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"


class Identity:
    """A credential that notes for what it is asked."""

    def __init__(self) -> None:
        self.scopes: set[str] = set()

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.scopes |= set(scopes)
        return AccessToken("a-token", 4_000_000_000)


@contextmanager
def ingestion(folder: Path) -> Iterator[tuple[str, list[Any], list[str]]]:
    """Yield the URL of a server that takes telemetry, what it has taken, and who has sent it."""
    taken: list[Any] = []
    senders: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            items = json.loads(body)
            taken.extend(items)
            senders.append(self.headers["authorization"])
            count = len(items)
            answer = {"itemsReceived": count, "itemsAccepted": count, "errors": []}
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}/", taken, senders
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_and_metrics_arrive_signed_in_and_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    identity = Identity()
    with ingestion(tmp_path) as (url, taken, senders):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        monkeypatch.setenv("NO_PROXY", "localhost")
        spans, metrics = providers(f"InstrumentationKey={IKEY};IngestionEndpoint={url}", identity)
        telemetry = Telemetry(spans, metrics)
        with telemetry.step(Revive(), message="m1", rotation=None):
            telemetry.answered("GET", "microsoft.storage", 429)
        spans.shutdown()
        metrics.shutdown()

    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert set(senders) == {"Bearer a-token"}
    assert identity.scopes == {"https://monitor.azure.com//.default"}
    kinds = [item["data"]["baseType"] for item in taken]
    assert sorted(kinds) == ["MetricData", "MetricData", "RequestData"]
    (request,) = [item for item in taken if item["data"]["baseType"] == "RequestData"]
    assert request["data"]["baseData"]["name"] == "revive"
    assert request["data"]["baseData"]["success"] is True
    assert request["data"]["baseData"]["properties"]["keyturn.step"] == "revive"
    assert request["tags"]["ai.cloud.role"] == "keyturn"
    told = [item["data"]["baseData"] for item in taken if item["data"]["baseType"] == "MetricData"]
    names = {each["metrics"][0]["name"] for each in told}
    assert names == {"keyturn.arm.requests", "keyturn.throttles"}
    assert {each["properties"]["keyturn.provider"] for each in told} == {"microsoft.storage"}


def test_an_exporter_that_cannot_start_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The settings let through what a region's endpoint may look like; the exporter may not."""
    good = {"KEYTURN_VAULTS": "kv1", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    adapters = Adapters(replace(Settings.from_env(good), telemetry="nonsense"))

    with caplog.at_level(logging.ERROR):
        telemetry = adapters.telemetry

    assert not telemetry.is_on
    assert "no traces and metrics: the exporter cannot be started" in caplog.text
