"""Show the managed keys: which versions they have, and who uses which."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.domain.errors import KeyturnError
from shared.domain.key_views import KeyPage, KeySummary, KeyView, UnlistedVault, VersionView
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.policy import Policy
from shared.domain.records import Watched
from shared.domain.resources import digest
from shared.domain.rows import KeyHead, Known
from shared.domain.targets import choose_target
from shared.ports import Clock, Policies, Rows, Vaults

UNSAID = ""
"""In the place of a version: a service that does not say which one it uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowKeys:
    """Read keys from their vaults, and what is known of their consumers from our rows.

    Attributes:
        allowed: Hosts of the vaults that may be managed.
    """

    vaults: Vaults
    rows: Rows
    clock: Clock
    policies: Policies
    allowed: frozenset[str]

    def run(self, *, vault: str = "", after: str = "", limit: int) -> KeyPage[KeySummary]:
        """Return a page of the keys of a vault, or of all, by vault and name.

        ``next`` is ``HOST/NAME`` of the last one where there are more: the caller makes a link of
        it. Where all vaults are asked for, one that cannot be listed hides no other.

        Args:
            vault: Its host; empty: every vault.
            after: ``HOST/NAME`` of the last key of the page before; empty: the first page.
            limit: How many keys a page has.

        Raises:
            NotAllowedError: The vault is off the allow-list.
            AccessDeniedError: Our identity may not list its keys.
        """
        policy = self.policies.current()
        unlisted: list[UnlistedVault] = []
        found: list[KeySummary] = []
        following: str | None = None
        for key in self._keys(vault, after) if vault else self._all_keys(after, unlisted):
            if not policy.manages(key):
                continue
            if len(found) == limit:
                following = f"{found[-1].vault}/{found[-1].name}"
                break
            found.append(self._summary(key, policy))
        return KeyPage(items=tuple(found), next=following, unlisted=tuple(unlisted))

    def one(self, key: Key) -> KeyView:
        """Return one key.

        Raises:
            NotFoundError: There is no such key.
            NotAllowedError: The vault is off the allow-list, or the policy leaves the key out.
            AccessDeniedError: Our identity may not read it.
        """
        now, policy = self.clock.now(), self.policies.current()
        policy.check_manages(key)
        current, versions = self.vaults.current(key), self.vaults.versions(key)
        choice = choose_target(versions, current, now)
        used = self._used(key)
        head, watched, rules = self._head(key), self._watched(key), policy.rules_for(key)
        known = {str(version.id) for version in versions}
        newest_first = sorted(
            versions, key=lambda v: (v.created, v.id == current.id, v.id.version), reverse=True
        )
        return KeyView(
            key=str(key),
            vault=key.vault,
            name=key.name,
            mode=rules.mode,
            rules=rules,
            policy=policy.digest,
            age_days=(now - current.created).days,
            expires=current.expires,
            target=str(choice.target.id) if choice.target else None,
            handled=head.handled,
            rotation=head.active,
            problem=head.problem or choice.problem or None,
            versions=tuple(_version(each, current.id, used, now) for each in newest_first),
            consumers=used.total(),
            consumers_elsewhere=sum(
                count for version, count in used.items() if version not in known | {UNSAID}
            ),
            consumers_unknown=used[UNSAID],
            watched_at=watched.at if watched else None,
            findings=watched.findings if watched else None,
        )

    def _all_keys(self, after: str, unlisted: list[UnlistedVault]) -> Iterator[Key]:
        """Yield the keys of every vault; add to ``unlisted`` those that cannot be listed."""
        for host in sorted(self.allowed):
            if host < after.partition("/")[0]:
                continue
            try:
                yield from self._keys(host, after)
            except KeyturnError as error:
                unlisted.append(UnlistedVault(vault=host, problem=str(error)))

    def _keys(self, host: str, after: str) -> Iterator[Key]:
        keys = sorted(self.vaults.keys(host), key=lambda key: key.name)
        yield from (key for key in keys if (host, key.name) > tuple(after.split("/")))

    def _summary(self, key: Key, policy: Policy) -> KeySummary:
        head, watched = self._head(key), self._watched(key)
        return KeySummary(
            key=str(key),
            vault=key.vault,
            name=key.name,
            mode=policy.rules_for(key).mode,
            handled=head.handled,
            rotation=head.active,
            problem=head.problem or (watched.problem if watched else "") or None,
            current=(watched.version if watched else "") or None,
            created=watched.created if watched else None,
            expires=watched.expires if watched else None,
            watched_at=watched.at if watched else None,
        )

    def _used(self, key: Key) -> Counter[str]:
        """Return how many known consumers were last seen on each version, by its URL."""
        used: Counter[str] = Counter()
        for kept in self.rows.scan(Known, digest(str(key))):
            seen = kept.row.versions
            used.update(seen[place][-1] if seen[place] else UNSAID for place in kept.row.places)
        return used

    def _head(self, key: Key) -> KeyHead:
        fresh = KeyHead(key=str(key))
        kept = self.rows.load(KeyHead, *fresh.address)
        return kept.row if kept else fresh

    def _watched(self, key: Key) -> Watched | None:
        kept = self.rows.load(Watched, *Watched(key=str(key), at=self.clock.now()).address)
        return kept.row if kept else None


def _version(
    state: VersionState, current: KeyVersion, used: Counter[str], now: datetime
) -> VersionView:
    return VersionView(
        version=str(state.id),
        created=state.created,
        enabled=state.enabled,
        not_before=state.not_before,
        expires=state.expires,
        current=state.id == current,
        problem=state.why_unusable(now),
        consumers=used[str(state.id)],
    )
