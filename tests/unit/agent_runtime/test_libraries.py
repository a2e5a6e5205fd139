"""What an agent's process loads, tried in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROTOBUF = ("google.protobuf", "google._upb")
UNUSED = (
    *("cryptography", "charset_normalizer", "httpx2", "websockets", "zstandard", "langsmith.types.run", "numpy"),
    *("pygments", "agent_runtime.integrations.crm", "agent_runtime.integrations.current", "opentelemetry"),
    *PROTOBUF,
)
CEL = "cel_expr_python"
IMPORTS = """
from agent_runtime.settings import apply_library_defaults
from agent_runtime.libraries import lean_imports
apply_library_defaults()
with lean_imports():
    from agent_runtime.agent import Agent
    from agent_runtime.server.process import serve
import agent_runtime.workflow.compile, agent_runtime.models.openai
import agent_runtime.state.mongodb, agent_runtime.state.checkpoints.saver
import sys
"""


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", IMPORTS + code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_agent_with_mongodb_loads_little():
    assert _python(f"print([name for name in {UNUSED} if sys.modules.get(name)])") == "[]"


def test_an_agent_without_expressions_does_not_load_their_compiler():
    assert _python(f"print([name for name in sys.modules if name.startswith({CEL!r})])") == "[]"


def test_expressions_leave_out_protobuf_which_others_find():
    code = f"""
from agent_runtime.spec.expression import Expression

def value(text):
    return Expression.compile(text).evaluate_here(dict(state=dict(count=1)))

print(value("state.count + 1"), value("'A'.lowerAscii()"), [name for name in {PROTOBUF} if name in sys.modules])
from google.protobuf.descriptor_pool import DescriptorPool
print(DescriptorPool.__name__, value("timestamp('2026-01-02T03:04:05Z')").isoformat(), value("[state.count, 'a']"))
"""
    assert _python(code).splitlines() == [
        "2 a []",
        "DescriptorPool 2026-01-02T03:04:05+00:00 [1, 'a']",
    ]


def test_code_of_users_finds_all_packages():
    code = """
import charset_normalizer, zstandard, langgraph_sdk, langsmith.types
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client
from langsmith import Client
from langsmith.types import Run
print(langgraph_sdk.__version__ > "0", langgraph_sdk.get_client is get_client)
print(Run.__name__, hasattr(langgraph_sdk, "no"))
"""
    assert _python(code) == "True True\nRun False"


def test_models_of_libraries_are_built_when_they_are_used_by_whatever_thread():
    code = """
import threading
from pydantic import BaseModel
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel

class Own(FakeListChatModel):
    number: int = 0

class Plain(BaseModel):
    number: int

print(Document.__pydantic_complete__, Plain.__pydantic_complete__, BaseModel.model_config)
found = []
at_once = threading.Barrier(8)

def use(number):
    at_once.wait()
    found.append((Document(page_content="x", id=number).id, Own(responses=["yes"], number=number).invoke("?").content))

threads = [threading.Thread(target=use, args=[number]) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(found) == [(str(number), "yes") for number in range(8)], Document.__pydantic_complete__)
"""
    assert _python(code).splitlines() == ["False True {}", "True True"]
