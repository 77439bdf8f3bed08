CREATE SEQUENCE strategy_event_ids AS bigint INCREMENT 1 MINVALUE 1 MAXVALUE 9223372036854775807 START 1 CACHE 1;

CREATE SEQUENCE strategy_fence AS bigint INCREMENT 1 MINVALUE 1 MAXVALUE 9223372036854775807 START 1 CACHE 1;

CREATE TABLE accounts (
    id uuid NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    venue text NOT NULL,
    bankroll numeric NOT NULL,
    balance numeric NOT NULL,
    used_margin numeric DEFAULT 0 NOT NULL,
    maker_fee_pct numeric NOT NULL,
    taker_fee_pct numeric NOT NULL,
    slippage_pct numeric NOT NULL,
    participation_pct numeric NOT NULL,
    max_leverage integer NOT NULL,
    max_notional numeric,
    kill_switch boolean DEFAULT false NOT NULL,
    kill_switch_reason text,
    outage_orders integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    removed_at timestamp with time zone,
    CONSTRAINT accounts_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_balance_check CHECK (((balance > '-Infinity'::numeric) AND (balance < 'Infinity'::numeric))),
    CONSTRAINT accounts_bankroll_check CHECK (((bankroll >= (0)::numeric) AND (bankroll < 'Infinity'::numeric))),
    CONSTRAINT accounts_id_user_id_key UNIQUE (id, user_id),
    CONSTRAINT accounts_kind_check CHECK ((kind = ANY (ARRAY['portfolio'::text, 'connection'::text]))),
    CONSTRAINT accounts_max_leverage_check CHECK ((max_leverage >= 1)),
    CONSTRAINT accounts_max_notional_check CHECK ((max_notional > (0)::numeric)),
    CONSTRAINT accounts_one_of_kind UNIQUE (id, user_id, kind),
    CONSTRAINT accounts_outage_orders_check CHECK ((outage_orders >= 0)),
    CONSTRAINT accounts_participation_pct_check CHECK (((participation_pct > (0)::numeric) AND (participation_pct <= (100)::numeric))),
    CONSTRAINT accounts_slippage_pct_check CHECK ((slippage_pct >= (0)::numeric)),
    CONSTRAINT accounts_used_margin_check CHECK (((used_margin > '-Infinity'::numeric) AND (used_margin < 'Infinity'::numeric))),
    CONSTRAINT accounts_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
) WITH (fillfactor=70);

CREATE TABLE alert_keys (
    strategy_id uuid NOT NULL,
    user_id text NOT NULL,
    digest bytea NOT NULL,
    made_at timestamp with time zone NOT NULL,
    CONSTRAINT alert_keys_pkey PRIMARY KEY (strategy_id),
    CONSTRAINT alert_keys_digest_check CHECK ((octet_length(digest) = 32)),
    CONSTRAINT alert_keys_digest_key UNIQUE (digest),
    CONSTRAINT alert_keys_strategy_id_fkey FOREIGN KEY (strategy_id) REFERENCES strategies(id),
    CONSTRAINT alert_keys_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
);

CREATE TABLE alerts (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    kind text NOT NULL,
    subject text DEFAULT ''::text NOT NULL,
    detail text NOT NULL,
    raised_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    cleared_at timestamp with time zone,
    CONSTRAINT alerts_pkey PRIMARY KEY (id)
);

CREATE TABLE candles (
    venue text NOT NULL,
    market text NOT NULL,
    symbol text NOT NULL,
    timeframe text NOT NULL,
    open_time timestamp with time zone NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    taker_buy_volume double precision,
    trade_count integer,
    stored_at timestamp with time zone DEFAULT runner_now(),
    CONSTRAINT candles_pkey PRIMARY KEY (venue, market, symbol, timeframe, open_time)
);

CREATE TABLE config_overrides (
    name text NOT NULL,
    value text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT config_overrides_pkey PRIMARY KEY (name),
    CONSTRAINT config_overrides_name_check CHECK ((name ~ '^[A-Z][A-Z0-9_]*$'::text)),
    CONSTRAINT config_overrides_value_check CHECK ((length(value) <= 4000))
);

CREATE TABLE connection_keys (
    account_id uuid NOT NULL,
    user_id text NOT NULL,
    kind text DEFAULT 'connection'::text NOT NULL,
    environment text NOT NULL,
    key_hint text NOT NULL,
    master_key_id text NOT NULL,
    data_key_id uuid NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed_key bytea NOT NULL,
    sealed_secret bytea NOT NULL,
    sealed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_test_at timestamp with time zone,
    last_test_result text,
    rights jsonb,
    rights_at timestamp with time zone,
    fingerprint bytea,
    CONSTRAINT connection_keys_pkey PRIMARY KEY (account_id),
    CONSTRAINT connection_keys_account_id_user_id_kind_fkey FOREIGN KEY (account_id, user_id, kind) REFERENCES accounts(id, user_id, kind),
    CONSTRAINT connection_keys_check CHECK (((rights IS NULL) = (rights_at IS NULL))),
    CONSTRAINT connection_keys_data_key_id_key UNIQUE (data_key_id),
    CONSTRAINT connection_keys_environment_check CHECK ((environment = ANY (ARRAY['live'::text, 'testnet'::text, 'demo'::text]))),
    CONSTRAINT connection_keys_fingerprint_check CHECK ((octet_length(fingerprint) = 32)),
    CONSTRAINT connection_keys_key_hint_check CHECK (((length(key_hint) >= 1) AND (length(key_hint) <= 4))),
    CONSTRAINT connection_keys_kind_check CHECK ((kind = 'connection'::text)),
    CONSTRAINT connection_keys_master_key_id_check CHECK (((length(master_key_id) >= 1) AND (length(master_key_id) <= 255))),
    CONSTRAINT connection_keys_rights_check CHECK ((jsonb_typeof(rights) = 'object'::text)),
    CONSTRAINT connection_keys_sealed_key_check CHECK (((octet_length(sealed_key) >= 29) AND (octet_length(sealed_key) <= 4096))),
    CONSTRAINT connection_keys_sealed_secret_check CHECK (((octet_length(sealed_secret) >= 29) AND (octet_length(sealed_secret) <= 4096))),
    CONSTRAINT connection_keys_wrapped_key_check CHECK ((octet_length(wrapped_key) = 60))
);

CREATE TABLE dropped_links (
    user_id text NOT NULL,
    link bigint NOT NULL,
    CONSTRAINT dropped_links_pkey PRIMARY KEY (user_id),
    CONSTRAINT dropped_links_link_check CHECK ((link >= 1))
);

CREATE TABLE equity_points (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    account_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    balance numeric NOT NULL,
    CONSTRAINT equity_points_pkey PRIMARY KEY (id),
    CONSTRAINT equity_points_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id)
);

CREATE TABLE event_chains (
    user_id text NOT NULL,
    link bigint NOT NULL,
    previous_hash bytea,
    hash bytea NOT NULL,
    CONSTRAINT event_chains_pkey PRIMARY KEY (user_id),
    CONSTRAINT event_chains_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT event_chains_link_check CHECK ((link >= 0))
) WITH (fillfactor=70);

CREATE TABLE event_receivers (
    name text NOT NULL,
    last_event_id bigint NOT NULL,
    log uuid DEFAULT gen_random_uuid() NOT NULL,
    owner text,
    leased_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    sent bigint DEFAULT 0 NOT NULL,
    lost bigint DEFAULT 0 NOT NULL,
    failing_since timestamp with time zone,
    last_error text,
    CONSTRAINT event_receivers_pkey PRIMARY KEY (name),
    CONSTRAINT event_receivers_name_check CHECK ((name = 'redis'::text))
);

CREATE TABLE execution_prints (
    number bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    strategy_id uuid NOT NULL,
    user_id text NOT NULL,
    evaluation_key text NOT NULL,
    slot timestamp with time zone NOT NULL,
    printed text NOT NULL,
    CONSTRAINT execution_prints_pkey PRIMARY KEY (number),
    CONSTRAINT execution_prints_printed_check CHECK ((length(printed) <= 10000)),
    CONSTRAINT execution_prints_strategy_id_slot_evaluation_key_key UNIQUE (strategy_id, slot, evaluation_key)
);

CREATE TABLE external_deliveries (
    run_id uuid NOT NULL,
    slot timestamp with time zone NOT NULL,
    signal_id uuid NOT NULL,
    user_id text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT external_deliveries_pkey PRIMARY KEY (run_id, slot),
    CONSTRAINT external_deliveries_run_id_fkey FOREIGN KEY (run_id) REFERENCES strategy_runs(id),
    CONSTRAINT external_deliveries_signal_id_fkey FOREIGN KEY (signal_id) REFERENCES external_signals(id)
);

CREATE TABLE external_signals (
    id uuid NOT NULL,
    strategy_id uuid NOT NULL,
    user_id text NOT NULL,
    strategy_version integer NOT NULL,
    key text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    slot timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    content text NOT NULL,
    runs integer NOT NULL,
    CONSTRAINT external_signals_pkey PRIMARY KEY (id),
    CONSTRAINT external_signals_check CHECK ((expires_at > received_at)),
    CONSTRAINT external_signals_content_check CHECK ((length(content) <= 10000)),
    CONSTRAINT external_signals_key_check CHECK (((length(key) >= 8) AND (length(key) <= 64))),
    CONSTRAINT external_signals_runs_check CHECK ((runs >= 0)),
    CONSTRAINT external_signals_strategy_id_fkey FOREIGN KEY (strategy_id) REFERENCES strategies(id),
    CONSTRAINT external_signals_strategy_id_key_key UNIQUE (strategy_id, key),
    CONSTRAINT external_signals_strategy_id_slot_key UNIQUE (strategy_id, slot),
    CONSTRAINT external_signals_strategy_version_check CHECK ((strategy_version >= 1)),
    CONSTRAINT external_signals_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
);

