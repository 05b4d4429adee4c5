"""What all tests share: hypothesis judges results, never how long a shared machine took."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "headtohead", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("headtohead")
