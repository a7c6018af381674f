-- The log of events. A row is written to the outbox in the commit of what it tells; from there it goes into the log
-- under one lock for each app, so that positions become visible in order, and a reader's place never skips one.

create table events (
  position bigint generated always as identity,
  event_id uuid not null unique, app text not null, type text not null, at timestamptz not null,
  run_id bigint not null, pipeline text, step text, data json,
  primary key (app, position)
);
create index events_run on events (run_id, position);
comment on table events is 'What happened, in order; pruned when it is old and every reader is past it.';
comment on column events.position is 'Rises within an app; there may be gaps in it.';
comment on column events.data is 'All that is told: it does not change, however often and however late it is sent.';

create table event_logs (app text primary key);
comment on table event_logs is 'One row for each app: who holds it moves events from the outbox into the log.';

create table event_readers (
  app text not null, name text collate "C" not null,
  position bigint not null, owner uuid, lease_until timestamptz not null default '-infinity',
  next_at timestamptz not null default '-infinity', tries int not null default 0, error text, sent_at timestamptz,
  seen_at timestamptz not null default clock_timestamp(), primary key (app, name)
) with (fillfactor = 50);
comment on table event_readers is 'How far each reader of the log is. A name that begins with @ is of Penstock''s own.';
comment on column event_readers.owner is 'Who hands events over now, until lease_until; a place is moved on by its owner alone.';
comment on column event_readers.seen_at is 'When a process last looked for it, to the hour; who was not seen for long holds nothing in the log.';

create index if not exists outbox_seq on outbox (app, seq);
drop index outbox_app;

create function event_data(p_type text, p_run bigint, p_step text, p_data json) returns json language sql stable as $$
  -- What is known of a run that has ended does not change; of one that has begun only that is told which will not.
  select (jsonb_strip_nulls(jsonb_build_object('execution_id', public_id(1, r.run_id), 'number', r.run_id, 'pipeline', q.name,
    'pipeline_id', r.instance, 'pipeline_name', r.instance_name, 'organization', r.org, 'units', r.units,
    'plan_id', public_id(2, r.plan_id),
    'state', case when e.ended then r.state when p_type = 'execution.started' then 'running' end,
    'started_at', case when e.ended then r.started_at end, 'completed_at', case when e.ended then r.finished_at end,
    'duration_ms', case when e.ended then round(extract(epoch from r.finished_at - r.started_at) * 1000) end,
    'error_class', case when e.ended then r.error_class end, 'error', case when e.ended then r.error end,
    'failed_step', case when e.ended then r.failed_step end, 'step', p_step)) || coalesce(p_data::jsonb, '{}'))::json
  from runs r join pipelines q using (pipeline_id)
  cross join lateral (select p_type in ('execution.completed', 'execution.failed') as ended) e
  where r.run_id = p_run
$$;

create function sequence_events(p_app text, p_limit int) returns int language plpgsql as $$
declare v_moved int;
begin
  perform from outbox o where o.app = p_app limit 1;
  if not found then
    return 0;
  end if;
  insert into event_logs (app) values (p_app) on conflict do nothing;
  perform from event_logs l where l.app = p_app for update;
  with gone as (
    delete from outbox o where o.event_id in (
      select y.event_id from outbox y where y.app = p_app order by y.seq limit p_limit)
    returning o.*
  ), moved as (  -- what was told before, and is told again after a process was lost, is there already
    insert into events (event_id, app, type, at, run_id, pipeline, step, data)
    select g.event_id, g.app, g.type, g.at, g.run_id, q.name, g.step,
      coalesce(event_data(g.type, g.run_id, g.step, g.data), g.data, '{}')
    from gone g left join runs r using (run_id) left join pipelines q using (pipeline_id) order by g.seq
    on conflict (event_id) do nothing
  )
  select count(*) into v_moved from gone;
  return v_moved;
end $$;
comment on function sequence_events is 'From the outbox into the log, the first of them; returns how many. Costs a look at an index when there is none.';

-- What waits now. What was taken for people already goes first, so that they are not told again.
insert into event_logs (app) select distinct app from outbox;
insert into events (event_id, app, type, at, run_id, pipeline, step, data)
  select o.event_id, o.app, o.type, o.at, o.run_id, q.name, o.step,
    coalesce(event_data(o.type, o.run_id, o.step, o.data), o.data, '{}')
  from outbox o left join runs r using (run_id) left join pipelines q using (pipeline_id)
  order by o.app, not o.noticed, o.at, o.seq;
insert into event_readers (app, name, position) select distinct app, '@on', 0 from outbox;
insert into event_readers (app, name, position)
  select t.app, '@notify', coalesce((select max(e.position) from events e join outbox o using (event_id) where o.app = t.app and o.noticed), 0)
  from (select distinct app from notice_targets) t;
delete from outbox;
alter table outbox drop column noticed;
