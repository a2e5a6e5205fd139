"""What errors of MongoDB's driver mean for a Job."""

from __future__ import annotations

import pytest
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from apm_operator.backup import mongo
from apm_operator.backup.errors import SourceError


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ServerSelectionTimeoutError("no server"), True),
        (AutoReconnect("connection closed"), True),
        (OperationFailure("no member of the shard fits", 133), True),
        (OperationFailure("shutting down", 91), True),
        (OperationFailure("Authentication failed.", 18), False),
        (OperationFailure("not authorized", 13), False),
        (OperationFailure("without a code"), False),
    ],
    ids=str,
)
def test_another_pod_is_worth_while_where_a_server_was_away(error: PyMongoError, again):
    with pytest.raises(SourceError) as caught, mongo.telling():
        raise error
    assert caught.value.again is again
