-- A ledger with a million runs: 600,000 units in 20,000 lanes of three pipelines; 100,000 runs are live. One run a
-- second was made. Statistics as autovacuum would leave them are made afterwards. Nothing of it need survive a crash.
set local synchronous_commit = off;
set local work_mem = '128MB';
set local maintenance_work_mem = '256MB';

do $$
declare t text;
begin
  foreach t in array array['lanes', 'units', 'runs', 'run_units', 'active', 'attempts', 'calls', 'logs', 'onces', 'outbox',
      'events', 'notices', 'plan_items', 'quality_metrics'] loop
    execute format('alter table %I set unlogged', t);
  end loop;
end $$;

insert into spaces (app, name) select 'big', 's' || i from generate_series(1, 3) i;
insert into pipelines (app, name, space_id) select 'big', 'p' || i, i from generate_series(1, 3) i;
insert into pipelines (app, name, space_id) select 'small', 's' || i, 1 from generate_series(1, 3) i;
update pipelines set org_field = 'org', instance_field = 'feed' where pipeline_id = 2;
insert into shapes (pipeline_id, hash, body)
  select i, 'h', '{"steps": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}' from generate_series(1, 3) i;
insert into plans (pipeline_id, shape_id, state, definition, created_at, applied_at, runs)
  select (i - 1) % 3 + 1, (i - 1) % 3 + 1, 'applied', 'd', now(), now(), 25000 from generate_series(1, 120) i;
insert into processes (app, name, host, pid, lease_until, ended_at)
  select 'big', 'local', 'elsewhere', i, now() - interval '1 day', now() - interval '1 day' from generate_series(1, 200) i;
insert into processes (app, name, host, pid, lease_until, events)
  select 'big', 'local', 'here', i, now() + interval '1 hour', array['execution.started', 'execution.completed',
    'execution.failed', 'layer.completed', 'quality.issue_detected'] from generate_series(1, 2) i;

-- Of the live runs, by number: 64 running, 200 waiting in their lanes, 5,000 scheduled for later, 100 due again.
create temporary table seeds on commit drop as
  select i, i % 20000 + 1 as lane, i % 600000 + 1 as unit, p as pipeline, p + 3 * ((i - 1) / 25000) as plan, j,
    now() - (1000000 - i) * interval '1 s' as made,
    case when j between 1 and 64 then 'running' when j between 65 and 264 then 'waiting' when j > 0 then 'scheduled'
      when i % 20 = 0 then 'failed' when i % 40 = 1 then 'partial' when i % 50 = 2 then 'cancelled' else 'completed' end as state,
    case when j between 65 and 264 then now() + interval '1 min' when j between 265 and 5264 then now() + interval '1 hour'
      when j between 5265 and 5364 then now() - interval '1 s' end as due
  from (select i, case when i % 20000 < 15000 then 1 when i % 20000 < 19000 then 2 else 3 end as p, i - 900000 as j
    from generate_series(1, 1000000) i) y;

insert into lanes (lane_id, space_id, key, next_at, run_id, process_id, fence) overriding system value
  select y.i, p, 'lane ' || y.i,
    case when s.state = 'running' then null when s.state = 'waiting' then s.due else now() - y.i * interval '1 ms' end,
    s.i, case when s.state = 'running' then 201 end, 1
  from (select i, case when i <= 15000 then 1 when i <= 19000 then 2 else 3 end as p from generate_series(1, 20000) i) y
  left join (select * from seeds where state in ('running', 'waiting')) s on s.lane = y.i;
insert into units (unit_id, pipeline_id, key, unit, verdict, completed_at, rev) overriding system value
  select i, case when (i - 1) % 20000 < 15000 then 1 when (i - 1) % 20000 < 19000 then 2 else 3 end,
    '{"n":' || i || '}', json_build_object('n', i), case when i % 20 = 0 then 'failed' else 'completed' end, now(), 1
  from generate_series(1, 600000) i;
insert into runs (run_id, pipeline_id, plan_id, shape_id, lane_id, state, process_id, fence, claims, not_before, created_at,
    started_at, finished_at, failed_at, error_class, org, instance) overriding system value
  select i, pipeline, plan, pipeline, lane, state, case when j <= 64 then 201 end, case when j <= 264 then 1 end,
    (j <= 264)::int, due, made, case when j <= 264 then made end, case when j <= 0 then made + interval '1 s' end,
    case when state in ('failed', 'partial') then made end, case when state in ('failed', 'partial') then 'network' end,
    case when pipeline = 2 then (lane % 10)::text end, case when pipeline = 2 then 'feed ' || lane % 200 end
  from seeds order by i;
insert into run_units (run_id, unit_no, unit_id, reason, rev) select i, 0, unit, 'missing', 0 from seeds order by i;
insert into active (lane_id, rank, run_id, unit_id, held)
  select lane, 5, i, unit, state = 'scheduled' and due is not null from seeds where j > 0 order by i;
insert into attempts (run_id, seq, step, attempt, state, started_at, finished_at, ended_no)
  select i, s, (array['a', 'b', 'c'])[s], 1, case when j > 0 and s = 3 then 'open' else 'done' end, made, made, s
  from seeds cross join generate_series(1, 3) s where i > 800000 and j <= 264 order by i, s;
