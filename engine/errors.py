"""Every error the compiler raises on purpose. Each message says what is wrong, where, and what to do."""


class EngineError(Exception):
    """Base of all expected compiler errors; the CLI prints the message and exits with code 2."""


class NetworkFileError(EngineError):
    """A backbone file that is missing, truncated, hostile or not in a known format."""


class SchemeError(EngineError):
    """A scheme that is malformed or does not fit the network it is applied to."""


class GraphError(EngineError):
    """A graph that breaks an invariant of the intermediate representation."""


class PlanError(EngineError):
    """A memory plan that cannot be made, or one that its checker refuses."""


class CodegenError(EngineError):
    """A graph for which no C can be generated."""
