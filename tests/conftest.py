"""No test is judged by the time it takes: on a busy machine any example may be slow, and so its making."""

from hypothesis import HealthCheck, settings

settings.register_profile("trainbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trainbench")
