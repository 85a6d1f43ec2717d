"""Azure Resource Manager: resources that keep their state, and the services that own them.

A new service is one module beside ``storage_accounts.py`` with a class that has the methods of
``resources.Provider``: what it accepts, what a GET shows, and how it takes up a key version.
``Estate`` registers it.
"""
