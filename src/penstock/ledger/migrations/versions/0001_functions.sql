-- What moves runs. Locks come first and what they protect is read in the next statement: a statement's snapshot is
-- older than the locks it takes.

create function public_id(p_kind int, p_id bigint) returns uuid language sql stable
  return (select (prefix || '8' || lpad(to_hex(p_kind), 3, '0') || '8' || lpad(to_hex(p_id), 15, '0'))::uuid from installation);
comment on function public_id is 'The id that the API shows: a version 8 UUID of ledger, kind (1 run, 2 plan) and number.';

create function describe(p_run bigint) returns json language sql volatile as $$
  select json_build_object('pipeline', r.pipeline_id, 'plan', r.plan_id, 'shape', r.shape_id, 'claims', r.claims,
    'started', extract(epoch from r.started_at)::float8, 'cancel', r.cancel_requested, 'losses', r.losses,
    'tries', r.tries, 'copied', r.origin_run_id is not null, 'units', (
      select json_agg(json_build_array(x.unit_no, x.unit_id, u.unit, x.source_version, x.reason, x.state) order by x.unit_no)
      from run_units x join units u using (unit_id) where x.run_id = r.run_id))
  from runs r where r.run_id = p_run
$$;
comment on function describe is 'A run as its new owner needs it; volatile, to see what the claim in the same statement has changed.';

create function credit(p_rank int) returns interval language sql immutable
  return (10 - p_rank) * interval '1 minute';
comment on function credit is 'Priority between lanes is a credit in time, so that nothing starves.';

create function claim(p_process bigint, p_k int, p_spaces int[], p_turn int, p_after timestamptz)
returns table (run_id bigint, lane_id bigint, fence bigint)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query with pick as materialized (
    select c.lane_id, c.run_id from (
      select s, (row_number() over (order by s) + p_turn) % greatest(cardinality(p_spaces), 1) as turn
      from unnest(p_spaces) s) t
    cross join lateral (
      select l.lane_id, l.run_id from lanes l
      where l.space_id = t.s and l.next_at <= statement_timestamp() and l.next_at >= p_after
      order by l.next_at limit (p_k + cardinality(p_spaces) - 1) / cardinality(p_spaces) for update skip locked) c
    order by t.turn limit p_k
  ), head as (
    select p.lane_id, coalesce(p.run_id, h.run_id) as run_id from pick p left join lateral (
      select a.run_id from active a where a.lane_id = p.lane_id and not a.held
      order by a.rank, a.run_id limit 1) h on p.run_id is null
  ), took as (
    update runs r set state = 'running', process_id = p_process, claims = r.claims + 1, wait_reason = null,
      not_before = null, started_at = coalesce(r.started_at, clock_timestamp()), fence = l.fence + 1
    from head h join lanes l using (lane_id)
    where r.run_id = h.run_id and r.state in ('scheduled', 'waiting', 'running')
    returning r.run_id, r.lane_id
  ), empty as (
    update lanes l set next_at = null from head h where h.run_id is null and l.lane_id = h.lane_id
  )
  update lanes l set run_id = t.run_id, process_id = p_process, fence = l.fence + 1, next_at = null
  from took t where l.lane_id = t.lane_id
  returning t.run_id, l.lane_id, l.fence;
end $$;
comment on function claim is 'The only way into running: the first lanes that are due, and the first run of each.';

