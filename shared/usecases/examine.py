"""See whether everything around Keyturn is as it must be, and say what mends it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from shlex import quote

from shared.catalog import KINDS
from shared.domain.app_views import CheckView, Health
from shared.domain.callers import Who
from shared.domain.errors import AccessDeniedError, KeyturnError, NotSignedInError, TransientError
from shared.domain.events import (
    ACCESS_POLICY_CHANGED,
    KEY_EXPIRED,
    KEY_NEAR_EXPIRY,
    KEY_NEW_VERSION_CREATED,
)
from shared.domain.kinds import Plane
from shared.domain.vault_settings import VaultSettings
from shared.ports import EventSubscription, Resources, Surroundings, VaultRegistry, Vaults

_ARM = [kind for kind in KINDS if kind.plane is Plane.ARM]
_TYPES = (KEY_NEW_VERSION_CREATED, KEY_NEAR_EXPIRY, KEY_EXPIRED, ACCESS_POLICY_CHANGED)
_UNSEEN = "<your object id>"
_LISTING = ("get", "list", "getrotationpolicy")
_PAGE = "docs/troubleshooting.md"
_BY_FIREWALL = re.compile(r"ForbiddenByFirewall|client address is not authorized", re.IGNORECASE)
"""In a refusal of Key Vault: azure-docs#61015."""

_BY_CONNECTION = re.compile(
    r"ForbiddenByConnection|Public network access is disabled", re.IGNORECASE
)
"""Likewise where only a private link leads to it: secrets-store-csi-driver-provider-azure#873."""

_HOOK = "azd hooks run postdeploy  # of an app that is not deployed yet: azd up"
"""What makes topics and event subscriptions as the template has them."""

_ABOUT = "docs/cli.md#is-everything-as-it-must-be"
"""What to do about what only somebody else, or from elsewhere, can look at."""

_OF_EVENTS = (
    "Microsoft.EventGrid/eventSubscriptions/read",
    "Microsoft.EventGrid/systemTopics/read",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions/read",
)
_OF_AUDIT = ("Microsoft.Insights/diagnosticSettings/read",)
"""Rights that the app does without: what they show is looked at by whoever deploys it."""

_OURS = ("/functions/key_events", "/queues/keyturn-events")
"""How the endpoints end by which a Keyturn hears of keys."""


