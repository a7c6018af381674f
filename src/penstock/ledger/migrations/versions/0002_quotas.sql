-- Quotas: budgets by window, what was drawn from them, what runs are expected to draw.

create table quotas (
  quota_id int generated always as identity primary key,
  app text not null, name text not null,
  amount numeric not null check (amount >= 0),
  per text check (per in ('second', 'minute', 'hour', 'day', 'month', 'run')),
  reserve numeric not null default 0 check (reserve >= 0),
  starts interval not null default '0', timezone text not null default 'UTC',
  unique (app, name)
);
comment on table quotas is 'Budgets as the code defines them; per is null for so much at once.';

create table quota_windows (
  quota_id int not null references quotas, scope bigint not null default 0,
  starts_at timestamptz not null, ends_at timestamptz not null,
  used numeric not null default 0, reserved numeric not null default 0,
  primary key (quota_id, scope, starts_at)
) with (fillfactor = 50);
comment on column quota_windows.scope is 'The run, for a quota per run; else 0.';
comment on column quota_windows.used is 'Draws: settled ones at what they cost, open ones at their worst case.';
comment on column quota_windows.reserved is 'What runs at work are expected to draw yet.';

create table quota_draws (
  draw_id bigint generated always as identity primary key,
  quota_id int not null references quotas, scope bigint not null, starts_at timestamptz not null,
  run_id bigint not null, process_id bigint not null, step text not null,
  amount numeric not null, settled numeric, drawn_at timestamptz not null default clock_timestamp(), settled_at timestamptz
) with (fillfactor = 90);
create index quota_draws_run on quota_draws (run_id);
create index quota_draws_open on quota_draws (quota_id) where settled_at is null;
comment on table quota_draws is 'Each is recorded before the call that it pays for; who dies leaves it at its worst case.';

create table run_costs (
  run_id bigint not null, quota_id int not null references quotas, amount numeric not null,
  reserved numeric not null default 0, starts_at timestamptz,
  primary key (run_id, quota_id)
) with (fillfactor = 90);
comment on table run_costs is 'What live runs are expected to cost, and how much of it is reserved in which window.';

alter table plans add quotas int[];
alter table plan_items add costs numeric[], add deferred_by int, add deferred_until timestamptz;
comment on column plan_items.costs is 'In the order of plans.quotas.';

create function quota_limits(p_quota int, out amount numeric, out reserve numeric) language sql stable as $$
  select q.amount, least(q.reserve, q.amount) from quotas q where q.quota_id = p_quota
$$;
comment on function quota_limits is 'The figures that hold.';

create function quota_window(p_quota int, p_at timestamptz, p_ahead int, out starts_at timestamptz, out ends_at timestamptz)
language plpgsql stable as $$
declare q quotas; v_local timestamp;
begin
  select * into q from quotas x where x.quota_id = p_quota;
  if q.per is null or q.per = 'run' then
    starts_at := '-infinity'; ends_at := 'infinity';
  elsif q.per in ('day', 'month') then
    v_local := date_trunc(q.per, (p_at at time zone q.timezone) - q.starts);
    starts_at := (v_local + p_ahead * ('1 ' || q.per)::interval + q.starts) at time zone q.timezone;
    ends_at := (v_local + (p_ahead + 1) * ('1 ' || q.per)::interval + q.starts) at time zone q.timezone;
  else
    starts_at := date_trunc(q.per, p_at, 'UTC') + p_ahead * ('1 ' || q.per)::interval;
    ends_at := starts_at + ('1 ' || q.per)::interval;
  end if;
end $$;
comment on function quota_window is 'The window of an instant, or so many windows later; see penstock.model.quota.window.';

create function open_window(p_quota int, p_scope bigint) returns quota_windows language plpgsql as $$
declare w quota_windows; v record; q quotas;
begin
  select * into q from quotas x where x.quota_id = p_quota;
  loop
    select * into v from quota_window(p_quota, clock_timestamp(), 0);
    select * into w from quota_windows x
      where x.quota_id = p_quota and x.scope = p_scope and x.starts_at = v.starts_at for update;
    if found and clock_timestamp() < w.ends_at then  -- else the window turned while we waited for its row
      exit;
    elsif not found then
      insert into quota_windows (quota_id, scope, starts_at, ends_at) values (p_quota, p_scope, v.starts_at, v.ends_at)
        on conflict do nothing;
    end if;
  end loop;
  if q.per is null then  -- so much at once: what the living have in hand
    select coalesce(sum(d.amount), 0) into w.used from quota_draws d join processes p using (process_id)
      where d.quota_id = p_quota and d.settled_at is null and p.ended_at is null and p.lost_at is null;
  end if;
  return w;
