-- The public read interface. A view's columns stay; a change of meaning is a new version. Its times are those of the
-- statement: a volatile function would have each view worked out whole, for every run there is, before it is joined.

create view v1_pipelines as
  select q.app, q.name as pipeline, q.paused, s.name as lane_space from pipelines q join spaces s using (space_id);
comment on view v1_pipelines is 'Pipelines that were ever planned here.';

create view v1_plans as
  select public_id(2, p.plan_id) as id, p.plan_id as number, q.app, q.name as pipeline, p.state, p.paused, p.forced,
    p.triggered_by, p.created_at, p.applied_at, p.runs, p.summary, p.dropped, p.params
  from plans p join pipelines q using (pipeline_id);
comment on view v1_plans is 'Plans, newest number last; summary has counts by reason, lanes and forecast.';

create view v1_runs as
  select public_id(1, r.run_id) as id, r.run_id as number, q.app, q.name as pipeline, public_id(2, r.plan_id) as plan,
    case when r.state = 'running' and (w.process_id is null or w.lost_at is not null
      or w.lease_until < statement_timestamp()) then 'crashed' else r.state end as state,
    l.key as lane, r.units, 5 - r.rank as priority, r.engine, r.wait_reason, r.not_before, r.cancel_requested,
    r.losses, r.claims, r.created_at, r.started_at, r.finished_at,
    extract(epoch from coalesce(r.finished_at, statement_timestamp()) - r.started_at)::float8 as seconds,
    r.error_class, r.error, r.failed_step, r.process_id as process, public_id(1, r.origin_run_id) as origin
  from runs r join pipelines q using (pipeline_id) join lanes l using (lane_id)
  left join processes w on w.process_id = r.process_id;
comment on view v1_runs is 'Runs; state is crashed for a running one whose owner''s lease is over (it is taken up again).';

create view v1_run_units as
  select public_id(1, x.run_id) as run, x.run_id as run_number, x.unit_no, u.key::jsonb as key, u.unit::jsonb as unit, x.reason,
    x.source_version, coalesce(x.state, r.state) as state, coalesce(x.error_class, r.error_class) as error_class,
    coalesce(x.error, r.error) as error
  from run_units x join runs r using (run_id) join units u using (unit_id);
comment on view v1_run_units is 'Which units a run carried, and what became of each.';

create view v1_units as
  select q.app, q.name as pipeline, u.unit_id as number, u.key::jsonb as key, u.unit::jsonb as unit, u.verdict, u.source_version, u.failures,
    u.repeats, u.not_before, u.completed_at, u.completed_version, u.rev, u.changed_at,
    public_id(1, u.last_run_id) as last_run, public_id(1, a.run_id) as active_run
  from units u join pipelines q using (pipeline_id) left join active a using (unit_id);
comment on view v1_units is 'What is remembered of each unit, and the run that holds it now.';

create view v1_attempts as
  select public_id(1, a.run_id) as run, a.run_id as run_number, a.seq, a.step, a.attempt, a.state, a.started_at,
    a.finished_at, extract(epoch from a.finished_at - a.started_at)::float8 as seconds, a.units_left, a.units_failed,
    a.error_class, a.error, a.not_before, a.reason, a.output::jsonb as output, a.counts::jsonb as counts,
    public_id(1, a.copied_from) as copied_from
  from attempts a;
comment on view v1_attempts is 'Every try of every step, in order of seq.';

create view v1_steps as
  select public_id(1, r.run_id) as run, r.run_id as run_number, s.place::int as place, s.body ->> 'name' as step,
    case when a.state = 'done' then 'completed' when a.state in ('skipped', 'cancelled') then a.state
      when r.state in ('completed', 'partial', 'failed', 'cancelled')
        then case when a.state = 'failed' then 'failed' when a.state is null then 'skipped' else 'cancelled' end
      when a.state is not null then 'running' end as state,
    a.attempts, a.error_class, a.error, a.output::jsonb as output, a.started_at, a.finished_at,
    extract(epoch from a.finished_at - a.started_at)::float8 as seconds, a.counts::jsonb as counts
  from runs r join shapes h using (shape_id)
  cross join lateral json_array_elements(h.body -> 'steps') with ordinality s(body, place)
  left join lateral (
    select y.*, count(*) filter (where y.state in ('done', 'failed', 'skipped', 'open', 'cancelled')) over () as attempts
    from attempts y where y.run_id = r.run_id and y.step = s.body ->> 'name' order by y.seq desc limit 1) a on true;
comment on view v1_steps is 'Steps of runs in order of declaration; state is null for one that has not started.';

create view v1_logs as
  select public_id(1, g.run_id) as run, g.run_id as run_number, g.log_id as number, g.at, g.level, g.step, g.attempt, g.message,
    g.fields::jsonb as fields from logs g;
comment on view v1_logs is 'What handlers said through ctx.log.';

create view v1_processes as
  select p.process_id as process, p.app, p.name, p.host, p.pid, p.started_at, p.lease_until, p.ended_at, p.lost_at,
    case when p.ended_at is not null then 'ended' when p.lost_at is not null or p.lease_until < statement_timestamp()
      then 'lost' else 'alive' end as state
  from processes p;
comment on view v1_processes is 'Processes that took work, with their leases.';

create view v1_lanes as
  select s.app, s.name as space, l.key as lane, l.next_at, public_id(1, l.run_id) as run, l.process_id as process, l.fence
  from lanes l join spaces s using (space_id);
comment on view v1_lanes is 'Lanes: what holds each, and when it may be claimed.';

-- Whoever calls one of these, it sees the ledger's tables; what they call inherits it.
do $$
declare f record;
begin
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('apply_plan', 'cancel_runs', 'claim', 'promote', 'record', 'set_held', 'take_over') loop
    execute format('alter function %s set search_path = penstock, pg_temp', f.name);
  end loop;
end $$;

-- What is called for a few hundred rows at a time finds each by its index. A plan made while the tables were small, or
-- before they were ever analyzed, would read them whole for ever after.
do $$
declare f record; o text;
begin
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('cancel_runs', 'claim', 'promote', 'record', 'take_over') loop
    foreach o in array array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin'] loop
      execute format('alter function %s set %I = off', f.name, o);
    end loop;
  end loop;
  -- A plan may be of ten units or of ten million: hashing is left to the planner, guessing that a table is tiny is not.
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('apply_plan', 'set_held') loop
    execute format('alter function %s set enable_seqscan = off', f.name);
  end loop;
end $$;
