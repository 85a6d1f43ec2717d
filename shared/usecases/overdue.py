"""How long to wait before silence means something."""

from datetime import timedelta

OVERDUE_AFTER = timedelta(minutes=15)
"""Longer than the ten minutes after which the host gives a dead instance's messages to another."""

INTENT_SETTLES_AFTER = timedelta(minutes=2)
"""Longer than a request can hang (the adapters' time-outs): what was intended earlier than this is
under way no longer, whatever became of it."""
