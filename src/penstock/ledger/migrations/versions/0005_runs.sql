-- Whose a run is, schedules, and plans that are only so wide.

alter table pipelines add org_field text, add instance_field text, add instance_name_field text;
alter table runs add org text, add instance text, add instance_name text;
create index runs_org on runs (org, run_id desc) where org is not null;
create index runs_instance on runs (instance, run_id desc) where instance is not null;
create index runs_ended_badly on runs (pipeline_id, run_id desc) where state in ('failed', 'cancelled');
comment on column runs.org is 'The tenant, from the unit''s field that the pipeline names; null where it names none.';
comment on column runs.instance is 'What shows as pipeline_id in the API: one of many that share a pipeline.';

alter table plans add parallel int check (parallel > 0), add org text,
  add following_until timestamptz, add followed_at timestamptz;
comment on column plans.org is 'Set where the plan was asked for one organization''s units.';
comment on column plans.parallel is 'How many of its runs may be at work at once; null for no limit of its own.';
comment on column plans.followed_at is 'When the pipelines that come after it were planned.';
comment on column plans.following_until is 'Somebody has been planning these; when it is over, another does it.';
update plans set followed_at = now() where state = 'applied';
create index plans_unfollowed on plans (pipeline_id, plan_id) where state = 'applied' and followed_at is null;

alter table quotas add plan_id bigint;
create index quotas_of_plans on quotas (plan_id) where plan_id is not null;
comment on column quotas.plan_id is 'Set for the width of one plan: so many of its runs at once.';
-- A width is deleted when its plan is done. To look for what still names it would read all draws there ever were.
alter table quota_draws drop constraint quota_draws_quota_id_fkey;
alter table run_costs drop constraint run_costs_quota_id_fkey;
alter table lanes add width int;
create index lanes_narrow on lanes (width, next_at) where width is not null;
comment on column lanes.width is 'The width of a plan that the lane''s first run waits for; next_at is when it is tried anyway.';

create table schedules (
  app text not null, pipeline text not null, cron text not null, timezone text not null,
  next_at timestamptz not null, last_at timestamptz, last_plan_id bigint, error text,
  primary key (app, pipeline)
);
comment on table schedules is 'The next tick of each pipeline with a schedule. Who moves next_at on is the one that plans.';

create function start_plan(p_plan bigint, p_shape int, p_triggered_by text, p_engine text, p_copy_from bigint, p_parallel int)
returns table (runs bigint, taken bigint, changed bigint) language plpgsql as $$
#variable_conflict use_column
declare q pipelines; v_open boolean; v_paused boolean; v_quota int;
begin
  select p.state = 'open' into v_open from plans p where p.plan_id = p_plan for update;
  select y.* into q from pipelines y join plans p using (pipeline_id) where p.plan_id = p_plan;
  if v_open and p_parallel is not null then  -- what is narrow lets other work of its lanes go first
    update plan_items i set rank = least(9, i.rank + 1) where i.plan_id = p_plan;
  end if;
  return query select * from apply_plan(p_plan, p_shape, p_triggered_by, p_engine, p_copy_from);
  if not v_open then
    return;
  end if;
  if coalesce(q.org_field, q.instance_field) is not null then
    perform name_runs(array(select r.run_id from runs r where r.plan_id = p_plan));
  end if;
  select p.paused or y.paused into v_paused from plans p join pipelines y using (pipeline_id) where p.plan_id = p_plan;
  if not v_paused then  -- these lanes were tried for another plan's runs and sleep; apply_plan holds them
    update lanes l set next_at = statement_timestamp() - credit(5), width = null
      where l.width is not null and l.run_id is null and l.lane_id in (select r.lane_id from runs r where r.plan_id = p_plan);
  end if;
  if p_parallel is not null then  -- so many at once is what such a quota says, and the claim keeps to it
    update plans p set parallel = p_parallel where p.plan_id = p_plan;
    insert into quotas (app, name, amount, plan_id) values (q.app, 'plan:' || p_plan, p_parallel, p_plan) returning quota_id into v_quota;
    insert into run_costs (run_id, quota_id, amount) select r.run_id, v_quota, 1 from runs r where r.plan_id = p_plan;
    if not v_paused then  -- lanes that would only be refused sleep from the start
      update lanes l set width = v_quota, next_at = statement_timestamp() + narrow_wait(p_plan) + x.place * interval '1 us'
        from (select r.lane_id, min(r.run_id) as first, row_number() over (order by min(r.run_id)) as place
          from runs r where r.plan_id = p_plan group by r.lane_id) x
        where x.place > p_parallel and l.lane_id = x.lane_id and l.run_id is null and x.first = (
          select a.run_id from active a where a.lane_id = l.lane_id and not a.held order by a.rank, a.run_id limit 1);
    end if;
  end if;
