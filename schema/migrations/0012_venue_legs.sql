-- What a venue closes by ADL or settlement is told apart from a liquidation.

ALTER TABLE orders
    DROP CONSTRAINT orders_leg_check,
    ADD CONSTRAINT orders_leg_check CHECK (
        leg IN ('exit', 'entry', 'flatten', 'repair', 'take_profit', 'stop_loss', 'liquidation', 'adl',
                'settlement', 'manual'));
