"""Servers that `trackstream up` starts on one machine, as supervised child processes.

Nothing here knows the product. The rooms:

- `postgres`, `valkey`, `kafka`: one server each, with the same calls (`server`): `start` returns
  a URL, `stop` ends it, `wait` tells a supervisor that it has ended;
- `broker`: the program that `kafka` runs, a small durable broker for the Kafka protocol;
- `process`, `launch`: a child process that is started until ready and never left behind;
- `directory`, `privileges`, `postgres_programs`: locks, secrets, accounts, programs;
- `errors`: one tree, each message saying what to do.
"""
