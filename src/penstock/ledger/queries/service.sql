-- What a service asks: executions, quality, triggers, schedules.

-- name: executions
-- Newest first; ledger/service.py says how they are found.
select v.number as id, v.id as uuid, v.pipeline, coalesce(v.instance, penstock.public_id(3, q.pipeline_id)::text) as pipeline_id,
  coalesce(v.instance_name, v.pipeline) as pipeline_name, v.org, v.state, v.created_at, v.started_at, v.finished_at, v.seconds,
  v.error_class, v.error, v.plan, v.units
from penstock.v1_runs v join penstock.pipelines q on q.app = v.app and q.name = v.pipeline
where v.number in (/* found */)
order by v.number desc;

-- name: bounds
select penstock.runs_at(%(since)s::timestamptz - %(slack)s * interval '1 s') as low,
  penstock.runs_at(%(until)s::timestamptz + %(slack)s * interval '1 s') as high;

-- name: of_pipelines
-- The newest of each pipeline, and of these the newest: several apps may share a ledger. A range, not "=": then no index
-- of all runs seems to give the order that those of a pipeline give.
select y.run_id from penstock.pipelines q cross join lateral (
  select r.run_id from penstock.runs r
  where r.pipeline_id >= q.pipeline_id and r.pipeline_id <= q.pipeline_id and /* conditions */
  order by r.pipeline_id, r.run_id desc limit %(limit)s) y
where q.app = %(app)s and (%(pipeline)s::text is null or q.name = %(pipeline)s) order by y.run_id desc limit %(limit)s;

-- name: of_runs
-- By what a run says itself: its number, its instance, its organization.
select r.run_id from penstock.runs r where r.pipeline_id in (
    select q.pipeline_id from penstock.pipelines q
    where q.app = %(app)s and (%(pipeline)s::text is null or q.name = %(pipeline)s))
  and /* conditions */ order by /* order */ r.run_id desc limit %(limit)s;

-- name: layers
-- A step that was called per unit has its outputs there; what the first calls list is what tells the tables.
select s.run_number as run, s.step, s.state, coalesce(s.attempts, 0) as attempts, s.seconds, s.error,
  coalesce(s.output, (
    select jsonb_agg(e.item order by k.unit_no, e.place) from (
      select * from penstock.calls y where y.run_id = s.run_number and y.step = s.step and y.state = 'done'
      order by y.unit_no limit 20) k
    cross join lateral json_array_elements(case when json_typeof(k.output) = 'array' then k.output else '[]' end)
      with ordinality e(item, place))) as output,
  coalesce(s.counts, (
    select jsonb_object_agg(y.name, y.n) from (
      select c.key as name, sum(c.value::bigint) as n from penstock.calls k cross join lateral json_each_text(k.counts) c
      where k.run_id = s.run_number and k.step = s.step group by 1) y), '{}') as counts
from penstock.v1_steps s where s.run_number = any(%(runs)s) order by s.run_number, s.place;

-- name: plans
select p.plan_id as number, penstock.public_id(2, p.plan_id) as id, q.name as pipeline, p.state, p.paused, p.forced, p.triggered_by,
  p.created_at, p.applied_at, p.runs, p.parallel, p.summary -> 'counts' as gaps, p.org,
  (select coalesce(json_object_agg(x.state, x.n), '{}') from (
    select r.state, count(*) as n from penstock.runs r where r.plan_id = p.plan_id group by 1) x) as runs_by_state
from (
  select y.* from penstock.plans y where y.pipeline_id in (
      select z.pipeline_id from penstock.pipelines z where z.app = %(app)s and (%(pipeline)s::text is null or z.name = %(pipeline)s))
    and (%(org)s::text is null or y.org = %(org)s)
    and (%(triggered_by)s::text is null or y.triggered_by = %(triggered_by)s)
    and (%(ids)s::bigint[] is null or y.plan_id = any(%(ids)s)) and (%(before)s::bigint is null or y.plan_id < %(before)s)
  order by y.plan_id desc limit %(limit)s) p
join penstock.pipelines q using (pipeline_id) order by p.plan_id desc;

-- name: pipeline_of
select q.name from penstock.pipelines q where q.app = %(app)s and penstock.public_id(3, q.pipeline_id) = %(public)s;

-- name: quality
select x.pipeline, x.pipeline_id, max(x.pipeline_name) as pipeline_name, coalesce(sum(x.n) filter (where x.metric_type = 'total_records'), 0)::bigint as total,
  coalesce(sum(x.n) filter (where x.metric_type = 'valid_records'), 0)::bigint as valid,
  coalesce(json_object_agg(x.metric_type, x.n) filter (where x.metric_type not in ('total_records', 'valid_records')), '{}') as issues
from (
  select q.name as pipeline, coalesce(r.instance, penstock.public_id(3, q.pipeline_id)::text) as pipeline_id,
    coalesce(max(r.instance_name), q.name) as pipeline_name, m.metric_type, sum(m.count) as n
  from penstock.quality_metrics m join penstock.runs r using (run_id) join penstock.pipelines q using (pipeline_id)
  where m.at >= %(since)s and q.app = %(app)s and (%(org)s::text is null or r.org = %(org)s)
  group by q.name, 2, m.metric_type) x
