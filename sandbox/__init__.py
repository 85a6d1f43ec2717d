"""A local Azure: unmodified SDK clients reach it at production host names.

It keeps its own truth and trusts nothing of the app that is run against it.
"""
