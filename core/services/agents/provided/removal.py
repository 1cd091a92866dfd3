"""A session goes from the provider that runs its agent, where that is still configured."""

from core.services.agents.provided.provider import ProvidedAgents
from core.services.agents.records import AGENT, AgentRecord
from core.services.responses.state.place import StatePlace


async def remove_provided_session(state: StatePlace, agent_id: str, provided_id: str) -> None:
    """The session `provided_id` of the provider's, of our agent. Raises what the provider raises: then it is to be deleted again."""
    agent = await state.store.get(AGENT, agent_id)
    if agent is None:
        return
    record = AgentRecord.read(agent.body)
    provided = ProvidedAgents.find(state.parts, state.call, record.provider)
    if provided is not None:
        await provided.delete_session(record.provided_id, provided_id)
