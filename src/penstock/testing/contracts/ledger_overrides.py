# ruff: noqa: S101 - a contract is made of assertions
"""What overrides promise: they are kept as they were written, one of each name, and change no stored plan."""

from __future__ import annotations

from dataclasses import replace

from penstock.model.override import Override
from penstock.planning.overriding import overridden
from penstock.testing.contracts.ledger_case import APP, PIPELINE, STEPS, LedgerCase, Stage, over, tried


def row(name: str, value: str, pipeline: str | None = PIPELINE, app: str = APP) -> Override:
    """What an operator sets."""
    return Override(app=app, pipeline=pipeline, name=name, value=value, note="n", changed_by="me")


class OverrideContract(LedgerCase):
    """Figures that are set instead of the code's."""

    async def test_what_is_set_is_read_again_the_apps_own_first(self, stage: Stage) -> None:
        ledger = stage.ledger
        given = [row("timeout", "5"), row("max_wait", "1", None), row("timeout", "x", "other"), row("a", "b", app="z")]
        for one in given:
            await ledger.set_override(one)
        found = await ledger.overrides(APP)
        assert [(one.pipeline, one.name, one.value) for one in found] == [
            (None, "max_wait", "1"),
            (PIPELINE, "timeout", "5"),
            ("other", "timeout", "x"),
        ]
        assert {(one.note, one.changed_by, one.changed_at is None) for one in found} == {("n", "me", False)}
        assert await ledger.overrides("nowhere") == []

    async def test_one_of_each_name_is_kept_until_it_is_taken_away(self, stage: Stage) -> None:
        ledger = stage.ledger
        await ledger.set_override(row("timeout", "5"))
        (before,) = await ledger.overrides(APP)
        await ledger.set_override(replace(row("timeout", "6"), note=None, changed_by="you"))
        (after,) = await ledger.overrides(APP)
        assert (after.value, after.note, after.changed_by) == ("6", None, "you")
        assert before.changed_at is not None
        assert after.changed_at is not None
        assert after.changed_at >= before.changed_at
        assert not await ledger.unset_override(APP, None, "timeout")
        assert not await ledger.unset_override("nowhere", PIPELINE, "timeout")
        assert await ledger.unset_override(APP, PIPELINE, "timeout")
        assert not await ledger.unset_override(APP, PIPELINE, "timeout")
        assert await ledger.overrides(APP) == []

    async def test_a_retried_run_takes_over_steps_though_figures_were_set_since(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await worker.attempt(tried(run, 1, "read", output="1"))
        await worker.attempt(tried(run, 2, "write", "failed", error_class="data", error="no"))
        await worker.end(over(run, "failed", error_class="data", error="no", failed_step="write"))
        changed = overridden(STEPS, [row("retry.data.attempts", "5")])
        plan = await stage.plan("a", shape=changed, forced=True, one_run=True)
        await stage.ledger.apply(plan.id, triggered_by="retry", copy_from=run.hold.run)
        (again,) = await stage.claim(worker)
        assert again.shape == changed
        assert [(a.step, a.state) for a in (await worker.history(again.hold.run)).attempts] == [("read", "done")]
