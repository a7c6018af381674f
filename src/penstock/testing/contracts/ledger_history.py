# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What the records of a run promise: on disk when told, in the order of their record, never changed."""

from __future__ import annotations

import asyncio
import json

from penstock.model.attempt import Instant
from penstock.testing.contracts.ledger_case import LedgerCase, Stage, called, over, tried, until

BAD = "bad \x00 and \ud800 text"


class HistoryContract(LedgerCase):
    """Attempts, calls, and the text in them."""

    async def test_the_recorded_time_is_the_one_in_the_history(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        at = await worker.attempt(tried(run, elapsed=2.5))
        (attempt,) = (await worker.history(run.hold.run)).attempts
        assert attempt.outcome is not None
        assert attempt.outcome[2].at == at
        assert abs(at - worker.now()) < 2
        assert abs(attempt.seconds - 2.5) < 0.001

    async def test_an_outcome_comes_back_as_it_was_recorded(self, stage: Stage) -> None:
        worker, run = await stage.begin("a", "b")
        later = Instant(float(int(worker.now()) + 60))
        await worker.attempt(
            tried(
                run,
                state="failed",
                units_left=1,
                units_failed=1,
                error_class="rate_limit",
                error="reset",
                not_before=later,
                reason="rate_limit",
                output="null",
                counts='{"rows": 1}',
            )
        )
        await worker.attempt(tried(run, 2, "write", "held", reason="quota", not_before=later))
        await worker.attempt(tried(run, 3, "write", "skipped"))
        history = await worker.history(run.hold.run)
        told = [(step, n, o.kind, o.units_left, o.units_failed, o.error_class, o.error) for step, n, o in history.tries]
        assert told == [
            ("read", 1, "failed", 1, 1, "rate_limit", "reset"),
            ("write", 1, "held", 2, 0, None, None),
            ("write", 1, "done", 2, 0, None, None),
        ]
        assert [(o.not_before, o.reason) for _, _, o in history.tries[:2]] == [(later, "rate_limit"), (later, "quota")]
        assert [a.state for a in history.attempts] == ["failed", "held", "skipped"]

    async def test_the_driver_is_not_told_for_how_long_a_unit_is_remembered(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        later = Instant(float(int(worker.now()) + 60))
        await worker.attempt(tried(run, state="failed", error_class="no_data", error="none yet", not_before=later))
        (attempt,) = (await worker.history(run.hold.run)).attempts
        assert attempt.not_before == later
        assert attempt.outcome is not None
        assert attempt.outcome[2].not_before is None

    async def test_outcomes_are_in_the_order_of_their_record(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await worker.opened_now(tried(run, 1, "read", "open"))
        await worker.opened_now(tried(run, 2, "write", "open"))
        await worker.attempt(tried(run, 2, "write", ended=1))
        await worker.attempt(tried(run, 1, "read", ended=2))
        history = await worker.history(run.hold.run)
        assert [step for step, _, _ in history.tries] == ["write", "read"]

    async def test_an_open_attempt_has_no_outcome(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await worker.opened_now(tried(run, 1, "read", "open"))
        history = await worker.history(run.hold.run)
        assert [(a.state, a.outcome) for a in history.attempts] == [("open", None)]
        assert history.tries == []

    async def test_what_is_opened_unasked_is_there_soon(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        worker.opened(tried(run, 1, "read", "open"))

        async def is_there() -> bool:
            return bool((await worker.history(run.hold.run)).attempts)

        await until(is_there)

    async def test_an_end_that_overtakes_its_opening_stays(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        worker.opened(tried(run, 1, "read", "open"))
        await worker.attempt(tried(run, 1, "read"))
        worker.opened(tried(run, 1, "read", "open"))
        await worker.attempt(tried(run, 2, "write"))
        assert [a.state for a in (await worker.history(run.hold.run)).attempts] == ["done", "done"]

    async def test_an_attempt_that_ended_does_not_end_again(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await worker.attempt(tried(run, output="1"))
        await worker.attempt(tried(run, state="failed", error_class="data", error="no", output="2"))
        (attempt,) = (await worker.history(run.hold.run)).attempts
        assert (attempt.state, attempt.error, json.loads(attempt.output or "")) == ("done", None, 1)

    async def test_a_call_is_recorded_once(self, stage: Stage) -> None:
        worker, run = await stage.begin("a", "b")
        await worker.call(called(run, 0, output='{"x": 1}'))
        await worker.call(called(run, 0, state="failed", error_class="data", error="no"))
        await worker.call(called(run, 1, state="failed", error_class="network", error="reset"))
        calls = sorted((await worker.history(run.hold.run)).calls, key=lambda call: call.unit_no)
        assert [(c.unit_no, c.state, c.error_class, c.error) for c in calls] == [
            (0, "done", None, None),
            (1, "failed", "network", "reset"),
        ]
        assert json.loads(calls[0].output or "") == {"x": 1}

    async def test_a_transaction_records_its_step_and_its_calls(self, stage: Stage) -> None:
        worker, run = await stage.begin("a", "b")
        at = await worker.transaction(run.hold).commit(tried(run), [called(run, 0), called(run, 1, state="skipped")])
        history = await worker.history(run.hold.run)
        assert [(step, outcome.at) for step, _, outcome in history.tries] == [("read", at)]
        assert sorted((c.unit_no, c.state) for c in history.calls) == [(0, "done"), (1, "skipped")]
        at = await worker.transaction(run.hold).commit(None, [called(run, 0, "write")])
        assert abs(at - worker.now()) < 2
        assert len((await worker.history(run.hold.run)).calls) == 3

    async def test_a_transaction_that_is_rolled_back_records_nothing(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        transaction = worker.transaction(run.hold)
        assert not transaction.used
        await transaction.rollback()
        await transaction.rollback()
        assert (await worker.history(run.hold.run)).attempts == ()

    async def test_text_that_cannot_be_stored_hurts_nobody(self, stage: Stage) -> None:
        await stage.apply(*"abcd")
        worker = await stage.worker()
        a, b, c, d = sorted(await stage.claim(worker), key=lambda run: run.hold.run)
        await asyncio.gather(
            worker.attempt(tried(a, state="failed", error_class="data", error=BAD)),
            worker.attempt(tried(b, output=json.dumps({"text": BAD}))),
            worker.attempt(tried(c, output='{"text": "lone \ud800 text"}')),
            worker.attempt(tried(d)),
            worker.call(called(d, 0, state="failed", error_class="data", error=BAD)),
        )
        told = [(await worker.history(run.hold.run)).attempts[0] for run in (a, b, c, d)]
        assert "bad" in (told[0].error or "")
        assert all(json.loads(one.output or "")["text"].endswith("text") for one in told[1:3])
        assert [one.state for one in told] == ["failed", "done", "done", "done"]
        await worker.end(over(a, "failed", error_class="data", error=BAD, failed_step="read"))
        shown = await stage.ledger.run(a.hold.run)
        for text in (told[0].error, shown.error, told[1].output, shown.steps[0].error):
            text_of = text or ""
            assert "\x00" not in text_of
            text_of.encode()

    async def test_an_error_too_long_is_cut_with_a_mark(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await worker.attempt(tried(run, state="failed", error_class="data", error="ö" * 100_000))
        (attempt,) = (await worker.history(run.hold.run)).attempts
        assert len((attempt.error or "").encode()) <= 16 * 1024
        assert "200000" in (attempt.error or "")

    async def test_a_record_that_is_no_json_hurts_only_itself(self, stage: Stage) -> None:
        await stage.apply("a", "b")
        worker = await stage.worker()
        first, second = await stage.claim(worker)
        for seq, counts in enumerate(("{no json", '{"\ud800": 1}'), 1):
            results = await asyncio.gather(
                worker.attempt(tried(first, seq, counts=counts)),
                worker.attempt(tried(second, seq)),
                return_exceptions=True,
            )
            assert not isinstance(results[1], BaseException)
            assert len((await worker.history(second.hold.run)).attempts) == seq
        await worker.end(over(first))

    async def test_many_at_once_are_all_on_disk(self, stage: Stage) -> None:
        await stage.apply(*(f"u{n}" for n in range(40)))
        worker = await stage.worker()
        claimed = await stage.claim(worker, 40)
        await asyncio.gather(*(worker.attempt(tried(run)) for run in claimed))
        histories = [await worker.history(run.hold.run) for run in claimed]
        assert all(len(history.tries) == 1 for history in histories)
        await asyncio.gather(*(worker.end(over(run)) for run in claimed))
        assert await stage.ledger.tally(claimed[0].plan) == {"completed": 40}
