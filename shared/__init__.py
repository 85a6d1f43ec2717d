"""Keyturn's core: what to move, how it is proven, and the adapters to Azure."""
