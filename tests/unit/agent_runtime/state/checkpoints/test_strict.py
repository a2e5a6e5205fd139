"""What is read from a checkpoint is data, whoever wrote it; tried in a process with the settings of a pod."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[5]
CODE = """
from agent_runtime.settings import apply_library_defaults
apply_library_defaults()
from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde import jsonplus
from agent_runtime.state.checkpoints.saver import MongoSaver
from agent_runtime.state.checkpoints.values import decode, encode
from agent_runtime.state.connection import MongoConnection

serde = MongoSaver(MongoConnection(lambda: "mongodb://localhost", "none"), "shop/helper").serde
print(decode(encode(AIMessage("hello"), serde), serde).content)
one, many = jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG, jsonplus.EXT_CONSTRUCTOR_POS_ARGS
for code, args in ((one, "echo called"), (many, ["echo called"])):
    named = jsonplus._msgpack_enc(("os", "system", args))
    written = jsonplus.ormsgpack.packb(jsonplus.ormsgpack.Ext(code, named))
    print(serde.loads_typed(("msgpack", written)))
try:
    print(serde.loads_typed(("pickle", b"cos\\nsystem\\n(S'echo called'\\ntR.")))
except NotImplementedError:
    print("refused")
"""


def test_no_code_that_a_checkpoint_names_is_called():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "called" not in done.stdout.replace("echo called", "")
    assert done.stdout.splitlines() == ["hello", "echo called", "['echo called']", "refused"]
