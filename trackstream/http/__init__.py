"""The collector: what comes in over HTTP goes to the log; nothing here keeps anything.

- `collector`: the application, its routes and what they depend on;
- `ingest`: POSTed events; `clicks`: tracking links and pixels; `registry`: the schemas;
  `operations`: health and metrics; each request is a list of named `steps`;
- `bodies`, `authentication`, `cors`, `client`, `problems`, `verdicts`, `rejections`: parts that
  steps share;
- `metrics`: counters, `shared_metrics`: of several processes; `ids`: new ids;
- `backing`: the real adapters; `process`: one process; `server`: port, processes, signals;
- `worker`: the stream worker's web views, which are not the collector's.
"""
