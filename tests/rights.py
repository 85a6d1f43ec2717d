"""What the app may do in a subscription of the tests: the documented role, and nothing else."""

from shared.catalog.role import ROLE_READ, ROLE_WRITE

TO_READ = ROLE_READ
TO_READ_AND_WRITE = (*ROLE_READ, *ROLE_WRITE)
