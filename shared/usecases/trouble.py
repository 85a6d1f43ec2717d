"""Where it is noted what a step raised, so that who buries it can say why it failed."""

from datetime import UTC, datetime

from msgspec.structs import replace

from shared.domain.rows import KeyHead, Rotation, Search
from shared.domain.steps import Discover, Open, Pay, Preflight, Repoint, RotateKey, Step, Verify
from shared.domain.work import Work
from shared.ports import Kept, Rows
from shared.usecases.ledger import Ledger
from shared.usecases.open_rotation import head_of

_NEVER = datetime.min.replace(tzinfo=UTC)


def row_of(
    rows: Rows, ledger: Ledger, step: Step
) -> Kept[Work] | Kept[Search] | Kept[KeyHead] | None:
    """Return the row that a step is about, unless the step is stale or there is none (yet).

    The others are stood for by no row, and come again by themselves.
    """
    match step:
        case Repoint() | Verify() | Pay():
            return work_of(ledger, step)
        case Discover():
            return _search_of(rows, step)
        case Open() | RotateKey():
            return head_of(rows, step.key)
        case Preflight():
            rotation = rows.load(Rotation, step.rotation, "rotation")
            return head_of(rows, rotation.row.key) if rotation else None
        case _:
            return None


def note(rows: Rows, ledger: Ledger, step: Step, error: Exception) -> None:
    """Note what a step raised on the row that it is about."""
    kept = row_of(rows, ledger, step)
    raised = f"{type(error).__name__}: {error}"
    if kept and isinstance(kept.row, KeyHead):  # steps of other kinds note theirs there, too
        raised = f"{_name(step)}: {raised}"
    if kept:
        rows.replace(kept, replace(kept.row, trouble=raised[:1000]))


def why_failed(rows: Rows, ledger: Ledger, step: Step) -> str:
    """Return what a step that failed five times was, and raised."""
    kept = row_of(rows, ledger, step)
    raised = kept.row.trouble if kept else ""
    if kept and isinstance(kept.row, KeyHead):
        other, _, raised = raised.partition(": ")
        raised = raised if other == _name(step) else ""
    return f"{_name(step)} failed five times: {raised or 'see the log'}"


def _name(step: Step) -> str:
    return str(type(step).__struct_config__.tag)


def work_of(ledger: Ledger, step: Repoint | Verify | Pay) -> Kept[Work] | None:
    """Return the work that a step is about, if the step is not stale."""
    kept = ledger.load(step.rotation, step.resource)
    return kept if kept and kept.row.seq == step.seq else None


def _search_of(rows: Rows, step: Discover) -> Kept[Search] | None:
    fresh = Search(rotation=step.rotation, closing=step.closing, at=_NEVER)
    kept = rows.load(Search, *fresh.address)
    return kept if kept and kept.row.page == step.page else None
