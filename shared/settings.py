"""The app's settings: read once, checked whole."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from shared.domain.clouds import CLOUDS, Cloud
from shared.domain.errors import NotAllowedError
from shared.domain.file_sources import CONTAINER_NAME, FileSource
from shared.domain.plans import Policy

_STORAGE = "AzureWebJobsStorage"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CLOCK = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00 x[1-9]\d*(\.\d+)?")
_SCHEDULE = re.compile(r"[\dA-Z*/,-]+( [\dA-Z*/,-]+){5}", re.IGNORECASE)
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
        subscriptions: ``KEYTURN_SUBSCRIPTIONS``; empty: every subscription that can be read.
        sweep_schedule: ``KEYTURN_SWEEP_SCHEDULE``, six NCRONTAB fields.
        near_expiry: ``KEYTURN_NEAR_EXPIRY``: whether a key that nears its expiry gets a version.
        failure_limit: ``KEYTURN_FAILURE_LIMIT``: resources that may fail before a rotation pauses.
        recheck_after: ``KEYTURN_RECHECK_HOURS``; ``None``: a key is left alone after a rotation.
        policy: ``KEYTURN_VERSIONLESS`` and ``KEYTURN_RECREATE_CONTAINER_GROUPS``.
        config_sources: ``KEYTURN_CONFIG_SOURCES``: where deployment configs lie, as URLs of blob
            containers, each with a prefix of the names or an index tag if it has one.
        blob_canary: ``KEYTURN_BLOB_CANARY``, a container's name; empty: no blob is ever tried.
        client_id: ``AZURE_CLIENT_ID`` of a user-assigned identity; empty: the system-assigned one.
        topic: ``KEYTURN_TOPIC_ENDPOINT``, an Event Grid topic for announcements; empty: none.
        storage: ``AzureWebJobsStorage``, or its ``__blobServiceUri``, ``__queueServiceUri`` and
            ``__tableServiceUri``, or its ``__accountName``.
        sandbox_clock: ``KEYTURN_SANDBOX_CLOCK``; empty: real time.
    """

    cloud: Cloud
    vaults: frozenset[str]
    subscriptions: frozenset[str]
    sweep_schedule: str
    near_expiry: bool
    failure_limit: int
    recheck_after: timedelta | None
    policy: Policy
    config_sources: tuple[str, ...]
    blob_canary: str
    client_id: str
    topic: str
    storage: Storage
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
            subscriptions=_subscriptions(env, problems),
            sweep_schedule=_schedule(env, problems),
            near_expiry=_wish(env, "KEYTURN_NEAR_EXPIRY", ("ignore", "rotate"), problems),
            failure_limit=_number(env, "KEYTURN_FAILURE_LIMIT", "5", range(1, 100_001), problems),
            recheck_after=_recheck_after(env, problems),
            policy=Policy(
                nudge=_wish(env, "KEYTURN_VERSIONLESS", ("verify", "nudge"), problems),
                recreate=_wish(
                    env, "KEYTURN_RECREATE_CONTAINER_GROUPS", ("false", "true"), problems
                ),
            ),
            config_sources=_config_sources(env, cloud, problems),
            blob_canary=_blob_canary(env, problems),
            client_id=_client_id(env, problems),
            topic=_topic(env, cloud, problems),
            storage=_storage(env, cloud, problems),
            sandbox_clock=_sandbox_clock(env, problems),
        )
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


def _subscriptions(env: Mapping[str, str], problems: list[str]) -> frozenset[str]:
    listed = [text.lower() for text in _listed(env, "KEYTURN_SUBSCRIPTIONS")]
    problems += [
        f"KEYTURN_SUBSCRIPTIONS: {text!r} is no subscription id"
        for text in listed
        if not _GUID.fullmatch(text)
    ]
    return frozenset(listed)


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


def _wish(env: Mapping[str, str], name: str, choices: tuple[str, str], problems: list[str]) -> bool:
    """Return whether the second of two choices is made; the first is the default."""
    wish = env.get(name, "").strip() or choices[0]
    if wish not in choices:
        problems.append(f"{name} is {wish!r}, neither {choices[1]!r} nor {choices[0]!r}")
    return wish == choices[1]


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


def _recheck_after(env: Mapping[str, str], problems: list[str]) -> timedelta | None:
    hours = _number(env, "KEYTURN_RECHECK_HOURS", "24", range(721), problems)
    return timedelta(hours=hours) if hours else None


def _number(
    env: Mapping[str, str], name: str, default: str, allowed: range, problems: list[str]
) -> int:
    text = env.get(name, "").strip() or default
    if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) in allowed:  # noqa: PLR2004 - longer is no number of ours
        return int(text)
    problems.append(f"{name} is {text!r:.50}, no number from {allowed[0]} to {allowed[-1]}")
    return allowed[0]


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
