"""The way of a request: proxy, TLS, front door, faults."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from time import perf_counter

import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.clock import SandboxClock
from sandbox.faults import Answer, Fault, Faults, server_error_html, throttled
from sandbox.front_door import FrontDoor
from sandbox.serving import Serving
from sandbox.tls import HOST_NAMES

URL = "https://kv1.vault.azure.net/keys"


@dataclass
class Local:
    faults: Faults
    front_door: FrontDoor
    serving: Serving
    client: requests.Session
    served: list[bytes]
    """The bodies of the requests that the service saw."""


@pytest.fixture
def local() -> Iterator[Local]:
    clock = SandboxClock.start(rate=60)
    faults = Faults(clock)
    front_door = FrontDoor(faults, clock)
    served: list[bytes] = []

    async def service(request: Request) -> Response:
        served.append(await request.body())
        return PlainTextResponse("served", headers={"x-seen-by": "the service"})

    app = Starlette(routes=[Route("/keys", service, methods=["GET", "PUT"])])
    front_door.mount("*.vault.azure.net", app)
    with Serving(front_door) as serving, requests.Session() as client:
        client.trust_env = False
        client.proxies["https"] = serving.proxy.url
        client.verify = str(serving.ca_file)
        yield Local(faults, front_door, serving, client, served)


def test_a_production_host_is_served_and_the_call_recorded(local: Local) -> None:
    answer = local.client.put(f"{URL}?a=1", data=b"body", headers={"Authorization": "Bearer abc"})

    [call] = local.front_door.traffic()
    assert answer.text == "served"
    assert (call.method, call.host, call.path, call.query) == (
        "PUT",
        "kv1.vault.azure.net",
        "/keys",
        "a=1",
    )
    assert (call.status, call.request_body, call.response_body) == (200, b"body", b"served")
    assert call.response_headers["x-seen-by"] == "the service"


def test_traffic_tells_that_a_token_was_sent_but_not_which(local: Local) -> None:
    local.client.get(URL, headers={"Authorization": "Bearer secret"})
    local.client.get(URL)

    with_token, without = local.front_door.traffic()
    assert (with_token.bearer, without.bearer) == (True, False)
    assert "secret" not in repr(with_token)


def test_a_port_in_the_host_makes_no_other_host(local: Local) -> None:
    answer = local.client.get(URL, headers={"Host": "KV1.vault.azure.net:443"})

    [call] = local.front_door.traffic()
    assert answer.text == "served"
    assert call.host == "kv1.vault.azure.net"


def test_an_azure_host_that_is_not_served_answers_404_and_is_recorded(local: Local) -> None:
    answer = local.client.get("https://management.azure.com/subscriptions")

    [call] = local.front_door.traffic()
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "management.azure.com" in answer.json()["error"]["message"]
    assert call.host == "management.azure.com"


def test_a_foreign_host_fails_its_tls_check_and_the_attempt_is_seen(local: Local) -> None:
    with pytest.raises(requests.exceptions.SSLError, match=r"attacker\.example"):
        local.client.get("https://attacker.example/steal")

    assert local.serving.proxy.attempts() == ["attacker.example:443"]
    assert local.front_door.traffic() == []


@pytest.mark.parametrize(
    "host",
    [
        "login.microsoftonline.com",
        "payments.queue.core.windows.net",
        "topic.westeurope-1.eventgrid.azure.net",
    ],
)
def test_the_certificate_is_valid_for_hosts_of_azure(local: Local, host: str) -> None:
    assert local.client.get(f"https://{host}/").status_code == HTTPStatus.NOT_FOUND


def test_no_certificate_is_valid_for_more_than_one_label() -> None:
    assert all(name.count("*") <= 1 for name in HOST_NAMES)


def test_the_proxy_does_nothing_but_connect(local: Local) -> None:
    local.client.proxies["http"] = local.serving.proxy.url

    answer = local.client.get("http://kv1.vault.azure.net/keys")

    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert local.serving.proxy.attempts() == ["http://kv1.vault.azure.net/keys"]


@pytest.mark.parametrize("proxied", [True, False])
def test_a_request_with_a_body_waits_for_no_acknowledgement(local: Local, *, proxied: bool) -> None:
    """Nagle's algorithm against a delayed acknowledgement costs 40 ms each time."""
    url = URL if proxied else f"{local.serving.serve_plain(local.front_door)}/keys"
    local.client.headers["Host"] = "kv1.vault.azure.net"
    local.client.put(url, json={"warm": "up"})

    times = []
    for _ in range(9):
        start = perf_counter()
        local.client.put(url, json={"some": "body"})
        times.append(perf_counter() - start)

    assert sorted(times)[4] < 0.03


