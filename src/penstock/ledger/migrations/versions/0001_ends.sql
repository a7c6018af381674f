-- How runs end, how dead processes are replaced, how people stop and go on.

create function record_ends(p_process bigint, p json)
returns table (late boolean, run_id bigint, lane_id bigint, fence bigint)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare v_ok bigint[];
begin
  select array_agg(y.run) into v_ok from (
    select i.run from json_to_recordset(p) i(run bigint, lane bigint, fence bigint) join lanes l
      on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence order by l.lane_id for update of l) y;
  return query with i as materialized (
    select i.*, l.lane_id is not null as ok, h.run_id as next_run, h.rank as next_rank
    from json_to_recordset(p) i(run bigint, lane bigint, fence bigint, state text, class text, error text, step text,
      keep boolean, units json, event text, app text)
    left join lanes l on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence
    left join lateral (select a.run_id, a.rank from active a where a.lane_id = l.lane_id and not a.held
      and a.run_id <> i.run order by a.rank, a.run_id limit 1) h on l.lane_id is not null
  ), x as materialized (
    select i.run, i.state as run_state, y.*, z.unit_id, z.source_version from i
    cross join lateral json_to_recordset(i.units) y(no int, verdict text, counts boolean, first float8, longest float8,
      until float8, alone boolean, state text, class text, error text)
    join run_units z on z.run_id = i.run and z.unit_no = y.no where i.ok
  ), gone as (
    delete from active a using x where a.unit_id = x.unit_id and a.run_id = x.run
  ), r as (
    update runs r set
      state = case when v.ends then v.state else 'running' end, process_id = p_process,
      finished_at = case when v.ends then clock_timestamp() end,
      failed_at = case when v.state in ('failed', 'partial') then clock_timestamp() end,
      error_class = v.class, error = v.error, failed_step = v.step,
      started_at = case when v.ends then r.started_at else clock_timestamp() end,
      claims = case when v.ends then r.claims else r.claims + 1 end,
      fence = case when v.ends then r.fence else v.fence + 1 end
    from (select run as id, true as ends, state, class, error, step, null::bigint as lane, fence from i where ok
          union all select next_run, false, null, null, null, null, lane, fence from i where ok and keep and next_run is not null) v
    where r.run_id = v.id and (v.ends or (r.state = 'scheduled' and r.claims = 0)) returning r.run_id, v.lane
  ), ru as (
    update run_units y set state = x.state, error_class = x.class, error = x.error from x
    where x.state is not null and y.run_id = x.run and y.unit_no = x.no
  ), u as (
    update units u set rev = u.rev + 1, last_run_id = x.run, changed_at = statement_timestamp(),
      verdict = case when x.verdict = 'cancelled' then u.verdict else x.verdict end,
      source_version = case when x.verdict = 'cancelled' then u.source_version else x.source_version end,
      completed_at = case when x.verdict = 'completed' then clock_timestamp() else u.completed_at end,
      completed_version = case when x.verdict = 'completed' then x.source_version else u.completed_version end,
      failures = n.failures, repeats = n.repeats,
      alone = case when x.verdict = 'completed' then false else u.alone or coalesce(x.alone, false) end,
      not_before = case
        when x.verdict = 'cancelled' then u.not_before
        when x.verdict = 'completed' and n.repeats <= 1 then null
        when x.verdict = 'completed' and x.longest <= 0 then null
        when x.verdict = 'completed' then clock_timestamp()
          + least((array[3600, 21600, 86400])[least(n.repeats - 1, 3)], coalesce(x.longest, 86400)) * interval '1 s'
        when x.until is not null then to_timestamp(x.until)
        when x.first > 0 then clock_timestamp()
          + least(x.first * power(2, least(greatest(n.failures - 1, 0), 30)), x.longest) * interval '1 s' end
    from x cross join lateral (select y.failures as old_failures, y.repeats as old_repeats, y.verdict as old_verdict,
        y.completed_version, y.completed_at from units y where y.unit_id = x.unit_id) o
      cross join lateral (select
        case when x.verdict = 'completed' then 0 when x.counts then o.old_failures + 1 else o.old_failures end as failures,
        case when x.verdict <> 'completed' then o.old_repeats
             when o.completed_at is not null and o.completed_version is not distinct from x.source_version
             then o.old_repeats + 1 else 1 end as repeats) n
    where u.unit_id = x.unit_id
  ), o as (
    delete from onces o using x where x.verdict = 'completed' and o.unit_id = x.unit_id
  ), e as (
    insert into outbox (app, type, at, run_id) select app, event, clock_timestamp(), run from i where ok and event is not null
  ), l as (
    update lanes l set run_id = r.run_id, process_id = case when r.run_id is not null then p_process end,
      fence = l.fence + 1,
      next_at = case when r.run_id is null and i.next_run is not null then statement_timestamp() - credit(i.next_rank) end
    from i left join r on r.lane = i.lane where i.ok and l.lane_id = i.lane
    returning l.lane_id, l.run_id, l.fence
  )
  select true, i.run, i.lane, null::bigint from i where not ok
  union all select false, l.run_id, l.lane_id, l.fence from l where l.run_id is not null;
  if p::text like '%"follow"%' then
    perform follow_up((select json_agg(json_build_object('run', i.run, 'units', i.follow -> 'units',
        'until', i.follow -> 'until', 'tries', i.follow -> 'tries'))
      from json_to_recordset(p) i(run bigint, follow json) where i.follow is not null and i.run = any (v_ok)));
  end if;
