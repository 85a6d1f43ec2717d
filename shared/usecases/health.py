"""See whether a storage account works after its key was rotated."""

import logging
from dataclasses import dataclass

from shared.catalog.storage_errors import EXPLANATIONS
from shared.domain.errors import PermanentError, TransientError, UnreadableError
from shared.domain.health import Health
from shared.domain.kinds import Kind
from shared.ports import Canary

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckHealth:
    """Try a resource out whose verdict is given: it neither proves nor changes that verdict.

    Attributes:
        canary: ``None``: no container for it is configured.
    """

    canary: Canary | None

    def of(self, kind: Kind, resource: str) -> Health | None:
        """Return how a resource is; ``None`` if it is not to be tried out. Raises nothing."""
        if self.canary is None or not kind.has_blobs:
            return None
        try:
            self.canary.try_out(resource)
        except TransientError as error:
            return Health(None, str(error))
        except UnreadableError as error:
            return Health(ok=False, said=str(error))
        except PermanentError as error:
            return _explained(error)
        except Exception:  # whatever it is, the step has a proven verdict to keep
            logger.exception("the canary failed: %s", resource)
            return Health(None, "the canary itself failed: see the log")
        return Health(ok=True, said="a blob was written, read back and deleted")


def _explained(error: PermanentError) -> Health:
    found = EXPLANATIONS.get(error.code)
    if found is None:  # no sign that the account is ill
        return Health(None, str(error))
    return Health(None if found.is_ours else False, f"{error}; {found.advice} ({found.source})")
