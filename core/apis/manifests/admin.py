"""Admin: health, version, the configured providers, the routes, quotas, configurations, discovery and jobs."""

from typing import Final

from core.frame.api import Api, Deployment, Surface
from core.frame.operations import Operation


def _admin_paths(path: str) -> tuple[str, str]:
    return (f"/v1{path}", f"/v1alpha/admin{path}")


ADMIN: Final = (
    Operation(
        "GET",
        _admin_paths("/health"),
        "health",
        "Is the service up?",
        response="core.apis.answers.admin:ServiceHealth",
        open=True,
    ),
    Operation(
        "GET",
        ("/v1/ready",),
        "ready",
        "Can it do its work: do its stores and its configuration answer?",
        response="core.apis.answers.admin:ServiceReadiness",
        open=True,
    ),
    Operation(
        "GET",
        _admin_paths("/version"),
        "version",
        "Which version is it?",
        response="core.apis.answers.admin:Version",
        open=True,
    ),
    Operation(
        "GET",
        _admin_paths("/providers"),
        "list_providers",
        "List the providers and their health.",
        response="core.apis.answers.configurations:ProviderPage",
    ),
    Operation(
        "GET",
        _admin_paths("/providers/{provider_id}"),
        "get_provider",
        "Show one provider.",
        query="core.apis.admin:ProviderQuery",
        response="core.apis.answers.configurations:ListedProvider",
    ),
    Operation(
        "GET",
        _admin_paths("/inspect/routes"),
        "list_routes",
        "List the routes.",
        response="core.apis.answers.admin:RouteList",
        query="core.apis.admin:RoutesQuery",
    ),
    Operation(
        "GET",
        ("/openapi.json",),
        "openapi",
        "This API as an OpenAPI document.",
        response="core.apis.answers.admin:OpenApiDocument",
    ),
)

QUOTA: Final = (
    Operation(
        "GET",
        ("/v1/quota",),
        "left",
        "What is left of your quota?",
        response="core.apis.answers.admin:QuotaLeft",
    ),
)

ONE_CONFIGURATION: Final = ("/v1/configurations/{configuration_id}",)
CONFIGURATIONS: Final = (
    Operation(
        "GET",
        ("/v1/inspect/configurations",),
        "inspect",
        "What is in force, as far as users may set it.",
        response="core.apis.answers.configurations:Inspected",
    ),
    Operation(
        "POST",
        ("/v1/configurations", "/v1/configurations/register"),
        "register",
        "Register a configuration over the running one.",
        response="core.apis.answers.configurations:Registered",
        request="core.apis.configurations:RegisterConfiguration",
    ),
    Operation(
        "GET",
        ("/v1/configurations",),
        "index",
        "List the registered configurations.",
        response="core.apis.answers.configurations:ConfigurationPage",
        query="core.apis.configurations:ListConfigurationsQuery",
    ),
    Operation(
        "GET",
        ONE_CONFIGURATION,
        "get",
        "Show one registered configuration.",
        response="core.apis.answers.configurations:Configuration",
    ),
    Operation(
        "DELETE",
        ONE_CONFIGURATION,
        "unregister",
        "Unregister a configuration.",
        response="core.apis.answers.admin:Nothing",
    ),
    Operation(
        "POST",
        ("/v1/providers",),
        "register_provider",
        "Register a provider.",
        response="core.apis.answers.configurations:RegisteredProvider",
        request="core.apis.configurations:RegisterProvider",
    ),
    Operation(
        "DELETE",
        ("/v1/providers/{provider_id}",),
        "unregister_provider",
        "Unregister a provider.",
        response="core.apis.answers.admin:Nothing",
    ),
)

DISCOVERY: Final = (
    Operation(
        "GET",
        ("/v1/inspect/environment",),
        "environment",
        "What does this stack run on and reach?",
        response="core.apis.discovery:Environment",
        counted=True,  # it asks every upstream
    ),
)

ONE_JOB: Final = ("/v1/jobs/{job_id}",)
JOBS: Final = (
    Operation(
        "GET",
        ("/v1/jobs",),
        "index",
        "List your jobs, newest first.",
        response="core.apis.answers.jobs:JobList",
        query="core.apis.jobs:ListJobsQuery",
    ),
    Operation(
        "GET",
        ONE_JOB,
        "get",
        "Show a job, and how far it is.",
        response="core.apis.answers.jobs:JobView",
        tagged=True,
    ),
    Operation(
        "POST",
        ("/v1/jobs/{job_id}/cancel",),
        "cancel",
        "Stop a job, and keep what was done.",
        response="core.apis.answers.jobs:JobView",
        counted=False,
    ),
    Operation(
        "POST",
        ("/v1/jobs/{job_id}/retry",),
        "retry",
        "Make a job that has ended once more.",
        response="core.apis.answers.jobs:JobView",
    ),
)

API: Final = Api(
    "admin",
    surfaces=(
        Surface("admin", "core.apis.admin:Admin", ADMIN),
        Surface("quota", "core.apis.admin:Quotas", QUOTA),
        Surface("configurations", "core.apis.configurations:Configurations", CONFIGURATIONS),
        Surface("discovery", "core.apis.discovery:Discovery", DISCOVERY),
        Surface("jobs", "core.apis.jobs:Jobs", JOBS),
    ),
    assemble="core.resolution.admin:assemble",
    stores=("jobs", "queue"),
    overview=True,
    pages="core.web.pages:routes",
    deployment=Deployment(memory_mb=512, seconds=10, rights=("Configure", "NoteChanges", "ListEvaluationJobs")),
)
