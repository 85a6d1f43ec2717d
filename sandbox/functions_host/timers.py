"""Timer triggers, in sandbox time."""

import asyncio
from datetime import UTC, datetime

from croniter import CroniterError, croniter

from sandbox.clock import SandboxClock
from sandbox.functions_host.functions import Function
from sandbox.functions_host.invocations import Invoker
from sandbox.functions_host.messages import json_value
from sandbox.functions_host.runtime import Outcome
from sandbox.functions_host.settings import HostSettingsError

_FIELDS = 6
_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


class Schedule:
    """An NCRONTAB expression: six fields, the first of which is the seconds, or five without."""

    def __init__(self, expression: str) -> None:
        """Read an expression.

        Raises:
            HostSettingsError: It is none.
        """
        fields = len(expression.split())
        self._expression = expression if fields == _FIELDS else f"0 {expression}"
        if problem := self._problem() if fields in (_FIELDS - 1, _FIELDS) else "its length":
            raise HostSettingsError(
                [f"the schedule {expression!r} is not an NCRONTAB expression: {problem}"]
            )

    def after(self, moment: datetime) -> datetime:
        """Return the first moment of the schedule that is later than ``moment``."""
        # NCRONTAB wants both the day of the month and that of the week to match; cron either.
        found: datetime = croniter(
            self._expression, moment, second_at_beginning=True, day_or=False
        ).get_next(datetime)
        return found

    def _problem(self) -> str | None:
        try:
            self.after(_ANY_MOMENT)
        except CroniterError as error:
            return str(error)
        return None


class Timer:
    """Runs one timer function whenever it is due. Runs do not overlap."""

    def __init__(self, function: Function, clock: SandboxClock, invoker: Invoker) -> None:
        """Read the function's schedule.

        Raises:
            HostSettingsError: It is not an NCRONTAB expression.
        """
        self.function = function
        self._clock = clock
        self._invoker = invoker
        self._schedule = Schedule(function.trigger["schedule"])

    async def run(self) -> None:
        """Run at start if the trigger says so, then by the schedule, until cancelled."""
        if self.function.trigger.get("runOnStartup"):
            await self.fire()
        due = self._schedule.after(self._clock.now())
        while True:
            await asyncio.sleep(self._clock.real_seconds(due - self._clock.now()))
            await self.fire()
            # A sleep may end a little early: what is due must not be found due again.
            due = self._schedule.after(max(due, self._clock.now()))

    async def fire(self) -> Outcome:
        """Run the function now."""
        now = self._clock.now()
        timer = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": {
                "Last": now.isoformat(),
                "LastUpdated": now.isoformat(),
                "Next": self._schedule.after(now).isoformat(),
            },
            "IsPastDue": False,
        }
        return await self._invoker.invoke(self.function, json_value(timer))
