-- What the history says, by day. Both indexes grow at their right end only, by one entry when a run ends.
create index runs_ended on runs (pipeline_id, finished_at) where finished_at is not null;
create index runs_failed_at on runs (pipeline_id, failed_at) where failed_at is not null;

-- A view goes from the days of a pipeline to the runs that ended on each, so that a condition on pipeline and day reads
-- those only; "offset 0" keeps a run's attempts from being joined the other way round. Days are of UTC.
create function ended_days(p_pipeline int) returns setof date language sql stable rows 400 as $$
  select generate_series(date_trunc('day', min(r.finished_at) at time zone 'UTC'), max(r.finished_at) at time zone 'UTC',
    interval '1 day')::date
  from runs r where r.pipeline_id = p_pipeline and r.finished_at is not null
$$;
comment on function ended_days is 'Every day from the first to the last on which a run of the pipeline ended.';
alter function ended_days set search_path = penstock, pg_temp;

create view v1_daily_runs as
  select q.app, q.name as pipeline, d.day, s.runs, s.completed, s.partial, s.failed, s.cancelled, s.units,
    s.units_per_hour, s.p50_seconds, s.p95_seconds, s.p50_wait, s.attempts, s.retries, s.losses
  from pipelines q cross join lateral ended_days(q.pipeline_id) d(day)
  cross join lateral (
    select count(*) as runs,
      count(*) filter (where r.state = 'completed') as completed, count(*) filter (where r.state = 'partial') as partial,
      count(*) filter (where r.state = 'failed') as failed, count(*) filter (where r.state = 'cancelled') as cancelled,
      coalesce(sum(r.units), 0) as units,
      sum(r.units) filter (where r.state in ('completed', 'partial')) * 3600
        / nullif(extract(epoch from max(r.finished_at) - min(greatest(r.started_at, d.day::timestamp at time zone 'UTC'))), 0)::float8
        as units_per_hour,
      percentile_cont(0.5) within group (order by extract(epoch from r.finished_at - r.started_at)::float8) as p50_seconds,
      percentile_cont(0.95) within group (order by extract(epoch from r.finished_at - r.started_at)::float8) as p95_seconds,
      percentile_cont(0.5) within group (order by extract(epoch from r.started_at - r.created_at)::float8) as p50_wait,
      coalesce(sum(a.attempts), 0)::bigint as attempts, coalesce(sum(a.retries), 0)::bigint as retries,
      coalesce(sum(a.losses), 0)::bigint as losses
    from runs r
    cross join lateral (
      select count(*) filter (where y.state not in ('skipped', 'lost') and y.copied_from is null) as attempts,
        count(*) filter (where y.state not in ('skipped', 'lost') and y.copied_from is null and y.attempt > 1) as retries,
        count(*) filter (where y.state = 'lost') as losses
      from attempts y where y.run_id = r.run_id) a
    where r.pipeline_id = q.pipeline_id and r.finished_at >= d.day::timestamp at time zone 'UTC'
      and r.finished_at < (d.day + 1)::timestamp at time zone 'UTC') s
  where s.runs > 0;
comment on view v1_daily_runs is 'Per pipeline and day (UTC) of their end: runs by state, how long they took, attempts, units.';

create view v1_daily_failures as
  select q.app, q.name as pipeline, d.day, s.error_class, s.failed_step as step, s.runs, s.units, s.last_error
  from pipelines q cross join lateral ended_days(q.pipeline_id) d(day)
  cross join lateral (
    select r.error_class, r.failed_step, count(*) as runs, sum(r.units) as units,
      (array_agg(r.error order by r.failed_at desc))[1] as last_error
    from runs r
    where r.pipeline_id = q.pipeline_id and r.failed_at >= d.day::timestamp at time zone 'UTC'
      and r.failed_at < (d.day + 1)::timestamp at time zone 'UTC'
    group by 1, 2) s;
comment on view v1_daily_failures is 'Per pipeline and day (UTC): failed and partial runs by class and step, with the last error.';

create view v1_daily_steps as
  select q.app, q.name as pipeline, d.day, s.step, s.attempts, s.done, s.failed, s.p50_seconds, s.p95_seconds
  from pipelines q cross join lateral ended_days(q.pipeline_id) d(day)
  cross join lateral (
    select a.step, count(*) as attempts, count(*) filter (where a.state = 'done') as done,
      count(*) filter (where a.state = 'failed') as failed,
      percentile_cont(0.5) within group (order by extract(epoch from a.finished_at - a.started_at)::float8) as p50_seconds,
      percentile_cont(0.95) within group (order by extract(epoch from a.finished_at - a.started_at)::float8) as p95_seconds
    from runs r cross join lateral (select * from attempts y where y.run_id = r.run_id offset 0) a
    where r.pipeline_id = q.pipeline_id and r.finished_at >= d.day::timestamp at time zone 'UTC'
      and r.finished_at < (d.day + 1)::timestamp at time zone 'UTC'
      and a.copied_from is null and a.state in ('done', 'failed', 'held', 'cancelled')
    group by 1) s;
comment on view v1_daily_steps is 'Per pipeline, day (UTC) and step: attempts of runs that ended then, and how long one took.';