group by 1, 2 order by 3, 2;

-- name: holder
-- From what is live, which is little beside the units that there are.
select min(a.run_id) as run_id from penstock.active a cross join lateral (
  select y.pipeline_id, y.key, y.unit from penstock.units y where y.unit_id = a.unit_id offset 0) u
where u.pipeline_id = (select q.pipeline_id from penstock.pipelines q where q.app = %(app)s and q.name = %(pipeline)s)
  and u.unit::jsonb @> %(where)s::jsonb
  and (%(keys)s::text[] is null or u.key = any(%(keys)s))
  and (%(day)s::text is null or ((%(first)s::date is null or (u.unit ->> %(day)s)::timestamptz::date >= %(first)s::date)
    and (%(last)s::date is null or (u.unit ->> %(day)s)::timestamptz::date <= %(last)s::date)));

-- name: skip
select penstock.skip_plan(%(plan)s, %(triggered_by)s, %(org)s, %(instance)s) as run_id;

-- name: first_run
select min(run_id) as run_id from penstock.runs where plan_id = %(plan)s;

-- name: set_schedules
with n as (
  select * from json_to_recordset(%(schedules)s) i(pipeline text, cron text, timezone text, next_at timestamptz)
), gone as (
  delete from penstock.schedules s where s.app = %(app)s and not exists (select from n where n.pipeline = s.pipeline)
)
insert into penstock.schedules (app, pipeline, cron, timezone, next_at) select %(app)s, pipeline, cron, timezone, next_at from n
on conflict (app, pipeline) do update set cron = excluded.cron, timezone = excluded.timezone,
  next_at = case when (schedules.cron, schedules.timezone) = (excluded.cron, excluded.timezone) then schedules.next_at
    else excluded.next_at end;

-- name: schedules
select pipeline, cron, timezone, next_at, last_at, last_plan, error, paused from penstock.v1_schedules where app = %(app)s
order by pipeline;

-- name: due
select v.pipeline, v.cron, v.timezone, v.next_at, v.last_at, v.last_plan, v.error, v.paused, clock_timestamp() as now
from penstock.v1_schedules v where v.app = %(app)s and v.next_at <= clock_timestamp() order by v.next_at;

-- name: take_tick
-- Whoever finds the time that it saw is the one. If it dies over it, another does it when the lease is over.
update penstock.schedules set last_at = next_at, next_at = clock_timestamp() + %(lease)s * interval '1 s'
where app = %(app)s and pipeline = %(pipeline)s and next_at = %(seen)s returning pipeline;

-- name: ticked
update penstock.schedules set last_plan_id = coalesce(%(plan)s, last_plan_id), error = %(error)s,
  next_at = case when (cron, timezone) = (%(cron)s, %(timezone)s) then %(next_at)s else next_at end
where app = %(app)s and pipeline = %(pipeline)s;

-- name: take_done
with d as materialized (
  select p.plan_id from penstock.pipelines q join penstock.plans p using (pipeline_id)
  where q.app = %(app)s and q.name = any(%(pipelines)s) and p.state = 'applied' and p.followed_at is null
    and coalesce(p.following_until < clock_timestamp(), true) and penstock.plan_done(p.plan_id)
  order by p.plan_id limit 1000 for update of p skip locked
)
update penstock.plans p set following_until = clock_timestamp() + %(lease)s * interval '1 s' from d
where p.plan_id = d.plan_id
returning p.plan_id, (select q.name from penstock.pipelines q where q.pipeline_id = p.pipeline_id) as pipeline;

-- name: followed
update penstock.plans set followed_at = clock_timestamp(), following_until = null where plan_id = any(%(plans)s);

-- name: last_run
-- Of each pipeline the run at work and the one that ended last: both by an index, however many runs there are.
select v.number, v.state, v.started_at, v.finished_at, case when v.finished_at is not null then v.seconds end as seconds, (
    select coalesce(sum(coalesce((a.counts ->> 'written')::bigint, (
      select sum((c.counts ->> 'written')::bigint) from penstock.calls c where c.run_id = a.run_id and c.step = a.step))), 0)::bigint
    from penstock.attempts a where a.run_id = v.number and a.state = 'done') as rows
from penstock.v1_runs v where v.number = (
  select x.run_id from penstock.pipelines q cross join lateral (
    (select r.run_id, r.started_at from penstock.runs r where r.pipeline_id = q.pipeline_id
      and r.state in ('running', 'waiting') order by r.run_id desc limit 1)
    union all
    (select r.run_id, r.started_at from penstock.runs r where r.pipeline_id = q.pipeline_id
      and r.finished_at > '-infinity' order by r.finished_at desc limit 1)) x
  where q.app = %(app)s and x.started_at is not null order by x.started_at desc, x.run_id desc limit 1);

-- name: revision
select version_num from penstock.migrations;
