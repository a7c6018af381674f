-- What `penstock db prune` asks, window by window. Every statement is a transaction of its own.

-- name: begin
-- The time before which things must have ended, by the ledger's clock, and the plans that are still at work.
select clock_timestamp() - %(older_than)s::interval as before, array(
  select distinct r.plan_id from penstock.active a join penstock.runs r using (run_id)) as live;

-- name: pipelines
-- Pipelines of a name, or of app/name.
select pipeline_id, app || '/' || name as name from penstock.pipelines
where name = %(pipeline)s or app || '/' || name = %(pipeline)s order by 2;

-- name: runs
select last, runs, rows, at_work, undelivered, failed
from penstock.prune_runs(%(before)s, %(pipeline)s, %(live)s, %(keep_failed)s, %(after)s, %(limit)s, %(dry_run)s);

-- name: plans
select last, plans
from penstock.prune_plans(%(before)s, %(pipeline)s, %(live)s, %(keep_failed)s, %(after)s, %(limit)s, %(dry_run)s);

-- name: gaps
select penstock.prune_gaps(%(before)s, %(pipeline)s, %(limit)s, %(dry_run)s) as gaps;

-- name: onces
select last, onces from penstock.prune_onces(%(before)s, %(pipeline)s, %(after)s, %(limit)s, %(dry_run)s);

-- name: windows
select penstock.prune_windows(%(before)s, %(limit)s, %(dry_run)s) as windows;

-- name: processes
select penstock.prune_processes(%(before)s, %(limit)s, %(dry_run)s) as processes;


-- name: events
select penstock.prune_events(clock_timestamp() - %(events_older_than)s::interval, %(limit)s, %(dry_run)s) as events;
