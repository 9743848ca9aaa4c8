"""A board farm over labgrid: places of a coordinator as targets, held no longer than they are used."""
