"""Made-up people whose journeys are known, and what the service should make of them.

- `people`: who they are: devices, addresses, user agents;
- `steps`: what somebody can do, and what is to come of it;
- `journeys`: every kind of journey, as lists of steps;
- `player`: plays the steps over HTTP;
- `outcomes`: compares what came out with what is true;
- `campaigns`: the links that are clicked.
"""
