-- Databases of older deployments, read for `import legacy`.

-- name: legacy_tables
-- The tables this role sees without naming a schema, with their columns.
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns
 WHERE table_schema = ANY(current_schemas(false)) GROUP BY table_name ORDER BY table_name;
