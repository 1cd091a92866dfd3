"""The records of agents of Llama Stack 0.2, in the form of `rows`."""

from typing import Final

AGENT_RECORDS: Final = {
    "AgentConfig": "model instructions name sampling_params:SamplingParams input_shields=[] output_shields=[] toolgroups=[]"
    " client_tools:ToolDef tool_choice tool_prompt_format tool_config:ToolConfig max_infer_iters=10"
    " enable_session_persistence=false response_format",
    "AgentToolGroupWithArgs": "name args={}",
    "Agent": "agent_id agent_config:AgentConfig created_at",
    "AgentCreateResponse": "agent_id",
    "AgentSessionCreateResponse": "session_id",
    "AgentStepResponse": "step",
    "AgentTurnCreateRequest": "agent_id session_id messages stream documents toolgroups tool_config",
    "AgentTurnResumeRequest": "agent_id session_id turn_id tool_responses stream",
    "Session": "session_id session_name turns=[] started_at",
    "Turn": "turn_id session_id input_messages=[] steps=[] output_message output_attachments=[] started_at completed_at",
    "InferenceStep": "turn_id step_id started_at completed_at step_type=inference model_response",
    "ToolExecutionStep": "turn_id step_id started_at completed_at step_type=tool_execution tool_calls=[]"
    " tool_responses=[]",
    "ShieldCallStep": "turn_id step_id started_at completed_at step_type=shield_call violation:SafetyViolation",
    "MemoryRetrievalStep": "turn_id step_id started_at completed_at step_type=memory_retrieval vector_db_ids"
    " inserted_context",
    "Document": "content mime_type",
    "Attachment": "content mime_type",
    "ToolResponse": "call_id tool_name content metadata",
    "TextDelta": "type=text text",
    "ImageDelta": "type=image image",
    "ToolCallDelta": "type=tool_call tool_call parse_status",
    "AgentTurnResponseStreamChunk": "event",
    "AgentTurnResponseEvent": "payload",
    "AgentTurnResponseStepStartPayload": "event_type=step_start step_type step_id metadata={}",
    "AgentTurnResponseStepProgressPayload": "event_type=step_progress step_type step_id delta",
    "AgentTurnResponseStepCompletePayload": "event_type=step_complete step_type step_id step_details",
    "AgentTurnResponseTurnStartPayload": "event_type=turn_start turn_id",
    "AgentTurnResponseTurnCompletePayload": "event_type=turn_complete turn",
    "AgentTurnResponseTurnAwaitingInputPayload": "event_type=turn_awaiting_input turn",
}