CREATE TABLE fills (
    account_id uuid NOT NULL,
    symbol text NOT NULL,
    trade_id text NOT NULL,
    client_order_id text,
    run_id uuid NOT NULL,
    user_id text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    commission numeric NOT NULL,
    maker boolean NOT NULL,
    executed_at timestamp with time zone NOT NULL,
    realised numeric NOT NULL,
    stored_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    CONSTRAINT fills_pkey PRIMARY KEY (account_id, symbol, trade_id),
    CONSTRAINT fills_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id),
    CONSTRAINT fills_check CHECK (((client_order_id IS NULL) OR ((quantity > (0)::numeric) AND (price > (0)::numeric)))),
    CONSTRAINT fills_client_order_id_fkey FOREIGN KEY (client_order_id) REFERENCES orders(client_order_id),
    CONSTRAINT fills_commission_check CHECK (((commission > '-Infinity'::numeric) AND (commission < 'Infinity'::numeric))),
    CONSTRAINT fills_price_check CHECK (((price >= (0)::numeric) AND (price < 'Infinity'::numeric))),
    CONSTRAINT fills_quantity_check CHECK (((quantity >= (0)::numeric) AND (quantity < 'Infinity'::numeric))),
    CONSTRAINT fills_realised_check CHECK (((realised > '-Infinity'::numeric) AND (realised < 'Infinity'::numeric))),
    CONSTRAINT fills_run_id_fkey FOREIGN KEY (run_id) REFERENCES strategy_runs(id),
    CONSTRAINT fills_side_check CHECK ((side = ANY (ARRAY['buy'::text, 'sell'::text])))
);

CREATE TABLE flattens (
    id uuid NOT NULL,
    run_id uuid NOT NULL,
    user_id text NOT NULL,
    account_id uuid NOT NULL,
    symbol text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    ended_at timestamp with time zone,
    outcome text,
    by_operator boolean DEFAULT true NOT NULL,
    CONSTRAINT flattens_pkey PRIMARY KEY (id),
    CONSTRAINT flattens_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id),
    CONSTRAINT flattens_check CHECK (((ended_at IS NULL) = (outcome IS NULL))),
    CONSTRAINT flattens_outcome_check CHECK ((outcome = ANY (ARRAY['flat'::text, 'given_up'::text]))),
    CONSTRAINT flattens_run_id_fkey FOREIGN KEY (run_id) REFERENCES strategy_runs(id)
);

CREATE TABLE idempotency_keys (
    user_id text NOT NULL,
    key text NOT NULL,
    operation text NOT NULL,
    body_hash bytea NOT NULL,
    seed uuid NOT NULL,
    state text DEFAULT 'running'::text NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    busy_until timestamp with time zone NOT NULL,
    asked_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    status smallint,
    answer bytea,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key),
    CONSTRAINT idempotency_keys_answer_check CHECK ((octet_length(answer) <= 1048576)),
    CONSTRAINT idempotency_keys_attempts_check CHECK ((attempts >= 1)),
    CONSTRAINT idempotency_keys_body_hash_check CHECK ((octet_length(body_hash) = 32)),
    CONSTRAINT idempotency_keys_check CHECK (((state = 'done'::text) = ((status IS NOT NULL) AND (answer IS NOT NULL)))),
    CONSTRAINT idempotency_keys_key_check CHECK (((length(key) >= 8) AND (length(key) <= 64))),
    CONSTRAINT idempotency_keys_operation_check CHECK ((length(operation) <= 255)),
    CONSTRAINT idempotency_keys_state_check CHECK ((state = ANY (ARRAY['running'::text, 'open'::text, 'done'::text]))),
    CONSTRAINT idempotency_keys_status_check CHECK (((status >= 200) AND (status <= 599))),
    CONSTRAINT idempotency_keys_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
);

CREATE TABLE installation_secrets (
    secret_id uuid NOT NULL,
    master_key_id text NOT NULL,
    data_key_id uuid NOT NULL,
    wrapped_key bytea NOT NULL,
    sealed_key bytea NOT NULL,
    sealed_secret bytea NOT NULL,
    CONSTRAINT installation_secrets_pkey PRIMARY KEY (secret_id),
    CONSTRAINT installation_secrets_data_key_id_key UNIQUE (data_key_id),
    CONSTRAINT installation_secrets_master_key_id_check CHECK (((length(master_key_id) >= 1) AND (length(master_key_id) <= 255))),
    CONSTRAINT installation_secrets_sealed_key_check CHECK (((octet_length(sealed_key) >= 29) AND (octet_length(sealed_key) <= 4096))),
    CONSTRAINT installation_secrets_sealed_secret_check CHECK (((octet_length(sealed_secret) >= 29) AND (octet_length(sealed_secret) <= 4096))),
    CONSTRAINT installation_secrets_wrapped_key_check CHECK ((octet_length(wrapped_key) = 60))
);

CREATE TABLE job_files (
    job_id uuid NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT job_files_pkey PRIMARY KEY (job_id, name),
    CONSTRAINT job_files_content_check CHECK ((octet_length(content) <= 33554432)),
    CONSTRAINT job_files_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE,
    CONSTRAINT job_files_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64)))
);

CREATE TABLE jobs (
    id uuid NOT NULL,
    user_id text NOT NULL,
    kind text NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    params jsonb NOT NULL,
    done bigint DEFAULT 0 NOT NULL,
    total bigint DEFAULT 0 NOT NULL,
    result jsonb,
    error text,
    attempts integer DEFAULT 0 NOT NULL,
    owner text,
    lease_until timestamp with time zone,
    fence bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT jobs_check CHECK (((state = 'running'::text) = ((owner IS NOT NULL) AND (lease_until IS NOT NULL)))),
    CONSTRAINT jobs_check1 CHECK (((state = ANY (ARRAY['done'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT jobs_check2 CHECK (((state = 'failed'::text) = (error IS NOT NULL))),
    CONSTRAINT jobs_done_check CHECK ((done >= 0)),
    CONSTRAINT jobs_kind_check CHECK ((kind = ANY (ARRAY['backtest'::text, 'backfill'::text, 'what_if'::text]))),
    CONSTRAINT jobs_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'done'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT jobs_total_check CHECK ((total >= 0)),
    CONSTRAINT jobs_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
);

CREATE TABLE monthly_tables (
    name text NOT NULL,
    CONSTRAINT monthly_tables_pkey PRIMARY KEY (name)
);

CREATE TABLE notice_cursor (
    only_row boolean DEFAULT true NOT NULL,
    last_event_id bigint NOT NULL,
    CONSTRAINT notice_cursor_pkey PRIMARY KEY (only_row),
    CONSTRAINT notice_cursor_only_row_check CHECK (only_row)
);

CREATE TABLE notice_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    event_id bigint NOT NULL,
    user_id text NOT NULL,
    channel text NOT NULL,
    kind text NOT NULL,
    content jsonb NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_error text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT notice_deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT notice_deliveries_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT notice_deliveries_channel_check CHECK ((channel = ANY (ARRAY['webhook'::text, 'email'::text]))),
    CONSTRAINT notice_deliveries_event_id_user_id_channel_key UNIQUE (event_id, user_id, channel),
    CONSTRAINT notice_deliveries_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'sent'::text, 'failed'::text])))
);

CREATE TABLE notice_settings (
    user_id text NOT NULL,
    webhook_url text,
    email text,
    wanted text[] DEFAULT '{}'::text[] NOT NULL,
    secret_id uuid,
    master_key_id text,
    data_key_id uuid,
    wrapped_key bytea,
    sealed_key bytea,
    sealed_secret bytea,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT notice_settings_pkey PRIMARY KEY (user_id),
    CONSTRAINT notice_settings_check CHECK (((secret_id IS NULL) = (sealed_secret IS NULL))),
    CONSTRAINT notice_settings_email_check CHECK ((length(email) <= 320)),
    CONSTRAINT notice_settings_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255))),
    CONSTRAINT notice_settings_webhook_url_check CHECK ((length(webhook_url) <= 2000))
);

