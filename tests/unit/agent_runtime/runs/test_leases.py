from __future__ import annotations

from agent_runtime.runs.leases import LeaseWatch
from agent_runtime.state.records import Lease


def test_a_lease_without_a_beat_is_dead_after_its_time():
    watch, lease = LeaseWatch(10), Lease("t", "a", beat=3)
    assert watch.dead([lease], clock=100) == []
    assert watch.dead([lease], clock=109) == []
    assert watch.dead([lease], clock=110) == [lease]


def test_a_beat_keeps_it_alive():
    watch = LeaseWatch(10)
    watch.dead([Lease("t", "a", beat=3)], clock=100)
    assert watch.dead([Lease("t", "a", beat=4)], clock=109) == []
    assert watch.dead([Lease("t", "a", beat=4)], clock=118) == []
    assert watch.dead([Lease("t", "a", beat=4)], clock=119) == [Lease("t", "a", beat=4)]


def test_an_outage_of_the_store_starts_the_clock_anew():
    watch, lease = LeaseWatch(10), Lease("t", "a", beat=3)
    watch.dead([lease], clock=100)
    watch.forget()
    assert watch.dead([lease], clock=200) == []