@dataclass(slots=True, kw_only=True)
class Examine:
    """Look at identity, rights, vaults and their surroundings; nothing is changed.

    What cannot be looked at is a finding too. Advice is the command that mends it, as it is to be
    typed; what only the reader knows stands in it in ``<angle brackets>``. Where no command does,
    it is the page that tells what to do.

    Attributes:
        who: Returns who we are.
    """

    resources: Resources
    vaults: Vaults
    registry: VaultRegistry
    surroundings: Surroundings
    who: Callable[[], Who]
    _object_id: str = field(default=_UNSEEN)

    def run(self, vaults: Sequence[str], subscriptions: Sequence[str]) -> Iterator[CheckView]:
        """Yield what was found, part by part.

        Args:
            vaults: Hosts of those to look at; none: all in the subscriptions.
            subscriptions: Ids of those to look at; none: all that are visible.

        Raises:
            NotSignedInError: Nothing can be looked at.
        """
        who = self.who()
        self._object_id = who.object_id or _UNSEEN
        yield _fine("identity", f"{who.name} (object id {who.object_id}, tenant {who.tenant})")
        yield from self._tried("subscriptions", lambda: self._subscriptions(subscriptions))
        hosts = list(vaults)
        if not hosts:
            yield from self._tried("vaults", lambda: self._found(subscriptions, hosts))
        for host in hosts:
            yield from self._vault(host)

    def _found(self, subscriptions: Sequence[str], hosts: list[str]) -> Iterator[CheckView]:
        hosts += self.surroundings.vaults(subscriptions)
        if not hosts:
            said = "Resource Graph shows no vault that we may read"
            mend = self._grant("Reader", "/subscriptions/<id of the vaults' subscription>")
            yield CheckView(name="vaults", status=Health.FAIL, said=said, advice=mend)

    def _subscriptions(self, wanted: Sequence[str]) -> Iterator[CheckView]:
        visible = self.resources.subscriptions()
        if not visible:
            said = "our identity sees no subscription"
            mend = self._grant("Reader", "/subscriptions/<id>")
            yield CheckView(name="subscriptions", status=Health.FAIL, said=said, advice=mend)
        for each in wanted or visible:
            name, scope = f"subscription {each}", f"/subscriptions/{each}"
            lacking = self.resources.lacking(each, _ARM) if each in visible else ["every right"]
            if lacking:
                said = f"it cannot be searched whole: we lack {', '.join(lacking)}"
                mend = self._grant("Reader", scope)
                yield CheckView(name=name, status=Health.FAIL, said=said, advice=mend)
            else:
                yield _fine(name, "everything that may use a key can be read in it")

    # -- a vault ---------------------------------------------------------------------------------

    def _vault(self, host: str) -> Iterator[CheckView]:
        name = host.partition(".")[0]
        settings: list[VaultSettings] = []
        yield from self._tried(f"vault {name}", lambda: self._settings(host, settings))
        yield from self._keys(host, name, settings[0] if settings else None)
        vault_id: list[str] = []
        yield from self._tried(f"vault {name}", lambda: self._placed(host, vault_id))
        for place in vault_id:
            if _is_hsm(host):
                said = "a managed HSM sends none: its new versions are found by the timer alone"
                yield _fine(f"events of {name}", said)
            else:
                yield from self._around(
                    f"events of {name}",
                    _OF_EVENTS,
                    lambda p=place: self._events(p, name),  # type: ignore[misc] # bound here
                )
            yield from self._around(
                f"audit log of {name}",
                _OF_AUDIT,
                lambda p=place: self._audit(p, name),  # type: ignore[misc] # likewise
            )

    def _placed(self, host: str, found: list[str]) -> Iterator[CheckView]:
        found.append(self.surroundings.vault_id(host))
        return iter(())

    def _settings(self, host: str, found: list[VaultSettings]) -> Iterator[CheckView]:
        name = host.partition(".")[0]
        vault = self.registry.settings(host)
        found.append(vault)
        is_hsm = _is_hsm(host)
        update = f"az keyvault {'update-hsm' if is_hsm else 'update'} {_named(host)}"
        if not vault.soft_delete:
            said = "soft delete is off"
            # no option of ``az keyvault update`` any more
            mend = f"az resource update --ids {_id_of(host)} --set properties.enableSoftDelete=true"
            yield CheckView(name=f"vault {name}", status=Health.FAIL, said=said, advice=mend)
        if not vault.purge_protection:
            said = "purge protection is off: services refuse its keys"
            mend = f"{update} --enable-purge-protection true"
            yield CheckView(name=f"vault {name}", status=Health.FAIL, said=said, advice=mend)
        is_closed = vault.is_private or vault.is_shut
        if is_closed and not vault.trusts_services:
            said = "its firewall keeps Microsoft's trusted services out, and with them consumers"
            mend = f"{update} --bypass AzureServices"
            yield CheckView(name=f"vault {name}", status=Health.FAIL, said=said, advice=mend)
        elif vault.is_perimeter:
            said = "a network security perimeter decides who reaches it, which is not looked at"
            mend = f"az resource show --ids {_id_of(host)}"
            yield CheckView(name=f"vault {name}", status=Health.WARN, said=said, advice=mend)
        elif vault.soft_delete and vault.purge_protection:
            door = "open to trusted services and what its rules name" if is_closed else "open"
            said = f"soft delete and purge protection are on; its firewall is {door}"
            yield _fine(f"vault {name}", said)

    def _keys(self, host: str, name: str, settings: VaultSettings | None) -> Iterator[CheckView]:
        check = f"keys of {name}"
        try:
            found = next(iter(self.vaults.keys(host)), None)
        except KeyturnError as error:
            mend = self._opening(error, host, settings)
            yield CheckView(name=check, status=Health.FAIL, said=str(error), advice=mend)
        else:
            yield _fine(check, "they can be listed" if found else "it has none")

    def _opening(self, error: KeyturnError, host: str, settings: VaultSettings | None) -> str:
        """Return what lets us list the keys of a vault that refused."""
        if not isinstance(error, AccessDeniedError):
            return f"az keyvault show {_named(host)}"  # whether there is one, and it is reached
        if _BY_FIREWALL.search(str(error)):
            return f"az keyvault network-rule add {_named(host)} --ip-address <this machine's>"
        if _BY_CONNECTION.search(str(error)):
            return _ABOUT
        if _is_hsm(host):
            # docs: "Managed HSM data plane role management"; a managed HSM has roles of its own
            return (
                f"az keyvault role assignment create {_named(host)} --assignee {self._object_id}"
                ' --role "Managed HSM Crypto Auditor" --scope /keys'
            )
        if settings is None or settings.rbac:
            return self._grant("Key Vault Reader", _id_of(host))
        # The command puts these in the place of what we have: it is named once more.
        held = settings.permissions.get(f"{self._object_id}/", frozenset())
        return (
            f"az keyvault set-policy {_named(host)} --object-id {self._object_id}"
            f" --key-permissions {' '.join([*_LISTING, *sorted(held - {*_LISTING})])}"
        )

    def _events(self, vault_id: str, name: str) -> Iterator[CheckView]:
        check = f"events of {name}"
        heard = [
            each
            for each in self.surroundings.event_subscriptions(vault_id)
            if each.endpoint.lower().endswith(_OURS)
        ]
        if not heard:
            said = "no event subscription leads to a Keyturn: only the timer finds new versions"
            topics = self.surroundings.system_topics(vault_id)
            mend = _subscribe(topics[0]) if topics else _HOOK
            yield CheckView(name=check, status=Health.WARN, said=said, advice=mend)
        for each in heard:
            yield from _of_subscription(check, each)

    def _audit(self, vault_id: str, name: str) -> Iterator[CheckView]:
        check = f"audit log of {name}"
        if self.surroundings.audits(vault_id):
            yield _fine(check, "its audit events go to a workspace")
            return
        said = "its audit events go to no workspace: who still uses an old version is not on record"
        mend = (
            f"az monitor diagnostic-settings create --name keyturn --resource {quote(vault_id)}"
            " --workspace <id of a Log Analytics workspace>"
            """ --logs '[{"categoryGroup": "audit", "enabled": true}]'"""
        )
        yield CheckView(name=check, status=Health.WARN, said=said, advice=mend)

    def _around(
        self, name: str, rights: Sequence[str], look: Callable[[], Iterator[CheckView]]
    ) -> Iterator[CheckView]:
        """Yield what a look finds that the app's own identity need not be able to take."""

        def allowed() -> Iterator[CheckView]:
            try:
                yield from look()
            except AccessDeniedError:
                said = f"not looked at: that takes {', '.join(rights)}"
                yield CheckView(name=name, status=Health.WARN, said=said, advice=_ABOUT)

        yield from self._tried(name, allowed)

    def _tried(self, name: str, look: Callable[[], Iterator[CheckView]]) -> Iterator[CheckView]:
        try:
            yield from look()
        except NotSignedInError:
            raise
        except KeyturnError as error:
            mend = _PAGE
            if isinstance(error, TransientError):
                mend = "keyturn doctor"
            elif isinstance(error, AccessDeniedError):
                mend = self._grant("Reader", "/subscriptions/<id>")
            yield CheckView(name=name, status=Health.FAIL, said=str(error), advice=mend)

    def _grant(self, role: str, scope: str) -> str:
        return (
            f'az role assignment create --assignee {self._object_id} --role "{role}"'
            f" --scope {scope}"
        )