CREATE TABLE orders (
    client_order_id text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    run_id uuid NOT NULL,
    user_id text NOT NULL,
    account_id uuid NOT NULL,
    symbol text NOT NULL,
    slot timestamp with time zone NOT NULL,
    leg text NOT NULL,
    attempt integer NOT NULL,
    side text NOT NULL,
    kind text NOT NULL,
    quantity numeric NOT NULL,
    reference_price numeric NOT NULL,
    reduce_only boolean NOT NULL,
    leverage integer NOT NULL,
    price numeric,
    stop_loss numeric,
    take_profit numeric,
    stop_loss_pct numeric,
    take_profit_pct numeric,
    fence bigint NOT NULL,
    sign_ts timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    status text NOT NULL,
    filled_quantity numeric DEFAULT 0 NOT NULL,
    filled_value numeric DEFAULT 0 NOT NULL,
    venue_order_id text,
    reason text,
    reserved boolean DEFAULT false NOT NULL,
    why jsonb DEFAULT '{}'::jsonb NOT NULL,
    updated_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    trailing_callback_pct numeric,
    trailing_activation_pct numeric DEFAULT 0 NOT NULL,
    CONSTRAINT orders_pkey PRIMARY KEY (client_order_id),
    CONSTRAINT orders_account_id_user_id_fkey FOREIGN KEY (account_id, user_id) REFERENCES accounts(id, user_id),
    CONSTRAINT orders_attempt_check CHECK ((attempt >= 1)),
    CONSTRAINT orders_client_order_id_check CHECK ((client_order_id ~ '^[A-Za-z0-9_-]{1,36}$'::text)),
    CONSTRAINT orders_exits_reduce CHECK ((reduce_only OR (leg <> ALL (ARRAY['exit'::text, 'flatten'::text, 'repair'::text])))),
    CONSTRAINT orders_filled_at_most_ordered CHECK ((filled_quantity <= quantity)),
    CONSTRAINT orders_filled_quantity_check CHECK ((filled_quantity >= (0)::numeric)),
    CONSTRAINT orders_filled_value_check CHECK (((filled_value >= (0)::numeric) AND (filled_value < 'Infinity'::numeric))),
    CONSTRAINT orders_kind_check CHECK ((kind = ANY (ARRAY['market'::text, 'limit'::text]))),
    CONSTRAINT orders_leg_check CHECK ((leg = ANY (ARRAY['exit'::text, 'entry'::text, 'flatten'::text, 'repair'::text, 'take_profit'::text, 'stop_loss'::text, 'trailing_stop'::text, 'liquidation'::text, 'adl'::text, 'settlement'::text, 'manual'::text]))),
    CONSTRAINT orders_leverage_check CHECK ((leverage >= 1)),
    CONSTRAINT orders_limit_has_price CHECK (((kind <> 'limit'::text) OR (price IS NOT NULL))),
    CONSTRAINT orders_only_entries_reserve CHECK (((NOT reserved) OR (leg = 'entry'::text))),
    CONSTRAINT orders_price_check CHECK ((price > (0)::numeric)),
    CONSTRAINT orders_quantity_check CHECK (((quantity > (0)::numeric) AND (quantity < 'Infinity'::numeric))),
    CONSTRAINT orders_reference_price_check CHECK (((reference_price >= (0)::numeric) AND (reference_price < 'Infinity'::numeric))),
    CONSTRAINT orders_run_id_fkey FOREIGN KEY (run_id) REFERENCES strategy_runs(id),
    CONSTRAINT orders_run_id_slot_leg_attempt_key UNIQUE (run_id, slot, leg, attempt),
    CONSTRAINT orders_side_check CHECK ((side = ANY (ARRAY['buy'::text, 'sell'::text]))),
    CONSTRAINT orders_status_check CHECK ((status = ANY (ARRAY['intent'::text, 'submitted'::text, 'partial'::text, 'filled'::text, 'canceled'::text, 'expired'::text, 'rejected'::text, 'not_placed'::text, 'unknown'::text]))),
    CONSTRAINT orders_stop_loss_check CHECK ((stop_loss > (0)::numeric)),
    CONSTRAINT orders_stop_loss_pct_check CHECK ((stop_loss_pct > (0)::numeric)),
    CONSTRAINT orders_take_profit_check CHECK ((take_profit > (0)::numeric)),
    CONSTRAINT orders_take_profit_pct_check CHECK ((take_profit_pct > (0)::numeric)),
    CONSTRAINT orders_trailing_activation_pct_check CHECK ((trailing_activation_pct >= (0)::numeric)),
    CONSTRAINT orders_trailing_callback_pct_check CHECK ((trailing_callback_pct > (0)::numeric))
) WITH (fillfactor=70);

CREATE TABLE platform_settings (
    only_row boolean DEFAULT true NOT NULL,
    kill_switch boolean DEFAULT false NOT NULL,
    kill_switch_reason text,
    minimum_version text,
    demo boolean DEFAULT false NOT NULL,
    anchor_market timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    anchor_process timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    rate double precision DEFAULT 1 NOT NULL,
    ceiling timestamp with time zone,
    CONSTRAINT platform_settings_pkey PRIMARY KEY (only_row),
    CONSTRAINT platform_settings_only_row_check CHECK (only_row),
    CONSTRAINT platform_settings_rate_check CHECK (((rate >= (0)::double precision) AND (rate < 'Infinity'::double precision)))
);

CREATE TABLE positions (
    run_id uuid NOT NULL,
    user_id text NOT NULL,
    account_id uuid NOT NULL,
    symbol text NOT NULL,
    leverage integer NOT NULL,
    quantity numeric NOT NULL,
    open_cost numeric NOT NULL,
    opened_at timestamp with time zone,
    entered_quantity numeric NOT NULL,
    entered_value numeric NOT NULL,
    exited_quantity numeric NOT NULL,
    exited_value numeric NOT NULL,
    realised_gross numeric NOT NULL,
    fees numeric NOT NULL,
    funding numeric NOT NULL,
    stop_loss numeric,
    take_profit numeric,
    updated_at timestamp with time zone NOT NULL,
    standing_stop numeric,
    standing_target numeric,
    drift numeric DEFAULT 0 NOT NULL,
    trail_pct numeric,
    trail_from numeric,
    trail_best numeric,
    standing_trail numeric,
    CONSTRAINT positions_pkey PRIMARY KEY (run_id),
    CONSTRAINT positions_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id),
    CONSTRAINT positions_check CHECK (((quantity = (0)::numeric) = (opened_at IS NULL))),
    CONSTRAINT positions_check1 CHECK (((quantity <> (0)::numeric) OR (open_cost = (0)::numeric))),
    CONSTRAINT positions_check2 CHECK ((exited_quantity <= entered_quantity)),
    CONSTRAINT positions_drift_check CHECK (((drift > '-Infinity'::numeric) AND (drift < 'Infinity'::numeric))),
    CONSTRAINT positions_leverage_check CHECK ((leverage >= 1)),
    CONSTRAINT positions_open_cost_check CHECK ((open_cost >= (0)::numeric)),
    CONSTRAINT positions_run_id_fkey FOREIGN KEY (run_id) REFERENCES strategy_runs(id),
    CONSTRAINT positions_standing_stop_check CHECK ((standing_stop > (0)::numeric)),
    CONSTRAINT positions_standing_target_check CHECK ((standing_target > (0)::numeric)),
    CONSTRAINT positions_standing_trail_check CHECK ((standing_trail > (0)::numeric)),
    CONSTRAINT positions_trail_best CHECK (((trail_best IS NULL) OR (trail_pct IS NOT NULL))),
    CONSTRAINT positions_trail_best_check CHECK ((trail_best > (0)::numeric)),
    CONSTRAINT positions_trail_from_check CHECK ((trail_from > (0)::numeric)),
    CONSTRAINT positions_trail_pct_check CHECK ((trail_pct > (0)::numeric)),
    CONSTRAINT positions_trail_whole CHECK (((trail_pct IS NULL) = (trail_from IS NULL)))
) WITH (fillfactor=70);

CREATE TABLE published_signals (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    signal_id uuid NOT NULL,
    user_id text NOT NULL,
    symbol text NOT NULL,
    action text NOT NULL,
    at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    withheld text,
    content jsonb NOT NULL,
    stored_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT published_signals_pkey PRIMARY KEY (id),
    CONSTRAINT published_signals_action_check CHECK ((action = ANY (ARRAY['LONG'::text, 'SHORT'::text, 'CLOSE'::text]))),
    CONSTRAINT published_signals_content_check CHECK ((jsonb_typeof(content) = 'object'::text)),
    CONSTRAINT published_signals_signal_id_key UNIQUE (signal_id)
);

CREATE TABLE risk_ceilings (
    user_id text NOT NULL,
    daily_max_loss_usdt numeric NOT NULL,
    max_trades_per_day integer NOT NULL,
    max_consecutive_losses integer NOT NULL,
    cooldown_after_trade_s numeric NOT NULL,
    pause_duration_min numeric NOT NULL,
    set_by text NOT NULL,
    set_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT risk_ceilings_pkey PRIMARY KEY (user_id),
    CONSTRAINT risk_ceilings_cooldown_after_trade_s_check CHECK (((cooldown_after_trade_s >= (0)::numeric) AND (cooldown_after_trade_s < 'Infinity'::numeric))),
    CONSTRAINT risk_ceilings_daily_max_loss_usdt_check CHECK (((daily_max_loss_usdt > (0)::numeric) AND (daily_max_loss_usdt < 'Infinity'::numeric))),
    CONSTRAINT risk_ceilings_max_consecutive_losses_check CHECK ((max_consecutive_losses >= 1)),
    CONSTRAINT risk_ceilings_max_trades_per_day_check CHECK ((max_trades_per_day >= 0)),
    CONSTRAINT risk_ceilings_pause_duration_min_check CHECK (((pause_duration_min >= (1)::numeric) AND (pause_duration_min < 'Infinity'::numeric))),
    CONSTRAINT risk_ceilings_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
);

CREATE TABLE risk_days (
    user_id text NOT NULL,
    day date NOT NULL,
    realized_pnl_usdt numeric NOT NULL,
    trades_count integer NOT NULL,
    CONSTRAINT risk_days_pkey PRIMARY KEY (user_id, day),
    CONSTRAINT risk_days_realized_pnl_usdt_check CHECK (((realized_pnl_usdt > '-Infinity'::numeric) AND (realized_pnl_usdt < 'Infinity'::numeric))),
    CONSTRAINT risk_days_trades_count_check CHECK ((trades_count >= 0)),
    CONSTRAINT risk_days_user_id_fkey FOREIGN KEY (user_id) REFERENCES risk_users(user_id)
) WITH (fillfactor=70);

