"""A nightly: suites over all places of a farm, held against a base, with an exit code for CI."""
