"""Laws of the simulated cluster."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cluster import Costs, simulate

WORK = st.lists(st.floats(0.1, 100), min_size=1, max_size=40)
COSTS = st.builds(Costs, send=st.floats(0, 1), take=st.floats(0, 1), task=st.floats(0, 0.1), start=st.floats(0, 3))


@given(WORK, st.integers(1, 50), COSTS)
def test_no_run_is_shorter_than_its_bound(work: list[float], workers: int, costs: Costs) -> None:
    found = simulate(work, workers, costs)
    assert found.makespan >= found.bound - 1e-9
    assert (
        found.makespan <= sum(work) + len(work) * (costs.send + 1.1 * costs.take + 2 * costs.task + costs.start) * 1.2
    )
    assert all(0 <= share <= 1 + 1e-9 for share in found.busy.values())


@given(WORK)
def test_one_worker_takes_the_sum(work: list[float]) -> None:
    assert abs(simulate(work, 1, Costs()).makespan - sum(work)) < 1e-6


@given(WORK)
def test_as_many_workers_as_trials_take_the_longest(work: list[float]) -> None:
    assert abs(simulate(work, len(work), Costs()).makespan - max(work)) < 1e-6


def test_what_is_slow_is_busy() -> None:
    found = simulate([1.0] * 500, 100, Costs(take=0.5))
    assert found.busy["driver"] > 0.95 > found.busy["workers"]
    found = simulate([1.0] * 500, 100, Costs(push=50.0, rate=100.0))
    assert found.busy["remote"] > 0.9
