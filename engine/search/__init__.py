"""Which scheme to use under a memory budget: from contributions to a choice. Nothing here trains or reads."""