CREATE TABLE risk_limits (
    user_id text NOT NULL,
    daily_max_loss_usdt numeric NOT NULL,
    max_trades_per_day integer NOT NULL,
    max_consecutive_losses integer NOT NULL,
    cooldown_after_trade_s numeric NOT NULL,
    pause_duration_min numeric NOT NULL,
    CONSTRAINT risk_limits_pkey PRIMARY KEY (user_id),
    CONSTRAINT risk_limits_cooldown_after_trade_s_check CHECK (((cooldown_after_trade_s >= (0)::numeric) AND (cooldown_after_trade_s < 'Infinity'::numeric))),
    CONSTRAINT risk_limits_daily_max_loss_usdt_check CHECK (((daily_max_loss_usdt > (0)::numeric) AND (daily_max_loss_usdt < 'Infinity'::numeric))),
    CONSTRAINT risk_limits_max_consecutive_losses_check CHECK ((max_consecutive_losses >= 1)),
    CONSTRAINT risk_limits_max_trades_per_day_check CHECK ((max_trades_per_day >= 0)),
    CONSTRAINT risk_limits_pause_duration_min_check CHECK (((pause_duration_min >= (1)::numeric) AND (pause_duration_min < 'Infinity'::numeric)))
);

CREATE TABLE risk_users (
    user_id text NOT NULL,
    streak integer DEFAULT 0 NOT NULL,
    last_trade_at timestamp with time zone,
    paused_until timestamp with time zone,
    paused_reason text,
    event_seq bigint DEFAULT 0 NOT NULL,
    CONSTRAINT risk_users_pkey PRIMARY KEY (user_id),
    CONSTRAINT risk_users_check CHECK (((paused_until IS NULL) = (paused_reason IS NULL))),
    CONSTRAINT risk_users_streak_check CHECK ((streak >= 0))
) WITH (fillfactor=70);

CREATE TABLE runner_nodes (
    id text NOT NULL,
    version text NOT NULL,
    beat_at timestamp with time zone NOT NULL,
    CONSTRAINT runner_nodes_pkey PRIMARY KEY (id)
);

CREATE TABLE signal_cursor (
    only_row boolean DEFAULT true NOT NULL,
    last_event_id bigint NOT NULL,
    CONSTRAINT signal_cursor_pkey PRIMARY KEY (only_row),
    CONSTRAINT signal_cursor_only_row_check CHECK (only_row)
);

CREATE TABLE signal_receivers (
    name text NOT NULL,
    last_id bigint NOT NULL,
    owner text,
    leased_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    sent bigint DEFAULT 0 NOT NULL,
    expired bigint DEFAULT 0 NOT NULL,
    lost bigint DEFAULT 0 NOT NULL,
    failing_since timestamp with time zone,
    last_error text,
    CONSTRAINT signal_receivers_pkey PRIMARY KEY (name),
    CONSTRAINT signal_receivers_name_check CHECK ((name = ANY (ARRAY['redis'::text, 'influxdb'::text])))
);

CREATE TABLE signals (
    run_id uuid NOT NULL,
    user_id text NOT NULL,
    slot timestamp with time zone NOT NULL,
    strategy_id uuid NOT NULL,
    symbol text NOT NULL,
    action text NOT NULL,
    at timestamp with time zone NOT NULL,
    score double precision,
    said jsonb,
    CONSTRAINT signals_pkey PRIMARY KEY (run_id, slot),
    CONSTRAINT signals_action_check CHECK ((action = ANY (ARRAY['long'::text, 'short'::text, 'exit_long'::text, 'exit_short'::text]))),
    CONSTRAINT signals_score_check CHECK ((score = score))
) PARTITION BY RANGE (slot);

CREATE TABLE simulated_trades (
    id uuid NOT NULL,
    user_id text NOT NULL,
    booked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT simulated_trades_pkey PRIMARY KEY (id)
);

CREATE TABLE strategies (
    id uuid NOT NULL,
    owner_id text NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    kind text NOT NULL,
    visibility text NOT NULL,
    latest_version integer NOT NULL,
    created_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    changed_by xid8 DEFAULT pg_current_xact_id() NOT NULL,
    archived_at timestamp with time zone,
    CONSTRAINT strategies_pkey PRIMARY KEY (id),
    CONSTRAINT strategies_kind_check CHECK ((kind = ANY (ARRAY['template'::text, 'graph'::text, 'python'::text, 'javascript'::text, 'typescript'::text, 'external'::text]))),
    CONSTRAINT strategies_latest_version_check CHECK ((latest_version >= 1)),
    CONSTRAINT strategies_owner_id_check CHECK (((length(owner_id) >= 1) AND (length(owner_id) <= 255))),
    CONSTRAINT strategies_visibility_check CHECK ((visibility = ANY (ARRAY['private'::text, 'public'::text, 'marketplace'::text])))
);

CREATE TABLE strategy_events (
    id bigint NOT NULL,
    user_id text NOT NULL,
    run_id uuid,
    seq bigint NOT NULL,
    type text NOT NULL,
    at timestamp with time zone NOT NULL,
    payload jsonb NOT NULL,
    link bigint,
    previous_hash bytea,
    hash bytea,
    CONSTRAINT strategy_events_pkey PRIMARY KEY (id, at),
    CONSTRAINT strategy_events_payload_check CHECK ((jsonb_typeof(payload) = 'object'::text))
) PARTITION BY RANGE (at);

CREATE TABLE strategy_executions (
    evaluation_key text NOT NULL,
    strategy_id uuid NOT NULL,
    slot timestamp with time zone NOT NULL,
    worker text NOT NULL,
    duration_ms double precision NOT NULL,
    status text NOT NULL,
    action text,
    price double precision,
    reason text,
    indicators jsonb DEFAULT '{}'::jsonb NOT NULL,
    runs_reached integer NOT NULL,
    nodes_executed integer NOT NULL,
    error text,
    stored_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    used_ms double precision,
    limit_ms double precision,
    reached jsonb,
    CONSTRAINT strategy_executions_pkey PRIMARY KEY (evaluation_key, slot),
    CONSTRAINT strategy_executions_nodes_executed_check CHECK ((nodes_executed >= 0)),
    CONSTRAINT strategy_executions_runs_reached_check CHECK ((runs_reached >= 0)),
    CONSTRAINT strategy_executions_status_check CHECK ((status = ANY (ARRAY['success'::text, 'failed'::text, 'skipped'::text, 'no_signal'::text])))
);

CREATE TABLE strategy_locks (
    run_id uuid NOT NULL,
    owner text,
    fence bigint DEFAULT 0 NOT NULL,
    locked_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    last_slot timestamp with time zone,
    previous_slot timestamp with time zone,
    ticked_slot timestamp with time zone,
    last_run_at timestamp with time zone,
    last_status text,
    last_signal text,
    last_signal_at timestamp with time zone,
    source text,
    asked_at timestamp with time zone,
    previous_fence bigint DEFAULT 0 NOT NULL,
    CONSTRAINT strategy_locks_pkey PRIMARY KEY (run_id),
    CONSTRAINT strategy_locks_run_id_fkey FOREIGN KEY (run_id) REFERENCES strategy_runs(id) ON DELETE CASCADE,
    CONSTRAINT strategy_locks_source_check CHECK ((source = ANY (ARRAY['timer'::text, 'candle'::text, 'cron'::text, 'operator'::text, 'external'::text])))
) WITH (fillfactor=50);

