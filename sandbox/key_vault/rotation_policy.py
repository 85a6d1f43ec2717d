"""The rotation policy of a key."""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sandbox.key_vault.errors import bad_parameter

_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?)?")
_DEFAULT_NOTIFY = {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}
_ACTIONS = {"rotate": "Rotate", "notify": "Notify"}
_TRIGGERS = ("timeAfterCreate", "timeBeforeExpiry")


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """What a key's owner has set. Its actions are kept and shown, not carried out by themselves."""

    actions: tuple[Mapping[str, Any], ...] = (_DEFAULT_NOTIFY,)
    expiry_time: str | None = None
    """ISO 8601 duration after which a rotated version expires; ``None``: never."""
    created: int | None = None
    """Unix seconds; ``None`` if the policy has never been edited."""
    updated: int | None = None

    @classmethod
    def read(cls, body: Mapping[str, Any], *, now: int, created: int | None) -> Self:
        """Read the body of a PUT.

        A policy without a Notify action is given the default one (recorded).

        Raises:
            KeyVaultError: A duration or an action is not one.
        """
        actions = [_action(item) for item in body.get("lifetimeActions") or ()]
        if not any(item["action"]["type"] == "Notify" for item in actions):
            actions.append(_DEFAULT_NOTIFY)
        expiry_time = (body.get("attributes") or {}).get("expiryTime")
        if expiry_time is not None:
            _duration(expiry_time)
        return cls(tuple(actions), expiry_time, now if created is None else created, now)

    def expiry_of(self, created: datetime) -> datetime | None:
        """Return when a version that is made at ``created`` expires."""
        return None if self.expiry_time is None else _after(created, self.expiry_time)

    def notice_at(self, created: datetime, ends: datetime) -> datetime:
        """Return when it is told of a version that it nears its end, by the first Notify."""
        first = next(each for each in self.actions if each["action"]["type"] == "Notify")
        ((name, duration),) = first["trigger"].items()
        if name == "timeAfterCreate":
            return _after(created, duration)
        return _after(ends, duration, back=True)

    def shown(self, policy_id: str) -> dict[str, Any]:
        """Return the JSON of the policy.

        Recorded: key-vault/keyvault_key_rotation.json #5; for a policy that has never been
        edited, without ``id`` and with null ``attributes``, in cloud-custodian's recordings.
        """
        actions = [dict(item) for item in self.actions]
        if self.created is None:
            return {"lifetimeActions": actions, "attributes": None}
        attributes: dict[str, Any] = {"created": self.created, "updated": self.updated}
        if self.expiry_time is not None:
            attributes = {"expiryTime": self.expiry_time} | attributes
        return {"id": policy_id, "lifetimeActions": actions, "attributes": attributes}


def _action(item: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = _ACTIONS.get(str((item.get("action") or {}).get("type")).lower())
    trigger = item.get("trigger") or {}
    times = {name: trigger[name] for name in _TRIGGERS if trigger.get(name) is not None}
    if kind is None or len(times) != 1:
        raise bad_parameter("A lifetime action needs a type and exactly one trigger.")
    for duration in times.values():
        _duration(duration)
    return {"trigger": times, "action": {"type": kind}}


def _duration(text: object) -> tuple[int, int, int, int]:
    found = _DURATION.fullmatch(str(text))
    if found is None or not any(found.groups()):
        raise bad_parameter(f"'{text}' is not a duration such as P90D.")
    years, months, days, hours = (int(part or 0) for part in found.groups())
    return years, months, days, hours


def _after(start: datetime, text: str, *, back: bool = False) -> datetime:
    """Add a duration by the calendar: years and months first, the day cut to the month's last.

    With ``back`` it is taken off.
    """
    sign = -1 if back else 1
    years, months, days, hours = _duration(text)
    total = start.year * 12 + start.month - 1 + sign * (years * 12 + months)
    year, month = total // 12, total % 12 + 1
    day = min(start.day, monthrange(year, month)[1])
    moved = start.replace(year=year, month=month, day=day)
    return moved + sign * timedelta(days=days, hours=hours)
