"""A request that the network keeps, to deliver it when its sender has long given up."""

from collections.abc import Callable
from threading import Event

from sandbox.traffic import Call


class HeldRequest:
    """One request on its way to a service, from its arrival at the front door to its release.

    A request that is never released reaches no service and is seen in no traffic.
    """

    def __init__(self) -> None:
        self.arrived = Event()
        """Set once a request is held; its sender's connection is reset then."""
        self._deliver: Callable[[], Call] | None = None

    def take(self, deliver: Callable[[], Call]) -> None:
        """Keep a request that the front door has taken in whole.

        Args:
            deliver: Gives it to its service and waits for the answer.
        """
        self._deliver = deliver
        self.arrived.set()

    def release(self) -> Call:
        """Let the service have the request now; return what came of it, when it is done.

        The answer goes to nobody. The call is in the traffic from now on, ``at`` the time at which
        the request was sent.

        Raises:
            RuntimeError: No request is held: none has arrived, it was released before, or the
                sandbox has stopped and dropped it.
        """
        deliver, self._deliver = self._deliver, None
        if deliver is None:
            raise RuntimeError("there is no request to release")
        return deliver()