CREATE TABLE strategy_runs (
    id uuid NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    user_id text NOT NULL,
    strategy_id uuid NOT NULL,
    account_id uuid,
    symbol text NOT NULL,
    trading_mode text NOT NULL,
    execution_mode text NOT NULL,
    schedule text,
    direction text NOT NULL,
    leverage integer NOT NULL,
    margin_mode text NOT NULL,
    position_mode text NOT NULL,
    capital numeric NOT NULL,
    size_by text NOT NULL,
    order_size_pct numeric NOT NULL,
    risk_pct numeric,
    take_profit_pct numeric,
    stop_loss_pct numeric,
    status text DEFAULT 'draft'::text NOT NULL,
    status_reason text,
    adapter_errors integer DEFAULT 0 NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    event_seq bigint DEFAULT 0 NOT NULL,
    activated_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    changed_by xid8 DEFAULT pg_current_xact_id() NOT NULL,
    trailing_callback_pct numeric,
    trailing_activation_pct numeric DEFAULT 0 NOT NULL,
    missing_stop text DEFAULT 'repair'::text NOT NULL,
    subscribed boolean DEFAULT false NOT NULL,
    ending boolean DEFAULT false NOT NULL,
    CONSTRAINT strategy_runs_pkey PRIMARY KEY (id),
    CONSTRAINT strategy_runs_account_id_user_id_fkey FOREIGN KEY (account_id, user_id) REFERENCES accounts(id, user_id),
    CONSTRAINT strategy_runs_adapter_errors_check CHECK ((adapter_errors >= 0)),
    CONSTRAINT strategy_runs_capital_check CHECK (((capital > (0)::numeric) AND (capital < 'Infinity'::numeric))),
    CONSTRAINT strategy_runs_check CHECK (((account_id IS NOT NULL) OR (trading_mode = 'signals'::text))),
    CONSTRAINT strategy_runs_direction_check CHECK ((direction = ANY (ARRAY['both'::text, 'long'::text, 'short'::text]))),
    CONSTRAINT strategy_runs_execution_mode_check CHECK ((execution_mode = ANY (ARRAY['AUTO'::text, 'SCHEDULED'::text, 'MANUAL'::text]))),
    CONSTRAINT strategy_runs_leverage_check CHECK ((leverage >= 1)),
    CONSTRAINT strategy_runs_missing_stop_check CHECK ((missing_stop = ANY (ARRAY['repair'::text, 'close'::text]))),
    CONSTRAINT strategy_runs_order_size_pct_check CHECK ((order_size_pct > (0)::numeric)),
    CONSTRAINT strategy_runs_risk_pct_check CHECK ((risk_pct > (0)::numeric)),
    CONSTRAINT strategy_runs_size_by_check CHECK ((size_by = ANY (ARRAY['percent'::text, 'risk'::text, 'amount'::text]))),
    CONSTRAINT strategy_runs_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'active'::text, 'paused'::text, 'stopped'::text, 'auto_paused'::text, 'error'::text, 'archived'::text]))),
    CONSTRAINT strategy_runs_stop_loss_pct_check CHECK ((stop_loss_pct > (0)::numeric)),
    CONSTRAINT strategy_runs_strategy_id_fkey FOREIGN KEY (strategy_id) REFERENCES strategies(id),
    CONSTRAINT strategy_runs_take_profit_pct_check CHECK ((take_profit_pct > (0)::numeric)),
    CONSTRAINT strategy_runs_trading_mode_check CHECK ((trading_mode = ANY (ARRAY['paper'::text, 'live'::text, 'signals'::text]))),
    CONSTRAINT strategy_runs_trailing_activation_pct_check CHECK (((trailing_activation_pct >= (0)::numeric) AND (trailing_activation_pct < (100)::numeric))),
    CONSTRAINT strategy_runs_trailing_callback_pct_check CHECK (((trailing_callback_pct >= 0.1) AND (trailing_callback_pct <= (10)::numeric))),
    CONSTRAINT strategy_runs_user_id_check CHECK (((length(user_id) >= 1) AND (length(user_id) <= 255)))
) WITH (fillfactor=70);

CREATE TABLE strategy_tick_runs (
    run_id uuid NOT NULL,
    user_id text NOT NULL,
    slot timestamp with time zone NOT NULL,
    status text NOT NULL,
    signal text,
    reason text,
    source text NOT NULL,
    scheduled_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    latency_ms double precision NOT NULL,
    worker text NOT NULL,
    fence bigint NOT NULL,
    asked_at timestamp with time zone,
    request_id text,
    evaluation uuid,
    CONSTRAINT strategy_tick_runs_pkey PRIMARY KEY (run_id, slot),
    CONSTRAINT strategy_tick_runs_signal_check CHECK ((signal = ANY (ARRAY['long'::text, 'short'::text, 'hold'::text, 'exit_long'::text, 'exit_short'::text]))),
    CONSTRAINT strategy_tick_runs_source_check CHECK ((source = ANY (ARRAY['timer'::text, 'candle'::text, 'cron'::text, 'operator'::text, 'external'::text]))) NOT VALID,
    CONSTRAINT strategy_tick_runs_status_check CHECK ((status = ANY (ARRAY['ok'::text, 'skipped'::text, 'blocked'::text, 'error'::text, 'missed'::text])))
) PARTITION BY RANGE (slot);

CREATE TABLE strategy_tick_triggers (
    run_id uuid NOT NULL,
    slot timestamp with time zone NOT NULL,
    source text NOT NULL,
    node text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    CONSTRAINT strategy_tick_triggers_pkey PRIMARY KEY (run_id, slot, source, node),
    CONSTRAINT strategy_tick_triggers_source_check CHECK ((source = ANY (ARRAY['timer'::text, 'candle'::text, 'cron'::text, 'operator'::text])))
) PARTITION BY RANGE (slot);

CREATE TABLE strategy_versions (
    strategy_id uuid NOT NULL,
    version integer NOT NULL,
    template text NOT NULL,
    parameters jsonb NOT NULL,
    venue text NOT NULL,
    market text NOT NULL,
    symbol text NOT NULL,
    timeframe text NOT NULL,
    timeframe_s integer NOT NULL,
    created_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    source text DEFAULT ''::text NOT NULL,
    name text,
    description text,
    visibility text,
    CONSTRAINT strategy_versions_pkey PRIMARY KEY (strategy_id, version),
    CONSTRAINT strategy_versions_parameters_check CHECK ((jsonb_typeof(parameters) = 'object'::text)),
    CONSTRAINT strategy_versions_source_check CHECK ((length(source) <= 200000)),
    CONSTRAINT strategy_versions_strategy_id_fkey FOREIGN KEY (strategy_id) REFERENCES strategies(id) ON DELETE CASCADE,
    CONSTRAINT strategy_versions_timeframe_s_check CHECK ((timeframe_s > 0)),
    CONSTRAINT strategy_versions_version_check CHECK ((version >= 1))
);

CREATE TABLE strategy_warnings (
    strategy_id uuid NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL,
    user_id text NOT NULL,
    slot timestamp with time zone NOT NULL,
    detail jsonb NOT NULL,
    warned_at timestamp with time zone DEFAULT runner_now() NOT NULL,
    CONSTRAINT strategy_warnings_pkey PRIMARY KEY (strategy_id, version, kind),
    CONSTRAINT strategy_warnings_detail_check CHECK ((jsonb_typeof(detail) = 'object'::text)),
    CONSTRAINT strategy_warnings_kind_check CHECK ((kind = ANY (ARRAY['near_time_limit'::text, 'not_deterministic'::text])))
);

CREATE TABLE trades (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    run_id uuid NOT NULL,
    user_id text NOT NULL,
    account_id uuid NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    entry_time timestamp with time zone NOT NULL,
    entry_price numeric NOT NULL,
    exit_time timestamp with time zone NOT NULL,
    exit_price numeric NOT NULL,
    fees numeric NOT NULL,
    funding numeric NOT NULL,
    pnl numeric NOT NULL,
    exit_reason text NOT NULL,
    CONSTRAINT trades_pkey PRIMARY KEY (id),
    CONSTRAINT trades_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id),
    CONSTRAINT trades_entry_price_check CHECK ((entry_price > (0)::numeric)),
    CONSTRAINT trades_exit_price_check CHECK ((exit_price > (0)::numeric)),
    CONSTRAINT trades_quantity_check CHECK ((quantity > (0)::numeric)),
    CONSTRAINT trades_run_id_fkey FOREIGN KEY (run_id) REFERENCES strategy_runs(id),
    CONSTRAINT trades_side_check CHECK ((side = ANY (ARRAY['long'::text, 'short'::text])))
);

CREATE TABLE venue_bans (
    host text NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT venue_bans_pkey PRIMARY KEY (host)
);

CREATE TABLE venue_budgets (
    host text NOT NULL,
    window_start timestamp with time zone NOT NULL,
    used integer NOT NULL,
    granted integer NOT NULL,
    CONSTRAINT venue_budgets_pkey PRIMARY KEY (host),
    CONSTRAINT venue_budgets_granted_check CHECK ((granted >= 0)),
    CONSTRAINT venue_budgets_used_check CHECK ((used >= 0))
);

CREATE INDEX accounts_by_user ON public.accounts USING btree (user_id);

CREATE UNIQUE INDEX alerts_one_open ON public.alerts USING btree (kind, subject) WHERE (cleared_at IS NULL);

CREATE INDEX connection_keys_by_master_key ON public.connection_keys USING btree (master_key_id, account_id);

CREATE INDEX connection_keys_by_rights ON public.connection_keys USING btree (rights_at);

CREATE INDEX connection_keys_by_user ON public.connection_keys USING btree (user_id);

CREATE UNIQUE INDEX connection_keys_one_of_a_key ON public.connection_keys USING btree (fingerprint);

CREATE INDEX equity_points_by_account ON public.equity_points USING btree (account_id, at, id);

CREATE INDEX external_deliveries_by_signal ON public.external_deliveries USING btree (signal_id);

CREATE INDEX external_signals_by_age ON public.external_signals USING btree (received_at);

CREATE INDEX fills_by_run ON public.fills USING btree (run_id, executed_at);

CREATE INDEX flattens_by_user ON public.flattens USING btree (user_id, asked_at);

CREATE UNIQUE INDEX flattens_one_open ON public.flattens USING btree (run_id) WHERE (ended_at IS NULL);

CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (created_at);

CREATE INDEX jobs_by_user ON public.jobs USING btree (user_id, kind, created_at, id);

CREATE INDEX jobs_open ON public.jobs USING btree (created_at, id) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE INDEX notice_deliveries_by_age ON public.notice_deliveries USING btree (created_at);

CREATE INDEX notice_deliveries_by_user ON public.notice_deliveries USING btree (user_id, id);

CREATE INDEX notice_deliveries_due ON public.notice_deliveries USING btree (next_at) WHERE (state = 'waiting'::text);

CREATE INDEX orders_by_run ON public.orders USING btree (run_id, number);

CREATE INDEX orders_live_by_account ON public.orders USING btree (account_id, symbol) WHERE (status = ANY (ARRAY['intent'::text, 'submitted'::text, 'partial'::text, 'unknown'::text]));

CREATE UNIQUE INDEX orders_one_live_per_leg ON public.orders USING btree (run_id, slot, leg) WHERE (status = ANY (ARRAY['intent'::text, 'submitted'::text, 'partial'::text, 'unknown'::text]));

