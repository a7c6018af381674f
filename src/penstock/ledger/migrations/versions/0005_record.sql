-- Events, in the commit of what they tell. A process says at its start which types somebody wants of it.

alter table processes add events text[] not null default '{}';
comment on column processes.events is 'Types of events that this process puts into the outbox.';
alter table outbox add seq bigint generated always as identity, add step text, add data json;
comment on column outbox.seq is 'The order in which the events of one run were told.';
create index outbox_seq on outbox (app, seq);

create function event_id(p_run bigint, p_what text) returns uuid language sql stable as $$
  select (substr(h, 1, 12) || '8' || substr(h, 14, 3) || 'a' || substr(h, 18))::uuid
  from (select md5(prefix || ':' || p_run || ':' || p_what) as h from installation) x
$$;
comment on function event_id is 'The same for the same thing, however often it is told.';

create function tell_started(p_app text, p_runs bigint[]) returns void language sql as $$
  insert into outbox (event_id, app, type, at, run_id)
  select event_id(r.run_id, 'started'), p_app, 'execution.started', r.started_at, r.run_id
  from runs r where r.run_id = any (p_runs) and r.claims = 1 and r.state = 'running' order by r.run_id
  on conflict do nothing
$$;

create function tell_layers(p_app text, p json, p_now timestamptz) returns void language sql as $$
  insert into outbox (event_id, app, type, at, run_id, step, data)
  select event_id(i.run, 'layer:' || i.step), p_app, 'layer.completed', p_now, i.run, i.step,
    json_build_object('layer', i.step, 'attempt', i.attempt, 'duration_ms', round(i.elapsed * 1000), 'counts', coalesce(i.counts,
      (select json_object_agg(y.name, y.n) from (
        select c.key as name, sum(c.value::bigint) as n from calls k cross join lateral json_each_text(k.counts) c
        where k.run_id = i.run and k.step = i.step group by 1) y), '{}'))
  from json_to_recordset(p) i(run bigint, lane bigint, fence bigint, seq int, step text, attempt smallint, state text,
    elapsed float8, units_left int, counts json)
  join lanes l on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence
  where i.state = 'done' and coalesce(i.units_left, 1) > 0 order by i.run, i.seq
  on conflict do nothing
$$;

create function tell_issues(p_app text, p json, p_now timestamptz) returns void language sql as $$
  insert into outbox (event_id, app, type, at, run_id, step, data)
  select event_id(i.run, 'quality:' || i.step || ':' || coalesce(i.attempt, 1) || ':' || coalesce(i.unit, -1)), p_app,
    'quality.issue_detected', p_now, i.run, i.step, json_build_object('layer', i.step, 'issues', q.issues)
  from json_to_recordset(p) i(run bigint, lane bigint, fence bigint, step text, unit int, attempt smallint, quality json)
  join lanes l on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence
  cross join lateral (
    select json_agg(json_build_object('type', y ->> 'type', 'count', y -> 'count', 'severity', y ->> 'severity',
      'rule', y -> 'details' ->> 'rule', 'table', y -> 'details' ->> 'table')) as issues
    from json_array_elements(i.quality) y
    where y ->> 'severity' <> 'info' and (y ->> 'count')::bigint > 0) q
  where i.quality is not null and q.issues is not null order by i.run
  on conflict do nothing
$$;
comment on function tell_issues is 'One event for the issues that an attempt or a call found, of severity warning or worse.';

create or replace function record(p_process bigint, p_attempts json, p_calls json, p_waits json, p_ends json,
  p_k int, p_spaces int[], p_turn int, p_after timestamptz)
returns table (kind text, run_id bigint, lane_id bigint, fence bigint, info json)
language plpgsql as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_kinds text[]; v_runs bigint[]; v_lanes bigint[]; v_fences bigint[]; v_refused bigint[];
  v_events text[]; v_app text; v_begun bigint[] := '{}'; v_widths int[] := '{}';