end $$;
comment on function start_plan is 'Makes the runs of a plan, says whose they are, and how many of them may be at work at once.';

create function narrow_wait(p_plan bigint) returns interval language sql stable as $$
  select least(600, 5 + p.runs * 0.01) * interval '1 s' from plans p where p.plan_id = p_plan
$$;
comment on function narrow_wait is 'A lane is woken when there is room. This is when it is tried anyway: a hundred lanes a second at most.';

create function put_aside(p_run bigint, p_quota int) returns void language plpgsql as $$
declare v_lane bigint;
begin
  update runs r set state = 'scheduled', process_id = null, claims = r.claims - 1, wait_reason = 'quota',
    started_at = case when r.claims = 1 then null else r.started_at end
  where r.run_id = p_run returning r.lane_id into v_lane;
  update lanes l set run_id = null, process_id = null, fence = l.fence + 1, width = p_quota,
    next_at = clock_timestamp() + (select narrow_wait(q.plan_id) from quotas q where q.quota_id = p_quota)
  where l.lane_id = v_lane and l.run_id = p_run;
end $$;
comment on function put_aside is 'A run that was claimed while its plan has no room: it stays first in its lane, and the lane sleeps.';

create function widths(p_runs bigint[]) returns int[] language sql stable as $$
  select array(select distinct c.quota_id from run_costs c join quotas q using (quota_id)
    where c.run_id = any (p_runs) and q.plan_id is not null order by 1)
$$;
comment on function widths is 'Which widths of plans these runs take room of.';

create function widen(p_widths int[]) returns bigint language plpgsql as $$
declare v_quota int; v_room numeric; v_woken bigint := 0; v_count bigint;
begin
  foreach v_quota in array p_widths loop
    select q.amount - coalesce(w.reserved, 0) into v_room from quotas q
      left join quota_windows w on w.quota_id = q.quota_id and w.scope = 0 where q.quota_id = v_quota;
    continue when v_room is null or v_room < 1;
    with h as materialized (  -- lanes that somebody holds are not waited for: whoever does has runs in hand already
      select l.lane_id from lanes l where l.width = v_quota and l.run_id is null
      order by l.next_at limit floor(v_room)::bigint for update skip locked)
    update lanes l set width = null, next_at = statement_timestamp() - credit(6) from h where l.lane_id = h.lane_id;
    get diagnostics v_count = row_count;
    v_woken := v_woken + v_count;
  end loop;
  return v_woken;
end $$;
comment on function widen is 'Where there is room in plans, lanes that sleep for it may be claimed.';

create or replace function wake(p_lanes bigint[]) returns void language sql as $$
  with h as materialized (
    select l.lane_id from lanes l where l.lane_id = any (p_lanes) order by l.lane_id for update)
  update lanes l set width = case when l.run_id is not null then l.width end,
    next_at = case when l.run_id is not null then l.next_at when l.width is not null then statement_timestamp() - credit(5)
      else coalesce(l.next_at, statement_timestamp() - credit(5)) end
  from h where l.lane_id = h.lane_id
$$;
comment on function wake is 'Whoever makes work for a lane calls this, always and last: a condition on the old row would lose a wake-up.';

create or replace function promote(p_spaces int[]) returns int language plpgsql as $$
#variable_conflict use_column
declare v_lanes bigint[]; v_count int;
begin
  with due as (
    select y.run_id, y.lane_id from pipelines q cross join lateral (
      select r.run_id, r.lane_id from runs r join plans p using (plan_id)
      where r.pipeline_id = q.pipeline_id and r.state = 'scheduled' and r.not_before <= statement_timestamp() and not p.paused
      order by r.not_before limit 1000 for update of r skip locked) y
    where q.space_id = any (p_spaces) and not q.paused
  ), a as (
    update active a set held = false from due join run_units x on x.run_id = due.run_id
    where a.unit_id = x.unit_id and a.run_id = due.run_id
  ), r as (
    update runs r set not_before = null, wait_reason = null from due where r.run_id = due.run_id returning r.lane_id
  ) select array_agg(distinct r.lane_id), count(*) into v_lanes, v_count from r;
  if v_count > 0 then
    perform wake(v_lanes);
  end if;
  perform widen(array(select w.quota_id from quotas w join plans p on p.plan_id = w.plan_id join pipelines q using (pipeline_id)
    where w.plan_id is not null and q.space_id = any (p_spaces) order by 1));
  return coalesce(v_count, 0);
end $$;
comment on function promote is 'Runs whose time has come are heads of their lanes again; so are lanes that a width has room for.';

