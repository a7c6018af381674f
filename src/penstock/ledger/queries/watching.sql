-- What `penstock top` shows, looked at every two seconds: each query reads by an index, and no more than it shows or a
-- few thousand rows. Where it stops counting it says so by one more than its limit.

-- name: now
select clock_timestamp() as at;

-- name: pipelines
-- The last ten minutes' ends, at most 2,000 of each pipeline; of a faster one the rate is that of its last 2,000.
select q.app, q.name as pipeline, q.paused, e.ended, e.failed, e.last_minute, e.span, e.seconds,
  least(later.n, 10001) as deferred
from penstock.pipelines q
cross join lateral (
  select count(*) as ended, count(*) filter (where x.state in ('failed', 'partial')) as failed,
    count(*) filter (where x.finished_at > clock_timestamp() - interval '1 minute') as last_minute,
    extract(epoch from clock_timestamp() - min(x.finished_at))::float8 as span,
    percentile_cont(0.5) within group (order by extract(epoch from x.finished_at - x.started_at)::float8) as seconds
  from (
    select r.state, r.started_at, r.finished_at from penstock.runs r
    where r.pipeline_id = q.pipeline_id and r.finished_at > statement_timestamp() - interval '10 minutes'
    order by r.finished_at desc limit 2000) x) e
cross join lateral (
  select count(*) as n from (
    select from penstock.runs r where r.pipeline_id = q.pipeline_id and r.not_before > statement_timestamp()
    limit 10001) x) later
order by q.app, q.name;

-- name: queue
-- Units that wait for their lane, by lane space; at most 10,001 of them all are counted.
select s.app, s.name as space, sum(w.n)::bigint as queued, count(*) as lanes
from (
  select x.lane_id, min(l.space_id) as space_id, count(*) as n
  from (
    select a.lane_id, a.run_id from penstock.active a where not a.held
    order by a.lane_id, a.rank, a.run_id limit 10001) x
  cross join lateral (select y.space_id, y.run_id from penstock.lanes y where y.lane_id = x.lane_id limit 1) l
  where x.run_id is distinct from l.run_id group by x.lane_id) w
join penstock.spaces s using (space_id) group by 1, 2 order by 1, 2;

-- name: lanes
-- Lanes that hold a run, the oldest runs first: the step that executes, or what it waits for.
select q.app, q.name as pipeline, l.key as lane, r.run_id as run, r.units, u.unit, l.process_id as process, r.wait_reason,
  r.not_before, a.step, a.attempt, extract(epoch from statement_timestamp() - coalesce(a.started_at, r.started_at))::float8 as seconds,
  case when r.state = 'running' and (w.process_id is null or w.lost_at is not null
    or w.lease_until < statement_timestamp()) then 'crashed' else r.state end as state
from (select * from penstock.lanes y where y.run_id is not null order by y.run_id limit 500) l
join penstock.runs r using (run_id) join penstock.pipelines q using (pipeline_id)
left join penstock.processes w on w.process_id = l.process_id
left join lateral (
  select y.unit_id from penstock.run_units y where y.run_id = r.run_id order by y.unit_no limit 1) x on true
left join penstock.units u on u.unit_id = x.unit_id
left join lateral (
  select y.step, y.attempt, y.started_at from penstock.attempts y where y.run_id = r.run_id and y.state = 'open'
  order by y.seq desc limit 1) a on true
order by r.run_id;

-- name: failures
-- The last hour's failures by class, at most 1,000 of each pipeline, and the last error of each.
select q.app, q.name as pipeline, x.error_class, count(*) as runs, max(x.failed_at) as last_at,
  (array_agg(x.error order by x.failed_at desc))[1] as error
from penstock.pipelines q cross join lateral (
  select r.error_class, r.error, r.failed_at from penstock.runs r
  where r.pipeline_id = q.pipeline_id and r.failed_at > statement_timestamp() - interval '1 hour'
  order by r.failed_at desc limit 1000) x
group by 1, 2, 3 order by runs desc, 1, 2, 3;

-- name: processes
-- Those alive, and those that were lost within an hour.
select p.process, p.app, p.name, p.host, p.pid, p.state,
  extract(epoch from statement_timestamp() - p.started_at)::float8 as seconds,
  (select count(*) from penstock.lanes l where l.process_id = p.process) as runs
from penstock.v1_processes p
where p.state = 'alive' or (p.state = 'lost' and p.lease_until > statement_timestamp() - interval '1 hour')
order by p.process;

-- name: notices
-- What waits to be told to people, at most 10,001 of each target.
select t.app, t.target, t.error, (
  select count(*) from (select from penstock.notices n where n.app = t.app and n.target = t.target limit 10001) x) as waiting
from penstock.notice_targets t order by 1, 2;

-- name: quotas
-- At most 50 quotas with their present windows; one per run or at once has a window without ends.
select q.number, q.app, q.name, q."limit", q.reserve, q.per, q.timezone,
  case when isfinite(q.starts_at) then q.starts_at end as starts_at,
  case when isfinite(q.ends_at) then q.ends_at end as ends_at, q.used, q.reserved, q.open
from penstock.v1_quotas q order by q.app, q.name limit 50;
