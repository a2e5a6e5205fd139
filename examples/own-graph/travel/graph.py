"""A graph that counts a traveller's wishes: one node in plain Python, state kept by the runtime."""

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph


def answer(state: MessagesState) -> dict[str, list[AIMessage]]:
    """Repeat the newest wish and say how many there were."""
    wishes = [message for message in state["messages"] if message.type == "human"]
    text = f"Noted as wish number {len(wishes)}: {wishes[-1].text}"
    return {"messages": [AIMessage(text)]}


graph = StateGraph(MessagesState)
graph.add_node("answer", answer)
graph.add_edge(START, "answer")
graph.add_edge("answer", END)
