"""The ``keyturn`` command: what uses a key, before anything is deployed; and rotations, after."""
