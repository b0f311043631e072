"""Attribution measured against what is true: made-up lives, the real core, a table.

- `people`: who they are: devices, addresses, what their browsers say;
- `book`: what reaches the service, and what is true of it, by how it was made up;
- `life`: what somebody can do: click, see, install, log in, buy;
- `honest`, `edges`, `frauds`: every kind of journey;
- `protocol`: runs the core, with partitions that lag and messages that come again;
- `score`: compares what came out with what is true.

Nothing of it needs a running service: times are days apart, which no real one could be shown.
"""
