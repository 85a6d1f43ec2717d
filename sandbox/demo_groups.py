"""The container groups of the demo's estate."""

from collections.abc import Iterator

from sandbox.container_estate import ContainerGroup, Secrets
from sandbox.demo_ground import LATE_BY, WRITTEN, Ground, spoken
from sandbox.demo_kinds import Family
from sandbox.demo_members import (
    MADE_AGAIN,
    MADE_AGAIN_LATE,
    MANUAL,
    NEVER_RUNNING,
    WITHOUT_ROOM,
    Member,
)

_OF = Family.GROUPS


class GroupsBuilder:
    """Makes container groups."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def members(self) -> Iterator[Member]:
        """Make those on the payments key."""
        healthy = self._group("aci-payments-api", secrets="references")
        yield Member(healthy.id, _OF, MADE_AGAIN)
        slow = self._group("aci-payments-batch")
        slow.pace.creation = self._ground.slow_by
        made_to = f"takes {spoken(self._ground.slow_by)} to start"
        yield Member(slow.id, _OF, MADE_AGAIN, made_to)
        late = self._group("aci-payments-night")
        late.pace.creation = WRITTEN + LATE_BY
        self._ground.timing.late.append(late)
        made_to = (
            f"takes {spoken(WRITTEN + LATE_BY)} to start; when its hour ends it cannot be read"
        )
        yield Member(late.id, _OF, MADE_AGAIN_LATE, made_to)
        stuck = self._group("aci-payments-sync")
        stuck.pace.creation = None
        yield Member(stuck.id, _OF, NEVER_RUNNING, "is made again and never starts")
        full = self._group("aci-payments-gpu")
        full.pace.failures = None
        yield Member(full.id, _OF, WITHOUT_ROOM, "finds no room in its region when made again")
        hidden = self._group("aci-payments-sftp", secrets="hidden")
        yield Member(hidden.id, _OF, MANUAL, "has secrets that no GET shows")

    def _group(self, name: str, *, secrets: Secrets = "none") -> ContainerGroup:
        return self._ground.estate.container_group(
            name,
            subscription=self._ground.production,
            key=self._ground.payments,
            user_assigned=self._ground.identity,
            secrets=secrets,
        )

    def others(self) -> Iterator[str]:
        """Make what is on the archive's key, or on the platform's."""
        for name, key in (("aci-archive-export", self._ground.archive), ("aci-build-agent", None)):
            group = self._ground.estate.container_group(
                name, subscription=self._ground.shared, key=key
            )
            yield group.id
