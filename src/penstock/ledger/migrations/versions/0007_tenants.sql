-- The second wall between organizations. A request of a token that is bound to one reads as the role penstock_tenant
-- with penstock.org set, and sees its own rows whatever the query says. The owner of the tables reads as before: row
-- security is enabled and not forced. Other roles that were granted tables see what they saw.

-- Which lanes are of an organization: only runs that have one are in it.
create index runs_org_lane on runs (lane_id, org) where org is not null;

create function tenant_org() returns text language sql stable parallel safe as $$
  select nullif(current_setting('penstock.org', true), '')
$$;
comment on function tenant_org is 'The organization that this transaction reads for; null is none, which sees nothing.';

-- What a tenant may read: a condition for each table ('run': its run is the tenant's); the columns, where not all of
-- them are its business. A subquery in place is planned with the query, which a function that holds one is not.
create function tenant_tables() returns table (name text, columns text, sees text) language sql immutable as $$
  values
    ('installation', null, 'true'),
    ('pipelines', null, 'true'),
    ('spaces', 'space_id, app, name', 'true'),
    ('shapes', null, 'true'),
    ('processes', 'process_id, app, lease_until, ended_at, lost_at', 'true'),
    ('quotas', 'quota_id, app, name', 'true'),
    ('runs', null, 'org = penstock.tenant_org()'),
    ('plans', null, 'org = penstock.tenant_org()'),
    ('plan_items', null, 'exists (select from penstock.plans p where p.plan_id = plan_items.plan_id and p.org = penstock.tenant_org())'),
    ('run_units', null, 'run'),
    ('active', null, 'run'),
    ('attempts', null, 'run'),
    ('calls', null, 'run'),
    ('logs', null, 'run'),
    ('outbox', null, 'run'),
    ('events', null, 'run'),
    ('quality_metrics', null, 'run'),
    ('lanes', 'lane_id, space_id, key, run_id',
      'exists (select from penstock.runs r where r.lane_id = lanes.lane_id and r.org = penstock.tenant_org())'),
    ('units', null,
      'unit ->> (select q.org_field from penstock.pipelines q where q.pipeline_id = units.pipeline_id) = penstock.tenant_org()')
$$;
comment on function tenant_tables is 'The tables that tenants read, and the rows that each may see.';

create function tenant_views() returns text[] language sql immutable as $$
  select array['v1_pipelines', 'v1_plans', 'v1_runs', 'v1_run_units', 'v1_units', 'v1_attempts', 'v1_steps', 'v1_logs', 'v1_quality',
    'v1_events']
$$;

-- Makes the role where it may be made, and every grant, policy and view option that is missing. Roles are those of the
-- whole server: another database may make this one at the same moment. May be called again at any time.
create function build_wall() returns text language plpgsql set search_path = pg_catalog, pg_temp as $$
declare t record; v text; c_role constant name := 'penstock_tenant';
  c_may constant text := case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end;
begin
  if not exists (select from pg_roles where rolname = c_role) then
    begin
      create role penstock_tenant nologin noinherit;
    exception
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        return format('the role %s is not there, and %s may not make it: as a superuser: '
          'create role %s nologin; grant %s to %I', c_role, current_user, c_role, c_role, current_user);
    end;
  end if;
  if exists (select from pg_roles where rolname = c_role and (rolsuper or rolbypassrls or rolcanlogin)) then
    return format('the role %s may log in or pass by row security; as a superuser: '
      'alter role %s nologin nosuperuser nobypassrls', c_role, c_role);
  end if;
  for i in 1..5 loop
    exit when pg_has_role(current_user, c_role, c_may);
    begin
      execute format('grant %I to %I', c_role, current_user);
    exception
      when insufficient_privilege then
        return format('%s may not act as %s: as a superuser: grant %s to %I', current_user, c_role, c_role, current_user);
      when unique_violation or internal_error then null;  -- another database has just written the same row
    end;
  end loop;
  if not pg_has_role(current_user, c_role, c_may) then
    return format('%s could not be granted to %s: as a superuser: grant %s to %I', c_role, current_user, c_role, current_user);
  end if;
  if not has_schema_privilege(c_role, 'penstock', 'usage') then
    grant usage on schema penstock to penstock_tenant;
  end if;
  for t in select y.*, k.oid, k.relrowsecurity from penstock.tenant_tables() y
      join pg_class k on k.relname = y.name and k.relnamespace = 'penstock'::regnamespace loop
    if not t.relrowsecurity then
      execute format('alter table penstock.%I enable row level security', t.name);
    end if;
    if not exists (select from pg_policy p where p.polrelid = t.oid and p.polname = 'everyone') then
      execute format('create policy everyone on penstock.%I using (true)', t.name);
    end if;
    if not exists (select from pg_policy p where p.polrelid = t.oid and p.polname = 'tenant') then
      -- A member of the role that acts as itself is no tenant.
      execute format('create policy tenant on penstock.%I as restrictive to penstock_tenant using (current_user <> %L or %s)',
        t.name, c_role, case when t.sees <> 'run' then t.sees else format('exists (select from penstock.runs r
          where r.run_id = %I.run_id and r.org = penstock.tenant_org())', t.name) end);
    end if;
    if not has_any_column_privilege(c_role, t.oid, 'select') then
      execute format('grant select %s on penstock.%I to penstock_tenant', coalesce('(' || t.columns || ')', ''), t.name);
    end if;
  end loop;
  foreach v in array penstock.tenant_views() loop
    if to_regclass('penstock.' || v) is not null and not exists (
        select from pg_class k where k.oid = to_regclass('penstock.' || v) and 'security_invoker=true' = any (k.reloptions)) then
      execute format('alter view penstock.%I set (security_invoker = true)', v);
      execute format('grant select on penstock.%I to penstock_tenant', v);
    end if;
  end loop;
  return null;
end $$;
comment on function build_wall is 'Row security for penstock_tenant; null when it stands, else why it does not and what a superuser is to do.';
revoke execute on function build_wall() from public;
