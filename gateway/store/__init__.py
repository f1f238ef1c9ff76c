"""The only SQL, Lua and Valkey key names of the project."""
