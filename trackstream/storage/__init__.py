"""Adapters to what keeps things: Kafka's topics, PostgreSQL, Redis, lookup files.

- `topics`, `log_sink`: the log: its topics, and writing to it;
- `schema`, `migrations`, `database`: the tables, and how they come to be;
- `registry`, `sealing`, `directory`: apps, keys and links; secrets at rest; the copy in memory;
- `cache`: Redis beside the stream;
- `geo`, `user_agents`, `bots`: lookups;
- `warehouse`: the consumer that writes the output topics to the tables;
- `explain`: reads back how a conversion was decided;
- `errors`: one tree.
"""
