"""What KEDA and Prometheus are told."""

from prometheus_client.parser import text_string_to_metric_families

from apm_operator.activator.counts import FAMILIES, Counts


def test_each_connection_counts_while_it_waits_or_is_open():
    counts = Counts()
    assert counts.wanted() == 0
    with counts.open(), counts.waiting(), counts.open():
        assert counts.wanted() == 3


def test_one_that_gave_up_is_expected_again_for_a_while():
    now = 100.0
    counts = Counts(lambda: now)
    with counts.waiting():
        pass
    assert counts.wanted() == 0, "it was served"
    counts.ended("gone")
    assert counts.wanted() == 1
    now = 129.9
    assert counts.wanted() == 1
    now = 130.1
    assert counts.wanted() == 0


def test_the_exposition_is_what_prometheus_reads():
    counts = Counts()
    counts.woken()
    counts.ended("full")
    families = list(text_string_to_metric_families(counts.exposition()))
    assert {(each.name, each.type) for each in families} == {
        (name.removesuffix("_total"), kind) for name, kind, _, _ in FAMILIES
    }
    found = {(sample.name, *sample.labels.values()): sample.value for each in families for sample in each.samples}
    assert found["apm_activator_woken_total",] == 1
    assert found["apm_activator_ended_total", "full"] == 1
    assert found["apm_activator_ended_total", "late"] == 0
    assert found["apm_activator_connections", "open"] == 0