CREATE INDEX positions_open_by_account ON public.positions USING btree (account_id) WHERE (quantity <> (0)::numeric);

CREATE INDEX positions_open_by_user ON public.positions USING btree (user_id) WHERE (quantity <> (0)::numeric);

CREATE INDEX published_signals_by_age ON public.published_signals USING btree (stored_at);

CREATE INDEX published_signals_told ON public.published_signals USING btree (symbol, at) WHERE (withheld IS NULL);

CREATE INDEX risk_users_paused ON public.risk_users USING btree (paused_until) WHERE (paused_until IS NOT NULL);

CREATE INDEX signals_by_user ON ONLY public.signals USING btree (user_id, slot);

CREATE INDEX simulated_trades_by_age ON public.simulated_trades USING btree (booked_at);

CREATE INDEX strategies_by_owner ON public.strategies USING btree (owner_id);

CREATE INDEX strategies_for_all ON public.strategies USING btree (created_at, id) WHERE ((visibility <> 'private'::text) AND (archived_at IS NULL));

CREATE INDEX strategy_events_by_run ON ONLY public.strategy_events USING btree (run_id, id) WHERE (run_id IS NOT NULL);

CREATE INDEX strategy_events_by_user ON ONLY public.strategy_events USING btree (user_id, id);

CREATE INDEX strategy_events_errors ON ONLY public.strategy_events USING btree (run_id, id) WHERE (type = 'error'::text);

CREATE INDEX strategy_executions_by_strategy ON public.strategy_executions USING btree (strategy_id, slot);

CREATE INDEX strategy_executions_by_tick ON public.strategy_executions USING btree (slot, "left"(evaluation_key, 32));

CREATE INDEX strategy_runs_active ON public.strategy_runs USING btree (id) WHERE (status = 'active'::text);

CREATE INDEX strategy_runs_by_change ON public.strategy_runs USING btree (changed_by);

CREATE INDEX strategy_runs_by_strategy ON public.strategy_runs USING btree (strategy_id);

CREATE INDEX strategy_runs_by_user ON public.strategy_runs USING btree (user_id);

CREATE INDEX strategy_runs_ending ON public.strategy_runs USING btree (id) WHERE (ending AND (status <> 'archived'::text));

CREATE UNIQUE INDEX strategy_runs_one_per_symbol ON public.strategy_runs USING btree (account_id, symbol) WHERE ((status <> 'archived'::text) AND (account_id IS NOT NULL));

CREATE INDEX strategy_tick_runs_by_slot ON ONLY public.strategy_tick_runs USING btree (slot);

CREATE INDEX trades_by_account ON public.trades USING btree (account_id, exit_time, id);

CREATE INDEX trades_by_number ON public.trades USING btree (number);

CREATE INDEX trades_by_run ON public.trades USING btree (run_id, number) INCLUDE (pnl);

CREATE VIEW exchange_connections AS
 SELECT id,
    user_id,
    name,
    venue,
    max_leverage,
    max_notional,
    kill_switch,
    created_at,
    environment,
    key_hint,
    last_test_at,
    last_test_result,
    rights
   FROM (accounts a
     LEFT JOIN connection_keys k ON ((account_id = id)))
  WHERE ((kind = 'connection'::text) AND (removed_at IS NULL));

CREATE VIEW market_data AS
 SELECT venue,
    market,
    symbol,
    timeframe,
    open_time AS "timestamp",
    open,
    high,
    low,
    close,
    volume,
    taker_buy_volume,
    trade_count
   FROM candles;

CREATE VIEW paper_portfolios AS
 SELECT id,
    user_id,
    name,
    bankroll,
    balance,
    used_margin,
    (balance - bankroll) AS realized_pnl,
    created_at
   FROM portfolios;

CREATE VIEW paper_trades AS
 SELECT id,
    run_id,
    user_id,
    account_id AS portfolio_id,
    symbol,
    side,
    quantity,
    entry_time,
    entry_price,
    exit_time,
    exit_price,
    fees,
    funding,
    pnl,
    exit_reason
   FROM (trades t
     JOIN accounts a ON ((id = account_id)))
  WHERE (kind = 'portfolio'::text);

CREATE VIEW portfolios AS
 SELECT id,
    user_id,
    name,
    bankroll,
    balance,
    used_margin,
    maker_fee_pct,
    taker_fee_pct,
    slippage_pct,
    participation_pct,
    max_leverage,
    max_notional,
    kill_switch,
    outage_orders,
    created_at
   FROM accounts
  WHERE (kind = 'portfolio'::text);

CREATE VIEW run_rows AS
 SELECT id,
    user_id,
    account_id,
    trading_mode,
    execution_mode,
    schedule,
    direction,
    leverage,
    margin_mode,
    position_mode,
    capital,
    size_by,
    order_size_pct,
    risk_pct,
    take_profit_pct,
    stop_loss_pct,
    status,
    status_reason,
    adapter_errors,
    version,
    activated_at,
    created_at,
    number,
    last_slot,
    strategy_id,
    owner_id,
    name,
    template,
    parameters,
    symbol,
    timeframe,
    timeframe_s,
    version AS strategy_version,
    kind,
    venue,
    market,
    visibility,
    description,
    last_run_at,
    last_status,
    last_signal,
    last_signal_at,
    trailing_callback_pct,
    trailing_activation_pct,
    missing_stop,
    source
   FROM (((strategy_runs r
     JOIN strategies s ON ((id = strategy_id)))
     JOIN strategy_versions v ON (((strategy_id = id) AND (version = latest_version))))
     LEFT JOIN strategy_locks l ON ((run_id = id)));

CREATE VIEW strategy_execution_logs AS
 SELECT evaluation_key,
    strategy_id,
    slot,
    worker,
    duration_ms,
    nodes_executed,
    status,
    action AS signal,
    price,
    reason,
    indicators,
    runs_reached,
    error,
    stored_at AS created_at
   FROM strategy_executions;

CREATE VIEW strategy_logs AS
 SELECT id,
    user_id,
    run_id,
    strategy_id,
    seq,
    type AS event_type,
        CASE
            WHEN (type = ANY (ARRAY['error'::text, 'risk_block'::text])) THEN 'error'::text
            WHEN (type = 'signal'::text) THEN 'signal'::text
            WHEN ((type ~~ 'order%'::text) OR (type ~~ 'trade%'::text)) THEN 'trade'::text
            ELSE 'info'::text
        END AS level,
    payload,
    at AS created_at
   FROM (strategy_events e
     LEFT JOIN strategy_runs r ON ((id = run_id)));

CREATE VIEW strategy_risk_state AS
 SELECT user_id,
    day,
    realized_pnl_usdt,
    trades_count,
    streak AS consecutive_losses,
    paused_until,
    paused_reason,
    last_trade_at,
    COALESCE((( SELECT runner_now() AS runner_now) < paused_until), false) AS is_paused
   FROM (risk_days d
     JOIN risk_users u ON ((user_id = user_id)));

