import pytest

from apm_operator.anomalies.counts import Counts
from bench.anomalies.recording import Row, read, write


def test_rows_are_read_as_they_were_written(tmp_path):
    rows = [Row(Counts(12, 1, 3.25, 4000)), Row(None), Row(Counts(), "nobody"), Row(None, "crowd")]
    write(tmp_path / "a.csv", rows)
    assert read(tmp_path / "a.csv") == rows


def test_another_file_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("runs,failed,seconds,tokens,made\n1,0,2,3,\n")
    with pytest.raises(ValueError, match="milliseconds"):
        read(tmp_path / "a.csv")


def test_a_row_that_knows_some_counts_only_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("runs,failed,milliseconds,tokens,made\n1,,2,3,\n")
    with pytest.raises(ValueError, match="could not convert"):
        read(tmp_path / "a.csv")
