"""The profiles of hypothesis: ``ci`` unless ``--hypothesis-profile`` names another."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.laws.budget import PROFILES, TOTAL

for _name, _share in PROFILES.items():
    settings.register_profile(
        _name,
        max_examples=round(TOTAL * _share),
        # Time is not what these tests are about, and machines are shared.
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        # A red run is then due to what changed, not to chance; "deep" looks further.
        derandomize=_name == "ci",
        print_blob=True,
    )
settings.load_profile("ci")