insert into calls (run_id, step, unit_no, state, finished_at)
  select i, 'b', 0, 'done', made from seeds where i > 700000 and j <= 264 order by i;
insert into onces (unit_id, version, step, key, value) select i, '', 'a', 'k', '1' from generate_series(1, 100000) i;
insert into logs (run_id, step, attempt, at, level, message)
  select i, 'a', 1, made, 'info', 'said' from seeds where i > 600000 and j <= 264 order by i;
insert into outbox (app, type, at, run_id)
  select 'big', 'execution.failed', made, i from seeds where i > 800000 and state = 'failed' order by i;
insert into event_logs (app) values ('big');
insert into events (event_id, app, type, at, run_id, pipeline, step, data)
  select md5('e' || i || ':' || t)::uuid, 'big', t, made, i, 'p' || pipeline, case t when 'layer.completed' then 'a' end, '{}'
  from seeds cross join unnest(array['layer.completed', 'execution.completed']) t
  where i > 600000 and j <= 0 order by i, t desc;
insert into event_readers (app, name, position)
  select 'big', name, (select max(position) from events) - behind
  from (values ('@notify', 100), ('bus', 1000), ('hook', 100000)) r (name, behind);
insert into notice_targets (app, target) values ('big', 'mail'), ('big', 'chat');
insert into notices (app, target, event_id, at, run_id, batch)
  select app, target, event_id, at, run_id, case when target = 'chat' then '00000000-0000-0000-0000-000000000001'::uuid end
  from outbox cross join unnest(array['mail', 'chat']) target;
insert into plans (pipeline_id, shape_id, definition) values (1, 1, 'd'), (1, 1, 'd');
insert into plans (pipeline_id, shape_id, definition) select 1, 1, 'd' from generate_series(1, 100) i;
insert into plan_items (plan_id, position, run_no, key, unit, lane, rank, priority, reason, rev)
  select 121, i, i, '{"n":' || 1000000 + i || '}', json_build_object('n', 1000000 + i), 'lane ' || i % 15000 + 1, 5, 0,
    'missing', 0 from generate_series(1, 50000) i;
insert into plan_items (plan_id, position, run_no, key, unit, lane, rank, priority, reason, rev)
  select 122, i, i, '{"n":' || 2000000 + i || '}', json_build_object('n', 2000000 + i), 'lane ' || i, 5, 0,
    'missing', 0 from generate_series(1, 100) i;
insert into plan_items (plan_id, position, run_no, key, unit, lane, rank, priority, reason, rev)
  select 123 + i / 500, i, i, '{"n":' || 3000000 + i || '}', json_build_object('n', 3000000 + i), 'lane ' || i % 15000 + 1, 5, 0,
    'missing', 0 from generate_series(0, 49999) i;
insert into quotas (app, name, amount, per) values ('big', 'usd', 1000000, 'day'), ('big', 'usd a run', 5, 'run');
insert into quota_windows (quota_id, scope, starts_at, ends_at, used)
  select 1, 0, date_trunc('day', now(), 'UTC') - i * interval '1 day', date_trunc('day', now(), 'UTC') - (i - 1) * interval '1 day', 100
  from generate_series(0, 1000) i;
insert into quota_windows (quota_id, scope, starts_at, ends_at, used)
  select 2, i, '-infinity', 'infinity', 1 from seeds where i > 700000 and j <= 264 order by i;
insert into quota_draws (quota_id, scope, starts_at, run_id, process_id, step, amount, settled, settled_at)
  select q, case when q = 1 then 0 else s.i end, case when q = 1 then date_trunc('day', now(), 'UTC') else '-infinity' end, s.i, 201,
    'a', 1, case when s.i % 1000 > 0 then 1 end, case when s.i % 1000 > 0 then now() end
  from seeds s cross join generate_series(1, 2) q where s.i > 700000 and s.j <= 264 order by s.i;
insert into run_costs (run_id, quota_id, amount) select i, 1, 1 from seeds where j > 0 order by i;
insert into quality_metrics (run_id, step, attempt, no, at, metric_type, count, severity)
  select i, 'a', 1, m, made, (array['total_records', 'valid_records', 'missing_fields'])[m], 10, 'warning'
  from seeds cross join generate_series(1, 3) m where i > 800000 and j <= 64 order by i;
-- A plan of 70 at once: runs at work take its room, and idle lanes sleep for it.
insert into quotas (app, name, amount, plan_id) values ('big', 'plan:118', 70, 118);
insert into quota_windows (quota_id, starts_at, ends_at, reserved) values (3, '-infinity', 'infinity', 64);
insert into run_costs (run_id, quota_id, amount, reserved, starts_at)
  select i, 3, 1, 1, '-infinity' from seeds where j between 1 and 64;
update lanes set width = 3, next_at = now() + interval '1 min' where run_id is null and lane_id > 15000 and lane_id <= 18000;
update plans set followed_at = now() where plan_id < 100;
insert into schedules (app, pipeline, cron, timezone, next_at) select 'big', 'p' || i, '* * * * *', 'UTC', now() from generate_series(1, 3) i;
update plans set quotas = '{1}' where plan_id = 121;
update plan_items set costs = '{1}' where plan_id = 121;
select setval(pg_get_serial_sequence('penstock.' || t, c), 2000000)
  from (values ('lanes', 'lane_id'), ('units', 'unit_id'), ('runs', 'run_id')) v (t, c);
