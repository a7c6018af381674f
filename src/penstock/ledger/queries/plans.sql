-- Plans: made, shown, applied, put away.

-- name: ensure_pipeline
-- The pipeline's row, made at its first plan; its lane space may have changed since.
with s as (
  insert into penstock.spaces (app, name) values (%(app)s, %(space)s)
  on conflict (app, name) do update set name = excluded.name returning space_id
)
insert into penstock.pipelines (app, name, space_id, org_field, instance_field, instance_name_field)
select %(app)s, %(pipeline)s, space_id, %(org)s, %(instance)s, %(instance_name)s from s
on conflict (app, name) do update set space_id = excluded.space_id, org_field = excluded.org_field,
  instance_field = excluded.instance_field, instance_name_field = excluded.instance_name_field
returning pipeline_id, space_id;

-- name: ensure_shape
insert into penstock.shapes (pipeline_id, hash, body) values (%(pipeline)s, %(hash)s, %(body)s)
on conflict (pipeline_id, hash) do update set hash = excluded.hash returning shape_id;

-- name: insert_plan
insert into penstock.plans (pipeline_id, shape_id, definition, params, forced, triggered_by, quotas, org)
values (%(pipeline)s, %(shape)s, %(definition)s, %(params)s, %(forced)s, %(triggered_by)s, %(quotas)s::int[], %(of)s)
returning plan_id;

-- name: listed_table
create temporary table if not exists penstock_listed (
  ord bigint, key text collate "C", unit json, lane text, priority int, source_version text) on commit drop;

-- name: copy_listed
copy penstock_listed (ord, key, unit, lane, priority, source_version) from stdin;

-- name: store_summary
update penstock.plans set summary = %(summary)s where plan_id = %(plan)s;

-- name: admit
select penstock.admit_plan(%(plan)s) as found;

-- name: seconds_a_run
-- The mean length of the last runs that completed.
select avg(extract(epoch from r.finished_at - r.started_at))::float8 from (
  select state, started_at, finished_at from penstock.runs where pipeline_id = %(pipeline)s order by run_id desc limit 200) r
where r.state = 'completed';

-- name: plan
select p.plan_id, penstock.public_id(2, p.plan_id) as uuid, q.app, q.name as pipeline, p.pipeline_id, p.shape_id, p.state,
  p.paused or q.paused as paused, p.definition, p.forced, p.summary, p.dropped, p.runs, p.created_at, p.applied_at,
  extract(epoch from clock_timestamp() - p.created_at)::float8 as age,
  coalesce(extract(epoch from clock_timestamp())::float8 >= (p.summary ->> 'until')::float8, false) as window_over
from penstock.plans p join penstock.pipelines q using (pipeline_id) where p.plan_id = %(plan)s;

-- name: gaps
select i.position, i.key, i.unit, i.reason, i.priority, i.lane, i.source_version, q.name as deferred_by,
  case when isfinite(i.deferred_until) then i.deferred_until end as deferred_until,
  case when i.costs is not null then (
    select json_agg(json_build_array(y.name, c.cost::text) order by c.n) from unnest(i.costs) with ordinality c(cost, n)
    join penstock.quotas y on y.quota_id = p.quotas[c.n]) end as costs
from penstock.plan_items i join penstock.plans p using (plan_id) left join penstock.quotas q on q.quota_id = i.deferred_by
where i.plan_id = %(plan)s and i.position > %(after)s order by i.position limit %(limit)s;

-- name: apply
select runs, taken, changed from penstock.start_plan(%(plan)s, %(shape)s, %(triggered_by)s, %(engine)s, %(copy_from)s,
  %(parallel)s);

-- name: discard
with p as (update penstock.plans set state = 'discarded' where plan_id = %(plan)s and state = 'open' returning plan_id),
i as (delete from penstock.plan_items i using p where i.plan_id = %(plan)s)
select plan_id from p;
