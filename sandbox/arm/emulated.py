"""Kinds of resources that are emulated by what is on record about them, not by code of their own.

What a service does is data (``Emulated``); ``EmulatedFields`` is how its resources name a key
and show what they use of it, for ``KeyUsers``.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sandbox.arm import json_paths
from sandbox.arm.errors import ArmError
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import find_version, vault_name
from sandbox.arm.operations import Polling
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.arm.storage_bodies import stamp
from sandbox.key_vault import KeyUnusable, KeyVaults, KeyVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Where a resource names its key: ``url``, or ``vault``, ``name`` and ``version``. All paths.

    Attributes:
        when: Path and value without which the platform's own key is used; ``None``: no such field.
        follows: Flag that has the service follow the vault though a version is named; it then
            shows the version in force.
        needs_version: Whether a key without a version is refused.
        in_use: Where the service shows the version in use.
        told_at_once: Whether it does so as soon as it has accepted a write (recorded: registries).
        rotated_at: Where it shows since when.
        says_it_follows: Flag in which it shows whether it follows the vault.
        previous: List in which it shows the version that it is still moving from.
        identity: Where the id of the identity is that uses the key.
        client: The same, by its client id.
        bare_vault: Whether the service shows the vault's URI without its slash (recorded:
            namespaces).
        first_party: Object id of the principal that uses the key where neither names one, and the
            resource has no identity.
    """

    url: str = ""
    vault: str = ""
    name: str = ""
    version: str = ""
    when: tuple[str, object] | None = None
    follows: str = ""
    needs_version: bool = False
    in_use: str = ""
    told_at_once: bool = False
    rotated_at: str = ""
    says_it_follows: str = ""
    previous: str = ""
    identity: str = ""
    client: str = ""
    first_party: str = ""
    bare_vault: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a service answers where it refuses; ``{why}`` is the vault's own text."""

    status: int
    code: str
    message: str

    def error(self, why: str = "") -> ArmError:
        """Return the refusal as it is answered."""
        return ArmError(self.status, self.code, self.message.format(why=why))


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """What is on record about one kind.

    Attributes:
        type, api_versions: See ``Provider``.
        key: Where its key is; ``None``: it has none.
        more: Where it names further keys, each of its own.
        entries: Path of the list in which ``key`` and ``more`` are entries; empty: they are not.
        busy: What a write is answered while another goes on.
        request: A PUT that makes one, without its key.
        shows: ``properties`` that the service adds.
        state: Path of what shows whether a write goes on; empty: nothing does.
        states: What it says during a write, after it, and after one that failed.
        patched, replaced, created: The statuses of the answers. With 202 there is a body only
            where ``says_more``.
        unchanged: The status of a PUT that changes nothing, where that is another one.
        accepts: What a 202 calls the operation in its body, which has nothing else but its start.
        patches: Whether PATCH changes more than tags.
        whole: Paths of objects that PATCH replaces as a whole.
        refuses: What a request must not hold, by path, and what it is then answered.
        identity_apart: The refusal of a request that changes identity and key in one.
        polling, works_for: Of a write that goes on after its answer; zero: none does.
        looks_every: How often the service looks for a newer version of a key.
        shows_late: See ``KeyFields``.
        refusal: Where the key cannot be used.
        source: The recording, example or page that this follows.
    """

    type: str
    api_versions: tuple[str, ...]
    key: KeyPlace | None
    source: str
    request: Body = field(default_factory=dict)
    shows: Body = field(default_factory=dict)
    state: str = "properties.provisioningState"
    states: tuple[str, str, str] = ("Updating", "Succeeded", "Failed")
    patched: int = 200
    replaced: int = 200
    created: int = 201
    unchanged: int = 0
    says_more: bool = False
    accepts: str = ""
    patches: bool = True
    whole: frozenset[str] = frozenset()
    refuses: tuple[tuple[str, Refusal], ...] = ()
    identity_apart: Refusal | None = None
    polling: Polling = field(default_factory=Polling)
    works_for: timedelta = timedelta(0)
    looks_every: timedelta = timedelta(hours=1)
    shows_late: bool = False
    refusal: Refusal = Refusal(400, "BadRequest", "The key cannot be used: {why}")
    more: tuple[KeyPlace, ...] = ()
    entries: str = ""
    # Recorded of some services (409 AnotherOperationInProgress).
    busy: Refusal = Refusal(
        409, "AnotherOperationInProgress", "Another operation is in progress on the resource."
    )


