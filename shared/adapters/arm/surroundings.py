"""What lies around, behind ``shared.ports.Surroundings``.

Source of paths and bodies: azure-rest-api-specs, ``eventgrid`` (2022-06-15, "Event Subscriptions -
List By Resource" and "System Topic Event Subscriptions - List By System Topic"), ``monitor``
(diagnosticSettings, 2021-05-01-preview) and ``managementgroups`` (2020-05-01, "Get Descendants").
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.adapters.arm.client import ArmClient
from shared.adapters.arm.vaults import ArmVaults
from shared.domain.errors import NotFoundError
from shared.domain.json_paths import Json, every, look_up, text_at
from shared.domain.resources import ResourceId
from shared.ports import EventSubscription

_GRAPH = "/providers/Microsoft.ResourceGraph/resources"
_GRAPH_VERSION = "2021-03-01"
_SUBSCRIPTIONS_VERSION = "2022-12-01"
_GROUPS_VERSION = "2020-05-01"
_EVENTS_VERSION = "2022-06-15"
_DIAGNOSTICS_VERSION = "2021-05-01-preview"
_GROUP_NAME = re.compile(r"[\w.()-]{1,90}", re.ASCII)
_AUDIT = {"auditevent", "audit", "alllogs"}
"""Categories, and groups of categories, with which a vault's key operations are logged."""


@dataclass(frozen=True, slots=True)
class ArmSurroundings:
    """Reads lists of Azure Resource Manager, and what Resource Graph has of vaults and topics."""

    client: ArmClient

    def subscriptions(self) -> Sequence[tuple[str, str]]:
        """See ``Surroundings.subscriptions``."""
        found = self._pages("/subscriptions", _SUBSCRIPTIONS_VERSION, "list the subscriptions")
        return [
            (text_at(one, "subscriptionId").lower(), text_at(one, "displayName")) for one in found
        ]

    def under(self, management_group: str) -> Sequence[str]:
        """See ``Surroundings.under``."""
        if not _GROUP_NAME.fullmatch(management_group):
            raise NotFoundError(f"{management_group!r:.100} is no id of a management group")
        path = f"/providers/Microsoft.Management/managementGroups/{management_group}/descendants"
        found = self._pages(path, _GROUPS_VERSION, f"read management group {management_group}")
        return [
            text_at(one, "name").lower()
            for one in found
            if text_at(one, "type").lower().endswith("/subscriptions")
        ]

    def vaults(self, subscriptions: Sequence[str]) -> Iterator[str]:
        """See ``Surroundings.vaults``."""
        text = (
            "resources | where type in~ ('microsoft.keyvault/vaults',"
            " 'microsoft.keyvault/managedhsms') | project id, properties | order by id asc"
        )
        for row in self._graph("find the vaults", text, subscriptions):
            uri = text_at(row, "properties.vaultUri") or text_at(row, "properties.hsmUri")
            if host := uri.lower().removeprefix("https://").rstrip("/").removesuffix(":443"):
                yield host

    def vault_id(self, vault: str) -> str:
        """See ``Surroundings.vault_id``."""
        return ArmVaults(self.client).id_of(vault)

    def event_subscriptions(self, vault_id: str) -> Sequence[EventSubscription]:
        """See ``Surroundings.event_subscriptions``. One may be listed in both places."""
        vault = ResourceId.parse(vault_id)
        kept = "/providers/Microsoft.EventGrid/eventSubscriptions"
        paths = [f"{vault}{kept}"]
        paths += [f"{topic}/eventSubscriptions" for topic in self._topics(vault)]
        found = {
            text_at(one, "id").lower(): _subscription(one)
            for path in paths
            for one in self._pages(path, _EVENTS_VERSION, f"list {path}")
        }
        return list(found.values())

    def system_topics(self, vault_id: str) -> Sequence[str]:
        """See ``Surroundings.system_topics``."""
        return list(self._topics(ResourceId.parse(vault_id)))

    def audits(self, vault_id: str) -> Sequence[str]:
        """See ``Surroundings.audits``."""
        path = f"{ResourceId.parse(vault_id)}/providers/Microsoft.Insights/diagnosticSettings"
        return [
            text_at(one, "properties.workspaceId")
            for one in self._pages(path, _DIAGNOSTICS_VERSION, f"list {path}")
            if text_at(one, "properties.workspaceId") and _audits(one)
        ]

    def _topics(self, vault: ResourceId) -> Iterator[str]:
        text = (
            "resources | where type =~ 'microsoft.eventgrid/systemtopics' | project id, properties"
        )
        for row in self._graph("find the vault's system topic", text, [vault.subscription]):
            if text_at(row, "properties.source").lower() == vault.folded:
                yield ResourceId.parse(text_at(row, "id")).text

    def _graph(self, doing: str, text: str, subscriptions: Sequence[str]) -> Iterator[Json]:
        token = ""
        while True:
            options = {"resultFormat": "objectArray"} | ({"$skipToken": token} if token else {})
            body = {"query": text, "options": options}
            if subscriptions:
                body["subscriptions"] = list(subscriptions)
            query = {"api-version": _GRAPH_VERSION}
            answer = self.client.send("POST", _GRAPH, doing=doing, query=query, body=body)
            yield from every(answer.body, "data.*")
            token = text_at(answer.body, "$skipToken")
            if not token:
                return

    def _pages(self, path: str, version: str, doing: str) -> Iterator[Json]:
        query = {"api-version": version}
        while path:
            answer = self.client.send("GET", path, doing=doing, query=query)
            yield from answer.body.get("value", [])
            path, query = text_at(answer.body, "nextLink"), {}


def _subscription(body: Json) -> EventSubscription:
    state = text_at(body, "properties.provisioningState")
    types = look_up(body, "properties.filter.includedEventTypes")
    kept = ("deadLetterDestination", "deadLetterWithResourceIdentity.deadLetterDestination")
    destination = "properties.destination"
    behind = "properties.deliveryWithResourceIdentity.destination"
    told = [
        text_at(body, f"{where}.properties.{name}")
        for where in (destination, behind)
        for name in ("resourceId", "endpointBaseUrl")
    ]
    endpoint = next(filter(None, told), "")
    queues = [text_at(body, f"{where}.properties.queueName") for where in (destination, behind)]
    if queue := next(filter(None, queues), ""):  # the rest is its account's
        endpoint = f"{endpoint}/queueServices/default/queues/{queue}"
    return EventSubscription(
        id=text_at(body, "id"),
        endpoint=endpoint,
        types=tuple(str(each) for each in types) if isinstance(types, list) else (),
        dead_letters=any(look_up(body, f"properties.{path}") for path in kept),
        problem="" if state.lower() in ("", "succeeded") else state,
    )


def _audits(body: Json) -> bool:
    return any(
        look_up(log, "enabled") is True
        and {text_at(log, "category").lower(), text_at(log, "categoryGroup").lower()} & _AUDIT
        for log in every(body, "properties.logs.*")
    )
