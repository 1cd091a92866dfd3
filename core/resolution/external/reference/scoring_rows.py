"""The records of scoring, as `.rows` has those of the other APIs. Sources: Scoring and ScoringFunctions of Llama Stack 0.2.12 and 0.7.3."""

from typing import Final

SCORING_RECORDS: Final = {
    "StringType": "type=string",
    "NumberType": "type=number",
    "BooleanType": "type=boolean",
    "ArrayType": "type=array",
    "ObjectType": "type=object",
    "JsonType": "type=json",
    "UnionType": "type=union",
    "ChatCompletionInputType": "type=chat_completion_input",
    "CompletionInputType": "type=completion_input",
    "AgentTurnInputType": "type=agent_turn_input",
    "ScoreRequest": "input_rows=[] scoring_functions={}",
    "ScoreResponse": "results",
    "LLMAsJudgeScoringFnParams": "type=llm_as_judge judge_model prompt_template judge_score_regexes=[]"
    " aggregation_functions=[]",
    "RegexParserScoringFnParams": "type=regex_parser parsing_regexes=[] aggregation_functions=[]",
    "BasicScoringFnParams": "type=basic aggregation_functions=[]",
    "ScoringFn": "identifier provider_resource_id provider_id type=scoring_function description metadata={} return_type"
    " params",
}
