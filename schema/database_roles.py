"""The roles of a database and what each may do: one owns and migrates it, the service only works in it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from schema.server_files import OWNER_ROLE, READER_ROLE, SERVICE_ROLE, TENANT_ROLE

DATABASE = "runner"

_CONNECT_TIMEOUT_S = 5


def conninfo_of(dsn: str, *, role: str, password: str, database: str) -> str:
    """The same server as another role sees another database."""
    return make_conninfo(dsn, user=role, password=password, dbname=database)


def make_roles(admin: psycopg.Connection[Any]) -> None:
    """Owner, service, reader and tenant exist; none is a superuser or may make roles or databases. Repeatable."""
    for role in (OWNER_ROLE, SERVICE_ROLE):
        known = admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        if known is None:
            statement = "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
            admin.execute(sql.SQL(statement).format(sql.Identifier(role)))
    for role in (READER_ROLE, TENANT_ROLE):
        if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
            admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    roles = (READER_ROLE, TENANT_ROLE, OWNER_ROLE, SERVICE_ROLE)
    reader, tenant, owner, service = (sql.Identifier(role) for role in roles)
    # The service works for all users, and for one of them as the reader, or as the tenant, who sees the same.
    admin.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(service))
    admin.execute(sql.SQL("GRANT {} TO {}").format(reader, tenant))
    admin.execute(sql.SQL("GRANT {}, {} TO {}, {}").format(reader, tenant, owner, service))


def make_database(admin: psycopg.Connection[Any], name: str) -> None:
    """The database exists, belongs to the owner role, and the service role may use what is made in it.

    `admin` is in autocommit. Rights on tables and sequences made later are given by default privileges.
    """
    known = admin.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
    database, owner, service = (sql.Identifier(part) for part in (name, OWNER_ROLE, SERVICE_ROLE))
    if known is None:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(database, owner))
    made_later = "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
    conninfo = make_conninfo(admin.info.dsn, dbname=name, password=admin.info.password)
    with psycopg.connect(conninfo, connect_timeout=_CONNECT_TIMEOUT_S) as inside:
        for statement in (
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
            "GRANT CONNECT ON DATABASE {database} TO {service}",
            "GRANT USAGE ON SCHEMA public TO {service}",
            f"{made_later} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {{service}}",
            f"{made_later} GRANT USAGE, SELECT ON SEQUENCES TO {{service}}",
        ):
            inside.execute(sql.SQL(statement).format(database=database, owner=owner, service=service))
