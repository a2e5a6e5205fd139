import pytest

from apm_operator.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (0.0, "0"), (12.4, "12"), (9999.0, "9999"), (12_345.0, "12.3 k"), (4.3e6, "4.3 M")],
)
def test_counts(value, text):
    assert words.whole(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0 %"), (0.5, "50 %"), (0.9999, "99.99 %"), (0.9999999, "99.9999 %"), (1.0, "100 %")],
)
def test_parts_are_whole_only_where_they_are(value, text):
    assert words.part(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0, "0.0 s"), (0.25, "250 ms"), (1.24, "1.2 s"), (180.0, "3 min"), (172_800.0, "2 d")],
)
def test_lengths_of_time(seconds, text):
    assert words.span(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(None, "unknown"), (0.0, "0.00"), (0.0312, "0.0312"), (18.4, "18.40")])
def test_costs(value, text):
    assert words.money(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0, "0 B"), (3 * 2**30, "3.0 GiB")])
def test_sizes(value, text):
    assert words.size(value) == text
