"""People: users, how they log in, and what they are told by e-mail."""
