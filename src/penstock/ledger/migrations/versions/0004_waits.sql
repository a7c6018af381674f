-- A cancel may be asked for while its run is about to wait: it is seen here, or the run would sleep to its time.

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
