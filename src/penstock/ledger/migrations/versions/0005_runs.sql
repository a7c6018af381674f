-- Whose a run is, schedules, and plans that are only so wide.

alter table pipelines add org_field text, add instance_field text, add instance_name_field text;
alter table runs add org text, add instance text, add instance_name text;
create index runs_org on runs (org, run_id desc) where org is not null;
create index runs_instance on runs (instance, run_id desc) where instance is not null;
create index runs_ended_badly on runs (run_id desc) where state in ('failed', 'cancelled');
comment on column runs.org is 'The tenant, from the unit''s field that the pipeline names; null where it names none.';
comment on column runs.instance is 'What shows as pipeline_id in the API: one of many that share a pipeline.';

alter table plans add parallel int check (parallel > 0), add followed_at timestamptz, add org text;
comment on column plans.org is 'Set where the plan was asked for one organization''s units.';
comment on column plans.parallel is 'How many of its runs may be at work at once; null for no limit of its own.';
comment on column plans.followed_at is 'When it was seen that the plan is done, so that pipelines that come after it are planned.';
update plans set followed_at = now() where state = 'applied';
create index plans_unfollowed on plans (pipeline_id, plan_id) where state = 'applied' and followed_at is null;

alter table quotas add plan_id bigint;
comment on column quotas.plan_id is 'Set for the width of one plan: so many of its runs at once.';

create table schedules (
  app text not null, pipeline text not null, cron text not null, timezone text not null,
  next_at timestamptz not null, last_at timestamptz, last_plan_id bigint, error text,
  primary key (app, pipeline)
);
comment on table schedules is 'The next tick of each pipeline with a schedule. Who moves next_at on is the one that plans.';

create function start_plan(p_plan bigint, p_shape int, p_triggered_by text, p_engine text, p_copy_from bigint, p_parallel int)
returns table (runs bigint, taken bigint, changed bigint) language plpgsql as $$
#variable_conflict use_column
declare q pipelines; v_open boolean; v_quota int;
begin
  select p.state = 'open' into v_open from plans p where p.plan_id = p_plan for update;
  select y.* into q from pipelines y join plans p using (pipeline_id) where p.plan_id = p_plan;
  return query select * from apply_plan(p_plan, p_shape, p_triggered_by, p_engine, p_copy_from);
  if not v_open then
    return;
  end if;
  if coalesce(q.org_field, q.instance_field) is not null then
    perform name_runs(array(select r.run_id from runs r where r.plan_id = p_plan));
  end if;
  if p_parallel is not null then  -- so many at once is what such a quota says, and the claim keeps to it
    update plans p set parallel = p_parallel where p.plan_id = p_plan;
    insert into quotas (app, name, amount, plan_id) values (q.app, 'plan:' || p_plan, p_parallel, p_plan) returning quota_id into v_quota;
    insert into run_costs (run_id, quota_id, amount) select r.run_id, v_quota, 1 from runs r where r.plan_id = p_plan;
  end if;
end $$;
comment on function start_plan is 'Makes the runs of a plan, says whose they are, and how many of them may be at work at once.';

create function name_runs(p_runs bigint[]) returns void language plpgsql as $$
begin
  update runs r set org = n.org, instance = n.instance, instance_name = n.instance_name from (
    select x.run_id,
      case when count(distinct coalesce(u.unit ->> q.org_field, '')) = 1 then min(u.unit ->> q.org_field) end as org,
      case when count(distinct coalesce(u.unit ->> q.instance_field, '')) = 1 then min(u.unit ->> q.instance_field) end as instance,
      case when count(distinct coalesce(u.unit ->> q.instance_field, '')) = 1 then min(u.unit ->> q.instance_name_field) end
        as instance_name
    from run_units x join units u using (unit_id) join pipelines q using (pipeline_id)
    where x.run_id = any (p_runs) group by x.run_id) n
  where r.run_id = n.run_id;
end $$;
comment on function name_runs is 'Tenant and instance of runs, where all units of a run have the same.';

create function skip_plan(p_plan bigint, p_triggered_by text, p_org text, p_instance text)
returns bigint language plpgsql as $$
declare v_lane bigint; v_run bigint; p plans; q pipelines;
begin
  select * into p from plans x where x.plan_id = p_plan for update;
  select * into q from pipelines y where y.pipeline_id = p.pipeline_id;
  if p.state <> 'open' then
    select max(r.run_id) into v_run from runs r where r.plan_id = p_plan;
    return v_run;
  end if;
  insert into lanes (space_id, key) values (q.space_id, '') on conflict do nothing;
  select l.lane_id into v_lane from lanes l where l.space_id = q.space_id and l.key = '';
  insert into runs (pipeline_id, plan_id, shape_id, lane_id, rank, state, units, started_at, finished_at, org, instance, instance_name)
    select p.pipeline_id, p_plan, p.shape_id, v_lane, 0, 'skipped', 0, clock_timestamp(), clock_timestamp(),
      coalesce(p_org, y.org), p_instance, y.instance_name
    from (values (1)) one left join lateral (  -- what the last run of this instance was called
      select r.org, r.instance_name from runs r where r.instance = p_instance order by r.run_id desc limit 1) y on true
    returning run_id into v_run;
  update plans x set state = 'applied', applied_at = clock_timestamp(), triggered_by = p_triggered_by, runs = 1, dropped = '{}'
    where x.plan_id = p_plan;
  delete from plan_items i where i.plan_id = p_plan;
  return v_run;
