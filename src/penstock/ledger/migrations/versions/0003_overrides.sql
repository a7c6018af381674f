-- Figures that hold instead of those in the code, from the next plan on.
create table overrides (
  app text not null, pipeline text not null default '', name text not null, value text not null, note text,
  changed_at timestamptz not null default now(), changed_by text not null default current_user,
  primary key (app, pipeline, name)
);
comment on table overrides is 'What an operator set instead of the code''s figures; pipeline is empty where it is for the whole app.';

create function override_changed() returns trigger language plpgsql as $$
begin
  new.changed_at := now();
  return new;
end $$;
create trigger override_changed before update on overrides for each row execute function override_changed();

create view v1_overrides as
  select o.app, nullif(o.pipeline, '') as pipeline, o.name, o.value, o.note, o.changed_at, o.changed_by from overrides o;
comment on view v1_overrides is 'Figures that hold instead of the code''s; pipeline is null where they are for the whole app.';

-- A retried run takes over completed steps also where only figures were set anew: the code that made them is the same.
create function same_code(p_one int, p_other int) returns boolean language sql stable as $$
  select count(distinct coalesce(s.body ->> 'base', s.hash)) = 1 from shapes s where s.shape_id in (p_one, p_other)
$$;
comment on function same_code is 'Whether two shapes were made from the same code, whatever was set instead of its figures.';

do $$
declare v_before text := pg_get_functiondef('apply_plan'::regproc); v_after text;
begin
  v_after := replace(v_before, 'o.shape_id = p_shape', 'same_code(o.shape_id, p_shape)');
  if v_after = v_before then
    raise exception 'apply_plan does not compare shapes where this migration looks for it';
  end if;
  execute v_after;
end $$;

-- A quota's figures may be set too. A row that is no amount is refused when somebody plans; runs at work then have the
-- code's figure.
create or replace function quota_limits(p_quota int, out amount numeric, out reserve numeric) language sql stable as $$
  select coalesce(l.amount, q.amount), least(coalesce(r.amount, q.reserve), coalesce(l.amount, q.amount))
  from quotas q
  left join lateral (
    select case when o.value ~ '^\s*[0-9]+(\.[0-9]+)?\s*$' then o.value::numeric end as amount from overrides o
    where o.app = q.app and o.pipeline = '' and o.name = 'quota.' || q.name || '.limit') l on true
  left join lateral (
    select case when o.value ~ '^\s*[0-9]+(\.[0-9]+)?\s*$' then o.value::numeric end as amount from overrides o
    where o.app = q.app and o.pipeline = '' and o.name = 'quota.' || q.name || '.reserve') r on true
  where q.quota_id = p_quota
$$;
alter function quota_limits set search_path = penstock, pg_temp;
