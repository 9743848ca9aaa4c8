"""How long a guard may take: known to it and to those who wait for it."""

CONNECT_SECONDS = 30.0
"""To start, and to connect to a coordinator."""
RELEASE_SECONDS = 20.0
RESOURCE_SECONDS = 10.0
"""For the resources of an acquired place to be there."""
