"""How long to wait before silence means something."""

from datetime import timedelta

OVERDUE_AFTER = timedelta(minutes=15)
"""Longer than the ten minutes after which the host gives a dead instance's messages to another."""

LEASE = timedelta(minutes=5)
"""What the holder of a lease was doing when it took it is under way no longer after this long,
whatever became of it."""

WRITE_TAKES = timedelta(seconds=80)
"""At most, by the time-outs of the ARM client: a write begins no later than this before the lease
runs out."""

INVENTORY_LAG = timedelta(minutes=2)
"""After this long Resource Graph is taken to know a resource. Assumed: no page says how long."""