def _is_hsm(host: str) -> bool:
    return ".managedhsm." in host


def _named(host: str) -> str:
    """Return the option by which ``az keyvault`` takes a vault, or a managed HSM."""
    return f"{'--hsm-name' if _is_hsm(host) else '--name'} {host.partition('.')[0]}"


def _id_of(host: str) -> str:
    """Return what a shell makes a vault's resource id of."""
    return f"$(az keyvault show {_named(host)} --query id -o tsv)"


def _of_subscription(check: str, found: EventSubscription) -> Iterator[CheckView]:
    source, _, name = found.id.rpartition("/eventSubscriptions/")
    if "/systemTopics/" in source:
        update = (
            "az eventgrid system-topic event-subscription update"
            f" --name {quote(name)} {_on_topic(source)}"
        )
    else:
        resource = source.partition("/providers/Microsoft.EventGrid")[0]
        update = (
            f"az eventgrid event-subscription update --name {quote(name)}"
            f" --source-resource-id {quote(resource)}"
        )
    held = {each.lower() for each in found.types}
    missing = [each for each in _TYPES if held and each.lower() not in held]
    if found.problem:
        said = f"the event subscription {name} is {found.problem}"
        yield CheckView(name=check, status=Health.FAIL, said=said, advice=_HOOK)
    if missing:
        said = f"the event subscription {name} leaves out {', '.join(missing)}"
        mend = f"{update} --included-event-types {' '.join(_TYPES)}"
        yield CheckView(name=check, status=Health.WARN, said=said, advice=mend)
    if not found.dead_letters:
        said = f"the event subscription {name} has no dead-letter: undelivered events are dropped"
        mend = (
            f"{update} --deadletter-endpoint"
            " <id of a storage account>/blobServices/default/containers/<container>"
        )
        yield CheckView(name=check, status=Health.WARN, said=said, advice=mend)
    if not (found.problem or missing) and found.dead_letters:
        yield _fine(check, f"the event subscription {name} delivers them, with a dead-letter")


def _on_topic(topic: str) -> str:
    """Return the options by which ``az eventgrid system-topic`` takes a topic, given by its id."""
    return (
        f"--resource-group {quote(_group_of(topic))}"
        f" --system-topic-name {quote(topic.rpartition('/')[2])}"
    )


def _group_of(resource: str) -> str:
    return resource.partition("/resourceGroups/")[2].partition("/")[0]


def _subscribe(topic: str) -> str:
    """Return what subscribes to a topic that there is: a source has one at most.

    Source: docs, "System topics in Azure Event Grid".
    """
    return (
        f"az eventgrid system-topic event-subscription create --name keyturn {_on_topic(topic)}"
        " --endpoint-type azurefunction"
        " --endpoint <id of the function app>/functions/key_events"
        f" --included-event-types {' '.join(_TYPES)} --deadletter-endpoint"
        " <id of a storage account>/blobServices/default/containers/<container>"
    )


def _fine(name: str, said: str) -> CheckView:
    return CheckView(name=name, status=Health.PASS, said=said, advice=None)