CREATE OR REPLACE FUNCTION public.drop_month(child text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
BEGIN
    IF NOT EXISTS (SELECT FROM months_before(runner_now() - interval '1 day') AS month WHERE month = child) THEN
        RAISE EXCEPTION '% is no month that has ended', child;
    END IF;
    IF child ~ '^strategy_events_\d{6}$' THEN
        EXECUTE format('INSERT INTO dropped_links (user_id, link)
                        SELECT user_id, max(link) FROM %I WHERE link IS NOT NULL GROUP BY user_id ORDER BY user_id
                            ON CONFLICT (user_id) DO UPDATE SET link = greatest(dropped_links.link, excluded.link)',
                       child);
    END IF;
    EXECUTE format('DROP TABLE %I', child);
END $function$;

CREATE OR REPLACE FUNCTION public.drop_partitions_before(instant timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    child text;
    dropped integer := 0;
BEGIN
    IF instant > runner_now() - interval '1 day' THEN
        RAISE EXCEPTION 'retention of less than a day is refused';
    END IF;
    FOR child IN SELECT months_before(instant) LOOP
        PERFORM drop_month(child);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $function$;

CREATE OR REPLACE FUNCTION public.ensure_partitions(first timestamp with time zone, last timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    month timestamp := date_trunc('month', first AT TIME ZONE 'UTC');
    parent text;
    child text;
    made integer := 0;
BEGIN
    IF last - first > interval '400 days' THEN
        RAISE EXCEPTION 'partitions for % to % are too many at once', first, last;
    END IF;
    WHILE month <= last AT TIME ZONE 'UTC' LOOP
        FOR parent IN SELECT name FROM monthly_tables ORDER BY name LOOP
            child := format('%s_%s', parent, to_char(month, 'YYYYMM'));
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            PERFORM pg_advisory_xact_lock(1296128077);
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            -- Made apart and attached: the parent stays open to readers and writers meanwhile.
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                           month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
            made := made + 1;
        END LOOP;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $function$;

CREATE OR REPLACE FUNCTION public.event_content(link bigint, id bigint, user_id text, run_id uuid, seq bigint, type text, at timestamp with time zone, payload jsonb)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
    SELECT jsonb_build_array(link, id, user_id, run_id, seq, type, (extract(epoch FROM at) * 1000000)::bigint,
                             payload)::text
$function$;

CREATE OR REPLACE FUNCTION public.events_horizon()
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
DECLARE
    newest bigint;
    furthest_back bigint;
BEGIN
    SELECT last_value INTO newest FROM strategy_event_ids;
    -- A lock's number wraps; half the circle ahead of `newest` are writers that came after it was read.
    SELECT max(behind) INTO furthest_back
      FROM (SELECT (newest - objid::bigint + 2147483647) % 2147483647 AS behind FROM pg_locks
             WHERE locktype = 'advisory' AND classid = 1163284301 AND objsubid = 2 AND granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS writers
     WHERE behind < 1073741824;
    RETURN newest - coalesce(furthest_back + 1, 0);
END $function$;

CREATE OR REPLACE FUNCTION public.forget_fingerprint()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    NEW.fingerprint := NULL;
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.guard_lock()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF NEW.fence < OLD.fence THEN
        RAISE EXCEPTION 'a fence never falls' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.owner IS DISTINCT FROM OLD.owner AND NEW.fence = OLD.fence THEN
        RAISE EXCEPTION 'a new owner needs a new fence' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.last_slot < OLD.last_slot THEN
        RAISE EXCEPTION 'a slot is never claimed after a later one' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.guard_order()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.leg IN ('entry', 'exit', 'flatten', 'repair') AND
           (NEW.status <> 'intent' OR NEW.filled_quantity <> 0 OR NEW.sign_ts IS NULL) THEN
            RAISE EXCEPTION 'an order of ours begins as an unfilled intent with sign_ts'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NEW.leg IN ('entry', 'exit', 'flatten', 'repair') AND
           NEW.fence IS DISTINCT FROM (SELECT fence FROM strategy_locks WHERE run_id = NEW.run_id) THEN
            RAISE EXCEPTION 'fence % of order % is not the current one', NEW.fence, NEW.client_order_id
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.client_order_id, NEW.run_id, NEW.user_id, NEW.account_id, NEW.symbol, NEW.slot, NEW.leg, NEW.attempt,
        NEW.side, NEW.kind, NEW.quantity, NEW.reduce_only, NEW.price, NEW.fence, NEW.sign_ts, NEW.created_at)
       IS DISTINCT FROM
       (OLD.client_order_id, OLD.run_id, OLD.user_id, OLD.account_id, OLD.symbol, OLD.slot, OLD.leg, OLD.attempt,
        OLD.side, OLD.kind, OLD.quantity, OLD.reduce_only, OLD.price, OLD.fence, OLD.sign_ts, OLD.created_at) THEN
        RAISE EXCEPTION 'what order % asks for never changes', OLD.client_order_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.filled_quantity < OLD.filled_quantity OR NEW.filled_value < OLD.filled_value THEN
        RAISE EXCEPTION 'what order % filled never falls', OLD.client_order_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status <> OLD.status AND OLD.status <> 'unknown' AND (OLD.status, NEW.status) NOT IN (
        ('intent', 'submitted'), ('intent', 'partial'), ('intent', 'filled'), ('intent', 'rejected'),
        ('intent', 'not_placed'), ('intent', 'unknown'),
        ('submitted', 'partial'), ('submitted', 'filled'), ('submitted', 'canceled'), ('submitted', 'expired'),
        ('submitted', 'rejected'), ('submitted', 'unknown'),
        ('partial', 'filled'), ('partial', 'canceled'), ('partial', 'expired'), ('partial', 'unknown')) THEN
        RAISE EXCEPTION 'order % is % and cannot become %', OLD.client_order_id, OLD.status, NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status = 'unknown' AND NEW.status = 'intent' THEN
        RAISE EXCEPTION 'order % may have been sent and is no intent again', OLD.client_order_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.guard_platform_settings()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'the platform settings cannot be deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.demo AND NOT NEW.demo THEN
        RAISE EXCEPTION 'a demo database stays one' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.kill_switch IS DISTINCT FROM OLD.kill_switch THEN
        -- Waits for every transaction that read the switch under `kill_switch_shared` (I8).
        PERFORM pg_advisory_xact_lock(1263094604);
        PERFORM pg_notify('kill_switch', '');
    END IF;
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.guard_run()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF NEW.id <> OLD.id OR NEW.user_id <> OLD.user_id OR NEW.strategy_id <> OLD.strategy_id THEN
        RAISE EXCEPTION 'a run keeps its id, user and strategy' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.event_seq <> OLD.event_seq AND (NEW.event_seq <> OLD.event_seq + 1 OR pg_trigger_depth() < 2) THEN
        RAISE EXCEPTION 'only an event moves the event counter' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.version < OLD.version THEN
        RAISE EXCEPTION 'a row version never falls' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('draft', 'active'), ('draft', 'archived'),
        ('active', 'paused'), ('active', 'stopped'), ('active', 'auto_paused'), ('active', 'error'),
        ('paused', 'active'), ('paused', 'stopped'), ('paused', 'archived'),
        ('stopped', 'active'), ('stopped', 'archived'),
        ('auto_paused', 'active'), ('auto_paused', 'stopped'), ('auto_paused', 'archived'),
        ('error', 'active'), ('error', 'stopped'), ('error', 'archived')) THEN
        RAISE EXCEPTION 'a run that is % cannot become %', OLD.status, NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.guard_user_counter()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF NEW.event_seq <> OLD.event_seq + 1 OR pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'only an event moves the event counter' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.kill_switch_shared()
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1263094604);
    RETURN (SELECT kill_switch FROM platform_settings);
END $function$;

CREATE OR REPLACE FUNCTION public.lease_holds(run uuid, held bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM FROM strategy_locks WHERE run_id = run FOR UPDATE;
    -- Read after the wait, so that a lease that ran out meanwhile is seen as run out.
    RETURN EXISTS (SELECT FROM strategy_locks
                    WHERE run_id = run AND fence = held AND clock_timestamp() < locked_until);
END $function$;

CREATE OR REPLACE FUNCTION public.months_before(instant timestamp with time zone)
 RETURNS SETOF text
 LANGUAGE sql
 STABLE
AS $function$
    SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      JOIN pg_class p ON p.oid = i.inhparent JOIN monthly_tables m ON m.name = p.relname
     WHERE c.relnamespace = 'public'::regnamespace AND right(c.relname, 6) ~ '^\d{6}$'
       AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC' <= instant
     ORDER BY right(c.relname, 6), c.relname
$function$;

CREATE OR REPLACE FUNCTION public.name_request()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    NEW.payload := NEW.payload || jsonb_build_object('request_id', current_setting('runner.request_id'));
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.note_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    NEW.changed_by := pg_current_xact_id();
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.notify_config()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM pg_notify('config', '');
    RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION public.notify_connection()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM pg_notify('connections', coalesce(NEW.account_id, OLD.account_id)::text);
    RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION public.notify_flatten()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM pg_notify('flattens', '');
    RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION public.notify_runs()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM pg_notify('runs', '');
    RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION public.number_event()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF coalesce(current_setting('runner.events_announced', true), '') = '' THEN
        PERFORM pg_advisory_xact_lock_shared(1163284301,
                                             ((last_value + is_called::integer) % 2147483647)::integer)
           FROM strategy_event_ids;
        PERFORM set_config('runner.events_announced', 'yes', true);
    END IF;
    IF NEW.run_id IS NOT NULL THEN
        UPDATE strategy_runs SET event_seq = event_seq + 1
         WHERE id = NEW.run_id AND user_id = NEW.user_id RETURNING event_seq INTO NEW.seq;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no run % of user %', NEW.run_id, NEW.user_id USING ERRCODE = 'foreign_key_violation';
        END IF;
    ELSE
        INSERT INTO risk_users (user_id) VALUES (NEW.user_id) ON CONFLICT DO NOTHING;
        UPDATE risk_users SET event_seq = event_seq + 1 WHERE user_id = NEW.user_id
            RETURNING event_seq INTO NEW.seq;
    END IF;
    -- Under the counter's lock, so that ids rise with the sequence.
    NEW.id := nextval('strategy_event_ids');
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.open_jobs()
 RETURNS bigint
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
    SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')
$function$;

CREATE OR REPLACE FUNCTION public.raise_walls()
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
    me CONSTANT text := 'current_setting(''runner.user'', true)';
    role_name text;
    found record;
    sees text;
    changes text;
    verb text;
    writers boolean;
BEGIN
    -- On a server of the operator's, whoever migrates makes the roles where they may.
    FOREACH role_name IN ARRAY ARRAY['runner_reader', 'runner_tenant'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role_name)
                   OR NOT (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user);
        EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXECUTE format('GRANT %I TO %I', role_name, current_user);
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
            EXECUTE format('GRANT %I TO runner_service', role_name);
        END IF;
        IF role_name = 'runner_tenant' AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_reader') THEN
            GRANT runner_reader TO runner_tenant;
        END IF;
    END LOOP;
    writers := EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_tenant');
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_reader') THEN
        RETURN false;
    END IF;
    -- A service that would be stopped by the wall has to be let through first.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service' AND NOT (rolbypassrls OR rolsuper)) THEN
        RETURN false;
    END IF;
    GRANT USAGE ON SCHEMA public TO runner_reader;
    FOR found IN
        SELECT c.oid::regclass AS name, c.relname, c.relrowsecurity AS walled,
               (SELECT array_agg(a.attname::text) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
               ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
          FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname <> 'schema_migrations'
         ORDER BY c.relname
    LOOP
        sees := CASE
            WHEN 'user_id' = ANY (found.columns) THEN 'user_id = ' || me
            WHEN found.relname = 'strategies' THEN
                'owner_id = ' || me || ' OR visibility <> ''private'''
                ' OR EXISTS (SELECT FROM strategy_runs r WHERE r.strategy_id = strategies.id)'
            WHEN 'run_id' = ANY (found.columns) THEN
                format('EXISTS (SELECT FROM strategy_runs r WHERE r.id = %I.run_id)', found.relname)
            WHEN 'account_id' = ANY (found.columns) THEN
                format('EXISTS (SELECT FROM accounts a WHERE a.id = %I.account_id)', found.relname)
            WHEN 'strategy_id' = ANY (found.columns) THEN
                format('EXISTS (SELECT FROM strategies s WHERE s.id = %I.strategy_id)', found.relname)
            WHEN found.relname IN ('candles', 'platform_settings') THEN 'true'
        END;
        CONTINUE WHEN sees IS NULL;  -- nothing of any user's, and nothing a reader asks for
        changes := CASE
            -- What only trading writes, and what only triggers do.
            WHEN found.relname IN ('fills', 'trades', 'signals', 'strategy_tick_runs', 'strategy_tick_triggers',
                                   'event_chains', 'dropped_links', 'candles', 'platform_settings') THEN NULL
            WHEN found.relname = 'strategies' THEN 'owner_id = ' || me
            WHEN found.relname = 'strategy_versions' THEN
                'EXISTS (SELECT FROM strategies s WHERE s.id = strategy_versions.strategy_id AND s.owner_id = ' || me || ')'
            WHEN 'strategy_id' = ANY (found.columns) AND 'user_id' <> ALL (found.columns) THEN NULL
            ELSE sees
        END;
        IF 'seen_by_reader' <> ALL (found.policies) THEN
            EXECUTE format('CREATE POLICY seen_by_reader ON %s FOR SELECT TO runner_reader USING (%s)', found.name, sees);
        END IF;
        EXECUTE format('GRANT SELECT ON %s TO runner_reader', found.name);
        IF writers AND changes IS NOT NULL THEN
            FOREACH verb IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
                CONTINUE WHEN lower(verb) || '_by_tenant' = ANY (found.policies);
                EXECUTE format('CREATE POLICY %I ON %s FOR %s TO runner_tenant %s', lower(verb) || '_by_tenant', found.name,
                               verb, CASE verb WHEN 'INSERT' THEN format('WITH CHECK (%s)', changes)
                                               ELSE format('USING (%s)', changes) END);
            END LOOP;
            IF found.relname = 'strategies' THEN
                -- Whoever subscribes holds a strategy of somebody else's while the run begins: locks it, changes nothing.
                IF 'held_by_tenant' <> ALL (found.policies) THEN
                    EXECUTE format('CREATE POLICY held_by_tenant ON strategies FOR UPDATE TO runner_tenant'
                                   ' USING (%s) WITH CHECK (false)', sees);
                END IF;
                GRANT INSERT, DELETE ON strategies TO runner_tenant;
                -- Not the owner: a strategy that is held is not taken over.
                EXECUTE format('GRANT UPDATE (%s) ON strategies TO runner_tenant',
                               (SELECT string_agg(quote_ident(each), ', ') FROM unnest(found.columns) AS each
                                 WHERE each NOT IN ('id', 'owner_id')));
            ELSE
                EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO runner_tenant', found.name);
            END IF;
        END IF;
        IF NOT found.walled THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', found.name);
        END IF;
    END LOOP;
    IF writers THEN
        REVOKE UPDATE, DELETE ON strategy_events FROM runner_tenant;
        GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO runner_tenant;
        GRANT EXECUTE ON FUNCTION ensure_partitions(timestamptz, timestamptz) TO runner_tenant;
    END IF;
    FOR found IN
        SELECT c.oid::regclass AS name,
               coalesce('security_invoker=true' = ANY (c.reloptions), false) AS invoker
          FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
    LOOP
        -- With its owner's eyes a view would see through the wall.
        IF NOT found.invoker THEN
            EXECUTE format('ALTER VIEW %s SET (security_invoker = true)', found.name);
        END IF;
        EXECUTE format('GRANT SELECT ON %s TO runner_reader', found.name);
    END LOOP;
    RETURN true;
END $function$;

CREATE OR REPLACE FUNCTION public.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $function$;

CREATE OR REPLACE FUNCTION public.refuse_removed_account()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    PERFORM FROM accounts WHERE id = NEW.account_id FOR KEY SHARE;
    -- Read after the wait.
    IF EXISTS (SELECT FROM accounts WHERE id = NEW.account_id AND removed_at IS NOT NULL) THEN
        RAISE EXCEPTION 'account % has been removed', NEW.account_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $function$;

CREATE OR REPLACE FUNCTION public.require_status_event()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    IF (SELECT event_seq FROM strategy_runs WHERE id = NEW.id) <= OLD.event_seq THEN
        RAISE EXCEPTION 'the status of run % changed without an event', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION public.runner_now()
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
AS $function$
DECLARE
    market timestamptz;
BEGIN
    SELECT CASE WHEN demo
                THEN least(anchor_market + (clock_timestamp() - anchor_process) * rate, ceiling)
                ELSE clock_timestamp() END
      INTO STRICT market FROM platform_settings;
    RETURN market;
END $function$;

CREATE OR REPLACE FUNCTION public.seal_event()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
BEGIN
    LOOP
        UPDATE event_chains c
           SET link = c.link + 1, previous_hash = c.hash,
               hash = sha256(c.hash || convert_to(event_content(c.link + 1, NEW.id, NEW.user_id, NEW.run_id, NEW.seq,
                                                                NEW.type, NEW.at, NEW.payload), 'UTF8'))
         WHERE c.user_id = NEW.user_id
     RETURNING c.link, c.previous_hash, c.hash INTO NEW.link, NEW.previous_hash, NEW.hash;
        EXIT WHEN FOUND;
        INSERT INTO event_chains (user_id, link, hash)
        VALUES (NEW.user_id, 0, sha256(convert_to('strategy-runner events of ' || NEW.user_id, 'UTF8')))
            ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN NEW;
END $function$;

CREATE TRIGGER config_overrides_notify AFTER INSERT OR DELETE OR UPDATE ON public.config_overrides FOR EACH STATEMENT EXECUTE FUNCTION notify_config();

CREATE TRIGGER connection_keys_fingerprint BEFORE UPDATE OF data_key_id ON public.connection_keys FOR EACH ROW WHEN ((new.data_key_id <> old.data_key_id)) EXECUTE FUNCTION forget_fingerprint();

CREATE TRIGGER connection_keys_notify AFTER INSERT OR DELETE OR UPDATE OF data_key_id, master_key_id ON public.connection_keys FOR EACH ROW EXECUTE FUNCTION notify_connection();

CREATE TRIGGER fills_append_only BEFORE DELETE OR UPDATE ON public.fills FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER flattens_notify AFTER INSERT ON public.flattens FOR EACH STATEMENT EXECUTE FUNCTION notify_flatten();

CREATE TRIGGER orders_guard BEFORE INSERT OR UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION guard_order();

CREATE TRIGGER orders_stay BEFORE DELETE ON public.orders FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER platform_settings_guard BEFORE DELETE OR UPDATE ON public.platform_settings FOR EACH ROW EXECUTE FUNCTION guard_platform_settings();

CREATE TRIGGER risk_users_guard BEFORE UPDATE ON public.risk_users FOR EACH ROW WHEN ((old.event_seq <> new.event_seq)) EXECUTE FUNCTION guard_user_counter();

CREATE TRIGGER strategies_changed BEFORE UPDATE ON public.strategies FOR EACH ROW EXECUTE FUNCTION note_change();

CREATE TRIGGER strategy_events_append_only BEFORE DELETE OR UPDATE ON public.strategy_events FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER strategy_events_cause BEFORE INSERT ON public.strategy_events FOR EACH ROW WHEN ((current_setting('runner.request_id'::text, true) <> ''::text)) EXECUTE FUNCTION name_request();

CREATE TRIGGER strategy_events_no_truncate BEFORE TRUNCATE ON public.strategy_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER strategy_events_number BEFORE INSERT ON public.strategy_events FOR EACH ROW EXECUTE FUNCTION number_event();

CREATE TRIGGER strategy_events_seal BEFORE INSERT ON public.strategy_events FOR EACH ROW EXECUTE FUNCTION seal_event();

CREATE TRIGGER strategy_locks_guard BEFORE UPDATE OF fence, owner, last_slot ON public.strategy_locks FOR EACH ROW EXECUTE FUNCTION guard_lock();

CREATE TRIGGER strategy_runs_account BEFORE INSERT ON public.strategy_runs FOR EACH ROW WHEN ((new.account_id IS NOT NULL)) EXECUTE FUNCTION refuse_removed_account();

CREATE TRIGGER strategy_runs_changed BEFORE UPDATE OF status, version ON public.strategy_runs FOR EACH ROW EXECUTE FUNCTION note_change();

CREATE TRIGGER strategy_runs_guard BEFORE UPDATE ON public.strategy_runs FOR EACH ROW EXECUTE FUNCTION guard_run();

CREATE TRIGGER strategy_runs_notify AFTER INSERT OR UPDATE OF status, version ON public.strategy_runs FOR EACH STATEMENT EXECUTE FUNCTION notify_runs();

CREATE CONSTRAINT TRIGGER strategy_runs_status_event AFTER UPDATE ON public.strategy_runs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.status <> new.status)) EXECUTE FUNCTION require_status_event();

CREATE TRIGGER trades_append_only BEFORE DELETE OR UPDATE ON public.trades FOR EACH ROW EXECUTE FUNCTION refuse_change();
