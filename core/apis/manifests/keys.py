"""API keys: made, listed, rotated and revoked by those whom the access policy lets."""

from typing import Final

from core.frame.api import Api, Deployment, Surface
from core.frame.operations import Operation

TYPES: Final = "core.apis.keys"
ANSWERS: Final = "core.apis.answers.keys"
ALL: Final = ("/v1/keys",)
ONE: Final = ("/v1/keys/{key_id}",)
OPERATIONS: Final = (
    Operation(
        "POST",
        ALL,
        "create",
        "Make an API key, which is shown this once.",
        request=f"{TYPES}:NewKey",
        response=f"{ANSWERS}:KeyWithSecret",
    ),
    Operation(
        "GET",
        ALL,
        "index",
        "List the API keys that you may see.",
        query=f"{TYPES}:KeysQuery",
        response=f"{ANSWERS}:KeyList",
    ),
    Operation("GET", ONE, "get", "Show an API key, without its secret.", response=f"{ANSWERS}:Key"),
    Operation(
        "POST",
        ONE,
        "update",
        "Change what an API key is for, and when it expires.",
        request=f"{TYPES}:ChangedKey",
        response=f"{ANSWERS}:Key",
    ),
    Operation("DELETE", ONE, "revoke", "Revoke an API key.", response=f"{ANSWERS}:Key"),
    Operation(
        "POST",
        ("/v1/keys/{key_id}/rotate",),
        "rotate",
        "Give an API key another secret; the one of now passes for a while.",
        request=f"{TYPES}:RotatedKey",
        response=f"{ANSWERS}:KeyWithSecret",
    ),
)

API: Final = Api(
    "keys",
    surfaces=(Surface("keys", f"{TYPES}:Keys", OPERATIONS),),
    assemble="core.services.keys.assemble:assemble",
    deployment=Deployment(memory_mb=512, rights=("ManageKeys", "NoteChanges")),
)
