"""The app's settings: read once, checked whole."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from shared.domain.clouds import CLOUDS, Cloud
from shared.domain.errors import NotAllowedError
from shared.domain.file_sources import CONTAINER_NAME, BlobName, FileSource

_STORAGE = "AzureWebJobsStorage"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CLOCK = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00 x[1-9]\d*(\.\d+)?")
_SCHEDULE = re.compile(r"[\dA-Z*/,-]+( [\dA-Z*/,-]+){5}", re.IGNORECASE)
_INSIGHTS = re.compile(r"https://[a-z0-9.-]+\.applicationinsights\.azure\.(com|us|cn)/?")
_TOPIC = re.compile(r"https://[a-z0-9-]+\.[a-z0-9-]+\.eventgrid\.azure\.net/api/events")


class SettingsError(Exception):
    """The app is misconfigured. Lists every problem, not only the first."""

    def __init__(self, problems: list[str]) -> None:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"Keyturn's settings have {len(problems)} problem(s):{lines}")
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The app's own storage account.

    Attributes:
        connection_string: With a key, for local use; empty where the identity signs in.
        blob_url, queue_url, table_url: Endpoints for the identity; empty with a connection string.
    """

    connection_string: str
    blob_url: str
    queue_url: str
    table_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can set; names and defaults as in the README and the sample file.

    Attributes:
        cloud: ``KEYTURN_CLOUD``.
        vaults: ``KEYTURN_VAULTS``, as hosts: the only vaults that are read or given a token.
        sweep_schedule: ``KEYTURN_SWEEP_SCHEDULE``, six NCRONTAB fields.
        policy: ``KEYTURN_POLICY``: path of a file of the app, or URL of a blob; empty: none.
        app_service_auth: ``KEYTURN_AUTH``: whether App Service authentication is on and says who
            calls; else function keys let callers in.
        config_sources: ``KEYTURN_CONFIG_SOURCES``: where deployment configs lie, as URLs of blob
            containers, each with a prefix of the names or an index tag if it has one.
        blob_canary: ``KEYTURN_BLOB_CANARY``, a container's name; empty: no blob is ever tried.
        client_id: ``AZURE_CLIENT_ID`` of a user-assigned identity; empty: the system-assigned one.
        topic: ``KEYTURN_TOPIC_ENDPOINT``, an Event Grid topic for announcements; empty: none.
        storage: ``AzureWebJobsStorage``, or its ``__blobServiceUri``, ``__queueServiceUri`` and
            ``__tableServiceUri``, or its ``__accountName``.
        telemetry: Connection string of the Application Insights component that takes traces and
            metrics, if ``KEYTURN_TELEMETRY`` is ``azure_monitor``; empty: nothing takes them.
        sandbox_clock: ``KEYTURN_SANDBOX_CLOCK``; empty: real time.
    """

    cloud: Cloud
    vaults: frozenset[str]
    sweep_schedule: str
    policy: str
    app_service_auth: bool
    config_sources: tuple[str, ...]
    blob_canary: str
    client_id: str
    topic: str
    storage: Storage
    telemetry: str
    sandbox_clock: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings.

        Raises:
            SettingsError: Anything is missing or malformed.
        """
        problems: list[str] = []
        cloud = _cloud(env, problems)
        settings = cls(
            cloud=cloud,
            vaults=_vaults(env, cloud, problems),
            sweep_schedule=_schedule(env, problems),
            policy=_policy(env, cloud, problems),
            app_service_auth=_app_service_auth(env, problems),
            config_sources=_config_sources(env, cloud, problems),
            blob_canary=_blob_canary(env, problems),
            client_id=_client_id(env, problems),
            topic=_topic(env, cloud, problems),
            storage=_storage(env, cloud, problems),
            telemetry=_telemetry(env, problems),
            sandbox_clock=_sandbox_clock(env, problems),
        )
        problems += [f"{name} is a setting of the policy now: {at}" for name, at in _moved(env)]
        if problems:
            raise SettingsError(problems)
        return settings


def _listed(env: Mapping[str, str], name: str) -> Iterable[str]:
    return [item.strip() for item in env.get(name, "").split(",") if item.strip()]


def _cloud(env: Mapping[str, str], problems: list[str]) -> Cloud:
    name = env.get("KEYTURN_CLOUD", "").strip() or "AzureCloud"
    if name not in CLOUDS:
        problems.append(f"KEYTURN_CLOUD is {name!r}, not one of {', '.join(CLOUDS)}")
    return CLOUDS.get(name, CLOUDS["AzureCloud"])