end $$;
comment on function record_ends is 'The end of runs: units free and remembered, lanes free or gone over to their next run.';

create function take_over(p_dead bigint[]) returns bigint
language plpgsql as $$
#variable_conflict use_column
declare v_dead bigint[]; v_runs bigint;
begin
  select array_agg(d.process_id) into v_dead from (
    select p.process_id from processes p where p.lost_at is null and p.ended_at is null
      and (p.process_id = any (p_dead) or (p.lease_until < clock_timestamp()
        and clock_timestamp() > pg_postmaster_start_time() + interval '30 s'))
    order by p.process_id for update skip locked) d;
  if v_dead is null then
    return 0;
  end if;
  update processes p set lost_at = clock_timestamp() where p.process_id = any (v_dead);
  with l as (
    update lanes l set process_id = null, fence = l.fence + 1, next_at = '-infinity'
    where l.process_id = any (v_dead) returning l.run_id
  ), a as (
    update attempts a set state = 'lost', finished_at = clock_timestamp() from l
    where a.run_id = l.run_id and a.state = 'open'
  ), r as (
    update runs r set losses = r.losses + 1, process_id = null from l where r.run_id = l.run_id returning 1
  ) select count(*) into v_runs from r;
  return v_runs;
end $$;
comment on function take_over is 'Frees the lanes of processes whose lease is over, to the front of the claim.';

create function wake(p_lanes bigint[]) returns void language sql as $$
  with h as materialized (
    select l.lane_id from lanes l where l.lane_id = any (p_lanes) order by l.lane_id for update)
  update lanes l set next_at = case when l.run_id is null then coalesce(l.next_at, statement_timestamp() - credit(5))
    else l.next_at end
  from h where l.lane_id = h.lane_id
$$;
comment on function wake is 'Whoever makes work for a lane calls this, always and last: a condition on the old row would lose a wake-up.';

create function promote(p_spaces int[]) returns int language plpgsql as $$
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
  return coalesce(v_count, 0);
end $$;
comment on function promote is 'Runs whose time has come are heads of their lanes again.';

create function set_held(p_plan bigint, p_pipeline int, p_held boolean) returns void language plpgsql as $$
#variable_conflict use_column
declare v_lanes bigint[];
begin
  with t as (
    select r.run_id, r.lane_id, (p.paused or q.paused or r.not_before is not null) and not r.cancel_requested as held
    from (
      select * from runs where plan_id = p_plan
      union all
      select r.* from runs r join (select distinct run_id from active) a using (run_id)
      where p_plan is null and r.pipeline_id = p_pipeline) r
    join plans p using (plan_id) join pipelines q on q.pipeline_id = r.pipeline_id
    where r.state = 'scheduled'
  ), a as (
    update active a set held = t.held from t join run_units x on x.run_id = t.run_id
    where a.unit_id = x.unit_id and a.run_id = t.run_id and a.held is distinct from t.held
    returning a.lane_id
  ) select array_agg(distinct a.lane_id order by a.lane_id) into v_lanes from a;
  if not p_held and v_lanes is not null then
    perform wake(v_lanes);
  end if;
end $$;
comment on function set_held is 'Recomputes which scheduled runs may not start: paused plan or pipeline, or not due yet.';

create function cancel_runs(p_runs bigint[]) returns table (run_id bigint, now_state text) language plpgsql as $$
#variable_conflict use_column
declare v_idle bigint[]; v_later bigint[]; v_lanes bigint[];
begin
  perform from runs r where r.run_id = any (p_runs) order by r.run_id for update;
  select array_agg(r.run_id) filter (where r.state = 'scheduled' and r.claims = 0),
         array_agg(r.run_id) filter (where r.state in ('running', 'waiting') or (r.state = 'scheduled' and r.claims > 0))
    into v_idle, v_later from runs r where r.run_id = any (p_runs);
  with a as (
    delete from active a using run_units x where x.run_id = any (v_idle) and a.unit_id = x.unit_id and a.run_id = x.run_id
    returning a.unit_id
  ), u as (
    update units u set rev = u.rev + 1, changed_at = clock_timestamp() from a where u.unit_id = a.unit_id
  )
  update runs r set state = 'cancelled', finished_at = clock_timestamp(), cancel_requested = true where r.run_id = any (v_idle);
  update runs r set cancel_requested = true, not_before = case when r.state = 'scheduled' then null else r.not_before end
    where r.run_id = any (v_later);
  update active a set held = false from run_units x
    where x.run_id = any (v_later) and a.unit_id = x.unit_id and a.run_id = x.run_id and a.held;
  update lanes l set next_at = '-infinity' from runs r
    where r.run_id = any (v_later) and r.state = 'waiting' and l.lane_id = r.lane_id and l.run_id = r.run_id;
  select array_agg(distinct r.lane_id order by r.lane_id) into v_lanes from runs r
    where r.run_id = any (v_later) and r.state = 'scheduled';
  if v_lanes is not null then
    perform wake(v_lanes);
  end if;
  return query select r.run_id, r.state from runs r where r.run_id = any (p_runs);
end $$;
comment on function cancel_runs is 'A run that never began ends at once; any other gets the flag and is woken to see it.';
