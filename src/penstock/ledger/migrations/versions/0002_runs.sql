-- Runs under quotas: made with what they are expected to cost, admitted when they are claimed.

create or replace function apply_plan(p_plan bigint, p_shape int, p_triggered_by text, p_engine text, p_copy_from bigint)
returns table (runs bigint, taken bigint, changed bigint) language plpgsql as $$
#variable_conflict use_column
declare
  v_plan plans; v_pipeline pipelines; v_items bigint; v_units bigint; v_lost bigint := 0; v_taken bigint := 0;
  v_runs bigint; v_new bigint; v_planned bigint; v_ids bigint[];
begin
  select * into v_plan from plans p where p.plan_id = p_plan for update;
  select * into v_pipeline from pipelines q where q.pipeline_id = v_plan.pipeline_id for share;
  if v_plan.state <> 'open' then
    return query select v_plan.runs::bigint, coalesce((v_plan.dropped ->> 'taken by another')::bigint, 0),
      coalesce((v_plan.dropped ->> 'changed since planned')::bigint, 0);
    return;
  end if;
  if v_plan.quotas is not null then  -- what no budget admitted stays a gap
    delete from plan_items i where i.plan_id = p_plan and i.deferred_by is not null;
  end if;
  select count(*), count(distinct i.run_no) into v_items, v_planned from plan_items i where i.plan_id = p_plan;
  if v_items > 1000 then  -- nobody may have counted them yet, and a guess of one item is joined to others row by row
    analyze plan_items (plan_id, run_no);
  end if;
  insert into lanes (space_id, key) select distinct v_pipeline.space_id, i.lane from plan_items i
    where i.plan_id = p_plan on conflict do nothing;
  insert into units (pipeline_id, key, unit) select v_plan.pipeline_id, i.key, i.unit from plan_items i
    where i.plan_id = p_plan and i.rev = 0 order by i.position on conflict do nothing;
  for try in 1..10 loop
    begin
      -- Numbers are drawn beforehand: joining them in would let a planner that guesses low loop over all pairs.
      v_ids := array(select nextval('runs_run_id_seq'::regclass) from generate_series(1, v_planned));
      with i as materialized (
        select v_ids[p.nth] as run_id, p.position, l.lane_id, u.unit_id, p.rank, p.source_version, p.reason, p.rev,
          p.costs
        from (select *, dense_rank() over (order by run_no) as nth from plan_items where plan_id = p_plan) p
        join lanes l on l.space_id = v_pipeline.space_id and l.key = p.lane
        join units u on u.pipeline_id = v_plan.pipeline_id and u.key_hash = md5(p.key)::uuid
        where u.rev = p.rev and not exists (select from active a where a.unit_id = u.unit_id)
      ), a as (
        insert into active (lane_id, rank, run_id, unit_id, held)
        select lane_id, rank, run_id, unit_id, v_plan.paused or v_pipeline.paused from i order by position
      ), x as (
        insert into run_units (run_id, unit_no, unit_id, source_version, reason, rev)
        select run_id, (row_number() over (partition by run_id order by position))::int - 1, unit_id, source_version,
          reason, rev from i
      ), r as (
        insert into runs (run_id, pipeline_id, plan_id, shape_id, lane_id, rank, engine, units) overriding system value
        select run_id, v_plan.pipeline_id, p_plan, p_shape, min(lane_id), min(rank), p_engine, count(*)
        from i group by run_id order by run_id
      ), c as (
        insert into run_costs (run_id, quota_id, amount)
        select i.run_id, v_plan.quotas[y.n], sum(y.cost) from i, unnest(i.costs) with ordinality y(cost, n)
        where v_plan.quotas is not null group by 1, 2 having sum(y.cost) > 0
      )
      select count(*) into v_units from i;
      exit;
    exception when unique_violation then
      null;  -- another took one of them between the look and the insert: look again
    end;
  end loop;
  with c as (
    select x.run_id, x.unit_id from runs r join run_units x using (run_id) join units u using (unit_id)
    where r.plan_id = p_plan and u.rev <> x.rev
  ), a as (
    delete from active a using c where a.unit_id = c.unit_id and a.run_id = c.run_id
  ), x as (
    delete from run_units x using c where x.run_id = c.run_id and x.unit_id = c.unit_id returning 1
  ) select count(*) into v_lost from x;
  if v_lost > 0 then
    delete from run_costs c using runs r where r.plan_id = p_plan and c.run_id = r.run_id
      and not exists (select from run_units x where x.run_id = r.run_id);
    delete from runs r where r.plan_id = p_plan and not exists (select from run_units x where x.run_id = r.run_id);
    update runs r set units = (select count(*) from run_units x where x.run_id = r.run_id) where r.plan_id = p_plan and r.units > 1;
  end if;
  if v_units - v_lost < v_items then
    select count(*) into v_taken from plan_items p
      join units u on u.pipeline_id = v_plan.pipeline_id and u.key_hash = md5(p.key)::uuid
      join active a on a.unit_id = u.unit_id left join runs r on r.run_id = a.run_id
      where p.plan_id = p_plan and u.rev = p.rev and r.plan_id is distinct from p_plan;
  end if;
  with i as materialized (  -- unit by unit: joined the other way round it would read all items for each run
    select u.unit_id, p.unit from plan_items p join units u on u.pipeline_id = v_plan.pipeline_id and u.key_hash = md5(p.key)::uuid
    where p.plan_id = p_plan and p.rev > 0 and u.unit::text <> p.unit::text and (
      select true from run_units x join runs r using (run_id) where x.unit_id = u.unit_id and r.plan_id = p_plan limit 1)
  )
  update units u set unit = i.unit from i where u.unit_id = i.unit_id;
  select count(*) into v_runs from runs r where r.plan_id = p_plan;
  if p_copy_from is not null and v_runs = 1 then
    select r.run_id into v_new from runs r where r.plan_id = p_plan;
    perform from runs o where o.run_id = p_copy_from and o.shape_id = p_shape and not exists (
      select from run_units n left join run_units b on b.run_id = p_copy_from and b.unit_id = n.unit_id
        and b.source_version is not distinct from n.source_version
      where n.run_id = v_new and b.unit_id is null);
    if found then
      perform copy_steps(p_copy_from, v_new);
      update runs r set origin_run_id = p_copy_from where r.run_id = v_new;
    end if;
  end if;
  update plans p set state = 'applied', applied_at = clock_timestamp(), triggered_by = p_triggered_by, runs = v_runs,
    dropped = json_build_object('taken by another', v_taken, 'changed since planned', v_items - (v_units - v_lost) - v_taken)
    where p.plan_id = p_plan;
  delete from plan_items i where i.plan_id = p_plan;
  if not (v_plan.paused or v_pipeline.paused) then  -- last, since finishing runs want these rows
    perform from lanes l where l.lane_id in (select r.lane_id from runs r where r.plan_id = p_plan)
      order by l.lane_id for update;
    update lanes l set next_at = case when l.run_id is null
        then coalesce(l.next_at, statement_timestamp() - credit(x.rank) + x.place * interval '1 us') else l.next_at end
    from (select r.lane_id, min(r.rank) as rank, row_number() over (order by min(r.run_id)) as place
      from runs r where r.plan_id = p_plan group by r.lane_id) x
    where l.lane_id = x.lane_id;
  end if;
  return query select v_runs, v_taken, v_items - (v_units - v_lost) - v_taken;