end $$;
comment on function open_window is 'The present window of a quota, locked. Several are locked in the order of their quotas.';

create function spend(p_process bigint, p_lane bigint, p_run bigint, p_fence bigint, p_step text, p_quotas int[],
  p_amounts numeric[])
returns table (draw_id bigint, quota text, until timestamptz, free numeric, "limit" numeric) language plpgsql as $$
#variable_conflict use_column
declare i record; w quota_windows; f record; v_rank int; v_free numeric; v_own numeric; v_draw bigint;
begin
  perform from processes p where p.process_id = p_process and p.lost_at is null and p.ended_at is null for key share;
  if not found then
    raise exception 'process % has lost its lease', p_process using errcode = 'PK001';
  end if;
  select r.rank into v_rank from lanes l join runs r using (run_id)
    where l.lane_id = p_lane and l.run_id = p_run and l.fence = p_fence;
  if not found then
    raise exception 'run % was taken over; what this process did is not kept', p_run using errcode = 'PK001';
  end if;
  for i in select x.quota, q.name, x.amount, case when q.per = 'run' then p_run else 0 end as scope
    from unnest(p_quotas, p_amounts) x(quota, amount) join quotas q on q.quota_id = x.quota order by x.quota loop
    w := open_window(i.quota, i.scope);
    select * into f from quota_limits(i.quota);
    select coalesce(sum(c.reserved), 0) into v_own from run_costs c
      where c.run_id = p_run and c.quota_id = i.quota and c.starts_at = w.starts_at;
    v_free := f.amount - case when v_rank < 5 then 0 else f.reserve end - w.used - (w.reserved - v_own);
    if i.amount > v_free then
      return query select null::bigint, i.name, w.ends_at, v_free, f.amount;
      return;
    end if;
  end loop;
  for i in select x.quota, q.name, x.amount, case when q.per = 'run' then p_run else 0 end as scope
    from unnest(p_quotas, p_amounts) x(quota, amount) join quotas q on q.quota_id = x.quota order by x.quota loop
    w := open_window(i.quota, i.scope);
    select coalesce(sum(c.reserved), 0) into v_own from run_costs c
      where c.run_id = p_run and c.quota_id = i.quota and c.starts_at = w.starts_at;
    update quota_windows x set used = x.used + i.amount, reserved = x.reserved - least(v_own, i.amount)
      where x.quota_id = i.quota and x.scope = i.scope and x.starts_at = w.starts_at;
    update run_costs c set reserved = c.reserved - least(v_own, i.amount)
      where v_own > 0 and c.run_id = p_run and c.quota_id = i.quota;
    insert into quota_draws (quota_id, scope, starts_at, run_id, process_id, step, amount)
      values (i.quota, i.scope, w.starts_at, p_run, p_process, p_step, i.amount) returning quota_draws.draw_id into v_draw;
    return query select v_draw, i.name, w.ends_at, null::numeric, null::numeric;
  end loop;
end $$;
comment on function spend is 'Draws from all of these quotas or from none; a row without a draw says which one is spent.';

create function settle(p_draws bigint[], p_actual numeric[]) returns void language plpgsql as $$
begin
  perform from quota_windows w where (w.quota_id, w.scope, w.starts_at) in (
    select d.quota_id, d.scope, d.starts_at from quota_draws d where d.draw_id = any (p_draws))
    order by w.quota_id, w.scope, w.starts_at for update;
  with d as (
    update quota_draws d set settled = i.actual, settled_at = clock_timestamp() from unnest(p_draws, p_actual) i(draw, actual)
    where d.draw_id = i.draw and d.settled_at is null
    returning d.quota_id, d.scope, d.starts_at, i.actual - d.amount as more
  )
  update quota_windows w set used = w.used + x.more from (
    select d.quota_id, d.scope, d.starts_at, sum(d.more) as more from d join quotas q using (quota_id)
    where q.per is not null group by 1, 2, 3) x
  where w.quota_id = x.quota_id and w.scope = x.scope and w.starts_at = x.starts_at;
end $$;
comment on function settle is 'What draws really cost. It is taken from anybody: the money is gone, whoever reports it.';

