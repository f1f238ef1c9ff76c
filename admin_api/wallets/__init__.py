"""Accounts as shared wallets: members, subscriptions, grants and redeem codes."""
