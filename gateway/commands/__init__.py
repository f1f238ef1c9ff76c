"""The commands that work through the admin API: `tollhouse token`, `export`, `completion`.

Each module is imported when its command runs, but for `arguments` and `values`, which every start reads.
"""
