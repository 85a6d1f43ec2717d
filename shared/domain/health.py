"""Whether a resource works: told beside its verdict, and never a proof of a key version."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """What came of trying a resource out.

    Attributes:
        ok: Whether it works; ``None``: that could not be found out, for no fault of the resource.
        said: For people: what was seen, and where it does not work what to do.
    """

    ok: bool | None
    said: str