create or replace function admit(p_runs bigint[]) returns bigint[] language plpgsql as $$
declare i record; k record; f record; w quota_windows; v_refused bigint[] := '{}'; v_until timestamptz; v_why int; v_width int;
  v_need numeric; v_free numeric; v_needs numeric[]; v_starts timestamptz[]; v_quotas int[];
begin
  if not exists (select from run_costs c where c.run_id = any (p_runs)) then
    return v_refused;
  end if;
  for k in select distinct x.quota_id from run_costs x join quotas q using (quota_id)
    where x.run_id = any (p_runs) and q.per is distinct from 'run' and q.per is distinct from 'second' order by 1 loop
    perform open_window(k.quota_id, 0);
  end loop;
  for i in select r.run_id, r.rank from unnest(p_runs) with ordinality x(run_id, place) join runs r using (run_id)
    where not r.cancel_requested order by x.place loop
    v_until := null; v_width := null; v_needs := '{}'; v_starts := '{}'; v_quotas := '{}';
    for k in select x.*, q.per, q.plan_id from run_costs x join quotas q using (quota_id)
      where x.run_id = i.run_id and q.per is distinct from 'run' and q.per is distinct from 'second' order by x.quota_id loop
      w := open_window(k.quota_id, 0);
      continue when k.starts_at = w.starts_at;  -- taken over: it is reserved already
      select * into f from quota_limits(k.quota_id);
      select greatest(0, k.amount - coalesce(sum(coalesce(d.settled, d.amount)), 0)) into v_need
        from quota_draws d where d.run_id = i.run_id and d.quota_id = k.quota_id;
      v_free := f.amount - (case when i.rank < 5 then 0 else f.reserve end) - w.used - w.reserved;
      if v_need > v_free and k.plan_id is not null then
        v_width := k.quota_id;
      elsif v_need > v_free then
        v_why := k.quota_id;
        v_until := greatest(v_until, case when k.per is null then clock_timestamp() + interval '1 s' else w.ends_at end);
      end if;
      v_needs := v_needs || v_need; v_starts := v_starts || w.starts_at; v_quotas := v_quotas || k.quota_id;
    end loop;
    if v_until is not null then
      v_refused := v_refused || i.run_id;
      perform release_costs('{}', array[i.run_id]);
      perform put_off(i.run_id, v_why, v_until);
    elsif v_width is not null then
      v_refused := v_refused || i.run_id;
      perform release_costs('{}', array[i.run_id]);
      perform put_aside(i.run_id, v_width);
    else
      update quota_windows x set reserved = x.reserved + y.need from unnest(v_quotas, v_starts, v_needs) y(quota, starts, need)
        where x.quota_id = y.quota and x.scope = 0 and x.starts_at = y.starts;
      update run_costs x set reserved = y.need, starts_at = y.starts
        from unnest(v_quotas, v_starts, v_needs) y(quota, starts, need) where x.run_id = i.run_id and x.quota_id = y.quota;
    end if;
  end loop;
  return v_refused;
end $$;
comment on function admit is 'Reserves what claimed runs are expected to cost, and puts off those that do not fit; returns these.';

create function runs_at(p_at timestamptz) returns bigint language plpgsql stable as $$
declare v_low bigint; v_high bigint; v_middle bigint; r record;
begin
  select min(x.run_id), max(x.run_id) + 1 into v_low, v_high from runs x;
  if p_at is null or v_low is null then
    return null;
  end if;
  while v_low < v_high loop
    v_middle := (v_low + v_high) / 2;
    select x.run_id, x.created_at into r from runs x where x.run_id >= v_middle order by x.run_id limit 1;
    if r.created_at >= p_at then
      v_high := v_middle;
    else
      v_low := r.run_id + 1;
    end if;
  end loop;
  return v_low;
end $$;
comment on function runs_at is 'The first number of runs made from then on. Numbers rise with time but for the length of a transaction.';

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
  select max(r.run_id) into v_run from runs r where r.plan_id = p_plan;
  if v_run is not null then
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
  -- From the newest on: what is live stands there as a rule, and is found at once.
  select (select r.run_id from runs r where r.plan_id = p_plan and r.state in ('scheduled', 'running', 'waiting')
    order by r.run_id desc limit 1) is null
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
declare f record; o text;
begin
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('start_plan', 'skip_plan', 'promote', 'plan_done', 'runs_at') loop
    execute format('alter function %s set search_path = penstock, pg_temp', f.name);
  end loop;
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('start_plan', 'plan_done', 'runs_at') loop
    execute format('alter function %s set enable_seqscan = off', f.name);
  end loop;
  foreach o in array array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin'] loop
    execute format('alter function promote(int[]) set %I = off', o);
  end loop;
end $$;
