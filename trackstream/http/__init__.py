"""The collector: what comes in over HTTP goes to the log; nothing here keeps anything.

- `collector`: the application, its routes and what they depend on;
- `ingest`: POSTed events; `clicks`: tracking links and pixels; `registry`: the schemas;
  `operations`: health and metrics; each request is a list of named `steps`;
- `bodies`, `authentication`, `cors`, `client`, `problems`, `rejections`: parts that steps share;
- `metrics`: counters; `ids`: new ids;
- `server`: processes, port and signals.
"""
