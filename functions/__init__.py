"""Entry points: each translates a trigger in, calls a use case, and translates out."""
