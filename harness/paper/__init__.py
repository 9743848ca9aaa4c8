"""The paper's tables as suites: networks, methods and datasets, run, and set beside what is published."""
