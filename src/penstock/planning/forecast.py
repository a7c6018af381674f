"""How long a plan will take, from how long runs took."""

from __future__ import annotations


def forecast(*, runs: int, longest_lane: int, slots: int, seconds_a_run: float | None) -> float | None:
    """Seconds until a plan is done, or None without history.

    Work goes on in `slots` places at once and a lane holds one run at a time, so the plan takes no less than its
    longest lane and no less than its whole work shared out.

    Args:
        runs: Runs in all.
        longest_lane: Runs in the lane that has most.
        slots: How many runs go on at once.
        seconds_a_run: The mean length of past runs of the pipeline.
    """
    if seconds_a_run is None:
        return None
    return max(longest_lane * seconds_a_run, runs * seconds_a_run / max(1, slots))