create function record_attempts(p json, p_now timestamptz) returns table (run_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query with i as materialized (
    select i.*, l.lane_id is not null as ok
    from json_to_recordset(p) i(run bigint, lane bigint, fence bigint, seq int, step text, attempt smallint, state text,
      elapsed float8, ended int, units_left int, units_failed int, class text, error text, until float8, reason text,
      output json, counts json, fresh boolean)
    left join lanes l on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence
  ), ins as (
    insert into attempts (run_id, seq, step, attempt, state, started_at, finished_at, ended_no, units_left,
      units_failed, error_class, error, not_before, reason, output, counts)
    select run, seq, step, attempt, state, p_now - elapsed * interval '1 s',
      case when state <> 'open' then p_now end, ended, units_left, units_failed, class, error,
      to_timestamp(until), reason, output, counts
    from i where ok
    on conflict (run_id, seq) do update set state = excluded.state,
      started_at = least(attempts.started_at, excluded.started_at), finished_at = excluded.finished_at,
      ended_no = excluded.ended_no, units_left = excluded.units_left, units_failed = excluded.units_failed,
      error_class = excluded.error_class, error = excluded.error, not_before = excluded.not_before,
      reason = excluded.reason, output = excluded.output, counts = excluded.counts
    where attempts.state = 'open'
  ), healed as (
    update runs r set losses = 0 from i where i.ok and i.fresh and r.run_id = i.run and r.losses > 0
  )
  select i.run from i where not ok;
end $$;

create function record_calls(p json) returns table (run_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query with i as materialized (
    select i.*, l.lane_id is not null as ok
    from json_to_recordset(p) i(run bigint, lane bigint, fence bigint, step text, unit int, state text, class text,
      error text, until float8, output json, counts json)
    left join lanes l on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence
  ), ins as (
    insert into calls (run_id, step, unit_no, state, finished_at, error_class, error, not_before, output, counts)
    select run, step, unit, state, clock_timestamp(), class, error, to_timestamp(until), output, counts from i where ok
    on conflict do nothing)
  select i.run from i where not ok;
end $$;

create function record_waits(p json) returns table (run_id bigint)
language plpgsql set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  perform from json_to_recordset(p) i(run bigint, lane bigint, fence bigint) join lanes l
    on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence order by l.lane_id for update of l;
  return query with i as materialized (
    select i.*, to_timestamp(i.until) as due, l.lane_id is not null as ok
    from json_to_recordset(p) i(run bigint, lane bigint, fence bigint, until float8, reason text, keep boolean)
    left join lanes l on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence
  ), r as (
    update runs r set state = case when i.keep then 'waiting' else 'scheduled' end, process_id = null,
      not_before = i.due, wait_reason = i.reason
    from i where i.ok and r.run_id = i.run
  ), a as (
    update active a set held = true from i join run_units x on x.run_id = i.run
    where i.ok and not i.keep and a.unit_id = x.unit_id and a.run_id = i.run
  ), l as (
    update lanes l set process_id = null, run_id = case when i.keep then l.run_id end, fence = l.fence + 1,
      next_at = case when i.keep then i.due else statement_timestamp() - credit(5) end
    from i where i.ok and l.lane_id = i.lane
  )
  select i.run from i where not ok;
end $$;
comment on function record_waits is 'A short wait keeps its lane; a long one frees it and is scheduled again.';

create function record(p_process bigint, p_attempts json, p_calls json, p_waits json, p_ends json,
  p_k int, p_spaces int[], p_turn int, p_after timestamptz)
returns table (kind text, run_id bigint, lane_id bigint, fence bigint, info json)
language plpgsql as $$
#variable_conflict use_column
declare v_now timestamptz := clock_timestamp();
begin
  perform from processes p where p.process_id = p_process and p.lost_at is null and p.ended_at is null for key share;
  if not found then
    raise exception 'process % has lost its lease', p_process using errcode = 'PK001';
  end if;
  -- From here on the process's row is held: who goes silent before COMMIT must not keep take-over waiting.
  perform set_config('idle_in_transaction_session_timeout', '30s', true);
  if p_attempts is not null then
    return query select 'late', i.run_id, null::bigint, r.fence, json_build_object('state', r.state)
      from record_attempts(p_attempts, v_now) i left join runs r using (run_id);
  end if;
  if p_attempts is not null or p_calls is not null then
    return query select 'time', null::bigint, null::bigint, null::bigint, to_json(extract(epoch from v_now)::float8);
  end if;
  if p_calls is not null then
    return query select 'late', i.run_id, null::bigint, r.fence, json_build_object('state', r.state)
      from record_calls(p_calls) i left join runs r using (run_id);
  end if;
  if p_waits is not null then
    return query select 'late', i.run_id, null::bigint, r.fence, json_build_object('state', r.state)
      from record_waits(p_waits) i left join runs r using (run_id);
  end if;
  if p_ends is not null then
    return query select case when e.late then 'late' else 'claim' end, e.run_id, e.lane_id,
        coalesce(e.fence, r.fence), case when e.late then json_build_object('state', r.state) else describe(e.run_id) end
      from record_ends(p_process, p_ends) e left join runs r using (run_id);
  end if;
  if p_k > 0 then
    return query select 'claim', c.run_id, c.lane_id, c.fence, describe(c.run_id)
      from claim(p_process, p_k, p_spaces, p_turn, p_after) c;
  end if;
end $$;
comment on function record is 'One round trip and one commit: attempts, calls, waits, ends and the next claims of one process.';