def _vaults(env: Mapping[str, str], cloud: Cloud, problems: list[str]) -> frozenset[str]:
    vaults = set()
    for vault in _listed(env, "KEYTURN_VAULTS"):
        try:
            vaults.add(cloud.vault_host(vault))
        except NotAllowedError as error:
            problems.append(f"KEYTURN_VAULTS: {error}")
    if not vaults:
        problems.append("KEYTURN_VAULTS names no vault: list those that Keyturn may manage")
    return frozenset(vaults)


def _schedule(env: Mapping[str, str], problems: list[str]) -> str:
    schedule = env.get("KEYTURN_SWEEP_SCHEDULE", "").strip() or "0 */15 * * * *"
    if not _SCHEDULE.fullmatch(schedule):
        problems.append(
            f"KEYTURN_SWEEP_SCHEDULE is {schedule!r}, not six fields like '0 */15 * * * *'"
        )
    return schedule


def _client_id(env: Mapping[str, str], problems: list[str]) -> str:
    client_id = env.get("AZURE_CLIENT_ID", "").strip()
    if client_id and not _GUID.fullmatch(client_id):
        problems.append(f"AZURE_CLIENT_ID is {client_id!r}, no client id")
    return client_id


def _topic(env: Mapping[str, str], cloud: Cloud, problems: list[str]) -> str:
    topic = env.get("KEYTURN_TOPIC_ENDPOINT", "").strip()
    if topic and not _TOPIC.fullmatch(topic):
        problems.append(  # without a query, which may hold a key
            f"KEYTURN_TOPIC_ENDPOINT is {topic.partition('?')[0]!r}, not"
            " 'https://TOPIC.REGION-1.eventgrid.azure.net/api/events'"
        )
    if topic and cloud.name != "AzureCloud":
        problems.append(
            f"KEYTURN_TOPIC_ENDPOINT cannot be used in {cloud.name} yet: leave it empty"
        )
    return topic


MOVED = {
    "KEYTURN_SUBSCRIPTIONS": "subscriptions",
    "KEYTURN_NEAR_EXPIRY": "nearExpiry",
    "KEYTURN_FAILURE_LIMIT": "failureLimit",
    "KEYTURN_RECHECK_HOURS": "recheckHours",
    "KEYTURN_VERSIONLESS": "versionless",
    "KEYTURN_RECREATE_CONTAINER_GROUPS": "recreateContainerGroups",
}
"""Settings of earlier versions, and what they are called in the policy."""