def test_a_throttled_request_is_answered_before_the_service_sees_it(local: Local) -> None:
    local.faults.add(Fault(method="PUT", answer=throttled(timedelta(seconds=3))))

    refused, served = local.client.put(URL, data=b"1"), local.client.put(URL, data=b"2")

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "3")
    assert served.text == "served"
    assert local.served == [b"2"]
    assert [call.status for call in local.front_door.traffic()] == [429, 200]


def test_a_gateways_html_takes_the_place_of_the_answer(local: Local) -> None:
    local.faults.add(Fault(answer=server_error_html()))

    answer = local.client.get(URL)

    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_a_lost_answer_resets_the_connection_after_the_service_did_its_work(local: Local) -> None:
    local.faults.add(Fault(lose_answer=True))

    with pytest.raises(requests.exceptions.ConnectionError):
        local.client.put(URL, data=b"committed")

    assert local.served == [b"committed"]
    assert [call.status for call in local.front_door.traffic()] == [200]


def test_a_lost_request_resets_the_connection_before_the_service_sees_it(local: Local) -> None:
    local.faults.add(Fault(lose_request=True))

    with pytest.raises(requests.exceptions.ConnectionError):
        local.client.put(URL, data=b"lost")

    assert local.served == []
    assert [call.status for call in local.front_door.traffic()] == [0]


def test_after_a_reset_the_client_can_go_on(local: Local) -> None:
    local.faults.add(Fault(lose_request=True))
    with pytest.raises(requests.exceptions.ConnectionError):
        local.client.get(URL)

    assert local.client.get(URL).text == "served"


def test_a_delay_is_in_sandbox_time(local: Local) -> None:
    local.faults.add(Fault(delay=timedelta(seconds=12), answer=Answer(HTTPStatus.OK)))

    start = perf_counter()
    local.client.get(URL)

    assert 0.2 <= perf_counter() - start < 2


def test_a_plain_endpoint_has_a_port_of_its_own(local: Local) -> None:
    app = Starlette(routes=[Route("/ping", lambda _: PlainTextResponse("pong"))])

    url = local.serving.serve_plain(app)

    assert requests.get(f"{url}/ping", timeout=5).text == "pong"


def test_the_environment_leads_another_process_into_the_sandbox(local: Local) -> None:
    script = f"import requests; print(requests.get({URL!r}, timeout=5).text)"
    environment = {**os.environ, **local.serving.environment()}

    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout == "served\n"


def test_nothing_is_left_after_a_stop() -> None:
    clock = SandboxClock.start()
    serving = Serving(FrontDoor(Faults(clock), clock)).start()
    url, ca_file = serving.proxy.url, Path(serving.ca_file)
    with requests.Session() as client:
        client.trust_env = False
        client.proxies["https"] = url
        client.verify = str(ca_file)
        client.get("https://kv1.vault.azure.net/")

        serving.stop()

        assert not ca_file.exists()
        client.verify = False
        with pytest.raises(requests.exceptions.ConnectionError):
            client.get("https://kv1.vault.azure.net/")


def test_a_failure_of_a_service_is_an_answer_and_not_the_end(local: Local) -> None:
    def broken(_: Request) -> Response:
        raise RuntimeError("a defect of the service")

    local.front_door.mount("management.azure.com", Starlette(routes=[Route("/", broken)]))

    answer = local.client.get("https://management.azure.com/")

    assert answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert local.client.get(URL).text == "served"
