-- Cancels and waits. A cancel may be asked for while its run is about to wait: it is seen, or the run would sleep to its
-- time. And who cancels takes locks in the order of all others.

create or replace function record_waits(p json) returns table (run_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  perform from json_to_recordset(p) i(run bigint, lane bigint, fence bigint) join lanes l
    on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence order by l.lane_id for update of l;
  -- Who cancels holds the run's row: the flag is read in the statement after this one.
  perform from json_to_recordset(p) i(run bigint, lane bigint, fence bigint) join lanes l
    on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence join runs r on r.run_id = i.run
    order by r.run_id for update of r;
  return query with i as materialized (
    select i.*, l.lane_id is not null as ok, coalesce(r.cancel_requested, false) as cancel,
      case when r.cancel_requested then clock_timestamp() else to_timestamp(i.until) end as due
    from json_to_recordset(p) i(run bigint, lane bigint, fence bigint, until float8, reason text, keep boolean)
    left join lanes l on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence
    left join runs r on r.run_id = i.run
  ), r as (
    update runs r set state = case when i.keep then 'waiting' else 'scheduled' end, process_id = null,
      not_before = case when i.keep or not i.cancel then i.due end, wait_reason = i.reason
    from i where i.ok and r.run_id = i.run
  ), a as (
    update active a set held = true from i join run_units x on x.run_id = i.run
    where i.ok and not i.keep and not i.cancel and a.unit_id = x.unit_id and a.run_id = i.run
  ), l as (
    update lanes l set process_id = null, run_id = case when i.keep then l.run_id end, fence = l.fence + 1,
      next_at = case when not i.keep then statement_timestamp() - credit(5) when i.cancel then '-infinity' else i.due end
    from i where i.ok and l.lane_id = i.lane
  )
  select i.run from i where not ok;
end $$;
comment on function record_waits is 'A short wait keeps its lane; a long one frees it and is scheduled again. Who is asked to stop does not wait.';

create or replace function cancel_runs(p_runs bigint[]) returns table (run_id bigint, now_state text) language plpgsql as $$
#variable_conflict use_column
declare v_idle bigint[]; v_later bigint[]; v_lanes bigint[];
begin
  -- Lanes before runs, like whoever claims or ends: the lanes that this will wake, which are few.
  perform from lanes l where l.lane_id in (select r.lane_id from runs r where r.run_id = any (p_runs)
    and (r.state = 'waiting' or (r.state = 'scheduled' and r.claims > 0))) order by l.lane_id for update;
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
  delete from run_costs c where c.run_id = any (v_idle);
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

-- What is replaced loses its settings; see 0001_views.sql.
do $$
declare o text;
begin
  alter function cancel_runs(bigint[]) set search_path = penstock, pg_temp;
  foreach o in array array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin'] loop
    execute format('alter function cancel_runs(bigint[]) set %I = off', o);
  end loop;
end $$;