def _moved(env: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return [(name, at) for name, at in MOVED.items() if env.get(name, "").strip()]


def _policy(env: Mapping[str, str], cloud: Cloud, problems: list[str]) -> str:
    place = env.get("KEYTURN_POLICY", "").strip()
    if "://" not in place:
        return place
    try:
        blob = BlobName.parse(place)
    except NotAllowedError:
        blob = None
    host = rf"[a-z0-9]{{3,24}}\.blob\.{re.escape(cloud.storage)}"
    if blob is None or not re.fullmatch(host, blob.host) or not blob.path:
        problems.append(
            f"KEYTURN_POLICY is {place.partition('?')[0]!r}, neither a path in the app's folder nor"
            f" 'https://ACCOUNT.blob.{cloud.storage}/CONTAINER/keyturn.yaml'"
        )
    return place


def _app_service_auth(env: Mapping[str, str], problems: list[str]) -> bool:
    auth = env.get("KEYTURN_AUTH", "").strip() or "keys"
    if auth not in ("keys", "app_service"):
        problems.append(f"KEYTURN_AUTH is {auth!r}, neither 'keys' nor 'app_service'")
    # Set by the platform; Microsoft.Identity.Web tells by it, too, whether it may trust the header.
    platform = env.get("WEBSITE_AUTH_ENABLED", "").strip()
    if auth == "app_service" and platform and platform.lower() != "true":
        problems.append(
            "KEYTURN_AUTH is 'app_service', and App Service authentication is off"
            f" (WEBSITE_AUTH_ENABLED is {platform!r}): anybody could say that they are you"
        )
    return auth == "app_service"


def _config_sources(env: Mapping[str, str], cloud: Cloud, problems: list[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_listed(env, "KEYTURN_CONFIG_SOURCES")))
    for source in found:
        try:
            FileSource.parse(source, cloud)
        except NotAllowedError as error:
            problems.append(
                f"KEYTURN_CONFIG_SOURCES: {error}: expected"
                f" https://ACCOUNT.blob.{cloud.storage}/CONTAINER, then /PREFIX or ?tag=NAME=VALUE"
                " if only some of its files are deployment configs"
            )
    return found


def _blob_canary(env: Mapping[str, str], problems: list[str]) -> str:
    name = env.get("KEYTURN_BLOB_CANARY", "").strip()
    if name and not CONTAINER_NAME.fullmatch(name):
        problems.append(f"KEYTURN_BLOB_CANARY is {name!r}: not the name of a blob container")
    return name


def _storage(env: Mapping[str, str], cloud: Cloud, problems: list[str]) -> Storage:
    account = env.get(f"{_STORAGE}__accountName", "").strip()
    blob = env.get(f"{_STORAGE}__blobServiceUri", "").strip()
    queue = env.get(f"{_STORAGE}__queueServiceUri", "").strip()
    table = env.get(f"{_STORAGE}__tableServiceUri", "").strip()
    if account:
        blob = blob or f"https://{account}.blob.{cloud.storage}"
        queue = queue or f"https://{account}.queue.{cloud.storage}"
        table = table or f"https://{account}.table.{cloud.storage}"
    for service, url in (("blob", blob), ("queue", queue), ("table", table)):
        host = f"{service}.{re.escape(cloud.storage)}"
        if url and not re.fullmatch(rf"https://[a-z0-9]{{3,24}}\.{host}/?", url):
            problems.append(
                f"{_STORAGE}__{service}ServiceUri is {url!r},"
                f" not 'https://ACCOUNT.{service}.{cloud.storage}'"
            )
    connection = env.get(_STORAGE, "").strip()
    if connection and not _is_connection_string(connection):
        problems.append(f"{_STORAGE} is no connection string of a storage account")
    if not connection and not (blob and queue and table):
        problems.append(
            f"{_STORAGE} is not set: give a connection string, or {_STORAGE}__accountName,"
            f" or {_STORAGE}__blobServiceUri, {_STORAGE}__queueServiceUri and"
            f" {_STORAGE}__tableServiceUri"
        )
    return Storage(connection_string=connection, blob_url=blob, queue_url=queue, table_url=table)


def _is_connection_string(text: str) -> bool:
    if text.rstrip(";") == "UseDevelopmentStorage=true":
        return True
    parts = [part.partition("=") for part in text.split(";") if part]
    named = {name for name, equals, value in parts if equals and value}
    return len(named) == len(parts) and bool(named & {"AccountName", "QueueEndpoint"})


def _telemetry(env: Mapping[str, str], problems: list[str]) -> str:
    wish = env.get("KEYTURN_TELEMETRY", "").strip() or "none"
    connection = env.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "").strip()
    if wish not in ("none", "azure_monitor"):
        problems.append(f"KEYTURN_TELEMETRY is {wish!r}, neither 'none' nor 'azure_monitor'")
    if wish != "azure_monitor":
        return ""
    parts = dict(part.partition("=")[::2] for part in connection.split(";") if part)
    endpoint = parts.get("IngestionEndpoint", "")
    if not _GUID.fullmatch(parts.get("InstrumentationKey", "")) or not _INSIGHTS.fullmatch(
        endpoint
    ):
        problems.append(  # without its text, which may hold a key
            "KEYTURN_TELEMETRY is 'azure_monitor', and APPLICATIONINSIGHTS_CONNECTION_STRING is no"
            " connection string of an Application Insights component, such as 'InstrumentationKey="
            "GUID;IngestionEndpoint=https://REGION.in.applicationinsights.azure.com/'"
        )
    return connection


def _sandbox_clock(env: Mapping[str, str], problems: list[str]) -> str:
    clock = env.get("KEYTURN_SANDBOX_CLOCK", "").strip()
    storage = env.get(_STORAGE, "")
    if clock and not _CLOCK.fullmatch(clock):
        problems.append(f"KEYTURN_SANDBOX_CLOCK is {clock!r}, not '2026-11-23T18:00:00+00:00 x60'")
    if clock and "http://127.0.0.1" not in storage:
        problems.append(
            "KEYTURN_SANDBOX_CLOCK is for the sandbox alone: real windows are kept in real time"
        )
    return clock
