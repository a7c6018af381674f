-- What people and programs read. Lists are paged by the key that orders them.

-- name: runs
-- Newest first, found by the first of ids, plan, unit, failure or pipeline that was asked for.
select v.id as uuid, v.number as id, v.app, v.pipeline, v.plan, v.state, v.lane, v.priority, v.units as size, v.not_before,
  v.wait_reason, v.created_at, v.started_at, v.finished_at, v.error_class, v.error, v.failed_step,
  (select json_agg(u.unit order by x.unit_no) from (
    select * from penstock.run_units y where y.run_id = v.number order by y.unit_no limit %(shown)s) x
   join penstock.units u using (unit_id)) as units
from penstock.v1_runs v
where v.number in (
    select r.run_id from penstock.runs r
    where /* conditions */ order by r.run_id desc limit %(limit)s)
order by v.number desc;

-- name: steps
select step, state, coalesce(attempts, 0) as attempts, coalesce(seconds, 0)::float8 as seconds, error_class, error, output
from penstock.v1_steps where run_number = %(run)s order by place;

-- name: unfinished
select u.unit from penstock.run_units x join penstock.runs r using (run_id) join penstock.units u using (unit_id)
where x.run_id = %(run)s and coalesce(x.state, r.state) <> 'completed' order by x.unit_no;

-- name: tally
select state, count(*) as n from penstock.runs where plan_id = %(plan)s group by state;

-- name: followed_up
select distinct origin_run_id as run_id from penstock.runs
where plan_id = %(plan)s and tries > 0 and origin_run_id is not null;

-- name: units
select v.* from penstock.v1_units v where v.number in (
  select u.unit_id from penstock.units u join penstock.pipelines q using (pipeline_id)
  where q.app = %(app)s and q.name = %(pipeline)s and (%(verdicts)s::text[] is null or u.verdict = any(%(verdicts)s))
    and (%(after)s::bigint is null or u.unit_id > %(after)s) order by u.unit_id limit %(limit)s)
order by v.number;

-- name: unit
select v.* from penstock.v1_units v where v.number = (
  select u.unit_id from penstock.units u join penstock.pipelines q using (pipeline_id)
  where q.app = %(app)s and q.name = %(pipeline)s and u.key_hash = md5(%(key)s)::uuid);

-- name: logs
select * from penstock.v1_logs where run_number = %(run)s and number > %(after)s order by number limit %(limit)s;

-- name: health
select (select count(*) from penstock.v1_processes p where p.app = %(app)s and p.state = 'alive') as processes,
  (select coalesce(json_object_agg(x.state, x.n), '{}') from (
    select v.state, count(*) as n from (  -- what its lane does not hold is scheduled
      select l.run_id from penstock.lanes l where l.run_id is not null) h
    cross join lateral (select * from penstock.v1_runs y where y.number = h.run_id limit 1) v
    where v.app = %(app)s group by 1
    union all
    select 'scheduled', count(distinct a.run_id) from penstock.active a join penstock.lanes l using (lane_id)
    join penstock.spaces s using (space_id) where s.app = %(app)s and l.run_id is distinct from a.run_id
    having count(*) > 0) x) as live,
  (select max(p.created_at) from penstock.plans p join penstock.pipelines q using (pipeline_id) where q.app = %(app)s) as last_plan,
  (select count(*) from penstock.v1_processes p where p.app = %(app)s and p.state = 'lost'
    and p.lease_until > now() - interval '1 day') as lost,
  (select coalesce(json_object_agg(x.name, x.n), '{}') from (
    select q.name, (p.summary ->> 'repeating')::bigint as n from penstock.pipelines q
    cross join lateral (
      select * from penstock.plans y where y.pipeline_id = q.pipeline_id order by y.plan_id desc limit 1) p
    where q.app = %(app)s) x where x.n > 0) as repeating,
  (select count(*) from penstock.outbox o where o.app = %(app)s) + (select count(*) from penstock.events e
    where e.app = %(app)s and e.position > penstock.events_held_from(%(app)s)) as outbox,
  (select coalesce(json_agg(distinct g.message), '[]') from (
    select level, message from penstock.logs order by log_id desc limit 10000) g
    where g.level = 'warning' and g.message like '%% held the event loop for %%') as held,
  current_setting('server_version') as server;

-- name: quotas
select q.name, q."limit", q.reserve, q.per, q.timezone, case when isfinite(q.starts_at) then q.starts_at end as starts_at,
  case when isfinite(q.ends_at) then q.ends_at end as ends_at, q.used, q.reserved, q.open
from penstock.v1_quotas q where q.app = %(app)s order by q.name;
