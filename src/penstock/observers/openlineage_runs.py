"""Events as OpenLineage knows them: a run starts, and completes or fails; a step is a job within it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid5

from penstock.model.cloud_events import CloudEvent
from penstock.model.errors import NotDelivered
from penstock.model.narrowing import is_mapping
from penstock.model.notifying import without_secrets
from penstock.model.redaction import redact
from penstock.observers.threads import in_thread

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.transport.http import HttpTransport

INSTALL: Final = "Events to OpenLineage need its client: pip install 'penstock[openlineage]'."
PRODUCER: Final = "https://pypi.org/project/penstock"
_STATES: Final[Mapping[str, str]] = {
    "execution.started": "START",
    "execution.completed": "COMPLETE",
    "execution.failed": "FAIL",
    "layer.completed": "COMPLETE",
}


class OpenLineageSink:
    """See `ports.events.EventSink`. The run's id is that of Penstock; a step's is made of it and the step's name.

    Args:
        url: The server.
        endpoint: The path that takes events.
        timeout: Seconds that one request may take.
        api_key: What the server knows this by.
        namespace: Of jobs; the app's name by default.
    """

    def __init__(
        self, *, url: str, endpoint: str, timeout: float, api_key: str | None = None, namespace: str | None = None
    ) -> None:
        self._url, self._endpoint, self._timeout, self._api_key = url, endpoint, timeout, api_key
        self._namespace = namespace
        self._transport: HttpTransport | None = None

    async def send(self, events: Sequence[CloudEvent]) -> None:
        """One after the other, in a thread, since the client waits for its answers."""
        for sent, event in enumerate(events):
            try:
                await in_thread(partial(self._emit, event), name="penstock-openlineage")
            except ImportError:
                raise NotDelivered(INSTALL, delivered=sent) from None
            except Exception as error:
                why = without_secrets(redact(f"{type(error).__name__}: {error}"), self._url)
                raise NotDelivered(why, delivered=sent) from error

    async def close(self) -> None:
        """Let the connection go."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _emit(self, event: CloudEvent) -> None:
        run_event = self._run_event(event)
        if run_event is not None:
            self._opened().emit(run_event)

    def _opened(self) -> HttpTransport:
        if self._transport is None:
            from openlineage.client.transport.http import (
                ApiKeyTokenProvider,
                HttpConfig,
                HttpTransport,
                TokenProvider,
            )

            auth = ApiKeyTokenProvider({"api_key": self._api_key}) if self._api_key else TokenProvider({})
            base = self._url if self._url.endswith("/") else f"{self._url}/"
            config = HttpConfig(url=base, endpoint=self._endpoint.lstrip("/"), timeout=self._timeout, auth=auth,
                                retry={"total": 0})  # fmt: skip
            self._transport = HttpTransport(config)
        return self._transport

    def _run_event(self, event: CloudEvent) -> RunEvent | None:
        """None for what OpenLineage has no word for."""
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import job_type_job

        state = _STATES.get(event.type)
        if state is None:
            return None
        namespace = self._namespace or event.app
        pipeline = str(event.data.get("pipeline") or event.app)
        step = event.data.get("step") if event.type == "layer.completed" else None
        run, name = (event.run, pipeline) if step is None else (uuid5(event.run, str(step)), f"{pipeline}.{step}")
        facet: Any = job_type_job.JobTypeJobFacet  # attrs takes `producer`, which type checkers cannot see
        kind = facet(
            processingType="BATCH", integration="PENSTOCK", jobType="DAG" if step is None else "TASK", producer=PRODUCER
        )
        return RunEvent(
            eventType=RunState[state],
            eventTime=event.time.astimezone(UTC).isoformat(),
            run=Run(runId=str(run), facets=_run_facets(event, namespace, pipeline, within=step is not None)),
            job=Job(namespace=namespace, name=name, facets={"jobType": kind}),
            producer=PRODUCER,
            outputs=[] if step is None else _outputs(event.data, namespace, name),
        )


def _run_facets(event: CloudEvent, namespace: str, pipeline: str, *, within: bool) -> dict[str, Any]:
    from openlineage.client.facet_v2 import error_message_run, parent_run

    facets: dict[str, Any] = {}
    parent: Any = parent_run.ParentRunFacet
    message: Any = error_message_run.ErrorMessageRunFacet
    if within:
        facets["parent"] = parent(
            run=parent_run.Run(runId=str(event.run)), job=parent_run.Job(namespace=namespace, name=pipeline),
            producer=PRODUCER,
        )  # fmt: skip
    if event.type == "execution.failed":
        facets["errorMessage"] = message(
            message=str(event.data.get("error") or event.data.get("state") or "failed"), programmingLanguage="PYTHON",
            producer=PRODUCER,
        )  # fmt: skip
    return facets


def _outputs(data: Mapping[str, Any], namespace: str, name: str) -> list[Any]:
    """What a step has written, where it has counted that."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    counts = data.get("counts")
    if not is_mapping(counts) or "written" not in counts:
        return []
    facet: Any = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
    size = int(counts["bytes"]) if "bytes" in counts else None
    statistics = facet(rowCount=int(counts["written"]), size=size, producer=PRODUCER)
    return [OutputDataset(namespace=namespace, name=name, outputFacets={"outputStatistics": statistics})]
