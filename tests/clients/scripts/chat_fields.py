"""The fields of a chat request, as `openai` has them."""

import json


def main() -> None:
    from openai.types.chat import completion_create_params as params

    kinds = (params.CompletionCreateParamsNonStreaming, params.CompletionCreateParamsStreaming)
    names = {name for kind in kinds for name in (*kind.__required_keys__, *kind.__optional_keys__)}
    print(json.dumps(dict.fromkeys(sorted(names))))


if __name__ == "__main__":
    main()
