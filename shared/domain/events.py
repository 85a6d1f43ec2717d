"""What Key Vault says through Event Grid, once it is known to be well formed."""

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
        if not isinstance(payload, Mapping):
            raise InvalidEventError(
                f"event {event_id}: data is {type(payload).__name__}, no object"
            )
        fields = {str(name).strip().lower(): value for name, value in payload.items()}
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


def _moment(seconds: object) -> datetime | None:
    """Read a Unix time; of anything else the vault is asked later."""
    if not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
