"""Secrets are planted wherever the app could pick one up; none is in what it leaves behind."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from sandbox.azure import LocalAzure
from sandbox.faults import Answer, Fault
from shared.settings import Settings, SettingsError
from tests.e2e.every_kind import FILES, container_group, deployment_config, prepare
from tests.e2e.stage import Report, Stage, verdicts

SETTINGS = {"KEYTURN_CONFIG_SOURCES": f"https://{FILES}.blob.core.windows.net/configs"}
ACCOUNT_KEY = "AcC0untK3y" + "q" * 76 + "=="
PLANTED = {
    "a SAS in a message": "s4sInAMessage0123456789abcdef",
    "a SAS in a poll URL": "s4sInAPollUrl0123456789abcdef",
    "a SAS in a blob's error": "s4sInABlobError0123456789abc",
    "an account's key in an answer": ACCOUNT_KEY,
    "a registry's password": "hidden-password",
    "a secure value": "hidden-token",
    "a file share's key": "hidden-key",
    "a workspace's key": "hidden-logs",
    "a secret file": "aGlkZGVuLWZpbGU=",
    "a password in a broken config": "p4sswordInAFile",
    "a password in a request": "p4sswordInARequest",
}


@dataclass(frozen=True)
class Traces:
    """All that the app leaves behind.

    Attributes:
        places: What was found there, by the name of the place.
        secrets: All that must not be in it, by what it is.
        report: Of the rotation.
    """

    places: Mapping[str, str]
    secrets: Mapping[str, str]
    report: Report


def _plant(stage: Stage, key: str) -> dict[str, str]:
    """Have services say secrets when the app calls them; return those made for it."""
    azure, faults = stage.azure, stage.azure.faults
    tokens = {
        f"a token for {each}": azure.tokens.issue(f"https://{each}") for each in ("arm", "kv")
    }
    arm, vault = tokens.values()

    def says(message: str, status: int = 403, code: str = "Forbidden", **headers: str) -> Answer:
        return Answer(status, {"error": {"code": code, "message": message}}, headers)

    for name, path, method, answer in (
        ("stecho", "storageAccounts/stecho", "PATCH", says(f"Authorization: Bearer {arm} is bad")),
        (
            "stsas",
            "storageAccounts/stsas",
            "PATCH",
            says(f"see https://x.blob.core.windows.net/c?sig={PLANTED['a SAS in a message']}", 400),
        ),
        (
            "stkey",
            "storageAccounts/stkey",
            "PATCH",
            Answer(400, f"<html>AccountKey={ACCOUNT_KEY};</html>".encode()),
        ),
    ):
        stage.account(name, key)
        faults.add(Fault(method=method, path=f"*/{path}", times=None, answer=answer))
    poll = f"https://management.azure.com/poll?s={PLANTED['a SAS in a poll URL']}"
    stage.account("stpoll", key).pace.stuck()
    faults.add(
        Fault(
            method="PATCH",
            path="*/storageAccounts/stpoll",
            answer=Answer(202, b"", {"Azure-AsyncOperation": poll}),
        )
    )
    faults.add(
        Fault(
            method="GET",
            path="/poll",
            times=None,
            answer=says(f"GET {poll} failed with Bearer {arm}", 400, "Failed"),
        )
    )
    blob = f"""<?xml version="1.0"?><Error><Code>AuthorizationFailure</Code><Message>no: \
https://x/c?sig={PLANTED["a SAS in a blob's error"]}</Message></Error>"""
    path = "locked/deploy.yaml"
    deployment_config(stage, path, stage.azure.estate.vaults.newest("kv-stage", "cmk-secrets"))
    faults.add(
        Fault(
            method="GET",
            host=f"{FILES}.*",
            path=f"/configs/{path}",
            times=None,
            answer=Answer(403, blob.encode(), {"content-type": "application/xml"}),
        )
    )
    faults.add(
        Fault(
            path="/keys/cmk-secrets/rotationpolicy",
            times=None,
            answer=says(f"Caller with Bearer {vault} is not allowed"),
        )
    )
    broken = f"password: {PLANTED['a password in a broken config']}\n  x: [\ncmk_key_name: 'a\n"
    azure.blobs.put(FILES, "configs", "broken.yaml", broken.encode())
    stage.azure.estate.container_group(
        "aci-hidden", subscription=stage.subscription, key=key, secrets="hidden"
    )
    container_group(stage, "aci-plain", key)
    return tokens


def _ask(stage: Stage, token: str) -> str:
    """Ask the app for good things and bad; return all that it answers."""
    paths: list[tuple[str, str, Any]] = [
        ("POST", "/api/keys/kv-stage/cmk-secrets/rotate", {"reason": ""}),
        ("POST", "/api/keys/kv-stage/cmk-secrets/rotate", b"{"),
        ("POST", "/api/keys/kv-other/cmk/rotate", {"reason": "no such vault"}),
        (
            "POST",
            "/api/keys/kv-stage/cmk-secrets/rotate",
            {"password": PLANTED["a password in a request"]},
        ),
        ("GET", f"/api/rotations/none?code={PLANTED['a password in a request']}", None),
        ("POST", "/api/rotations/none/pause", {"reason": "there is none"}),
    ]
    said = [stage.http(*each, token=token, headers={"x-secret": token}) for each in paths]
    return json.dumps([[status, dict(headers), body] for status, headers, body in said])


