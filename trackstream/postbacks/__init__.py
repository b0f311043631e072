"""Postbacks: a consumer of `attributions` that tells ad networks over HTTP.

What is to be told goes through an outbox in PostgreSQL: rows and the offsets up to which the topic
was read are written in one transaction, and a row's key is (destination, conversion, revision), so
reading a decision again queues nothing again. A row is marked before its request leaves; a sender
that dies in between leaves it marked, and nobody guesses what became of it.

- `destinations`: registering whom to tell;
- `outbox`: the rows: queueing, taking, settling;
- `listing`: what was given up, and queueing it again by hand;
- `consumer`: reads the topic into the outbox, as the steps of a consumer;
- `client`: one request, to public addresses alone;
- `sender`: takes what is due and sends it;
- `service`: both together; `run` is the way in.
"""

from trackstream.postbacks.service import run

__all__ = ["run"]
