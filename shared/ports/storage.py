"""What the use cases need of storage: rows, messages, the steps that they ask for, evidence."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.domain.rows import Evidence, Row
from shared.domain.steps import Step


@dataclass(frozen=True, slots=True)
class Kept[T: Row]:
    """A row as it was read, with the ETag that guards its replacement."""

    row: T
    etag: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Keep a new row."""

    row: Row


@dataclass(frozen=True, slots=True)
class Replace[T: Row]:
    """Keep ``row`` in the place of what was read, if nobody changed that since."""

    kept: Kept[T]
    row: T


@dataclass(frozen=True, slots=True)
class Put:
    """Keep a row, whether there was one or not."""

    row: Row


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove a row, which must be there."""

    row: Row


class Rows(Protocol):
    """The rows of ``shared.domain.rows``."""

    def load[T: Row](self, row_type: type[T], partition: str, key: str) -> Kept[T] | None:
        """Return a row; ``None`` if there is none."""
        ...

    def insert[T: Row](self, row: T) -> Kept[T] | None:
        """Keep a new row; return ``None`` if there was one, which stays as it is."""
        ...

    def replace[T: Row](self, kept: Kept[T], row: T) -> Kept[T]:
        """Keep ``row`` in the place of what was read.

        Raises:
            RowConflictError: Somebody changed it since.
        """
        ...

    def commit(self, *changes: Insert | Replace[Any] | Put | Drop) -> None:
        """Make changes to rows of one table and partition: all, or none.

        Raises:
            RowConflictError: A row to insert was there, one to replace had been changed, or one
                to remove was not there.
        """
        ...

    def scan[T: Row](
        self, row_type: type[T], partition: str, *, where: str = ""
    ) -> Iterator[Kept[T]]:
        """Yield a partition's rows by row key, page by page.

        Args:
            row_type: Their class.
            partition: Which partition.
            where: A further OData condition.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueueState:
    """How full the queue is.

    Attributes:
        waiting: Steps in it, about; those that are due later are among them.
        poisoned: Steps and events that failed five times and are not closed yet, about.
    """

    waiting: int
    poisoned: int


class Queue(Protocol):
    """The queue of steps."""

    def send(self, step: Step, *, at: datetime | None = None) -> None:
        """Queue a step, to be run at once or not before ``at``."""
        ...

    def state(self) -> QueueState:
        """Return how full it is."""
        ...

    def has_due(self) -> bool:
        """Return whether a step that is due waits for somebody to take it."""
        ...


class Steps(Protocol):
    """What runs the messages of the queue, one at a time."""

    def run(self, step: Step, *, message: str) -> None:
        """Run a step, given with the id of its message. Raises what ``RunStep`` does."""
        ...


class EvidenceStore(Protocol):
    """Keeps one document per concluded rotation, and never changes one."""

    def keep(self, name: str, write: Callable[[], Iterable[bytes]]) -> Evidence:
        """Keep a document; return the name that it has got, and its digest.

        What is there under its name stays: if it is the same document nothing is done, and if it
        is another one the new document's name says so.

        Args:
            name: Such as ``kv1.vault.azure.net/cmk/0a…-1.json``.
            write: Yields its content piece by piece, as often as it is called.

        Raises:
            AccessDeniedError: Our identity may not write it.
        """
        ...

    def reach(self) -> None:
        """See whether the place of the documents answers us; one that is yet to be made does.

        Raises:
            AccessDeniedError: Our identity may not look at it.
        """
        ...

    def open(self, name: str) -> Iterator[bytes]:
        """Yield a document piece by piece.

        Raises:
            NotFoundError: There is none of that name.
        """
        ...
