-- What a process at work asks.

-- name: open_process
insert into penstock.processes (app, name, host, pid, lease_until, events)
values (%(app)s, %(name)s, %(host)s, %(pid)s, clock_timestamp() + %(lease)s * interval '1 s', %(events)s)
returning process_id, extract(epoch from clock_timestamp())::float8 as now;

-- name: renew
-- No row: the lease is lost.
update penstock.processes set lease_until = clock_timestamp() + %(lease)s * interval '1 s'
where process_id = %(process)s and lost_at is null and ended_at is null
returning extract(epoch from clock_timestamp())::float8;

-- name: close_process
-- After what it still held was handed back by take_over.
update penstock.processes p set ended_at = clock_timestamp(), lost_at = null where p.process_id = %(process)s;

-- name: neighbours
-- The living processes of this machine, and how long ago each renewed its lease, to see whether they still are.
select process_id, pid,
  extract(epoch from clock_timestamp() - lease_until)::float8 + %(lease)s as silent from penstock.processes
where host = %(host)s and ended_at is null and lost_at is null and process_id <> %(process)s;

-- name: take_over
select penstock.take_over(%(dead)s);

-- name: let_strays_go
-- Lanes that the ledger thinks this process holds, but for those that it knows of, to the front of the claim.
with l as (
  update penstock.lanes l set process_id = null, fence = l.fence + 1, next_at = '-infinity'
  where l.process_id = %(process)s and not exists (
    select from unnest(%(lanes)s::bigint[], %(fences)s::bigint[]) h(lane, fence)
    where h.lane = l.lane_id and h.fence = l.fence)
  returning l.run_id
)
update penstock.runs r set process_id = null from l where r.run_id = l.run_id;

-- name: promote
select penstock.promote(%(spaces)s);

-- name: next_due
-- Of the runs that promote would take when their time comes.
select extract(epoch from min(y.not_before) - clock_timestamp())::float8
from penstock.pipelines q cross join lateral (
  select r.not_before from penstock.runs r join penstock.plans p using (plan_id)
  where r.pipeline_id = q.pipeline_id and r.state = 'scheduled' and r.not_before is not null and not p.paused
  order by r.not_before limit 1) y
where q.space_id = any(%(spaces)s) and not q.paused;

-- name: record
select kind, run_id, lane_id, fence, info from penstock.record(%(process)s, %(attempts)s, %(calls)s, %(waits)s, %(ends)s,
  %(k)s, %(spaces)s, %(turn)s, '-infinity');

-- name: record_step
-- The same as the last statement of a step's transaction, with the number by which to ask whether it is over.
select r.kind, r.run_id, r.lane_id, r.fence, r.info, pg_current_xact_id()::text
from (values (1)) one left join penstock.record(%(process)s, %(attempts)s, %(calls)s, null, null, 0, '{}', 0, '-infinity') r
  on true;

-- name: fate
-- Whether a transaction is over whose COMMIT was not answered; an error says that the number is from before a crash.
select pg_xact_status(%(xact)s::xid8);

-- name: spaces
select q.pipeline_id, q.space_id, q.name from penstock.pipelines q where q.app = %(app)s and q.name = any(%(pipelines)s);

-- name: shape
select body from penstock.shapes where shape_id = %(shape)s;

-- name: plan_facts
select q.name as pipeline, p.params, p.forced from penstock.plans p join penstock.pipelines q using (pipeline_id)
where p.plan_id = %(plan)s;

-- name: attempts
select seq, step, attempt, state, coalesce(extract(epoch from finished_at - started_at), 0)::float8 as seconds, ended_no,
  units_left, units_failed, error_class, error, extract(epoch from not_before)::float8 as not_before, reason,
  extract(epoch from finished_at)::float8 as at, output::text as output
from penstock.attempts where run_id = %(run)s order by ended_no nulls last, seq;

-- name: calls
select step, unit_no, state, error_class, error, extract(epoch from not_before)::float8 as not_before, output::text as output
from penstock.calls where run_id = %(run)s;

-- name: once
select key, value::text as value from penstock.onces where unit_id = %(unit)s and version = %(version)s and step = %(step)s;

-- name: hold_process
select from penstock.processes where process_id = %(process)s and lost_at is null and ended_at is null for key share;

-- name: keep_once
-- Only while the fence fits.
insert into penstock.onces (unit_id, version, step, key, value)
select %(unit)s, %(version)s, %(step)s, %(key)s, %(value)s from penstock.lanes l
where l.lane_id = %(lane)s and l.run_id = %(run)s and l.fence = %(fence)s
on conflict (unit_id, version, step, key) do update set value = excluded.value
returning unit_id;

-- name: cancelled
select run_id from penstock.runs where run_id = any(%(runs)s) and cancel_requested;

-- name: outstanding
-- Live runs of these pipelines by whose they are.
select
  count(*) filter (where not a.later and (a.process_id is null or a.process_id = %(process)s or a.dead)) as open,
  count(*) filter (where not a.later and a.process_id <> %(process)s and not a.dead
    and (%(plan)s::bigint is null or a.plan_id = %(plan)s)) as elsewhere,
  count(*) filter (where a.later) as deferred,
  min(a.not_before) filter (where a.later) as first
from (
  select r.run_id, r.plan_id, r.process_id, r.not_before,
    bool_or(x.held) and not coalesce(r.not_before <= clock_timestamp() + %(soon)s * interval '1 s'
      and not p.paused and not q.paused, false) as later,
    w.lost_at is not null or w.ended_at is not null as dead
  from penstock.active x join penstock.runs r using (run_id) join penstock.plans p using (plan_id)
  join penstock.pipelines q on q.pipeline_id = r.pipeline_id
  left join penstock.processes w on w.process_id = r.process_id
  where r.pipeline_id = any(%(pipelines)s)
  group by r.run_id, r.plan_id, r.process_id, r.not_before, p.paused, q.paused, w.lost_at, w.ended_at) a;

-- name: insert_logs
insert into penstock.logs (run_id, step, attempt, at, level, message, fields)
select run, step, attempt, to_timestamp(at), level, message, fields
from json_to_recordset(%(logs)s) i(run bigint, step text, attempt smallint, at float8, level text, message text, fields json);

-- name: ensure_quota
-- The quota's row with the code's figures; written only when they differ.
with old as (
  select quota_id, (amount, per, reserve, starts, timezone) is not distinct from
    (%(amount)s::numeric, %(per)s::text, %(reserve)s::numeric, %(starts)s::interval, %(timezone)s::text) as same
  from penstock.quotas where app = %(app)s and name = %(name)s
), new as (
  insert into penstock.quotas (app, name, amount, per, reserve, starts, timezone)
  select %(app)s, %(name)s, %(amount)s, %(per)s, %(reserve)s, %(starts)s, %(timezone)s
  where not exists (select from old where same)
  on conflict (app, name) do update set amount = excluded.amount, per = excluded.per, reserve = excluded.reserve,
    starts = excluded.starts, timezone = excluded.timezone
  returning quota_id
)
select quota_id from new union all select quota_id from old where same;

-- name: spend
select draw_id, quota, case when isfinite(until) then extract(epoch from until)::float8 end as until, free, "limit"
from penstock.spend(%(process)s, %(lane)s, %(run)s, %(fence)s, %(step)s, %(quotas)s, %(amounts)s);

-- name: settle
select penstock.settle(%(draws)s, %(actual)s);

-- name: living
select count(*)::int as living from penstock.processes
where app = %(app)s and ended_at is null and lost_at is null and lease_until > clock_timestamp();