end $$;

create or replace function follow_up(p json) returns table (run_id bigint) language plpgsql as $$
#variable_conflict use_column
declare i record; v_run bigint;
begin
  for i in select * from json_to_recordset(coalesce(p, '[]')) y(run bigint, units json, until float8, tries int) loop
    insert into runs (pipeline_id, plan_id, shape_id, lane_id, rank, engine, tries, origin_run_id, not_before, wait_reason, units)
      select r.pipeline_id, r.plan_id, r.shape_id, r.lane_id, r.rank, r.engine, i.tries, r.run_id, to_timestamp(i.until),
        'backoff', json_array_length(i.units) from runs r where r.run_id = i.run returning runs.run_id into v_run;
    insert into run_units (run_id, unit_no, unit_id, source_version, reason, rev)
      select v_run, x.unit_no, x.unit_id, x.source_version, x.reason, u.rev from run_units x join units u using (unit_id)
      where x.run_id = i.run and x.unit_no in (select y::text::int from json_array_elements(i.units) y);
    insert into active (lane_id, rank, run_id, unit_id, held)
      select r.lane_id, r.rank, v_run, x.unit_id, true from runs r join run_units x using (run_id) where r.run_id = v_run;
    insert into run_costs (run_id, quota_id, amount)
      select v_run, c.quota_id, c.amount * json_array_length(i.units) / r.units from run_costs c join runs r using (run_id)
      where c.run_id = i.run;
    perform copy_steps(i.run, v_run);
    return query select v_run;
  end loop;
end $$;
comment on function follow_up is 'One more run over the units of a batch that may be tried again; part of their run''s end.';

create or replace function record(p_process bigint, p_attempts json, p_calls json, p_waits json, p_ends json,
  p_k int, p_spaces int[], p_turn int, p_after timestamptz)
returns table (kind text, run_id bigint, lane_id bigint, fence bigint, info json)
language plpgsql as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_kinds text[]; v_runs bigint[]; v_lanes bigint[]; v_fences bigint[]; v_refused bigint[];
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
    select coalesce(array_agg(w.run_id), '{}') into v_runs from record_waits(p_waits) w;
    perform release_costs('{}', (select array_agg(i.run) from json_to_recordset(p_waits) i(run bigint)
      where i.run <> all (v_runs)));
    return query select 'late', i.run_id, null::bigint, r.fence, json_build_object('state', r.state)
      from unnest(v_runs) i(run_id) left join runs r using (run_id);
  end if;
  if p_ends is not null then
    select array_agg(case when e.late then 'late' else 'claim' end), array_agg(e.run_id), array_agg(e.lane_id),
      array_agg(e.fence) into v_kinds, v_runs, v_lanes, v_fences from record_ends(p_process, p_ends) e;
    perform release_costs((select array_agg(i.run) from json_to_recordset(p_ends) i(run bigint)
      where not exists (select from unnest(v_kinds, v_runs) e(kind, run) where e.kind = 'late' and e.run = i.run)), '{}');
    v_refused := admit(array(select e.run from unnest(v_kinds, v_runs) e(kind, run) where e.kind = 'claim'));
    return query select e.kind, e.run, e.lane, coalesce(e.fence, r.fence),
        case when e.kind = 'late' then json_build_object('state', r.state) else describe(e.run) end
      from unnest(v_kinds, v_runs, v_lanes, v_fences) e(kind, run, lane, fence) left join runs r on r.run_id = e.run
      where e.run <> all (v_refused);
  end if;
  if p_k > 0 then
    select array_agg(c.run_id), array_agg(c.lane_id), array_agg(c.fence) into v_runs, v_lanes, v_fences
      from claim(p_process, p_k, p_spaces, p_turn, p_after) c;
    v_refused := admit(v_runs);
    return query select 'claim', c.run, c.lane, c.fence, describe(c.run)
      from unnest(v_runs, v_lanes, v_fences) c(run, lane, fence) where c.run <> all (v_refused);
  end if;
end $$;
comment on function record is 'One round trip and one commit: attempts, calls, waits, ends and the next claims of one process.';