end $$;
comment on function skip_plan is 'A trigger that found nothing to do: one run that is over.';

create function plan_done(p_plan bigint) returns boolean language sql stable as $$
  select not exists (select from runs r where r.plan_id = p_plan and r.state in ('scheduled', 'running', 'waiting'))
$$;
comment on function plan_done is 'Whether no run of the plan is live.';

create or replace function follow_up(p json) returns table (run_id bigint) language plpgsql as $$
#variable_conflict use_column
declare i record; v_run bigint;
begin
  for i in select * from json_to_recordset(coalesce(p, '[]')) y(run bigint, units json, until float8, tries int) loop
    insert into runs (pipeline_id, plan_id, shape_id, lane_id, rank, engine, tries, origin_run_id, not_before, wait_reason, units,
        org, instance, instance_name)
      select r.pipeline_id, r.plan_id, r.shape_id, r.lane_id, r.rank, r.engine, i.tries, r.run_id, to_timestamp(i.until),
        'backoff', json_array_length(i.units), r.org, r.instance, r.instance_name
      from runs r where r.run_id = i.run returning runs.run_id into v_run;
    insert into run_units (run_id, unit_no, unit_id, source_version, reason, rev)
      select v_run, x.unit_no, x.unit_id, x.source_version, x.reason, u.rev from run_units x join units u using (unit_id)
      where x.run_id = i.run and x.unit_no in (select y::text::int from json_array_elements(i.units) y);
    insert into active (lane_id, rank, run_id, unit_id, held)
      select r.lane_id, r.rank, v_run, x.unit_id, true from runs r join run_units x using (run_id) where r.run_id = v_run;
    insert into run_costs (run_id, quota_id, amount)
      select v_run, c.quota_id, case when q.plan_id is not null then c.amount
        else c.amount * json_array_length(i.units) / r.units end
      from run_costs c join runs r using (run_id) join quotas q using (quota_id) where c.run_id = i.run;
    perform copy_steps(i.run, v_run);
    return query select v_run;
  end loop;
end $$;
comment on function follow_up is 'One more run over the units of a batch that may be tried again; part of their run''s end.';

create or replace view v1_runs as
  select public_id(1, r.run_id) as id, r.run_id as number, q.app, q.name as pipeline, public_id(2, r.plan_id) as plan,
    case when r.state = 'running' and (w.process_id is null or w.lost_at is not null
      or w.lease_until < statement_timestamp()) then 'crashed' else r.state end as state,
    l.key as lane, r.units, 5 - r.rank as priority, r.engine, r.wait_reason, r.not_before, r.cancel_requested,
    r.losses, r.claims, r.created_at, r.started_at, r.finished_at,
    extract(epoch from coalesce(r.finished_at, statement_timestamp()) - r.started_at)::float8 as seconds,
    r.error_class, r.error, r.failed_step, r.process_id as process, public_id(1, r.origin_run_id) as origin,
    r.org, r.instance, r.instance_name, r.plan_id as plan_number
  from runs r join pipelines q using (pipeline_id) join lanes l using (lane_id)
  left join processes w on w.process_id = r.process_id;

create or replace view v1_plans as
  select public_id(2, p.plan_id) as id, p.plan_id as number, q.app, q.name as pipeline, p.state, p.paused, p.forced,
    p.triggered_by, p.created_at, p.applied_at, p.runs, p.summary, p.dropped, p.params, p.parallel, p.org
  from plans p join pipelines q using (pipeline_id);

create or replace view v1_quotas as
select q.quota_id as number, q.app, q.name, f.amount as "limit", f.reserve, q.per, q.timezone, w.starts_at, w.ends_at,
  case when q.per is null then (
    select coalesce(sum(d.amount), 0) from quota_draws d join processes p using (process_id)
    where d.quota_id = q.quota_id and d.settled_at is null and p.ended_at is null and p.lost_at is null)
  else coalesce(x.used, 0) end as used,
  coalesce(x.reserved, 0) as reserved,
  (select coalesce(sum(d.amount), 0) from quota_draws d where d.quota_id = q.quota_id and d.settled_at is null) as open
from quotas q cross join lateral quota_limits(q.quota_id) f
cross join lateral quota_window(q.quota_id, clock_timestamp(), 0) w
left join quota_windows x on x.quota_id = q.quota_id and x.scope = 0 and x.starts_at = w.starts_at
where q.plan_id is null;

create view v1_schedules as
  select s.app, s.pipeline, s.cron, s.timezone, s.next_at, s.last_at, public_id(2, s.last_plan_id) as last_plan, s.error,
    coalesce(q.paused, false) as paused
  from schedules s left join pipelines q on q.app = s.app and q.name = s.pipeline;
comment on view v1_schedules is 'When each pipeline with a schedule is planned next, and what the last tick made.';

do $$
declare f record;
begin
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('start_plan', 'skip_plan', 'name_runs', 'plan_done', 'record_quality') loop
    execute format('alter function %s set search_path = penstock, pg_temp', f.name);
  end loop;
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('start_plan', 'name_runs') loop
    execute format('alter function %s set enable_seqscan = off', f.name);
  end loop;
end $$;
