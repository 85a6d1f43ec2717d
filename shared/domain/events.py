"""What Key Vault says through Event Grid, once it is known to be well formed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from shared.domain.clouds import Cloud
from shared.domain.errors import InvalidEventError, NotAllowedError
from shared.domain.keys import Key, KeyVersion, parse_key_url

KEY_NEW_VERSION_CREATED = "Microsoft.KeyVault.KeyNewVersionCreated"
KEY_NEAR_EXPIRY = "Microsoft.KeyVault.KeyNearExpiry"
KEY_EXPIRED = "Microsoft.KeyVault.KeyExpired"
ACCESS_POLICY_CHANGED = "Microsoft.KeyVault.VaultAccessPolicyChanged"

_VAULT_URL = re.compile(
    r"https://(?P<host>[a-z0-9.-]+)(?::443)?(?:/[^?#@]*)?", re.IGNORECASE | re.ASCII
)
_VAULT_ID = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.KeyVault/vaults/(?P<name>[^/]+)",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvent:
    """Something happened to a key of ours.

    A hint, not an order: events come late, twice and out of order, so the version they announce
    is logged and the newest one is read from the vault.

    Attributes:
        announced: The version that the event is about; ``None`` if it names none.
        expires: When it ends, as the event says; ``None`` if it does not.
    """

    id: str
    key: Key
    announced: KeyVersion | None
    expires: datetime | None = None

    @classmethod
    def from_payload(
        cls, event_id: str, payload: object, *, cloud: Cloud, vaults: frozenset[str]
    ) -> Self:
        """Read the ``data`` of an event, of either schema.

        Only ``Id`` is trusted; the other fields repeat parts of it. Names are matched in any
        casing and trimmed: Microsoft's own sample has ``"ObjectName "``, and real payloads have
        been seen in camel case.

        Args:
            event_id: The event's id, for messages.
            payload: ``data`` as it came: a JSON object, if all is well.
            cloud: Whose vault hosts are vault hosts.
            vaults: Hosts of the vaults that may be managed.

        Raises:
            InvalidEventError: ``Id`` is missing or no text, or the object is no key.
            InvalidKeyUrlError: ``Id`` is not the URL of a key.
            NotAllowedError: The vault is none of this cloud's, or off the allow-list.
        """
        fields = _fields(event_id, payload)
        kind, url = fields.get("objecttype"), fields.get("id")
        if isinstance(kind, str) and kind.strip().lower() != "key":
            raise InvalidEventError(f"event {event_id}: it is about a {kind[:50]!r}, no key")
        if not isinstance(url, str):
            raise InvalidEventError(f"event {event_id}: data.Id is {url!r:.200}, no text")
        named = parse_key_url(url)
        key, announced = (named, None) if isinstance(named, Key) else (named.key, named)
        if cloud.vault_host(key.vault) not in vaults:
            raise NotAllowedError(f"{key.vault} is not on the allow-list (KEYTURN_VAULTS)")
        return cls(id=event_id, key=key, announced=announced, expires=_moment(fields.get("exp")))


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultEvent:
    """What a vault of ours allows has changed: its access policies, or to or from roles.

    Attributes:
        vault: The vault's host.
    """

    id: str
    vault: str

    @classmethod
    def from_payload(
        cls, event_id: str, payload: object, *, cloud: Cloud, vaults: frozenset[str]
    ) -> Self:
        """Read the ``data`` of an event, of either schema. Arguments as ``KeyEvent`` has them.

        Its fields are those of every event of a vault (docs: Azure Key Vault as Event Grid source);
        what ``Id`` holds where no object of the vault is meant, no page says. It may be a URL at
        the vault or the vault's resource id; it and ``VaultName`` must name the same vault.

        Raises:
            InvalidEventError: No vault is named, or two are.
            NotAllowedError: The vault is none of this cloud's, or off the allow-list.
        """
        fields = _fields(event_id, payload)
        said = [_vault_in(fields.get("id")), fields.get("vaultname")]
        named = {cloud.vault_host(each.strip()) for each in said if isinstance(each, str) and each}
        if len(named) != 1:
            found = " and ".join(sorted(named)) or "none"
            raise InvalidEventError(f"event {event_id}: which vault is meant? It names {found}")
        (vault,) = named
        if vault not in vaults:
            raise NotAllowedError(f"{vault} is not on the allow-list (KEYTURN_VAULTS)")
        return cls(id=event_id, vault=vault)


def _fields(event_id: str, payload: object) -> Mapping[str, object]:
    """Return the fields of ``data`` by their names in lower case, without blanks.

    Raises:
        InvalidEventError: It is no object.
    """
    if not isinstance(payload, Mapping):
        raise InvalidEventError(f"event {event_id}: data is {type(payload).__name__}, no object")
    return {str(name).strip().lower(): value for name, value in payload.items()}


def _vault_in(said: object) -> object:
    """Return the host or the name of the vault in an ``Id``; what is neither form as it is."""
    if not isinstance(said, str):
        return None
    text = said.strip()
    if found := _VAULT_URL.fullmatch(text):
        return found["host"]
    if found := _VAULT_ID.fullmatch(text):
        return found["name"]
    return text


def _moment(seconds: object) -> datetime | None:
    """Read a Unix time; of anything else the vault is asked later."""
    if not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
