-- The table for `wire: ndjson` with ClickHouse 18.16, which Debian 12 has. It knows no type that takes a JSON object,
-- so `metadata` is not stored. Columns that an entry does not have stay empty: '' or, for a duration, NULL.
CREATE TABLE logs
(
    created_at      Float64,
    date            Date MATERIALIZED toDate(toDateTime(created_at)),
    level           String,
    message         String,
    log_type        String,
    service         String,
    environment     String,
    service_version String,
    trace_id        String,
    user_id         String,
    session_id      String,
    error_type      String,
    stack_trace     String,
    function_name   String,
    file_path       String,
    path            String,
    method          String,
    action_type     String,
    duration_ms     Nullable(Float64)
)
ENGINE = MergeTree
PARTITION BY date
ORDER BY (service, created_at)