create function release_costs(p_ended bigint[], p_waiting bigint[]) returns void language plpgsql as $$
begin
  if not exists (select from run_costs c where c.run_id = any (p_ended || p_waiting)) then
    return;
  end if;
  perform from quota_windows w where w.scope = 0 and (w.quota_id, w.starts_at) in (
    select c.quota_id, c.starts_at from run_costs c where c.run_id = any (p_ended || p_waiting) and c.reserved > 0)
    order by w.quota_id, w.starts_at for update;
  update quota_windows w set reserved = w.reserved - x.amount from (
    select c.quota_id, c.starts_at, sum(c.reserved) as amount from run_costs c
    where c.run_id = any (p_ended || p_waiting) and c.reserved > 0 group by 1, 2) x
  where w.scope = 0 and w.quota_id = x.quota_id and w.starts_at = x.starts_at;
  delete from run_costs c where c.run_id = any (p_ended);
  update run_costs c set reserved = 0, starts_at = null where c.run_id = any (p_waiting) and c.starts_at is not null;
end $$;
comment on function release_costs is 'What was reserved for runs that ended or wait, and not drawn, is free again.';

create function put_off(p_run bigint, p_quota int, p_until timestamptz) returns void language plpgsql as $$
declare v_lane bigint;
begin
  select r.lane_id into v_lane from runs r where r.run_id = p_run;
  update runs r set state = 'scheduled', process_id = null, claims = r.claims - 1, not_before = p_until, wait_reason = 'quota',
    started_at = case when r.claims = 1 then null else r.started_at end
  where r.run_id = p_run;
  -- What costs as much and stands behind it in its lane would be refused one by one: it waits with it.
  update runs r set not_before = p_until, wait_reason = 'quota' from run_costs c, run_costs mine
  where mine.run_id = p_run and mine.quota_id = p_quota and c.quota_id = p_quota and c.amount >= mine.amount
    and r.run_id = c.run_id and r.state = 'scheduled' and not r.cancel_requested and r.not_before is null
    and r.run_id in (select a.run_id from active a where a.lane_id = v_lane and not a.held)
    and r.rank >= (select y.rank from runs y where y.run_id = p_run);
  update active a set held = true from runs r
    where a.lane_id = v_lane and not a.held and r.run_id = a.run_id and r.wait_reason = 'quota' and r.not_before is not null
      and r.state = 'scheduled';
  update active a set held = true from run_units x
    where x.run_id = p_run and a.unit_id = x.unit_id and a.run_id = p_run and not a.held;
  update lanes l set run_id = null, process_id = null, fence = l.fence + 1, next_at = statement_timestamp() - credit(5)
    where l.lane_id = v_lane and l.run_id = p_run;
end $$;
comment on function put_off is 'A run that was claimed and does not fit its quota: scheduled again for when it may.';

create function admit(p_runs bigint[]) returns bigint[] language plpgsql as $$
declare i record; k record; f record; w quota_windows; v_refused bigint[] := '{}'; v_until timestamptz; v_why int;
  v_need numeric; v_free numeric; v_needs numeric[]; v_starts timestamptz[]; v_quotas int[];
begin
  if not exists (select from run_costs c where c.run_id = any (p_runs)) then
    return v_refused;
  end if;
  for k in select distinct x.quota_id from run_costs x join quotas q using (quota_id)
    where x.run_id = any (p_runs) and q.per is distinct from 'run' and q.per is distinct from 'second' order by 1 loop
    perform open_window(k.quota_id, 0);
  end loop;
  for i in select r.run_id, r.rank from unnest(p_runs) with ordinality x(run_id, place) join runs r using (run_id)
    where not r.cancel_requested order by x.place loop
    v_until := null; v_needs := '{}'; v_starts := '{}'; v_quotas := '{}';
    for k in select x.*, q.per from run_costs x join quotas q using (quota_id)
      where x.run_id = i.run_id and q.per is distinct from 'run' and q.per is distinct from 'second' order by x.quota_id loop
      w := open_window(k.quota_id, 0);
      continue when k.starts_at = w.starts_at;  -- taken over: it is reserved already
      select * into f from quota_limits(k.quota_id);
      select greatest(0, k.amount - coalesce(sum(coalesce(d.settled, d.amount)), 0)) into v_need
        from quota_draws d where d.run_id = i.run_id and d.quota_id = k.quota_id;
      v_free := f.amount - (case when i.rank < 5 then 0 else f.reserve end) - w.used - w.reserved;
      if v_need > v_free then
        v_why := k.quota_id;
        v_until := greatest(v_until, case when k.per is null then clock_timestamp() + interval '1 s' else w.ends_at end);
      end if;
      v_needs := v_needs || v_need; v_starts := v_starts || w.starts_at; v_quotas := v_quotas || k.quota_id;
    end loop;
    if v_until is not null then
      v_refused := v_refused || i.run_id;
      perform release_costs('{}', array[i.run_id]);
      perform put_off(i.run_id, v_why, v_until);
    else
      update quota_windows x set reserved = x.reserved + y.need from unnest(v_quotas, v_starts, v_needs) y(quota, starts, need)
        where x.quota_id = y.quota and x.scope = 0 and x.starts_at = y.starts;
      update run_costs x set reserved = y.need, starts_at = y.starts
        from unnest(v_quotas, v_starts, v_needs) y(quota, starts, need) where x.run_id = i.run_id and x.quota_id = y.quota;
    end if;
  end loop;
  return v_refused;
