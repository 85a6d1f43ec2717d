"""How the versions that a resource names stand to the target."""

from collections.abc import Iterable
from dataclasses import replace

from shared.domain.errors import NotFoundError
from shared.domain.keys import KeyVersion, VersionState, is_older
from shared.domain.plans import Age
from shared.domain.rows import Rotation
from shared.ports import Vaults


def ages_of(
    vaults: Vaults, named: Iterable[KeyVersion | None], target: VersionState
) -> dict[KeyVersion, Age]:
    """Return the age of each version, other than the target, that a resource names.

    Asks the vault, since versions have no order in their text. When a version was made never
    changes, so it is asked once for many resources.
    """
    others = {v for v in named if v and v != target.id and v.key == target.id.key}
    return {version: _age(vaults, version, target) for version in others}


def _age(vaults: Vaults, version: KeyVersion, target: VersionState) -> Age:
    try:
        created = vaults.created(version)
    except NotFoundError:
        return Age.UNTOLD
    one = replace(target, id=version, created=created)
    current = target.id if created != target.created else vaults.current(version.key).id
    if is_older(one, target, current):
        return Age.OLDER
    return Age.NEWER if is_older(target, one, current) else Age.UNTOLD


def target_of(rotation: Rotation) -> VersionState:
    """Return the target as the vault described it when the rotation was opened."""
    return VersionState(
        id=KeyVersion.parse(rotation.target),
        created=rotation.target_created,
        enabled=True,
        key_type=rotation.key_type,
        bits=rotation.bits,
        expires=rotation.expires,
        operations=rotation.operations,
    )