class EmulatedFields:
    """How the resources of an emulated kind name their key; see ``KeyFields``."""

    hands_over = False

    def __init__(
        self, kind: Emulated, key: KeyPlace, vaults: KeyVaults, identities: Identities
    ) -> None:
        self.looks_every = kind.looks_every
        self.works_for = kind.works_for
        self.accepted = kind.patched
        self.polling = kind.polling
        self.shows_late = kind.shows_late
        self.properties: tuple[str, ...] = tuple(
            dict.fromkeys(path.split(".")[1] for path in (key.url or key.vault, *_paths(key)))
        )
        self._kind = kind
        self._key = key
        self._vaults = vaults
        self._identities = identities

    def written(self, body: Body) -> Body:
        """See ``KeyFields.written``."""
        key = self._key
        if key.when and _folded(json_paths.at(body, key.when[0])) != _folded(key.when[1]):
            return {}
        found = {path: json_paths.at(body, path) for path in _paths(key)}
        return found if json_paths.text(body, key.url or key.name) else {}

    def follows(self, body: Body) -> bool:
        """See ``KeyFields.follows``."""
        if not self.written(body):
            return False
        is_flagged = bool(self._key.follows) and json_paths.at(body, self._key.follows) is True
        return is_flagged or not self.named(body)[2]

    def named(self, body: Body) -> tuple[str, str, str]:
        """Return vault, key and version (which may be empty) that a body names.

        Raises:
            ArmError: It names no key of a vault.
        """
        key = self._key
        if key.url:
            url = json_paths.text(body, key.url)
            words = url.partition("://")[2].strip("/").split("/")
            vault, rest = vault_name(url), words[1:]
        else:
            vault = vault_name(json_paths.text(body, key.vault))
            version = json_paths.text(body, key.version)
            rest = ["keys", json_paths.text(body, key.name), *([version] if version else [])]
        if vault is None or len(rest) not in {2, 3} or rest[0] != "keys":
            raise self._kind.refusal.error("it is no key of a vault.")
        return vault, rest[1], rest[2] if len(rest) == 3 else ""  # noqa: PLR2004 - keys, name, version

    def wanted(self, resource_id: ResourceId, body: Body, when: datetime) -> tuple[KeyVersion, str]:
        """See ``KeyFields.wanted``."""
        del resource_id
        vault, name, version = self.named(body)
        if not version and self._key.needs_version:
            raise self._kind.refusal.error("it names no version.")
        is_flagged = bool(self._key.follows) and json_paths.at(body, self._key.follows) is True
        self._vaults.newest(vault, name)
        found = find_version(self._vaults, vault, name, "" if is_flagged else version, when)
        if found is None:
            raise KeyUnusable("KeyNotFound", f"There is no such version of '{name}'.")
        return found, self._principal(body)

    def show(self, body: Body, version: KeyVersion, when: datetime) -> None:
        """See ``KeyFields.show``."""
        key = self._key
        if key.follows and key.url and json_paths.at(body, key.follows) is True:
            json_paths.put(body, key.url, version.kid)
        if key.in_use:
            json_paths.put(body, key.in_use, version.kid)
        if key.rotated_at:
            json_paths.put(body, key.rotated_at, stamp(when))
        if key.says_it_follows:
            json_paths.put(body, key.says_it_follows, self.follows(body))
        if key.previous:
            json_paths.drop(body, key.previous)

    def refused(self, unusable: KeyUnusable | None) -> ArmError:
        """See ``KeyFields.refused``."""
        return self._kind.refusal.error(unusable.message if unusable else "The key cannot be used.")

    def begin(self, body: Body) -> None:
        """See ``KeyFields.begin``."""
        self._say(body, self._kind.states[0])
        key = self._key
        if key.told_at_once and self.written(body) and self.named(body)[2]:
            json_paths.put(body, key.in_use, json_paths.text(body, key.url))

    def end(self, body: Body, *, succeeded: bool) -> None:
        """See ``KeyFields.end``."""
        self._say(body, self._kind.states[1 if succeeded else 2])

    def looked(self, resource: Resource, refusal: ArmError | KeyUnusable | None) -> None:
        """See ``KeyFields.looked``: what is refused shows nothing of it."""

    def _say(self, body: Body, word: str) -> None:
        if self._kind.state:
            json_paths.put(body, self._kind.state, word)
        vault = self._key.vault
        if self._key.bare_vault and json_paths.text(body, vault):
            json_paths.put(body, vault, json_paths.text(body, vault).rstrip("/"))

    def _principal(self, body: Body) -> str:
        key, identity = self._key, body.get("identity") or {}
        assigned: Body = identity.get("userAssignedIdentities") or {}
        wanted = json_paths.text(body, key.identity) if key.identity else ""
        if client := json_paths.text(body, key.client) if key.client else "":
            named = (one for one, shown in assigned.items() if shown["clientId"] == client)
            wanted = next(named, client)
        if not wanted and not identity.get("principalId"):
            wanted = next(iter(assigned), "")
        principal = self._identities.principal(identity or None, wanted)
        if principal is None and key.first_party and not wanted:
            return key.first_party
        if principal is None:
            raise KeyUnusable("NoIdentity", f"There is no such identity: {wanted or 'its own'}")
        return principal


def show_previous(key: KeyPlace, body: Body, before: Body) -> None:
    """Let a body say which version its service is still moving from."""
    if key.previous and json_paths.text(before, key.url):
        json_paths.put(body, key.previous, [{"keyUrl": json_paths.text(before, key.url)}])


def _paths(key: KeyPlace) -> tuple[str, ...]:
    named = (key.url, key.vault, key.name, key.version, key.identity, key.client, key.follows)
    return tuple(path for path in named if path)


def _folded(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
