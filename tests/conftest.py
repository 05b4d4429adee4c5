"""What all tests share.

Hypothesis judges results, never how long a shared machine took. PyTorch gets one thread, as a
worker has it: two on a busy machine wait for each other.
"""

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile(
    "headtohead", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("headtohead")
