-- Who reads the log of events: the app's own functions, notices to people, and sinks.

create function register_readers(p_app text, p_names text[]) returns void language sql as $$
  -- Who is new begins with what the outbox has, which nobody has looked at yet.
  insert into event_readers (app, name, position)
    select p_app, n, coalesce((select max(e.position) from events e where e.app = p_app), 0) from unnest(p_names) n order by n
    on conflict (app, name) do update set seen_at = clock_timestamp()
      where event_readers.seen_at < clock_timestamp() - interval '1 hour'
$$;

create function take_events(p_app text, p_name text, p_owner uuid, p_types text[], p_lease float8, p_limit int)
returns table (head bigint, tries int, "position" bigint, event_id uuid, type text, at timestamptz, run_id bigint, run uuid,
  pipeline text, step text, data json)
language plpgsql as $$
#variable_conflict use_column
declare c event_readers; v_head bigint; v_count int;
begin
  select * into c from event_readers x where x.app = p_app and x.name = p_name;
  if c.name is null or c.seen_at < clock_timestamp() - interval '1 hour' then
    perform register_readers(p_app, array[p_name]);
  end if;
  perform sequence_events(p_app, 500);
  select max(e.position) into v_head from events e where e.app = p_app;
  if v_head is null or c.position >= v_head then
    return;
  end if;
  select * into c from event_readers x where x.app = p_app and x.name = p_name and x.next_at <= clock_timestamp()
    and (x.owner = p_owner or x.lease_until <= clock_timestamp()) for update skip locked;
  if not found then
    return;
  end if;
  return query select v_head, c.tries, e.position, e.event_id, e.type, e.at, e.run_id, public_id(1, e.run_id), e.pipeline, e.step,
      e.data
    from events e where e.app = p_app and e.position > c.position and e.position <= v_head
      and (p_types is null or e.type = any (p_types)) order by e.position limit p_limit;
  get diagnostics v_count = row_count;
  if v_count = 0 then
    update event_readers x set position = v_head where x.app = p_app and x.name = p_name;
  else
    update event_readers x set owner = p_owner, lease_until = clock_timestamp() + p_lease * interval '1 s'
      where x.app = p_app and x.name = p_name;
  end if;
end $$;
comment on function take_events is 'The next events for one reader, which are their owner''s for a while. head is the place up to which was looked.';

create function collect_notices(p_app text, p_targets text[], p_ends text[])
returns table (moved int, told bigint) language plpgsql as $$
#variable_conflict use_column
declare c event_readers; v_head bigint;
begin
  select * into c from event_readers x where x.app = p_app and x.name = '@notify';
  if c.name is null or c.seen_at < clock_timestamp() - interval '1 hour' then
    perform register_readers(p_app, array['@notify']);
  end if;
  moved := sequence_events(p_app, 500);
  told := 0;
  select max(e.position) into v_head from events e where e.app = p_app;
  if v_head is null or c.position >= v_head then
    return next;
    return;
  end if;
  select * into c from event_readers x where x.app = p_app and x.name = '@notify' for update;
  insert into notice_targets (app, target) select p_app, unnest(p_targets) on conflict do nothing;
  -- A unit that failed is final unless a later run follows it up.
  with final as materialized (
    select e.event_id, e.at, e.run_id from events e join runs r using (run_id)
    where e.app = p_app and e.position > c.position and e.position <= v_head
      and e.type in ('execution.completed', 'execution.failed')
      and r.state = any (p_ends) and (r.state not in ('failed', 'partial') or exists (
        select from run_units x
        where x.run_id = r.run_id and coalesce(x.state, r.state) in ('failed', 'partial') and not exists (
          select from run_units y join runs f using (run_id)
          where y.unit_id = x.unit_id and y.run_id > x.run_id and f.origin_run_id = r.run_id and f.tries > r.tries)))
  ), kept as (
    insert into notices (app, target, event_id, at, run_id)
    select p_app, target, f.event_id, f.at, f.run_id from final f cross join unnest(p_targets) target
    on conflict do nothing
  )
  select count(*) into told from final;
  update event_readers x set position = greatest(x.position, v_head) where x.app = p_app and x.name = '@notify';
  return next;
