"""What Bedrock's control plane says of the models that a run config names, asked with the caller's own AWS credentials."""

from collections.abc import Iterable
from typing import Any, Final

from core.cli.iam.rights import Known
from core.cli.iam.statements import PROFILES, Arn, Model
from core.cli.iam.uses import Source, Used
from core.config.problems import ConfigInvalid, Problem

NOT_THERE: Final = ("ResourceNotFoundException", "ValidationException")


class LookupFailed(Exception):
    """AWS did not answer: no credentials, no right to ask, no connection. Says why."""


class Lookup:
    """The SDK's clients, of one session and by region."""

    def __init__(self) -> None:
        """Import the SDK; nothing is called yet."""
        from boto3.session import Session

        self._session = Session()
        self._clients: dict[tuple[str, str], Any] = {}

    def partition(self, region: str) -> str:
        """That of a region; empty text if the SDK does not know it."""
        from botocore.exceptions import UnknownRegionError

        try:
            return self._session.get_partition_for_region(region)
        except UnknownRegionError:
            return ""

    def account(self, region: str) -> str:
        """That of the caller's credentials.

        Raises:
            LookupFailed: STS did not say.
        """
        return str(self._call("sts", region, "get_caller_identity")["Account"])

    def models(self, used: Iterable[Used], regions: dict[Source, str]) -> Known:
        """The models and profiles among what is used, where an ARN alone does not say all.

        Raises:
            LookupFailed: Bedrock did not answer.
            ConfigInvalid: it knows nothing by one of these names.
        """
        models: dict[tuple[Source, str], Model] = {}
        problems: list[Problem] = []
        for use in used:
            arn = Arn.parse(use.name)
            if use.profile is not None or (arn is not None and arn.kind not in PROFILES):
                continue
            region = arn.region if arn else regions[use.source]
            if not region:
                continue
            model = self._profile(use.name, region) or self._model(use.name, region)
            if model is None:
                problems.append(
                    Problem(f"model `{use.name}`", f"Bedrock knows no model or profile of this name in {region}")
                )
            else:
                models[use.source, use.name] = model
        if problems:
            raise ConfigInvalid("--lookup", problems)
        return models

    def _profile(self, name: str, region: str) -> Model | None:
        answer = self._ask(region, "get_inference_profile", inferenceProfileIdentifier=name)
        if answer is None:
            return None
        return Model((answer["inferenceProfileArn"],), tuple(model["modelArn"] for model in answer["models"]))

    def _model(self, name: str, region: str) -> Model | None:
        answer = self._ask(region, "get_foundation_model", modelIdentifier=name)
        return None if answer is None else Model((answer["modelDetails"]["modelArn"],))

    def _ask(self, region: str, operation: str, **arguments: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            return self._call("bedrock", region, operation, **arguments)
        except LookupFailed as failed:
            cause = failed.__cause__
            if isinstance(cause, ClientError) and cause.response.get("Error", {}).get("Code") in NOT_THERE:
                return None
            raise

    def _call(self, service: str, region: str, operation: str, **arguments: str) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if (service, region) not in self._clients:
                create: Any = self._session.client  # its stubs are not installed
                self._clients[service, region] = create(service, region_name=region or None)
            answer: dict[str, Any] = getattr(self._clients[service, region], operation)(**arguments)
        except (BotoCoreError, ClientError) as failure:
            raise LookupFailed(f"cannot look up in AWS: {failure}") from failure
        return answer
