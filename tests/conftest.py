"""How many cases hypothesis draws: HYPOTHESIS_PROFILE=dev (the default), ci (also chosen by CI=true) or thorough."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]  # torch's first call of an op takes long, whatever is drawn

settings.register_profile("dev", max_examples=25, deadline=None, print_blob=True, suppress_health_check=SLOW)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev"))