end $$;
comment on function admit is 'Reserves what claimed runs are expected to cost, and puts off those that do not fit; returns these.';

create function admit_plan(p_plan bigint) returns json language plpgsql as $$
declare v_quotas int[]; v_quota int; q quotas; f record; v record; v_free numeric; v_until timestamptz;
  r record; v_ahead int; v_used numeric; v_at timestamptz; v_late bigint[]; v_when timestamptz[];
begin
  select p.quotas into v_quotas from plans p where p.plan_id = p_plan;
  for n in 1 .. cardinality(v_quotas) loop
    v_quota := v_quotas[n];
    select * into q from quotas x where x.quota_id = v_quota;
    select * into f from quota_limits(v_quota);
    continue when q.per = 'second';
    -- What costs more than a whole window never fits.
    update plan_items i set deferred_by = v_quota, deferred_until = 'infinity' from (
      select y.run_no from plan_items y where y.plan_id = p_plan group by y.run_no
      having sum(y.costs[n]) > f.amount - case when min(y.rank) < 5 then 0 else f.reserve end) x
    where i.plan_id = p_plan and i.run_no = x.run_no;
    continue when q.per is null or q.per not in ('hour', 'day', 'month');
    select * into v from quota_window(v_quota, clock_timestamp(), 0);
    select f.amount - coalesce(sum(w.used + w.reserved), 0) into v_free from quota_windows w
      where w.quota_id = v_quota and w.scope = 0 and w.starts_at = v.starts_at;
    v_until := least(v_until, v.ends_at);
    v_ahead := 0; v_used := f.amount - v_free; v_late := '{}'; v_when := '{}';
    for r in select y.run_no, min(y.rank) as rank, sum(y.costs[n]) as cost from plan_items y
      where y.plan_id = p_plan and y.deferred_by is null group by y.run_no having sum(y.costs[n]) > 0 order by min(y.position) loop
      if v_used + r.cost > f.amount - (case when r.rank < 5 then 0 else f.reserve end) then  -- the next window's
        v_ahead := v_ahead + 1; v_used := 0;
        select w.starts_at into v_at from quota_window(v_quota, clock_timestamp(), v_ahead) w;
      end if;
      v_used := v_used + r.cost;
      if v_ahead > 0 then
        v_late := v_late || r.run_no; v_when := v_when || v_at;
      end if;
    end loop;
    update plan_items i set deferred_by = v_quota, deferred_until = x.at from unnest(v_late, v_when) x(run_no, at)
    where i.plan_id = p_plan and i.run_no = x.run_no;
  end loop;
  return (select json_build_object('until', extract(epoch from v_until)::float8,
    'cost', (select json_object_agg(y.name, x.total) from (
      select z.n, sum(z.cost) as total from plan_items i, unnest(i.costs) with ordinality z(cost, n) where i.plan_id = p_plan group by 1) x
      join quotas y on y.quota_id = v_quotas[x.n]),
    'deferred', (select coalesce(json_agg(json_build_array(y.name, x.n,
        case when isfinite(x.until) then x.until end) order by y.name), '[]') from (
      select i.deferred_by, count(*) as n, min(i.deferred_until) as until from plan_items i
      where i.plan_id = p_plan and i.deferred_by is not null group by 1) x join quotas y on y.quota_id = x.deferred_by),
    'runs', (select count(distinct i.run_no) from plan_items i where i.plan_id = p_plan and i.deferred_by is null),
    'lanes', (select json_build_array(count(*), coalesce(max(x.n), 0)) from (
      select count(distinct i.run_no) as n from plan_items i where i.plan_id = p_plan and i.deferred_by is null group by i.lane) x),
    'negative', (select i.key from plan_items i where i.plan_id = p_plan and 0 > any (i.costs) limit 1)));
end $$;
comment on function admit_plan is 'Prices a plan and defers what its budgets do not admit; it reserves nothing.';