@pytest.fixture(scope="module", name="traces")
def _traces(local_azure: Callable[[float], LocalAzure]) -> Iterator[Traces]:
    with local_azure(240) as azure:
        stage = Stage(azure)
        prepare(stage)
        key = stage.key("cmk-secrets")
        tokens = _plant(stage, key)
        ours = azure.tokens.sign_in("ana@contoso.example", "Keyturn.Operator")
        stage.start(SETTINGS)
        target = stage.rotate(key)
        report = _let_go_on(stage, stage.opened(target))
        answers = _ask(stage, ours)
        stage.sweep()
        host = azure.host
        assert host is not None
        secrets = {
            **PLANTED,
            **tokens,
            "who called": ours,
            "the identity header": azure.tokens.identity_header,
            "the topic's key": azure.topic.key,
            "the storage account's key": _account_key(azure),
            **{f"the {name} key": value for name, value in host.keys.items()},
        }
        yield Traces(
            {
                "log": stage.log(),
                "rows": json.dumps(_rows(stage), default=str),
                "messages": _messages(azure),
                "blobs": _blobs(azure),
                "answers": answers + json.dumps(stage.report(report["id"])),
                "announcements": json.dumps(azure.topics.published(azure.topic.name)),
            },
            secrets,
            report,
        )


def _let_go_on(stage: Stage, rotation: str) -> Report:
    """Resume a rotation whenever it pauses, until it has ended; return its report."""

    def stands(report: Report) -> object:
        return report["endedAt"] or report["pausedBecause"]

    while not (report := stage.shown(rotation, stands, within=60))["endedAt"]:
        stage.steer(rotation, "resume")
    return report


def _account_key(azure: LocalAzure) -> str:
    settings = azure.environment()["AzureWebJobsStorage"].split(";")
    return next(each.partition("=")[2] for each in settings if each.startswith("AccountKey="))


def _rows(stage: Stage) -> dict[str, Any]:
    from azure.data.tables import TableServiceClient  # noqa: PLC0415 - here alone

    connection = stage.azure.environment()["AzureWebJobsStorage"]
    with TableServiceClient.from_connection_string(connection) as service:
        return {table.name: stage.rows(table.name) for table in service.list_tables()}


def _messages(azure: LocalAzure) -> str:
    connection = azure.environment()["AzureWebJobsStorage"]
    with QueueServiceClient.from_connection_string(connection) as service:
        names = [queue.name for queue in service.list_queues()]
        return str(
            [m.content for n in names for m in service.get_queue_client(n).peek_messages(32)]
        )


def _blobs(azure: LocalAzure) -> str:
    connection, found = azure.environment()["AzureWebJobsStorage"], []
    with BlobServiceClient.from_connection_string(connection) as service:
        for container in service.list_containers():
            with service.get_container_client(container.name) as held:
                names = list(held.list_blob_names())
                found += [f"{name}: {held.download_blob(name).readall()!r}" for name in names]
    return "\n".join(found)


PLACES = ("log", "rows", "messages", "blobs", "answers", "announcements")


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_left(traces: Traces, place: str) -> None:
    left = {what for what, secret in traces.secrets.items() if secret in traces.places[place]}

    # Where a write is polled is kept until its end is known; without a token it opens nothing.
    assert left - ({"a SAS in a poll URL"} if place == "rows" else set()) == set()
    assert "eyJ" not in traces.places[place]


def test_each_plant_was_met_and_its_place_is_told_without_it(traces: Traces) -> None:
    """Else nothing would be shown by not finding it."""
    found = verdicts(traces.report)

    assert {found[name] for name in ("stecho", "stsas", "stkey")} == {"failed"}
    assert found["aci-hidden"] == "manual"
    assert found["locked/deploy.yaml"] == found["broken.yaml"] == "unknown"
    said = json.dumps(traces.report)
    assert said.count("[redacted]") >= 4
    assert all(traces.places[each] for each in ("log", "rows", "answers", "announcements"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(
            "KEYTURN_CONFIG_SOURCES",
            "https://st.blob.core.windows.net/c?sv=2024&sig=s3cret",
            id="a signed source",
        ),
        pytest.param(
            "KEYTURN_CONFIG_SOURCES", "https://me:s3cret@st.blob.core.windows.net/c", id="userinfo"
        ),
        pytest.param(
            "KEYTURN_POLICY", "https://st.blob.core.windows.net/c/p?sig=s3cret", id="policy"
        ),
        pytest.param("KEYTURN_TOPIC_ENDPOINT", "https://x/api/events?sig=s3cret", id="topic"),
        pytest.param("AzureWebJobsStorage", "AccountKey=s3cret", id="connection string"),
    ],
)
def test_a_setting_that_is_refused_is_not_repeated(name: str, value: str) -> None:
    good = {"KEYTURN_VAULTS": "kv-one", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}

    with pytest.raises(SettingsError) as refused:
        Settings.from_env({**good, name: value})

    assert name in str(refused.value)
    assert "s3cret" not in str(refused.value)
