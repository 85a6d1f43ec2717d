"""Apply a kind's proof rule to a resource, and to what shows its version in its place."""

from shared.catalog import kind_named
from shared.domain.errors import PermanentError
from shared.domain.json_paths import Json, text_at
from shared.domain.keys import KeyVersion
from shared.domain.kinds import Kind
from shared.domain.plans import left_to_another, references_to
from shared.domain.proofs import Finding
from shared.ports import Resources


def prove(resources: Resources, kind: Kind, body: Json, target: KeyVersion) -> Finding:
    """Apply the proof rule; where another resource shows a part of it, that is read too.

    Args:
        resources: Where the other one is read.
        kind: Of the resource.
        body: A fresh GET of it.
        target: What it is to use.

    Raises:
        UnreadableError: It refers to a key in a form that is none Azure documents.
    """
    left = left_to_another(kind, body, target)
    if left is None or kind.shown_by is None:
        return kind.proof.check(body, target)
    _, rest = left
    if not rest.holds:
        return rest
    found = _shown_by_another(resources, kind, body, target)
    return Finding(holds=found.holds, seen=f"{rest.seen}; {found.seen}")


def why_not_shown(resources: Resources, kind: Kind, body: Json, target: KeyVersion) -> str:
    """Return what is not on ``target`` of a part that only another resource shows; empty: all is.

    Whatever the rest of the resource shows. Arguments and errors are those of ``prove``.
    """
    shown = kind.shown_by
    following = [r.place for r in references_to(kind, body, target.key) if r.pinned is None]
    if shown is None or shown.place not in following:
        return ""
    found = _shown_by_another(resources, kind, body, target)
    return "" if found.holds else found.seen


def _shown_by_another(resources: Resources, kind: Kind, body: Json, target: KeyVersion) -> Finding:
    shown = kind.shown_by
    assert shown is not None  # noqa: S101 - the callers have looked
    only = f"{shown.says}, which alone shows the version of its {shown.place}"
    other = text_at(body, shown.names)
    if not other:
        return Finding(holds=False, seen=f"{only}, is not named")
    of_other = kind_named(shown.kind)
    try:
        found = of_other.proof.check(resources.read(of_other, other).body, target)
    except PermanentError as error:
        return Finding(holds=False, seen=f"{only}: {error}")
    return Finding(holds=found.holds, seen=f"{shown.place}: of {shown.says} {found.seen}")