begin
  select p.events, p.app into v_events, v_app from processes p
    where p.process_id = p_process and p.lost_at is null and p.ended_at is null for key share;
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
  if p_attempts::text like '%"quality":%' then
    perform record_quality(p_attempts, v_now);
    if 'quality.issue_detected' = any (v_events) then
      perform tell_issues(v_app, p_attempts, v_now);
    end if;
  end if;
  if p_calls::text like '%"quality":%' then
    perform record_quality(p_calls, v_now);
    if 'quality.issue_detected' = any (v_events) then
      perform tell_issues(v_app, p_calls, v_now);
    end if;
  end if;
  if p_attempts is not null and 'layer.completed' = any (v_events) then  -- after the calls, whose counts it adds up
    perform tell_layers(v_app, p_attempts, v_now);
  end if;
  if p_waits is not null then
    select coalesce(array_agg(w.run_id), '{}') into v_runs from record_waits(p_waits) w;
    v_widths := widths(array(select i.run from json_to_recordset(p_waits) i(run bigint)));
    perform release_costs('{}', (select array_agg(i.run) from json_to_recordset(p_waits) i(run bigint)
      where i.run <> all (v_runs)));
    return query select 'late', i.run_id, null::bigint, r.fence, json_build_object('state', r.state)
      from unnest(v_runs) i(run_id) left join runs r using (run_id);
  end if;
  if p_ends is not null then
    select array_agg(case when e.late then 'late' else 'claim' end), array_agg(e.run_id), array_agg(e.lane_id),
      array_agg(e.fence) into v_kinds, v_runs, v_lanes, v_fences from record_ends(p_process, p_ends) e;
    v_widths := v_widths || widths(array(select i.run from json_to_recordset(p_ends) i(run bigint)));
    perform release_costs((select array_agg(i.run) from json_to_recordset(p_ends) i(run bigint)
      where not exists (select from unnest(v_kinds, v_runs) e(kind, run) where e.kind = 'late' and e.run = i.run)), '{}');
    v_begun := array(select e.run from unnest(v_kinds, v_runs) e(kind, run) where e.kind = 'claim');
    v_refused := admit(v_begun);
    return query select e.kind, e.run, e.lane, coalesce(e.fence, r.fence),
        case when e.kind = 'late' then json_build_object('state', r.state) else describe(e.run) end
      from unnest(v_kinds, v_runs, v_lanes, v_fences) e(kind, run, lane, fence) left join runs r on r.run_id = e.run
      where e.run <> all (v_refused);
  end if;
  if widen(v_widths) > 0 then  -- before the claim, which may take them
    perform pg_notify('penstock', 'work');
  end if;
  if p_k > 0 then
    select array_agg(c.run_id), array_agg(c.lane_id), array_agg(c.fence) into v_runs, v_lanes, v_fences
      from claim(p_process, p_k, p_spaces, p_turn, p_after) c;
    v_refused := admit(v_runs);
    return query select 'claim', c.run, c.lane, c.fence, describe(c.run)
      from unnest(v_runs, v_lanes, v_fences) c(run, lane, fence) where c.run <> all (v_refused);
    v_begun := v_begun || v_runs;
  end if;
  if 'execution.started' = any (v_events) and cardinality(v_begun) > 0 then
    perform tell_started(v_app, v_begun);
  end if;
end $$;
comment on function record is 'One round trip and one commit: attempts, calls, waits, ends and the next claims of one process.';

-- What is replaced loses its settings; see 0001_views.sql.
do $$
declare f record; o text;
begin
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('record', 'tell_started', 'tell_layers', 'tell_issues', 'event_id') loop
    execute format('alter function %s set search_path = penstock, pg_temp', f.name);
  end loop;
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('record') loop
    foreach o in array array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin'] loop
      execute format('alter function %s set %I = off', f.name, o);
    end loop;
  end loop;
end $$;
