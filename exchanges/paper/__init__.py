"""A venue on candles: the paper account's matching, money and adapter."""