end $$;
comment on function collect_notices is 'New ends of runs become notices, once for each target; the reader''s place moves in the same commit.';

create function events_held_from(p_app text) returns bigint language sql stable as $$
  select min(r.position) from event_readers r where r.app = p_app and r.seen_at > clock_timestamp() - interval '30 days'
$$;
comment on function events_held_from is 'Events after this place are yet to be read by somebody who was seen in the last 30 days; null: there is nobody.';

create function is_untold(p_run bigint) returns boolean language sql stable as $$
  select exists (select from outbox o where o.run_id = p_run) or exists (select from notices n where n.run_id = p_run)
    or exists (select from events e where e.run_id = p_run and e.position > events_held_from(e.app))
$$;
comment on function is_untold is 'Whether somebody is yet to be told something of this run.';

create function prune_events(p_before timestamptz, p_limit int, p_dry boolean) returns bigint language plpgsql as $$
#variable_conflict use_column
declare l record; v_held bigint; v_rows bigint; v_all bigint := 0;
begin
  for l in select x.app from event_logs x order by 1 loop
    v_held := coalesce(events_held_from(l.app), 9223372036854775807);
    if p_dry then
      select count(*) into v_rows from events e where e.app = l.app and e.position <= v_held and e.at < p_before;
    else  -- places and times rise together but for the length of a transaction, so the first are the oldest
      delete from events e where e.app = l.app and e.at < p_before and e.position in (
        select y.position from events y where y.app = l.app and y.position <= v_held order by y.position limit p_limit);
      get diagnostics v_rows = row_count;
    end if;
    v_all := v_all + v_rows;
  end loop;
  return v_all;
end $$;
comment on function prune_events is 'Old events go that every reader has, some at a time; 0 when there are none.';

create view v1_events as
  select e.position, e.event_id as id, '/penstock/' || e.app as source, e.type, public_id(1, e.run_id) as subject, e.at as "time",
    e.app, e.pipeline, e.step, e.run_id as run_number, e.data::jsonb as data
  from events e;
comment on view v1_events is 'What happened, in order of position, with the fields of CloudEvents.';

create view v1_event_readers as
  select r.app, r.name, r.position, n.waiting, n.oldest, r.sent_at, r.tries, r.error, nullif(r.next_at, '-infinity') as next_at,
    r.seen_at
  from event_readers r cross join lateral (
    select count(*) as waiting, min(e.at) as oldest from events e where e.app = r.app and e.position > r.position) n;
comment on view v1_event_readers is 'Who reads the events: how far, how many are after that, and why the last ones were refused.';

-- Whose events are not all told stays; see 0005_prune.sql.
do $$
declare f regprocedure; v_was text; v_is text; o text;
begin
  foreach f in array array['prune_runs(timestamptz, int, bigint[], boolean, bigint, int, boolean)'::regprocedure,
      'prune_plans(timestamptz, int, bigint[], boolean, bigint, int, boolean)'::regprocedure] loop
    v_was := pg_get_functiondef(f);
    v_is := regexp_replace(v_was, 'exists \(select from outbox e where e\.run_id = r\.run_id\)\s+or exists \(select from notices n where n\.run_id = r\.run_id\)',
      'is_untold(r.run_id)');
    v_is := regexp_replace(v_is, 'not exists \(select from outbox e where e\.run_id = r\.run_id\)\s+and not exists \(select from notices n where n\.run_id = r\.run_id\)',
      'not is_untold(r.run_id)');
    if v_is = v_was then
      raise exception 'the function % is not as it was', f;
    end if;
    execute v_is;
  end loop;
  for f in select p.oid::regprocedure from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('event_data', 'sequence_events', 'register_readers', 'take_events', 'collect_notices', 'events_held_from',
      'is_untold', 'prune_events') loop
    execute format('alter function %s set search_path = penstock, pg_temp', f);
    foreach o in array array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin'] loop
      execute format('alter function %s set %I = off', f, o);
    end loop;
  end loop;
end $$;
