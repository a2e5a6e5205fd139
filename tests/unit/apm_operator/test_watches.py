from apm_operator.kinds import AGENTS, PODS
from apm_operator.watches import WatchMonitor


def test_a_watch_is_as_old_as_its_last_sign_of_life():
    now = 0.0
    monitor = WatchMonitor([(AGENTS, None), (PODS, "shop")], lambda: now)
    assert not monitor.all_open()
    now = 10.0
    monitor.seen("/apis/apm.valeo-neuroerp.com/v1alpha1/agentdeployments")
    now = 25.0
    assert monitor.ages() == {("agentdeployments", ""): 15.0, ("pods", "shop"): 25.0}
    monitor.seen("/api/v1/namespaces/shop/pods")
    assert monitor.all_open()
    assert monitor.ages()["pods", "shop"] == 0.0


def test_a_watch_of_something_else_does_not_count():
    monitor = WatchMonitor([(AGENTS, None)], lambda: 0.0)
    monitor.seen("/api/v1/namespaces/shop/pods")
    assert not monitor.all_open()
